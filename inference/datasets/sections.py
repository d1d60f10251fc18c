"""MR, CT and ultrasound as they are published: MRNet, BrainMetShare, kaggle_3m, OL3I, EchoNet-Dynamic, BUSI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import h5py
import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from inference.datasets.example import (
    Example,
    Layout,
    Stack,
    Unreadable,
    bare_rows_of,
    explained,
    named_split,
    pictures_in,
    read_picture,
    rows_of,
    split_of,
    stacked,
)
from inference.datasets.own import FLAIR, read_channel
from inference.findings import Task

_PLANES = ("axial", "coronal", "sagittal")
_FRAMES = 9
_ABNORMAL = {"1": "yes", "0": "no"}


def _mrnet(root: Path) -> Iterator[Example]:
    """train|valid/PLANE/0000.npy and train-abnormal.csv without a header (Bien et al., 2018)."""
    for split in ("train", "valid"):
        abnormal = {row[0]: row[1] for row in bare_rows_of(root / f"{split}-abnormal.csv") if len(row) > 1}
        for plane in _PLANES:
            for path in sorted((root / split / plane).glob("*.npy")):
                labels = {
                    "modality": "mr",
                    "region": "knee",
                    "plane": plane,
                    "abnormal": _ABNORMAL.get(abnormal.get(path.stem, ""), ""),
                    "source": "mrnet",
                }
                yield Example(str(path.relative_to(root)), path.stem, split, labels, _numpy(path))


def _numpy(path: Path) -> Callable[[], Stack]:
    def read() -> Stack:
        with explained(path):
            return Stack(np.asarray(np.load(path, allow_pickle=False), np.float32))

    return read


#: The four series of BrainMetShare (Grovik et al., 2020): their folders among the PNG files, their NIfTI names.
_SERIES = {"0": "bravo", "1": "t1_pre", "2": "t1_gd", "3": "flair"}


def _brainmetshare(root: Path) -> Iterator[Example]:
    """PATIENT/0..3 and PATIENT/seg with a PNG for each slice, or PATIENT/flair.nii.gz ... and seg.nii.gz."""
    for patient in sorted(_patients(root)):
        # those of the test folder come without masks
        split = "test" if patient.parent.name.endswith("_test") else split_of(patient.name)
        for number, series in _SERIES.items():
            labels = {
                "modality": "mr",
                "region": "brain",
                "plane": "axial",
                "source": "brainmetshare",
                "series": series,
            }
            read = None
            if pictures_in(patient / number):
                read = _png_series(patient / number, patient / "seg")
            elif (volume := next(patient.glob(f"*{series}.nii*"), None)) is not None:
                read = _nifti(volume, next(patient.glob("*seg.nii*"), None))
            if read is not None:
                name = f"{patient.relative_to(root)}/{series}"
                yield Example(name, patient.name, split, labels, read)


def _patients(root: Path) -> Iterator[Path]:
    """Folders of patients, as far down as they are published."""
    return (path for depth in ("", "*/", "*/*/") for path in root.glob(f"{depth}Mets_*") if path.is_dir())


def _png_series(folder: Path, masks: Path) -> Callable[[], Stack]:
    def read() -> Stack:
        slices = [read_picture(path) for path in _by_number(folder)]
        return stacked(slices, [read_picture(path) > 0 for path in _by_number(masks)])

    return read


def _by_number(folder: Path) -> list[Path]:
    return sorted(pictures_in(folder), key=lambda path: (len(path.stem), path.stem))


def _nifti(path: Path, masks: Path | None) -> Callable[[], Stack]:
    """Slices along the last axis, as acquired axially, turned so that the patient's front is up."""

    def values(file: Path) -> NDArray[np.float32]:
        with explained(file, ImageFileError, HeaderDataError):
            image = nibabel.as_closest_canonical(nibabel.load(file))
            return np.asarray(image.dataobj, np.float32).transpose(2, 1, 0)[:, ::-1, ::-1]

    return lambda: Stack(values(path), None if masks is None else values(masks) > 0)


def _kaggle_3m(root: Path) -> Iterator[Example]:
    """PATIENT/PATIENT_7.tif, three channels, the second one FLAIR, and PATIENT_7_mask.tif (Buda et al., 2019)."""
    labels = {"modality": "mr", "region": "brain", "plane": "axial", "source": "kaggle_3m"}
    for patient in sorted(path for path in root.glob("TCGA_*") if path.is_dir()):
        yield Example(patient.name, patient.name, split_of(patient.name), labels, _tif_series(patient))


