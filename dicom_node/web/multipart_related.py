"""multipart/related (RFC 2387) read as it comes: one part after the other, each whole before it is handed on.

A part is held in memory while it is small, and in a nameless file on the storage's disk when it is not; nothing is
left of it when it has been dealt with, nor after a crash.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser

from dicom_node.web.refusals import BadSyntax, NoRoom, TooLarge, TooSlow, WrongMediaType

#: Parts of one request; of a study with more, several requests are made.
MOST_PARTS = 10_000
#: RFC 2046 5.1.1 allows 70 characters; Orthanc sends more.
_LONGEST_BOUNDARY = 256
_HELD_IN_MEMORY_BYTES = 1 << 20
#: As much as must come, or the end, within the time there is.
BLOCK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Part:
    """One part; `file` stands at its beginning, and is closed once the next part is asked for."""

    file: IO[bytes]
    #: Without parameters, in lower case; None where there is none.
    content_type: str | None


@dataclass(frozen=True, slots=True)
class PartBounds:
    """How large a part may be, where it lies, and how much of that disk must stay free."""

    part_bytes: int
    folder: Path
    minimum_free_bytes: int


def boundary_of(content_type: str) -> str:
    """Of the Content-Type field of a STOW-RS request with objects in application/dicom (PS3.18 10.5.1.2).

    Raises WrongMediaType for anything else, BadSyntax without a boundary.
    """
    header = Message()
    header["Content-Type"] = content_type
    of_parts = str(header.get_param("type", "application/dicom")).lower()  # without quotes, too: some send it so
    if header.get_content_type() != "multipart/related" or of_parts != "application/dicom":
        raise WrongMediaType('send multipart/related; type="application/dicom"')
    boundary = str(header.get_param("boundary", ""))
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY or not boundary.isascii() or not boundary.isprintable():
        raise BadSyntax(f"the Content-Type has no boundary parameter of 1 to {_LONGEST_BOUNDARY} characters")
    return boundary


async def blocks_of(stream: AsyncIterator[bytes], within_s: float) -> AsyncGenerator[bytes, None]:
    """A body in pieces of BLOCK_BYTES or more; the last may be shorter. Raises TooSlow when one takes too long."""
    ended = False
    while not ended:
        block = bytearray()
        try:
            async with asyncio.timeout(within_s):
                while len(block) < BLOCK_BYTES and not ended:
                    piece = await anext(stream, None)
                    ended = piece is None
                    block += piece or b""
        except TimeoutError as error:
            raise TooSlow(f"less than {BLOCK_BYTES} bytes came within {within_s:g} s") from error
        if block:
            yield bytes(block)


async def parts_of(blocks: AsyncIterator[bytes], boundary: str, bounds: PartBounds) -> AsyncGenerator[Part, None]:
    """The parts of a body, each once it is whole. Raises BadSyntax, TooLarge or NoRoom, and what `blocks` raises."""
    file: IO[bytes] | None = None
    content_type: str | None = None
    try:
        async for event in _events(blocks, boundary, bounds.part_bytes):
            if isinstance(event, MultipartSegment):
                content_type = event.content_type
                file = tempfile.SpooledTemporaryFile(_HELD_IN_MEMORY_BYTES, dir=str(bounds.folder))  # noqa: SIM115
            elif file is not None and event is not None:
                _write(file, event, bounds)
            elif file is not None:
                file.seek(0)
                yield Part(file, content_type)
                file.close()
    finally:
        if file is not None:
            file.close()


async def _events(
    blocks: AsyncIterator[bytes], boundary: str, part_bytes: int
) -> AsyncIterator[MultipartSegment | bytes | None]:
    """What the parser finds: the head of a part, pieces of it, None at its end."""
    parser = _RelatedParser(boundary, max_segment_size=part_bytes, max_segment_count=MOST_PARTS)
    try:
        async for block in blocks:
            found = False
            for event in parser.parse(block):
                found = True
                yield event
            if not found and len(block) >= BLOCK_BYTES:  # before the first part or after the last: without an end
                raise BadSyntax(f"{len(block)} bytes that belong to no part")
        list(parser.parse(b""))  # the end, which must be the body's own, too
    except ParserLimitReached as error:
        most = f"{part_bytes >> 20} MiB an object, {MOST_PARTS} objects a request"
        raise TooLarge(f"{error.args[0]}; the most are {most}") from error
    except MultipartError as error:
        raise BadSyntax(f"not a multipart/related body: {error.args[0]}") from error


class _RelatedParser(PushMultipartParser):
    """The library's parser is for forms; this is its door to other types: parts need no Content-Disposition."""

    def _create_segment(self, headerlist: list[tuple[str, str]]) -> MultipartSegment:
        return MultipartSegment(headerlist)


def _write(file: IO[bytes], piece: bytes, bounds: PartBounds) -> None:
    """To memory or disk; raises NoRoom."""
    on_disk = file.tell() + len(piece) > _HELD_IN_MEMORY_BYTES
    if on_disk and shutil.disk_usage(bounds.folder).free < bounds.minimum_free_bytes:
        raise NoRoom("the disk is nearly full")
    try:
        file.write(piece)
    except OSError as error:
        raise NoRoom(f"the disk takes nothing: {error.strerror}") from error
