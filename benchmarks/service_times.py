"""How long the shipped packages take per kind of study, for the simulation: `python -m benchmarks.service_times FILE`.

Each generated study, made as large as one series of a hospital is, goes through the node's own analysis on one thread.
Measured are its forward passes, which a cluster may take over, and the rest of the wall time, which stays with the
node: reading, preparing, interpreting, encoding. On a machine that does something else the figures are too long; the
file has the load beside them. It takes a minute, and ends after two wherever it is: the kinds take turns.
"""

from __future__ import annotations

import argparse
import datetime
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.hospital_studies import hospital_studies
from benchmarks.rounds import machine
from dicom_node.engine import build_engine
from dicom_node.phantoms import PhantomStudy
from dicom_node.pipeline import Engine, analyse_study
from dicom_node.settings import SHIPPED_CONFIG, load_settings
from inference.models import Model, Network
from inference.registry import BrokenPackage

#: The first analysis of each study warms caches up, and is not counted.
_UNCOUNTED = 1
#: After so long no further round begins.
_AT_MOST_S = 80.0


@dataclass(frozen=True, slots=True)
class _Pass:
    """One forward pass."""

    package: str
    pictures: int
    seconds: float


#: (seconds of everything, forward passes) of one analysis.
_Measured = tuple[float, list[_Pass]]


class _Timed:
    """A network, called as it is, that notes how long that took."""

    def __init__(self, package: str, network: Network, note: Callable[[_Pass], None]) -> None:
        self._package = package
        self._network = network
        self._note = note

    def __call__(self, pictures: Tensor) -> Any:  # noqa: ANN401  # as Network has it
        started = time.perf_counter()
        answer = self._network(pictures)
        self._note(_Pass(self._package, len(pictures), time.perf_counter() - started))
        return answer


def _timed(engine: Engine, note: Callable[[_Pass], None]) -> Engine:
    def with_clock(name: str, model: Model | BrokenPackage) -> Model | BrokenPackage:
        if isinstance(model, BrokenPackage):
            return model
        return type(model)(model.package, _Timed(name, model.network, note))

    return replace(engine, shelf={name: with_clock(name, model) for name, model in engine.shelf.items()})


def _once(study: PhantomStudy, engine: Engine, folder: Path) -> tuple[float, list[_Pass]]:
    """(seconds of everything, forward passes) of one analysis of the study's files, which lie in `folder`."""
    passes: list[_Pass] = []
    paths = [folder / f"{instance.SOPInstanceUID}.dcm" for instance in study.instances]
    timed, started = _timed(engine, passes.append), time.perf_counter()
    analyse_study(study.study_instance_uid, paths, timed, datetime.datetime.now(datetime.UTC))
    return time.perf_counter() - started, passes


def _in_turns(studies: Sequence[PhantomStudy], engine: Engine, folder: Path, rounds: int) -> Iterator[list[_Measured]]:
    """What each study took in one round, for so many rounds, or until the time is over."""
    until = time.monotonic() + _AT_MOST_S
    for number in range(rounds + _UNCOUNTED):
        found = [_once(study, engine, folder) for study in studies]
        if number < _UNCOUNTED:
            continue
        yield found
        if time.monotonic() > until:
            return


def _record(study: PhantomStudy, found: Sequence[_Measured]) -> dict[str, object]:
    """Seconds to three places: of the node, and of each forward pass in its turn, one figure a round."""
    first = found[0][1]
    return {
        "images": len(study.instances),
        "pixels": [int(study.instances[0].Rows), int(study.instances[0].Columns)],
        "node_seconds": [round(whole - sum(each.seconds for each in passes), 4) for whole, passes in found],
        "passes": [
            {
                "package": each.package,
                "pictures": each.pictures,
                "seconds": [round(passes[number].seconds, 4) for _, passes in found],
            }
            for number, each in enumerate(first)
        ],
    }


def main() -> None:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, default=7, help="analyses of each study that are counted; left out: 7")
    wanted, on = parser.parse_args(), machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {"DICOM_NODE_NODE__STORAGE": str(folder / "var"), "DICOM_NODE_RUNTIME__THREADS": "1"}
        (folder / "var").mkdir()
        engine = build_engine(load_settings(SHIPPED_CONFIG, environment))
        studies = list(hospital_studies())
        for instance in (each for study in studies for each in study.instances):
            instance.save_as(folder / f"{instance.SOPInstanceUID}.dcm", enforce_file_format=True)
        found = zip(*_in_turns(studies, engine, folder, wanted.rounds), strict=True)
        kinds = {study.kind: _record(study, of_it) for study, of_it in zip(studies, found, strict=True)}
    told = {
        "measured": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": on | {"load after": round(float(Path("/proc/loadavg").read_text().split()[0]), 2)},
        "threads": 1,
        "kinds": kinds,
    }
    wanted.file.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
