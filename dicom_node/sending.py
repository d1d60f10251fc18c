"""Send files to a peer, as many associations as their SOP classes and transfer syntaxes need; one result per file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import DeliveryError, ObjectRejected
from dicom_node.domain.web import WebDestination
from dicom_node.files import files_under
from dicom_node.senders import ObjectSender, open_sender
from dicom_node.storage_scu import LARGEST_PROPOSAL, ContextWish, context_wish


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file: the peer's status, or the problem."""

    path: Path
    status: int | None = None
    problem: str = ""

    @property
    def arrived(self) -> bool:
        """Whether the peer has it now."""
        return self.status is not None


def send_folder(path: Path, destination: Destination | WebDestination, own_ae_title: str) -> Iterator[FileResult]:
    """Send every file under `path` (or the one it is), in the order of their names; yields as they go.

    A file that cannot be sent does not stop the others; without an association every one of its files is told so.
    """
    sendable: list[tuple[Path, ContextWish]] = []
    for file in files_under(path):
        try:
            sendable.append((file, context_wish(file)))
        except ObjectRejected as error:
            yield FileResult(file, problem=str(error))
    for batch in _batches(sendable):
        yield from _send_batch(batch, destination, own_ae_title)


def _send_batch(
    batch: Sequence[tuple[Path, ContextWish]], destination: Destination | WebDestination, own_ae_title: str
) -> Iterator[FileResult]:
    results: list[FileResult] = []
    try:
        with open_sender(destination, own_ae_title, {wish for _, wish in batch}) as sender:
            for file, _ in batch:
                results.append(_send_one(sender, file))
                yield results[-1]
    except DeliveryError as error:
        yield from (FileResult(file, problem=str(error)) for file, _ in batch[len(results) :])


def _send_one(sender: ObjectSender, file: Path) -> FileResult:
    try:
        return FileResult(file, status=sender.send(file))
    except DeliveryError as error:
        return FileResult(file, problem=str(error))


def _batches(files: Sequence[tuple[Path, ContextWish]]) -> Iterator[list[tuple[Path, ContextWish]]]:
    """Consecutive files that one association can carry."""
    batch: list[tuple[Path, ContextWish]] = []
    wishes: set[ContextWish] = set()
    for file, wish in files:
        if len(wishes | {wish}) > LARGEST_PROPOSAL:
            yield batch
            batch, wishes = [], set()
        batch.append((file, wish))
        wishes.add(wish)
    if batch:
        yield batch
