"""The facts as a Markdown document, by the templates beside this module, in the order of PS3.2 Annex N."""

from __future__ import annotations

import re

import jinja2

from dicom_node.conformance.statement import Statement

#: Chapter templates in order. The table of contents is chapter 2, and knows the headings of all others.
_CHAPTERS = ("cover", "overview", "contents", "introduction", "model", "services", "network", "security", "annexes")
_HEADING = re.compile(r"^(##+) (.+)$", re.MULTILINE)


def render(statement: Statement) -> str:
    """The document; the same statement makes the same text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dicom_node.conformance"),
        undefined=jinja2.StrictUndefined,
        finalize=_in_a_cell,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    facts = {"statement": statement, "network": statement.network}
    chapters = {name: environment.get_template(f"{name}.md.j2").render(facts, headings=()) for name in _CHAPTERS}
    found = (match for name in _CHAPTERS for match in _HEADING.findall(chapters[name]))
    headings = [(len(level) - 2, text, _anchor(text)) for level, text in found]
    chapters["contents"] = environment.get_template("contents.md.j2").render(facts, headings=headings)
    return "\n".join(chapters[name].strip("\n") + "\n" for name in _CHAPTERS)


def _anchor(heading: str) -> str:
    """What a heading is called in a link: lower case, words joined by hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _in_a_cell(value: object) -> str:
    """A value as text that ends no table cell and begins no line."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return re.sub(r"\s+", " ", text).replace("|", "\\|")
