"""The demonstration: an archive and a node on loopback ports, generated studies through both, everything collected.

Nothing is short-cut: studies go into the archive by C-STORE, the archive routes them to the node, the node answers
into the archive, and what is shown is read from the objects that came back.
"""

from __future__ import annotations

import datetime
import json
import shutil
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydicom import dcmread

from dicom_node.app import Node
from dicom_node.archive import Archive
from dicom_node.domain.delivery import DeliveryState, Destination
from dicom_node.domain.job import JobState
from dicom_node.domain.status import StudyStatus
from dicom_node.phantoms import PhantomStudy, phantom_studies
from dicom_node.pictures import draw_study
from dicom_node.schedule import Schedule, Task
from dicom_node.sending import send_folder
from dicom_node.settings import Settings, load_settings
from dicom_node.store import Store
from dicom_node.summary import StudySummary

_HOST = "127.0.0.1"
_SEED = 7
_QUIET_S = 1.0
#: Longer than any demonstration takes; then it has failed.
_PATIENCE_S = 110.0
_ENDS = frozenset({JobState.DONE, JobState.FAILED, JobState.HELD})


@dataclass(frozen=True, slots=True)
class Returned:
    """One result object that came back into the archive."""

    modality: str
    sop_class_uid: str
    sop_instance_uid: str
    path: Path


@dataclass(frozen=True, slots=True, eq=False)
class DemoStudy:
    """One study, and what became of it. Both times are None where the study did not get so far."""

    phantom: PhantomStudy
    state: str
    reason: str
    summary: StudySummary | None
    #: From its last image to its being judged complete.
    settled_s: float | None
    #: From then until the last result was in the archive.
    seconds: float | None
    results: tuple[Returned, ...]
    #: None where the archive did not even get the images.
    picture: Path | None

    @property
    def is_complete(self) -> bool:
        """Whether everything that was expected came back."""
        return Counter(self.phantom.expected) <= Counter(result.modality for result in self.results)


def run_demo(out: Path, tell: Callable[[str], None]) -> tuple[DemoStudy, ...]:
    """Run it, leave pictures, summary.json and results/ in `out`, and say in `tell` what is going on."""
    phantoms = phantom_studies(_SEED, datetime.datetime.now().astimezone())
    with tempfile.TemporaryDirectory(prefix="dicom-node-demo-") as scratch:
        folder = Path(scratch)
        settings = _settings(folder)
        own = Destination("node", settings.node.ae_title, settings.node.host, settings.node.port)
        pacs = settings.destination("PACS")
        archive = Archive(pacs.ae_title, pacs.host, pacs.port, folder / "archive", known=[own], route_to=own)
        archive.start()
        node = Node(settings)
        try:
            node.start()
            tell(f"archive {pacs} routes to node {own}")
            _send(phantoms, folder / "modality", pacs, tell)
            _wait_for(node.store, [phantom.study_instance_uid for phantom in phantoms], tell)
            studies = _collect(phantoms, node.store, archive, out)
        finally:
            node.stop()
            archive.stop()
    _write_summary(studies, out)
    return studies


def _settings(folder: Path) -> Settings:
    """A configuration file as an administrator would write it, read as `serve` reads it."""
    node_port, archive_port = _free_ports()
    content = {
        "node": {"ae_title": "AINODE", "host": _HOST, "port": node_port, "storage": "./node"},
        "peers": {"PACS": {"ae_title": "ARCHIVE", "host": _HOST, "port": archive_port}},
        "receive": {"from": ["PACS"]},
        "deliver": {"to": ["PACS"]},
        "settle": {"quiet_seconds": _QUIET_S},
        "runtime": {"workers": 1},  # which is ready sooner; no study is large
        "log": {"level": "warning"},
    }
    path = folder / "node.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_settings(path, {})


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind((_HOST, 0))
        other.bind((_HOST, 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])


def _send(phantoms: Sequence[PhantomStudy], folder: Path, pacs: Destination, tell: Callable[[str], None]) -> None:
    """Each study into the archive, as a modality would."""
    for phantom in phantoms:
        place = folder / phantom.study_instance_uid
        place.mkdir(parents=True)
        for number, instance in enumerate(phantom.instances):
            instance.save_as(place / f"{number:04d}.dcm", enforce_file_format=True)
        arrived = sum(result.arrived for result in send_folder(place, pacs, "MODALITY"))
        tell(f"{phantom.kind}: {arrived} of {len(phantom.instances)} images sent to the archive")


