"""SQL files to statements: named queries, and the steps of a migration; it runs none of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files

_NAME = re.compile(r"^-- name: *(?P<name>\w+) *\n", re.MULTILINE)
#: How the files are written: a statement ends where a line ends with a semicolon. Comments after it do not count.
_STATEMENT_END = re.compile(r"(?<=;)[ \t]*$", re.MULTILINE)
_COMMENT = re.compile(r"--.*$", re.MULTILINE)


def sql_text(name: str) -> str:
    """The text of one of the SQL files that are shipped with this package."""
    return (files("dicom_node") / "sql" / name).read_text(encoding="utf-8")


def all_queries() -> str:
    """The text of every file of queries, one after the other."""
    folder = files("dicom_node") / "sql" / "queries"
    found = sorted(folder.iterdir(), key=lambda file: file.name)
    return "\n".join(file.read_text(encoding="utf-8") for file in found)


def named_queries(text: str) -> Mapping[str, str]:
    """Name -> statement, from blocks of `-- name: NAME`, a line of description, and one statement.

    Raises ValueError for a name that is used twice, or a block without description or statement.
    """
    _, *parts = _NAME.split(text)
    queries: dict[str, str] = {}
    for name, block in zip(parts[::2], parts[1::2], strict=True):
        if name in queries:
            raise ValueError(f"two queries are called {name}")
        if not block.startswith("-- "):
            raise ValueError(f"query {name} has no description")
        [*statements] = script_statements(block)
        if len(statements) != 1:
            raise ValueError(f"query {name} has {len(statements)} statements, not one")
        [queries[name]] = statements
    return queries


def script_statements(text: str) -> tuple[str, ...]:
    """The statements of a script, without comments, in order."""
    parts = _STATEMENT_END.split(_COMMENT.sub("", text))
    return tuple(part.strip() for part in parts if part.strip())
