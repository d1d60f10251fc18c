"""`dicom-node conformance`: the DICOM Conformance Statement of this configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dicom_node.app import check_cascade
from dicom_node.logs import configure_logging
from dicom_node.settings import SHIPPED_CONFIG
from dicom_node.terminal import ConfigOption, fail, settings_of


def conformance(
    config: ConfigOption = SHIPPED_CONFIG,
    out: Annotated[Path | None, typer.Option("--out", help="Write it to this file.", dir_okay=False)] = None,
) -> None:
    """The DICOM Conformance Statement (PS3.2 Annex N) of this configuration, as Markdown."""
    from dicom_node.conformance.rendering import render  # noqa: PLC0415  # highdicom takes seconds to import
    from dicom_node.conformance.statement import statement_of  # noqa: PLC0415

    settings = settings_of(config)
    configure_logging("error")
    check_cascade(settings)
    text = render(statement_of(settings))
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{out} cannot be written: {error.strerror}; name another file")
    typer.echo(f"{out} is the conformance statement of {config}")
