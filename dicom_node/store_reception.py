"""One C-STORE request on the P-DATA path: its data set goes to the disk as it comes, its outcome back as a status.

What cannot be kept is read to its end all the same, and dropped: the sender hears why, and goes on with the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from dicom_node.domain.errors import OutOfResources, ReceiveError
from dicom_node.part_file import PartFile
from dicom_node.store_answers import as_comment, refusal_of
from dicom_node.store_commands import StoreCommand, store_response

_SUCCESS = 0x0000


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """Who asks to have stored what, and how that is encoded."""

    command: StoreCommand
    transfer_syntax_uid: str
    calling_ae_title: str

    @property
    def sop_class_uid(self) -> str:
        """As the request says."""
        return self.command.sop_class_uid

    @property
    def sop_instance_uid(self) -> str:
        """As the request says."""
        return self.command.sop_instance_uid

    @property
    def priority(self) -> int:
        """As the request says."""
        return self.command.priority


class Keeper(Protocol):
    """Where data sets go. Both methods raise ReceiveError."""

    def begin(self, request: StoreRequest) -> PartFile:
        """A file for the data set that is to come."""

    def finish(self, part: PartFile, request: StoreRequest) -> None:
        """It is whole: on return its sender may hear success."""


class StoreReception:
    """Writes a data set while it comes, and has `keeper` keep it when it is whole."""

    def __init__(self, request: StoreRequest, keeper: Keeper, most_bytes: int) -> None:
        self._request = request
        self._keeper = keeper
        self._most_bytes = most_bytes
        self._bytes = 0
        self._part: PartFile | None = None
        self._refusal: ReceiveError | None = None
        self._do(self._open)

    def take(self, data: memoryview) -> None:
        """The next bytes of the data set."""
        self._do(partial(self._write, data))

    def answer(self) -> bytes:
        """The data set is whole: keep it, and the command set of the response."""
        self._do(self._keep)
        self.abandon()
        command, refusal = self._request.command, self._refusal
        if refusal is None:
            return store_response(command, _SUCCESS)
        return store_response(command, refusal.status, as_comment(str(refusal)))

    def abandon(self) -> None:
        """Nothing half received stays."""
        if self._part is not None:
            self._part.close()
            self._part = None

    def _do(self, step: Callable[[], None]) -> None:
        if self._refusal is None:
            self._refusal = refusal_of(step, self._request.sop_instance_uid)
            if self._refusal is not None:
                self.abandon()

    def _open(self) -> None:
        self._part = self._keeper.begin(self._request)

    def _write(self, data: memoryview) -> None:
        self._bytes += len(data)
        if self._bytes > self._most_bytes:
            raise OutOfResources(f"larger than {self._most_bytes >> 20} MB, receive.maximum_object_mb of this node")
        if self._part is not None:
            self._part.write(data)

    def _keep(self) -> None:
        if self._part is not None:
            self._keeper.finish(self._part, self._request)
