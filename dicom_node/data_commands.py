"""`dicom-node data ...`: what is in a data set before anything is trained on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node import tables
from dicom_node.logs import configure_logging
from dicom_node.progress import Progress
from dicom_node.terminal import FAILED, WRONG_SETTINGS, JsonOption, err_console, fail, out_console
from inference.datasets.example import DataSetError, Example
from inference.evaluation.figures import Table

if TYPE_CHECKING:
    from inference.datasets.describe import Description

app = typer.Typer(help="Data sets: what is in them.")


@app.callback()
def data() -> None:
    """A group of its own, so that there may be more commands than one."""


@app.command(name="describe")
def describe_command(
    path: Annotated[Path, typer.Argument(help="Folder of a data set.")],
    layout: Annotated[str, typer.Option(help="Its layout; left out, it is recognised.")] = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Volume, variety, balance, image quality, duplicates, leaks; exit code 1 if a subject is in two splits."""
    # its readers and hashes take a second to import
    from inference.datasets.describe import describe  # noqa: PLC0415
    from inference.datasets.layouts import layout_of  # noqa: PLC0415

    configure_logging("error")
    try:
        known = layout_of(path, layout)
        with Progress(err_console, what="examples") as progress:
            description = describe(_told(known.examples(path), progress))
    except DataSetError as error:
        fail(str(error), WRONG_SETTINGS)
    if as_json:
        typer.echo(json.dumps(_record(known.name, description), indent=2))
    else:
        for part in _parts(known.name, description):
            out_console.print(tables.plain_table(part))
    if description.duplicates_across_splits:
        typer.echo(f"{description.duplicates_across_splits} groups look alike across splits", err=True)
    if description.leaks:
        typer.echo(f"{len(description.leaks)} subjects are in more than one split", err=True)
        raise typer.Exit(FAILED)


def _told(examples: Iterator[Example], progress: Progress) -> Iterator[Example]:
    for example in examples:
        progress.advance()
        yield example


def _record(layout: str, description: Description) -> dict[str, object]:
    """What --json prints."""
    return {
        "layout": layout,
        "examples": description.examples,
        "slices": description.slices,
        "subjects": {split: len(subjects) for split, subjects in sorted(description.subjects.items())},
        "sizes": [{"rows": size[0], "columns": size[1], "examples": n} for size, n in description.sizes.items()],
        "drawn": description.drawn,
        "nothing_to_draw": description.empty,
        "balance": [
            {"label": label, "value": value, "split": split, "examples": count}
            for label, counts in description.labels.items()
            for (split, value), count in counts.items()
        ],
        "quality": dict(description.quality),
        "unreadable": description.unreadable,
        "look_alikes": [
            [{"split": split, "example": name} for split, name in group] for group in description.duplicates
        ],
        "look_alikes_across_splits": description.duplicates_across_splits,
        "subjects_in_several_splits": description.leaks,
    }


def _parts(layout: str, description: Description) -> tuple[Table, ...]:
    splits = sorted(description.subjects)
    smallest, largest = min(description.sizes, default=(0, 0)), max(description.sizes, default=(0, 0))
    overview = (
        ("layout", layout),
        ("examples", str(description.examples)),
        ("pictures and slices", str(description.slices)),
        *((f"subjects in {split}", str(len(description.subjects[split]))) for split in splits),
        ("sizes", f"{len(description.sizes)}, from {smallest[0]} x {smallest[1]} to {largest[0]} x {largest[1]}"),
        ("with something drawn on them", str(description.drawn)),
        ("with nothing to draw", str(description.empty)),
        ("unreadable", str(len(description.unreadable))),
        ("groups that look alike", str(len(description.duplicates))),
        ("of them in more than one split", str(description.duplicates_across_splits)),
        ("subjects in more than one split", str(len(description.leaks))),
    )
    balance = tuple(
        (label, value, *(str(counts[split, value]) for split in splits))
        for label, counts in description.labels.items()
        for value in sorted({value for _, value in counts})
    )
    return (
        Table("data set", ("", ""), overview),
        Table("balance", ("label", "value", *splits), balance),
        Table("image quality", ("defect", "examples"), tuple((n, str(c)) for n, c in description.quality.items())),
        Table("unreadable", ("example", "reason"), tuple(description.unreadable.items())),
        Table("subjects in more than one split", ("subject",), tuple((each,) for each in description.leaks)),
        Table(
            "look alike",
            ("examples",),
            tuple(("; ".join(f"{name} ({split})" for split, name in group),) for group in description.duplicates),
        ),
    )
