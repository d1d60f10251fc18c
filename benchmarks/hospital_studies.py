"""Generated studies as large as a series of a hospital: the phantoms' pictures repeated, their pixels enlarged."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from dicom_node.phantoms import PhantomStudy, phantom_studies

_SEED = 1
_WHEN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class _Size:
    """How much larger than the phantom."""

    images: int
    #: Pixels along a side for each of the phantom's.
    enlarged: int
    slice_spacing_mm: float = 2.0


#: An assumption of what is usual, by the phantom's kind.
_SIZES = {
    "brain MR": _Size(24, 2, 5.0),
    "knee MR": _Size(24, 2, 4.0),
    "hand radiograph": _Size(1, 8),
    "abdomen CT": _Size(150, 2),
    "colour ultrasound": _Size(1, 3),
}


def hospital_studies() -> Iterator[PhantomStudy]:
    """One study of each kind, of one series."""
    for study in phantom_studies(_SEED, _WHEN, kinds=_SIZES):
        size, given = _SIZES[study.kind], study.instances
        images = [_image(given[n * len(given) // size.images], n, size) for n in range(size.images)]
        yield replace(study, instances=tuple(images))


def _image(of: Dataset, number: int, size: _Size) -> Dataset:
    """The same picture with more pixels, at the place of its number."""
    image = copy.deepcopy(of)
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid(
        entropy_srcs=[of.SOPInstanceUID, str(number)]
    )
    image.InstanceNumber = number + 1
    pixels = of.pixel_array.repeat(size.enlarged, 0).repeat(size.enlarged, 1)
    image.Rows, image.Columns = pixels.shape[:2]
    image.PixelData = pixels.tobytes()
    for spacing in ("PixelSpacing", "ImagerPixelSpacing"):
        if spacing in image:
            image[spacing].value = [side / size.enlarged for side in image[spacing].value]
    if size.images > 1:
        across = 2 if of.ImageOrientationPatient[4] == 1 else 0  # of axial slices, and of sagittal ones
        image.ImagePositionPatient[across] = number * size.slice_spacing_mm
        image.SliceThickness = image.SpacingBetweenSlices = size.slice_spacing_mm
    return image
