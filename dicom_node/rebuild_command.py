"""`dicom-node rebuild`: a database from the files in spool/, when the one there was is damaged or lost."""

from __future__ import annotations

import time

import typer

from dicom_node.app import classify
from dicom_node.domain.errors import DamagedDatabase
from dicom_node.logs import configure_logging
from dicom_node.progress import Progress
from dicom_node.rebuilding import record_spool
from dicom_node.receiving import Receiver
from dicom_node.recovering import recover
from dicom_node.settings import Settings
from dicom_node.spool import Spool
from dicom_node.storage_folder import sound_store, storage_lock
from dicom_node.store import Store
from dicom_node.study_rules import urgency_rules
from dicom_node.terminal import ConfigOption, err_console, settings_of


def rebuild(config: ConfigOption) -> None:
    """Record what is in the spool and not in the database; a database that is damaged is moved aside first."""
    settings = settings_of(config)
    configure_logging("warning")
    with storage_lock(settings.node.storage):
        store = _sound_database(settings)
        try:
            spool = Spool(settings.node.storage, settings.receive.minimum_free_bytes)
            with Progress(err_console) as progress:
                accepted = recover(
                    spool, Receiver(spool, store, classify, urgency_rules(settings)), store, now=time.time()
                )
                found = record_spool(spool.received(), store, classify, progress.tell)
        finally:
            store.close()
    typer.echo(f"{found.recorded + accepted} instances recorded, {found.known} were in the database")
    for path in found.unreadable:
        typer.echo(f"passed over, since it cannot be read: {path}")


def _sound_database(settings: Settings) -> Store:
    try:
        return sound_store(settings.database)
    except DamagedDatabase as error:
        typer.echo(str(error), err=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for path in settings.database.parent.glob(f"{settings.database.name}*"):
        if path.name in {f"{settings.database.name}{part}" for part in ("", "-wal", "-shm")}:
            aside = path.with_name(f"damaged-{stamp}-{path.name}")
            path.rename(aside)
            typer.echo(f"moved aside: {aside}")
    return sound_store(settings.database)
