"""What the commands share: consoles, options, exit codes; the only place that decides how a command fails."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from dicom_node.settings import Settings, load_settings

FAILED = 1
WRONG_SETTINGS = 2

#: Files and pipes have no width of their own.
_PLAIN_WIDTH = 160
out_console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
err_console = Console(stderr=True)

ConfigOption = Annotated[
    Path, typer.Option("--config", envvar="DICOM_NODE_CONFIG", help="The node's configuration (YAML).")
]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for what is made.", file_okay=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="For machines.")]


def settings_of(config: Path) -> Settings:
    """The configuration, with what the environment says. Raises SettingsError."""
    return load_settings(config, os.environ)


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Say why on stderr, and end the command."""
    typer.echo(message, err=True)
    raise typer.Exit(code)