def _tif_series(patient: Path) -> Callable[[], Stack]:
    def read() -> Stack:
        masks = {path.stem.removesuffix("_mask"): path for path in patient.glob("*_mask.tif")}
        slices = [path for path in patient.glob("*.tif") if path.stem in masks]
        if not slices:
            raise Unreadable("no slice with a mask")
        slices.sort(key=_number)
        drawn = [read_picture(masks[path.stem]) > 127 for path in slices]
        return stacked([read_channel(path, FLAIR) for path in slices], drawn)

    return read


def _number(path: Path) -> int:
    """Of a slice, behind the last underscore of its name."""
    with explained(path):
        return int(path.stem.rpartition("_")[2])


def _ol3i(root: Path) -> Iterator[Example]:
    """clinical_data.csv and l3_slices.h5 with one CT slice for each anon_id (Zambrano Chaves et al., 2023)."""
    for row in rows_of(root / "clinical_data.csv", "anon_id"):
        name = row["anon_id"]
        split = named_split(row.get("set_1y") or split_of(name))
        labels = {"modality": "ct", "region": "abdomen", "plane": "axial", "source": "ol3i"}
        yield Example(name, name, split, labels, _h5_slice(root / "l3_slices.h5", name))


def _h5_slice(path: Path, name: str) -> Callable[[], Stack]:
    def read() -> Stack:
        with explained(path), h5py.File(path, "r") as file:
            return Stack(np.asarray(file[name], np.float32)[None])

    return read


def _echonet(root: Path) -> Iterator[Example]:
    """FileList.csv (FileName, Split) and Videos/NAME.avi (Ouyang et al., 2020): some frames spread over each loop."""
    for row in rows_of(root / "FileList.csv", "FileName", "Split"):
        name = row["FileName"].removesuffix(".avi")
        labels = {"modality": "us", "region": "heart", "source": "echonet"}
        path = root / "Videos" / f"{name}.avi"
        yield Example(str(path.relative_to(root)), name, named_split(row["Split"]), labels, _video(path))


def _video(path: Path) -> Callable[[], Stack]:
    def read() -> Stack:
        video = cv2.VideoCapture(str(path))
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        frames = []
        for number in sorted({int(n) for n in np.linspace(0, max(count - 1, 0), _FRAMES)}):
            video.set(cv2.CAP_PROP_POS_FRAMES, number)
            done, frame = video.read()
            if done:
                frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(np.float32))
        video.release()
        if not frames:
            raise Unreadable(f"no frame in {path.name}")
        return stacked(frames)

    return read


def _busi(root: Path) -> Iterator[Example]:
    """benign|malignant|normal/NAME (1).png and NAME (1)_mask.png, _mask_1.png ... (Al-Dhabyani et al., 2020)."""
    for kind in ("benign", "malignant", "normal"):
        for path in pictures_in(root / kind):
            if "_mask" in path.stem:
                continue
            abnormal = "no" if kind == "normal" else "yes"
            labels = {"modality": "us", "region": "breast", "abnormal": abnormal, "kind": kind, "source": "busi"}
            name = str(path.relative_to(root))
            yield Example(name, path.stem, split_of(path.stem), labels, _with_masks(path))


def _with_masks(path: Path) -> Callable[[], Stack]:
    def read() -> Stack:
        pixels = read_picture(path)
        mask = np.zeros(pixels.shape, np.bool_)
        for drawn in sorted(path.parent.glob(f"{path.stem}_mask*.png")):
            part = read_picture(drawn) > 127
            if part.shape != mask.shape:
                raise Unreadable(f"{drawn.name} is of another size")
            mask |= part
        return Stack(pixels[None], mask[None])

    return read


_CLASSIFY, _SEGMENT = Task.CLASSIFICATION, Task.SEGMENTATION
LAYOUTS = (
    Layout("mrnet", frozenset({_CLASSIFY}), lambda root: any((root / "train" / p).is_dir() for p in _PLANES)
           or any((root / "valid" / p).is_dir() for p in _PLANES), _mrnet),
    Layout("brainmetshare", frozenset({_CLASSIFY, _SEGMENT}), lambda root: any(_patients(root)), _brainmetshare),
    Layout("kaggle-3m", frozenset({_CLASSIFY, _SEGMENT}), lambda root: any(root.glob("TCGA_*/*_mask.tif")), _kaggle_3m),
    Layout("ol3i", frozenset({_CLASSIFY}), lambda root: (root / "l3_slices.h5").is_file(), _ol3i),
    Layout("echonet-dynamic", frozenset({_CLASSIFY}), lambda root: (root / "FileList.csv").is_file(), _echonet),
    Layout("busi", frozenset({_CLASSIFY, _SEGMENT}), lambda root: (root / "benign").is_dir()
           and (root / "malignant").is_dir(), _busi),
)  # fmt: skip
