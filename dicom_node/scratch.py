"""Room for a study's pixels: in memory as far as the bound allows, the rest in files that nobody else sees.

A file has no name, so that it is gone when it is not used any more, also when the process is killed.
"""

from __future__ import annotations

import math
import os
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dicom_node.domain.errors import StoreError

#: What the pixels of one study take in memory, in bytes; the stacks that do not fit are on disk.
IN_MEMORY = 512 << 20


class FilePixels:
    """Pixels of one shape (slice, row, column[, RGB]) in a file, as `inference.volume.StoredPixels` has them.

    They are kept in the type given, which must hold them, and read as float32. Slices may be written from any thread.
    """

    def __init__(self, shape: tuple[int, ...], kept_as: DTypeLike, folder: Path | None) -> None:
        self._shape = shape
        self._kept_as = np.dtype(kept_as)
        self._slice_bytes = math.prod(shape[1:]) * self._kept_as.itemsize
        try:
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  # open as long as this is used
            weakref.finalize(self, self._file.close)
            os.posix_fallocate(self._file.fileno(), 0, max(1, shape[0] * self._slice_bytes))
        except OSError as error:
            raise StoreError(
                f"there is no room for the pixels of a large study in {folder or tempfile.gettempdir()}: "
                f"{error.strerror or error}; make room there"
            ) from error

    @property
    def shape(self) -> tuple[int, ...]:
        """(slices, rows, columns), or (slices, rows, columns, 3)."""
        return self._shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._shape)

    def __len__(self) -> int:
        """Number of slices."""
        return self._shape[0]

    def __getitem__(self, which: int | slice | Sequence[int], /) -> NDArray[np.float32]:
        """One slice, or several as a stack."""
        if isinstance(which, slice):
            return self._read(range(*which.indices(len(self))))
        if isinstance(which, Sequence):
            return self._read([range(len(self))[index] for index in which])
        one: NDArray[np.float32] = self._read([range(len(self))[which]])[0]
        return one

    def __setitem__(self, index: int, pixels: NDArray[np.float32], /) -> None:
        """Write one slice; its room is there already."""
        content = np.ascontiguousarray(pixels, self._kept_as).data.cast("B")
        at = index * self._slice_bytes
        while content:
            written = os.pwrite(self._file.fileno(), content, at)
            content, at = content[written:], at + written

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[np.float32]:
        """All slices."""
        if copy is False:
            raise ValueError("what is in a file is copied to be in memory")
        everything = self[:]
        return everything if dtype is None else everything.astype(dtype)

    def _read(self, indices: Sequence[int]) -> NDArray[np.float32]:
        kept = np.empty((len(indices), *self._shape[1:]), self._kept_as)
        for place, index in enumerate(indices):
            self._fill(kept[place].data.cast("B"), index * self._slice_bytes)
        return kept.astype(np.float32, copy=False)

    def _fill(self, content: memoryview, at: int) -> None:
        while content:
            count = os.preadv(self._file.fileno(), [content], at)
            if not count:
                raise EOFError("a file of pixels ends early")
            content, at = content[count:], at + count


#: Pixels that slices may be written to.
Room = NDArray[np.float32] | FilePixels


class Scratch:
    """The room of one study."""

    def __init__(self, folder: Path | None, in_memory: int = IN_MEMORY) -> None:
        """Files are made in `folder`, which is made if need be; None: where the system has its temporary files."""
        self._folder = folder
        self._left = in_memory

    def room(self, shape: tuple[int, ...], *, bytes_do: bool) -> Room:
        """Writable pixels of a shape, in no order of slices; `bytes_do`: all are whole numbers from 0 to 255.

        Raises StoreError where the disk has no room.
        """
        needed = math.prod(shape) * np.dtype(np.float32).itemsize
        if needed <= self._left:
            self._left -= needed
            return np.empty(shape, np.float32)
        if self._folder is not None:
            self._make(self._folder)
        return FilePixels(shape, np.uint8 if bytes_do else np.float32, self._folder)

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder} cannot be made: {error.strerror}; let the node's user write there") from error