def _wait_for(store: Store, uids: Sequence[str], tell: Callable[[str], None]) -> None:
    """Until every study has come to an end, or patience has."""
    ended = threading.Event()
    told: set[str] = set()

    def look() -> None:
        states = {status.study_instance_uid: status.state for status in store.studies()}
        for uid in uids:
            if states.get(uid) in _ENDS and uid not in told:
                told.add(uid)
                tell(f"{len(told)} of {len(uids)} studies answered")
        if len(told) == len(uids):
            ended.set()

    watch = Schedule([Task("watch", 0.2, look)])
    watch.start()
    ended.wait(_PATIENCE_S)
    watch.stop()


def _collect(phantoms: Sequence[PhantomStudy], store: Store, archive: Archive, out: Path) -> tuple[DemoStudy, ...]:
    shutil.rmtree(out / "results", ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    statuses = {status.study_instance_uid: status for status in store.studies()}
    return tuple(
        _collect_study(phantom, statuses.get(phantom.study_instance_uid), store, archive, out) for phantom in phantoms
    )


def _collect_study(
    phantom: PhantomStudy, status: StudyStatus | None, store: Store, archive: Archive, out: Path
) -> DemoStudy:
    uid = phantom.study_instance_uid
    sent = {str(instance.SOPInstanceUID) for instance in phantom.instances}
    held = archive.instances(uid)
    results = tuple(_copy(path, out / "results" / _file_name(phantom)) for path in held if path.stem not in sent)
    summary = StudySummary.model_validate_json(status.summary) if status and status.summary else None
    return DemoStudy(
        phantom=phantom,
        state=status.state if status else "never received",
        reason=status.reason if status else "the archive did not route it",
        summary=summary,
        settled_s=_between(status.last_image_at, status.settled_at) if status else None,
        seconds=_between(status.settled_at, _last_sent(store, uid)) if status else None,
        results=results,
        picture=_draw(phantom, summary, [path for path in held if path.stem in sent], results, out),
    )


def _draw(
    phantom: PhantomStudy,
    summary: StudySummary | None,
    images: Sequence[Path],
    results: Sequence[Returned],
    out: Path,
) -> Path | None:
    if not images:
        return None
    caption = (
        phantom.kind if summary is None else f"{phantom.kind}: {summary.seen}; {summary.found or 'nothing looked for'}"
    )
    picture = out / f"{_file_name(phantom)}.png"
    draw_study(images, [result.path for result in results], caption).save(picture)
    return picture.absolute()


def _copy(path: Path, folder: Path) -> Returned:
    header = dcmread(path, stop_before_pixels=True)
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f"{header.Modality}-{header.SOPInstanceUID}.dcm"
    shutil.copyfile(path, copy)
    return Returned(str(header.Modality), str(header.SOPClassUID), str(header.SOPInstanceUID), copy.absolute())


def _file_name(phantom: PhantomStudy) -> str:
    return phantom.kind.lower().replace(" ", "-")


def _last_sent(store: Store, uid: str) -> float | None:
    return max((event.at for event in store.events(uid) if event.action == DeliveryState.SENT), default=None)


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(end - start, 3)


def _write_summary(studies: Sequence[DemoStudy], out: Path) -> None:
    content = [
        {
            "study_uid": study.phantom.study_instance_uid,
            "kind": study.phantom.kind,
            "state": study.state,
            "reason": study.reason,
            "settled_s": study.settled_s,
            "seconds": study.seconds,
            "expected": study.phantom.expected,
            "complete": study.is_complete,
            "lesion_volume_ml": study.phantom.lesion_volume_ml,
            "picture": str(study.picture) if study.picture else None,
            "summary": study.summary.model_dump(mode="json") if study.summary else None,
            "results": [
                {
                    "modality": result.modality,
                    "sop_class_uid": result.sop_class_uid,
                    "sop_instance_uid": result.sop_instance_uid,
                    "path": str(result.path),
                }
                for result in study.results
            ],
        }
        for study in studies
    ]
    (out / "summary.json").write_text(json.dumps({"studies": content}, indent=2), encoding="utf-8")
