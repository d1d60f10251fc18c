"""`dicom-node validate`: result objects before every validator that is installed, and before checks of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dicom_node import tables
from dicom_node.files import files_under
from dicom_node.logs import configure_logging
from dicom_node.progress import Progress
from dicom_node.terminal import FAILED, JsonOption, err_console, fail, out_console


def validate(
    path: Annotated[Path, typer.Argument(help="A DICOM file, or a folder of them.")],
    against: Annotated[Path | None, typer.Option(help="Folder of the images that the results are of.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Are result objects as the standard wants them? Exit code 1 if one is not."""
    # numpy, pydicom and its dictionaries take a second to import
    from dicom_node.validating import Validator, image_headers  # noqa: PLC0415

    configure_logging("error")
    for each in (path, against):
        if each is not None and not each.exists():
            fail(f"{each} does not exist; name a file or a folder")
    files = files_under(path)
    sources = {
        uid: header for each in (path, against) if each is not None for uid, header in image_headers(each).items()
    }
    validator = Validator(sources)
    with Progress(err_console, total=len(files), what="files") as progress:
        for file in files:
            validator.look_at(file)
            progress.advance()
    validation = validator.conclude()
    if as_json:
        typer.echo(tables.validation_json(validation))
    else:
        out_console.print(tables.validation_table(validation))
        for line in tables.validation_remarks(validation):
            typer.echo(line)
    if not validation.files:
        fail(f"no DICOM file under {path}")
    if validation.errors:
        raise typer.Exit(FAILED)
