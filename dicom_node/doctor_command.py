"""`dicom-node doctor`: who was not let in and what would let him in; whether a peer and this node reach each other."""

from __future__ import annotations

from typing import Annotated

import typer

from dicom_node import tables
from dicom_node.checks import Verdict
from dicom_node.doctor import examine
from dicom_node.domain.calls import Call
from dicom_node.logs import configure_logging
from dicom_node.settings import SHIPPED_CONFIG, Settings
from dicom_node.store import Store
from dicom_node.terminal import FAILED, ConfigOption, JsonOption, out_console, settings_of


def doctor(
    config: ConfigOption = SHIPPED_CONFIG,
    peer: Annotated[str | None, typer.Option("--peer", help="Test this peer, both ways.")] = None,
    *,
    everyone: Annotated[bool, typer.Option("--all", help="List those that were let in, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Who called and was not let in, why, and which line of the configuration would let him in."""
    settings = settings_of(config)
    configure_logging("critical")
    calls = _calls(settings)
    if peer is None:
        shown = [call for call in calls if everyone or call.remedy or call.refused]
        if as_json:
            typer.echo(tables.calls_json(shown, settings.node.ae_title))
        else:
            out_console.print(tables.calls_table(shown, settings.node.ae_title))
        return
    checks = list(examine(settings, peer, calls))
    if as_json:
        typer.echo(tables.checks_json(checks))
    else:
        out_console.print(tables.check_table(checks, "doctor"))
    if any(check.verdict is Verdict.FAILED for check in checks):
        raise typer.Exit(FAILED)


def _calls(settings: Settings) -> tuple[Call, ...]:
    """Nobody, while no node has worked in the storage folder."""
    if not settings.database.exists():
        return ()
    store = Store.open(settings.database)
    try:
        return store.calls.latest()
    finally:
        store.close()
