"""Tiny folders in the layouts data sets are published in; every picture is drawn, none is anybody's."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import h5py
import nibabel
import numpy as np
from PIL import Image

from tests.builders import pictures


def _picture(path: Path, *, value: int = 0, colour: bool = False) -> None:
    """Stripes of its own in every file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(value or zlib.crc32("/".join(path.parts[-4:]).encode()))
    coarse = generator.integers(0, 255, (6, 5) + ((3,) if colour else ()), dtype=np.uint8)
    Image.fromarray(np.kron(coarse, np.ones((8, 8) + ((1,) if colour else ()), np.uint8))).save(path)


def _mask(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((48, 40), np.uint8)
    mask[10:20, 5:15] = 255
    Image.fromarray(mask).save(path)


def mura(root: Path) -> None:
    """Two patients to train on, one to validate."""
    for place in ("train/XR_ELBOW/patient00001/study1_positive", "train/XR_HAND/patient00002/study1_negative",
                  "valid/XR_WRIST/patient00003/study1_negative"):  # fmt: skip
        _picture(root / place / "image1.png")
        (root / place / "._image1.png").write_bytes(b"left by another system")


def lera(root: Path) -> None:
    """Two patients, one of them with two pictures."""
    for place in ("101/ST-1/image1.png", "101/ST-1/image2.png", "102/ST-1/image1.png"):
        _picture(root / place)
    (root / "labels.csv").write_text("101,XR KNEE,1\n102,XR FOOT,0\n")


def fracatlas(root: Path) -> None:
    """One fracture with its box, one picture without, and a leg whose region is not definite."""
    for name, kind in (("IMG1.jpg", "Fractured"), ("IMG2.jpg", "Non_fractured"), ("IMG3.jpg", "Non_fractured")):
        _picture(root / "images" / kind / name)
    (root / "Annotations" / "YOLO").mkdir(parents=True)
    (root / "Annotations" / "YOLO" / "IMG1.txt").write_text("0 0.5 0.5 0.2 0.4\n")
    header = "image_id,hand,leg,hip,shoulder,mixed,fractured"
    rows = ("IMG1.jpg,1,0,0,0,0,1", "IMG2.jpg,0,0,1,0,0,0", "IMG3.jpg,0,1,0,0,0,0")
    (root / "dataset.csv").write_text("\n".join((header, *rows)) + "\n")


def mrnet(root: Path) -> None:
    """One exam of three planes to train on, another to validate."""
    for split, exam in (("train", "0000"), ("valid", "1130")):
        for plane in ("axial", "coronal", "sagittal"):
            (root / split / plane).mkdir(parents=True)
            generator = np.random.default_rng(len(plane))
            np.save(root / split / plane / f"{exam}.npy", generator.integers(0, 255, (12, 32, 32), dtype=np.uint8))
        (root / f"{split}-abnormal.csv").write_text(f"{exam},1\n")


def brainmetshare_png(root: Path) -> None:
    """One patient as PNG files."""
    for series in ("0", "1", "2", "3"):
        for number in range(11):
            _picture(root / "mets_stanford_releaseMask_train" / "Mets_005" / series / f"{number}.png")
    for number in range(11):
        _mask(root / "mets_stanford_releaseMask_train" / "Mets_005" / "seg" / f"{number}.png")


def brainmetshare_nifti(root: Path) -> None:
    """One patient as NIfTI files."""
    folder = root / "Mets_007"
    folder.mkdir(parents=True)
    values = np.random.default_rng(1).random((20, 24, 6)).astype(np.float32)
    mask = np.zeros(values.shape, np.uint8)
    mask[2:5, 3:9, 4] = 1
    for name, array in (("bravo", values), ("t1_pre", values), ("t1_gd", values), ("flair", values), ("seg", mask)):
        nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 1.0, 3.0, 1.0])), folder / f"{name}.nii.gz")


def kaggle_3m(root: Path) -> None:
    """Two patients, ten slices and more, so that their order is by number."""
    for patient in ("TCGA_CS_4941_19960909", "TCGA_DU_5849_19950405"):
        for number in range(1, 12):
            _picture(root / patient / f"{patient}_{number}.tif", value=number, colour=True)
            _mask(root / patient / f"{patient}_{number}_mask.tif")
    (root / "data.csv").write_text("Patient,RNASeqCluster\n")


def ol3i(root: Path) -> None:
    """Two slices of CT."""
    root.mkdir(parents=True)
    with h5py.File(root / "l3_slices.h5", "w") as file:
        for number, name in enumerate(("a", "b")):
            file[name] = np.random.default_rng(number).integers(-200, 300, (32, 32)).astype(np.int16)
    (root / "clinical_data.csv").write_text("anon_id,age,set_1y\na,50,train\nb,60,val\n")


def echonet(root: Path) -> None:
    """Two short loops."""
    (root / "Videos").mkdir(parents=True)
    for name in ("0X1", "0X2"):
        writer = cv2.VideoWriter(str(root / "Videos" / f"{name}.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (48, 48))
        for number in range(12):
            writer.write(np.full((48, 48, 3), 10 * number + 40, np.uint8))
        writer.release()
    (root / "FileList.csv").write_text("FileName,EF,Split\n0X1,55.1,TRAIN\n0X2.avi,60.2,VAL\n")


def busi(root: Path) -> None:
    """Three kinds, one with two masks."""
    for kind in ("benign", "malignant", "normal"):
        _picture(root / kind / f"{kind} (1).png", colour=True)
        if kind != "normal":
            _mask(root / kind / f"{kind} (1)_mask.png")
    _mask(root / "benign" / "benign (1)_mask_1.png")


#: Layout -> what makes a folder of it, and how many examples that has.
LAYOUTS: Mapping[str, tuple[tuple[Callable[[Path], object], int], ...]] = {
    "mura": ((mura, 3),),
    "lera": ((lera, 3),),
    "fracatlas": ((fracatlas, 3),),
    "mrnet": ((mrnet, 6),),
    "brainmetshare": ((brainmetshare_png, 4), (brainmetshare_nifti, 4)),
    "kaggle-3m": ((kaggle_3m, 2),),
    "ol3i": ((ol3i, 2),),
    "echonet-dynamic": ((echonet, 2),),
    "busi": ((busi, 3),),
    "labels-csv": ((pictures.labelled, 25),),
    "lgg-index": ((pictures.outlined, 3),),
    "yolo": ((pictures.boxed, 17),),
}
