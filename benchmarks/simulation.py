"""What it takes for a hospital, a region, a country: `python -m benchmarks.simulation [--below S] [--page FILE]`.

A day of studies at nodes that share a cluster, simulated from the service times in benchmarks/service_times.json: once
with every node alone, once with the fewest replicas of each package that keep p99 of the busiest hour below --below
seconds. Time counts from the moment the study is complete to its results; sending and settling come on top. Assumed,
and not measured, are the mix of studies and the curve of the day below, and nothing else. --page puts the table into
docs/scaling.md, where it stands between two marks.

--times FILE: your own service times, by benchmarks.service_times. --faster K: a replica takes a K-th of them. Of GPUs
there are no figures here: measure what one of yours gains (benchmarks.service_times on both), give that, and with
--gpus the share of one that each replica has.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.sizing import BELOW_S, MIX, PLACES, Row, plan

SERVICE_TIMES = Path(__file__).with_name("service_times.json")
#: The table stands between these two on the page.
_FROM = "<!-- made by: python -m benchmarks.simulation --page docs/scaling.md -->\n"
_TO = "<!-- end of what is made -->\n"


@dataclass(frozen=True, slots=True)
class Terms:
    """What was asked for."""

    #: Seconds at p99 of the busiest hour.
    below_s: float = BELOW_S
    #: How many times as fast a replica is as measured.
    faster: float = 1.0
    #: Share of a GPU that each replica has; None: each has a processor core.
    gpus: float | None = None


def section(rows: Sequence[Row], measured: Mapping[str, Any], terms: Terms) -> str:
    """The table in Markdown, and what it rests on."""
    return "\n".join([*_table(rows, terms), "", *_basis(measured, terms), ""])


def _table(rows: Sequence[Row], terms: Terms) -> Iterator[str]:
    machines = "cores" if terms.gpus is None else "GPUs"
    head = (
        "", "studies a day", "nodes", "replicas of each package", f"{machines} for them", "p50 s", "p99 s",
        "p99 s, busiest hour",
    )  # fmt: skip
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        seconds = (f"{each:.1f}" for each in (row.p50_s, row.p99_s, row.busiest_hour_p99_s))
        taken = math.ceil(row.replicas_in_all * (1.0 if terms.gpus is None else terms.gpus))
        yield f"| {' | '.join(map(str, (row.place, row.studies, row.nodes, row.replicas, taken, *seconds)))} |"


def _basis(measured: Mapping[str, Any], terms: Terms) -> Iterator[str]:
    on = measured["machine"]
    replica = "as fast as measured" if terms.faster == 1.0 else f"{terms.faster:g} times as fast as measured"
    yield f"p99 of the busiest hour below {terms.below_s:g} s; replicas {replica}, and 0 replicas: every node alone."
    yield f"Service times of {measured['measured']}: {on['processor']}, {on['cores']} cores, of which one computed,"
    yield f"{', '.join(on['bf16']) or 'no bf16'}, load {on['load before']} before and {on['load after']} after."


def with_section(page: str, told: str) -> str:
    """The page with this between its marks. Raises ValueError where it has none."""
    before, _, rest = page.partition(_FROM)
    _, mark, after = rest.partition(_TO)
    if not mark:
        raise ValueError("the page has no marks for the table")
    return f"{before}{_FROM}{told}{_TO}{after}"


def _wanted() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--below", type=float, default=BELOW_S, help=f"seconds at p99; left out: {BELOW_S:g}")
    parser.add_argument("--times", type=Path, default=SERVICE_TIMES, help="service times; left out: those of the page")
    parser.add_argument("--faster", type=float, default=1.0, help="than measured; left out: 1, a processor core")
    parser.add_argument("--gpus", type=float, help="share of a GPU of each replica; left out: each has a core")
    names = [place.name for place in PLACES]
    parser.add_argument("--places", nargs="*", choices=names, default=names, help="left out: all")
    parser.add_argument("--json", type=Path, help="write the table there, too")
    parser.add_argument("--page", type=Path, help="put the table there, between its marks")
    wanted = parser.parse_args()
    if wanted.page is not None and set(wanted.places) != set(names):
        parser.error("the page has all places")
    return wanted


def main() -> None:
    """Simulate, print, and leave a JSON file or the page if asked."""
    wanted = _wanted()
    measured = json.loads(wanted.times.read_text(encoding="utf-8"))
    places = [place for place in PLACES if place.name in wanted.places]
    rows = [row for place in places for row in plan(place, measured, wanted.faster, wanted.below)]
    told = section(rows, measured, Terms(wanted.below, wanted.faster, wanted.gpus))
    sys.stdout.write(told)
    if wanted.page is not None:
        page = wanted.page.read_text(encoding="utf-8")
        wanted.page.write_text(with_section(page, told), encoding="utf-8")
    if wanted.json is not None:
        record = {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "p99 below s": wanted.below,
            "faster": wanted.faster,
            "mix (share, series)": MIX,
            "service times": {key: measured[key] for key in ("measured", "machine")},
            "rows": [asdict(row) for row in rows],
        }
        wanted.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
