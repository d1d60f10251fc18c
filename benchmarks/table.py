"""The page of figures: `python -m benchmarks.table FOLDER > docs/performance.md` from the JSON files in FOLDER.

What is measured stands in the files; this only sets it in tables, one for each benchmark, in the order of their names.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_BEFORE = """# Performance

Measured by the benchmarks of this repository, each run by one command (`python -m benchmarks.NAME --json FILE`), peers
included; this page is made from their files (`python -m benchmarks.table`). Sender and receiver share the machine.
Absolute figures mean little on a shared machine; ratios of medians of the same interleaved rounds do, from about 1.5
on. A ratio that misses its goal stays here and says so. What was not measured yet is not here.

Receiving: this node answers after its disk has taken the object; `storescp` and Orthanc leave that for later, and on a
machine with memory to spare never wait for it in a run of this length.
"""
_WORDS = {None: "", True: "met", False: "**missed**"}


def page(files: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown; `files` are the benchmarks' records by the name of the benchmark's module."""
    return "\n".join([_BEFORE, *(line for name, record in sorted(files.items()) for line in _section(name, record))])


def _section(name: str, record: Mapping[str, Any]) -> Iterator[str]:
    on = record["machine"]  # a benchmark that leaves two files has a dash in the name of the second
    bf16 = ", ".join(on["bf16"]) or "no bf16 in hardware"
    yield f"## {record['benchmark']}\n"
    module, date = name.partition("-")[0], record["date"][:10]
    yield f"`python -m benchmarks.{module}`, {date}. {on['processor']}, {on['cores']} cores, {bf16},"
    yield f"Python {on['python']}, load before {on['load before']}.\n"
    yield f"| Case | {record['unit']}, median (range) |\n|---|---|"
    for case, values in record["cases"].items():
        yield f"| {case} | {statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g}) |"
    if record["ratios"]:
        yield "\n| Ratio | Value | Goal | |\n|---|---|---|---|"
    for ratio in record["ratios"]:
        goal = "" if ratio["goal"] is None else f"{ratio['goal']:g}"
        yield f"| {ratio['name']} | {ratio['value']:.2f} | {goal} | {_WORDS[ratio['met']]} |"
    yield ""


def main() -> None:
    """Print the page of a folder of JSON files."""
    folder = Path(sys.argv[1])
    records = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
    sys.stdout.write(page(records))


if __name__ == "__main__":
    main()
