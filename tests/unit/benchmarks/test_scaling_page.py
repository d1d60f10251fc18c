"""The page on sizing says what the simulation says."""

import json
from pathlib import Path

import pytest

from benchmarks.simulation import SERVICE_TIMES, Terms, section, with_section
from benchmarks.sizing import PLACES, Row, plan

PAGE = (Path(__file__).parents[3] / "docs" / "scaling.md").read_text(encoding="utf-8")
MEASURED = json.loads(SERVICE_TIMES.read_text(encoding="utf-8"))
#: Those whose day is simulated in a second; the country's takes many.
SHORT = PLACES[:3]


def test_the_table_of_the_page_is_what_the_simulation_prints():
    """Of its shorter places every row, and what all rest on; else: `benchmarks.simulation --page docs/scaling.md`."""
    rows = [row for place in SHORT for row in plan(place, MEASURED)]
    told = [line for line in section(rows, MEASURED, Terms()).splitlines() if line]
    assert [line for line in told if line not in PAGE.splitlines()] == []


def test_the_table_is_put_between_its_marks():
    """What stands before and after stays; the page has them, and each place in both ways."""
    rows = [Row("here", 7, 2, 0, 0, 1.0, 2.0, 3.0), Row("here", 7, 2, 5, 15, 1.04, 2.0, 3.0)]
    told = section(rows, MEASURED, Terms(9.0, 4.0, 0.25))
    assert "| here | 7 | 2 | 5 | 4 | 1.0 | 2.0 | 3.0 |" in told
    assert "GPUs for them" in told
    assert "4 times as fast" in told
    before, after = PAGE.split("\n## Set up")
    changed = with_section(PAGE, told)
    assert changed.split("<!--")[0] == before.split("<!--")[0]
    assert changed.endswith(after)
    assert with_section(changed, "") == with_section(PAGE, "")
    assert [PAGE.count(f"\n| {place.name} | ") for place in PLACES] == [2] * 4


def test_a_page_without_marks_is_refused():
    """Rather than written over."""
    with pytest.raises(ValueError, match="no marks"):
        with_section("# A page\n", "table")
