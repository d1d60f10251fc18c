"""Storage as SCU: files to one peer over one association.

Data sets are sent as they are stored, undecoded, in a presentation context of exactly their SOP class and transfer
syntax; only when the peer refuses that one is an uncompressed data set re-encoded.
"""

from __future__ import annotations

import io
import itertools
import logging
import warnings
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dsutils import encode
from pynetdicom.presentation import PresentationContext, build_context

from dicom_node.answers import Answer, answer_of
from dicom_node.associations import open_association
from dicom_node.discretion import comment_of
from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import ObjectRejected, PeerRefused, PeerUnreachable, SopClassRefused
from dicom_node.faults import type_and_place
from dicom_node.pdata_sending import DataSetCutShort, StoreRequest
from dicom_node.sendable import StoredObject, opened
from dicom_node.store_line import StoreLine
from dicom_node.transfer_syntaxes import UNCOMPRESSED
from dicom_node.unreadable import UNREADABLE
from sr_writer.created import name_of_kind

_LOGGER = logging.getLogger(__name__)

#: Presentation context IDs are the odd numbers of one byte (PS3.8 9.3.2.2), and a pair may need two.
LARGEST_PROPOSAL = 64


@dataclass(frozen=True, slots=True)
class ContextWish:
    """A SOP class in one transfer syntax, as a file to be sent has it."""

    sop_class_uid: str
    transfer_syntax_uid: str


def context_wish(path: Path) -> ContextWish:
    """What the file at `path` needs to be sent. Raises ObjectRejected when it is gone or no DICOM file (PS3.10)."""
    with opened(path) as stored:
        return _wish_of(stored)


def _wish_of(stored: StoredObject) -> ContextWish:
    return ContextWish(stored.sop_class_uid, stored.transfer_syntax_uid)


class StorageSender:
    """Sends files over one storage association, by `line`."""

    def __init__(self, association: Association, destination: Destination, line: StoreLine) -> None:
        self._association = association
        self._destination = destination
        self._line = line
        self._message_ids = itertools.count(1)
        self._lost = False
        self._accepted = {
            (str(context.abstract_syntax), str(context.transfer_syntax[0])): cast(int, context.context_id)
            for context in association.accepted_contexts
        }

    @property
    def peer(self) -> str:
        """The destination's name in the configuration."""
        return self._destination.name

    @property
    def refused_classes(self) -> frozenset[str]:
        """The SOP classes that were proposed, and accepted in no transfer syntax."""
        refused = {str(context.abstract_syntax) for context in self._association.rejected_contexts}
        return frozenset(refused - {sop_class_uid for sop_class_uid, _ in self._accepted})

    def send(self, path: Path) -> int:
        """Store the object at `path` at the peer; the status, success or warning.

        Raises PeerUnreachable (retry, on a new association), PeerRefused (retry later), SopClassRefused (something
        else may take its place) or ObjectRejected (final).
        """
        with opened(path) as stored:
            wish = _wish_of(stored)
            syntax = self._agreed_syntax(wish)
            if self._lost or not self._association.is_established:
                raise PeerUnreachable(f"{self._destination} ended the association before {path.name} was sent")
            try:
                response = self._store(path, stored, syntax)
            except (DataSetCutShort, ValueError, AttributeError, OSError) as error:
                told = type_and_place(error)  # what pydicom says may quote the data set
                raise ObjectRejected(f"{path.name} cannot be sent to {self._destination}: {told}") from error
        return self._judge(response, path, wish)

    def _store(self, path: Path, stored: StoredObject, syntax: str) -> Dataset:
        """Ask, with the data set as it stands in the file if it may be."""
        # message IDs are 16 bit (PS3.7 9.3.1.1)
        message_id = next(self._message_ids) % 0xFFFF
        context_id = self._accepted[stored.sop_class_uid, syntax]
        request = StoreRequest(context_id, message_id, stored.sop_class_uid, stored.sop_instance_uid)
        if syntax == stored.transfer_syntax_uid:
            return self._line.store(self._association, request, stored.file, stored.size)
        encoded = _encoded(path, UID(syntax))
        return self._line.store(self._association, request, io.BytesIO(encoded), len(encoded))

    def _agreed_syntax(self, wish: ContextWish) -> str:
        """The transfer syntax that the peer accepts for it: its own, or one that it can be re-encoded in."""
        if (wish.sop_class_uid, wish.transfer_syntax_uid) in self._accepted:
            return wish.transfer_syntax_uid
        agreed = next((uid for uid in UNCOMPRESSED if (wish.sop_class_uid, uid) in self._accepted), None)
        if agreed is not None and wish.transfer_syntax_uid in UNCOMPRESSED:
            return agreed
        told = (
            f"{self._destination} accepts no {name_of_kind(wish.sop_class_uid)} "
            f"in {UID(wish.transfer_syntax_uid).name}; "
            "have that SOP class allowed there, or leave it out of this destination's results"
        )
        if wish.sop_class_uid in self.refused_classes:
            raise SopClassRefused(told, wish.sop_class_uid)
        raise ObjectRejected(told)

    def _judge(self, response: Dataset, path: Path, wish: ContextWish) -> int:
        if response.get("Status") is None:
            # time-out, abort or an invalid response; pynetdicom may still think to be associated
            self._lost = True
            raise PeerUnreachable(f"{self._destination} gave no answer to {path.name}")
        status = int(response.Status)
        comment = _comment(response, path)
        answer = answer_of(status, _tags(response.get("OffendingElement")))
        if answer is Answer.LATER:
            raise PeerRefused(f"{self._destination} cannot take {path.name} now: status 0x{status:04X}{comment}")
        if answer is not Answer.ARRIVED:
            told = f"{self._destination} rejected {path.name}: status 0x{status:04X}{comment}"
            is_for_class = answer is Answer.NOT_ITS_CLASS
            raise SopClassRefused(told, wish.sop_class_uid) if is_for_class else ObjectRejected(told)
        if status:
            _LOGGER.info(
                "%s took %s with warning 0x%04X%s",
                self._destination,
                path.name,
                status,
                comment,
                extra={"action": "stored_with_warning"},
            )
        return status


