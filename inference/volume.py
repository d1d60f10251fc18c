"""The Volume: one stack of frames as numbers, with where each frame came from and where it lies in the patient.

A Volume never knows a DICOM data set; the reader fills it and the encoders read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray


class StoredPixels(Protocol):
    """Pixels that are not in memory: like an array with the axes of `Volume.pixels` they have a shape, and slices that
    are float32 arrays. `numpy.asarray` has all of them in memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(slices, rows, columns), or (slices, rows, columns, 3)."""

    @property
    def ndim(self) -> int:
        """Number of axes."""

    def __len__(self) -> int:
        """Number of slices."""

    def __getitem__(self, which: int | slice | Sequence[int], /) -> NDArray[np.float32]:
        """One slice, or several as a stack."""

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[np.float32]:
        """All slices."""


Pixels = NDArray[np.float32] | StoredPixels


def first_slices(pixels: Pixels, count: int) -> Pixels:
    """The beginning of a stack; what is not in memory stays there."""
    return pixels[:count] if isinstance(pixels, np.ndarray) else _Beginning(pixels, count)


class _Beginning:
    """The first slices of stored pixels, themselves as stored pixels are."""

    def __init__(self, whole: StoredPixels, count: int) -> None:
        self._whole = whole
        self._slices = range(count)

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self), *self._whole.shape[1:]

    @property
    def ndim(self) -> int:
        return self._whole.ndim

    def __len__(self) -> int:
        return len(self._slices)

    def __getitem__(self, which: int | slice | Sequence[int], /) -> NDArray[np.float32]:
        if isinstance(which, slice):
            return self._whole[self._slices[which]]
        return self._whole[self._slices[which] if isinstance(which, int) else [self._slices[each] for each in which]]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[np.float32]:
        return np.asarray(self[:], dtype, copy=copy)


@dataclass(frozen=True, slots=True)
class FrameReference:
    """The one source frame that a slice was read from."""

    sop_class_uid: str
    sop_instance_uid: str
    #: 1-based (PS3.3 C.7.6.16), None for a single-frame instance.
    frame_number: int | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """A linear VOI window (PS3.3 C.11.2.1.2) in the units of `Volume.pixels`."""

    center: float
    width: float

    @property
    def lower(self) -> float:
        """The value drawn black."""
        return self.center - self.width / 2

    @property
    def upper(self) -> float:
        """The value drawn white."""
        return self.center + self.width / 2


@dataclass(frozen=True, slots=True)
class Stated:
    """What the source's header says it shows, in DICOM's own terms; empty where it is silent. Evidence, not truth."""

    #: Modality (0008,0060).
    modality: str = ""
    #: Body Part Examined (0018,0015).
    body_part: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Frames of one series that form a stack, sorted along the stack's normal.

    `pixels` is float32 with axes (slice, row, column), or (slice, row, column, RGB) for colour.
    Grey values are the modality's own (HU for CT), brighter is larger (MONOCHROME1 is already reflected),
    padding holds the smallest value. Colour is 0..255. Those of a large study are on disk: read slices, not all.

    `affine` maps (slice, row, column, 1) indices of pixel centres to patient coordinates in mm
    (LPS, PS3.3 C.7.6.2.1.1), or is None when the source states no geometry. Slices are evenly spaced
    along it unless `even_spacing` is False; then only the in-plane part and the first slice's place are exact.
    """

    study_instance_uid: str
    series_instance_uid: str
    pixels: Pixels
    frames: tuple[FrameReference, ...]
    affine: NDArray[np.float64] | None = None
    #: Distance between rows, distance between columns, in mm (PS3.3 10.7.1.3); some radiographs have it, and no affine.
    pixel_spacing_mm: tuple[float, float] | None = None
    #: Distance between neighbouring slice centres; None for one slice or unknown geometry.
    slice_spacing_mm: float | None = None
    even_spacing: bool = True
    window: Window | None = None
    stated: Stated = Stated()
    #: 1-based number of the stack within its series (a series splits where positions repeat), and what tells it apart.
    stack_number: int = 1
    stack_label: str = ""

    def __post_init__(self) -> None:
        if self.pixels.ndim not in (3, 4) or (self.pixels.ndim == 4 and self.pixels.shape[3] != 3):
            raise ValueError(
                f"pixels must be (slices, rows, columns) or (slices, rows, columns, 3), not {self.pixels.shape}"
            )
        if len(self.frames) != self.pixels.shape[0]:
            raise ValueError(f"{self.pixels.shape[0]} slices but {len(self.frames)} frame references")

    @property
    def is_colour(self) -> bool:
        """Whether pixels carry RGB."""
        return self.pixels.ndim == 4

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        slices, rows, columns = self.pixels.shape[:3]
        return slices, rows, columns

    @property
    def voxel_volume_mm3(self) -> float | None:
        """Volume of one voxel, or None where spacing in any direction is unknown or uneven."""
        if self.pixel_spacing_mm is None or self.slice_spacing_mm is None or not self.even_spacing:
            return None
        return self.pixel_spacing_mm[0] * self.pixel_spacing_mm[1] * self.slice_spacing_mm
