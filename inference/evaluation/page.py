"""One HTML page that needs nothing else: headings, tables, pictures; what is shown is decided elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from inference.evaluation.figures import Gallery, Picture, Table

_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; max-width: 60rem }
table { border-collapse: collapse; margin-bottom: 2rem }
td, th { border: 1px solid #bbb; padding: .2rem .6rem; text-align: right }
td:first-child, th { text-align: left }
figure { display: inline-block; margin: .5rem; max-width: 100%; vertical-align: top }
figcaption { font-size: 12px; max-width: 16rem }
"""


def html_page(title: str, introduction: str, parts: Sequence[Table | Gallery]) -> str:
    """The whole page as text."""
    content = "".join(_table(part) if isinstance(part, Table) else _gallery(part) for part in parts)
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>
<style>{_STYLE}</style>
<h1>{escape(title)}</h1>
<p>{escape(introduction)}</p>
{content}
</html>
"""


def _table(table: Table) -> str:
    header = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in table.rows)
    return f"<h2>{escape(table.title)}</h2>\n<table><tr>{header}</tr>\n{rows}</table>\n"


def _gallery(gallery: Gallery) -> str:
    shown = "".join(_picture(picture) for picture in gallery.pictures) or "<p>none</p>"
    return f"<h2>{escape(gallery.title)}</h2>\n{shown}\n"


def _picture(picture: Picture) -> str:
    kind = "svg+xml" if picture.kind == "svg" else picture.kind
    source = f"data:image/{kind};base64,{base64.b64encode(picture.content).decode('ascii')}"
    caption = escape(picture.caption)
    return f'<figure><img src="{source}" alt="{caption}"><figcaption>{caption}</figcaption></figure>\n'