def _encoded(path: Path, syntax: UID) -> bytes:
    """The data set in another transfer syntax without compression. Raises ValueError when it cannot be written."""
    encoded = encode(dcmread(path), syntax.is_implicit_VR, syntax.is_little_endian)
    if encoded is None:
        raise ValueError("it cannot be encoded")  # pynetdicom knows why, and does not tell
    return encoded


def _tags(offending: object) -> tuple[int, ...]:
    """The values of an AT element: none, one tag, or several."""
    if offending is None:
        return ()
    return (
        (int(offending),) if isinstance(offending, int) else tuple(int(tag) for tag in cast(Iterable[int], offending))
    )


def _comment(response: Dataset, path: Path) -> str:
    """What the peer says of the object at `path`, if that may be repeated."""
    if not response.get("ErrorComment"):
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is odd about the file matters to nobody here
            about = dcmread(path, stop_before_pixels=True)
    except UNREADABLE:
        return ""
    return comment_of(response, about)


def storage_contexts(wishes: Collection[ContextWish]) -> list[PresentationContext]:
    """One context for each pair; what is uncompressed is offered in every such syntax, since it can be re-encoded."""
    convertible = {wish.sop_class_uid for wish in wishes if wish.transfer_syntax_uid in UNCOMPRESSED}
    asked = {(wish.sop_class_uid, wish.transfer_syntax_uid) for wish in wishes}
    asked |= set(itertools.product(convertible, UNCOMPRESSED))
    return [build_context(sop_class_uid, syntax) for sop_class_uid, syntax in sorted(asked)]


@contextmanager
def open_storage(
    destination: Destination, own_ae_title: str, wishes: Collection[ContextWish]
) -> Iterator[StorageSender]:
    """A sender for objects of exactly these SOP classes and transfer syntaxes (at most LARGEST_PROPOSAL).

    Raises PeerUnreachable or PeerRefused when there is no association, ValueError for too many wishes.
    """
    if len(wishes) > LARGEST_PROPOSAL:
        raise ValueError(f"{len(wishes)} pairs of SOP class and transfer syntax; one association takes 64")
    line = StoreLine()
    opened = [(evt.EVT_CONN_OPEN, line.opened)]
    with open_association(destination, own_ae_title, storage_contexts(wishes), services=opened) as association:
        try:
            yield StorageSender(association, destination, line)
        finally:
            line.finish(association)
