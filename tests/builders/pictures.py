"""Tiny data sets in the layouts that recipes know; every picture is drawn, none is anybody's."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image


def write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    """A CSV file of these rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def labelled(root: Path) -> Path:
    """A labels.csv: CT pictures are dark, MR pictures bright; one file of the training split is no picture."""
    (root / "images").mkdir(parents=True)
    generator = np.random.default_rng(0)
    rows: list[dict[str, object]] = []
    for number in range(24):
        modality, region = (("ct", "head"), ("mr", "brain"), ("mr", "breast"))[number % 3]
        pixels = generator.normal(60 if modality == "ct" else 180, 30, (40, 50)).clip(0, 255).astype(np.uint8)
        name = f"images/{number}.jpg"
        Image.fromarray(pixels).save(root / name)
        split = "valid" if number >= 18 else "train"
        rows.append({"path": name, "modality": modality, "region": region, "source": "drawn",
                     "subject": f"s{number // 2}", "split": split})  # fmt: skip
    (root / "images" / "broken.jpg").write_text("no picture")
    rows.append({**rows[0], "path": "images/broken.jpg"})
    write_rows(root / "labels.csv", rows)
    return root


def outlined(root: Path) -> Path:
    """An index.csv: two patients to train on, one to validate, each with a bright square as its lesion."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    rows: list[dict[str, object]] = []
    for number, patient in enumerate(("a", "b", "c")):
        for index in (10, 2):  # slice order is by number, not by row
            mask = np.zeros((48, 48), np.uint8)
            mask[10 + index : 20 + index, 10:25] = 255
            colours = np.zeros((48, 48, 3), np.uint8)
            colours[..., 1] = 60 + mask // 2
            names = {kind: f"{kind}s/{patient}{index}.png" for kind in ("image", "mask")}
            Image.fromarray(colours).save(root / names["image"])
            Image.fromarray(mask).save(root / names["mask"])
            split = "valid" if number == 2 else "train"
            rows.append({**names, "patient": patient, "slice": index, "positive": 1, "split": split})
    write_rows(root / "index.csv", rows)
    return root


def boxed(root: Path) -> Path:
    """Dark pictures with a bright square and its box; every fourth shows nothing; two files are no pictures."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 12), ("valid", 4)):
        for folder in ("images", "labels"):
            (root / folder / split).mkdir(parents=True)
        for number in range(count):
            pixels = generator.normal(40, 10, (48, 64)).clip(0, 255).astype(np.uint8)
            label = ""
            if number % 4:
                pixels[12:36, 16:32] = 220
                label = "0 0.375 0.5 0.25 0.5\n"  # columns 16 to 32 of 64, rows 12 to 36 of 48
            Image.fromarray(pixels).save(root / "images" / split / f"{number}.jpg")
            (root / "labels" / split / f"{number}.txt").write_text(label)
    (root / "images" / "train" / "broken.jpg").write_text("no picture")
    (root / "images" / "train" / "notes.txt").write_text("no picture either")
    return root
