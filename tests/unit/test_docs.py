"""The documents: what they point to exists."""

import json
import re
from pathlib import Path

import pytest

from inference.cards import (
    Card,
    CardFigure,
    DataSource,
    FixedWindow,
    Labels,
    OperatingPoint,
    Outputs,
    Preparation,
    Training,
)

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
DECISIONS = sorted((REPOSITORY / "docs" / "decisions").glob("*.md"))

#: [text](target) and ![text](target "title"); a target in <> may hold spaces.
_LINK = re.compile(r"\]\(\s*(?:<(?P<quoted>[^>]*)>|(?P<plain>[^)\s]+))[^)]*\)")
_CODE = re.compile(r"^ *```.*?^ *```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ +(?P<text>.+?) *$", re.MULTILINE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def links(text):
    """Targets of links to files of this repository or to headings."""
    found = (match["quoted"] or match["plain"] for match in _LINK.finditer(_CODE.sub("", text)))
    return [target for target in found if not _ELSEWHERE.match(target)]


def anchors(text):
    """What a heading is called in a link: lower case, words joined by hyphens."""
    headings = (match["text"] for match in _HEADING.finditer(re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(document):
    """Links of a document that lead nowhere."""
    text = document.read_text(encoding="utf-8")
    wrong = []
    for link in links(text):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_somewhere(document):
    """Every relative link points to a file that exists, and to a heading it has."""
    assert broken(document) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    """The search itself: missing files and headings are told, code and other sites are not looked at."""
    document = tmp_path / "page.md"
    document.write_text(
        "# A heading, here\n[a](gone.md) ![b](<no such.png>) [c](#a-heading-here) [d](#other) [e](page.md)\n"
        "`[f](code.md)` [g](https://example.org/x)\n```\n[h](block.md)\n```\n",
        encoding="utf-8",
    )
    assert broken(document) == ["gone.md", "no such.png", "#other"]


@pytest.mark.parametrize(
    "document", sorted((REPOSITORY / "docs" / "decisions").glob("*.md")), ids=lambda path: path.stem
)
def test_a_decision_is_short_and_whole(document):
    """Context, choice and cost, on at most 25 lines."""
    text = document.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 25
    assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == ["Context", "Choice", "Cost"]


def test_the_guide_explains_every_key_of_a_card():
    """Of the card and of its parts, and its example is a card."""
    text = (REPOSITORY / "docs" / "bring-your-own-model.md").read_text(encoding="utf-8")
    parts = (Card, CardFigure, Preparation, FixedWindow, OperatingPoint, Outputs, Labels, Training, DataSource)
    keys = {key for part in parts for key in part.model_fields}
    assert [key for key in sorted(keys) if f"`{key}`" not in text and f'"{key}"' not in text] == []
    example = json.loads(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])
    assert Card.model_validate({**example, "weights_sha256": "0" * 64}).file == "model.onnx"
