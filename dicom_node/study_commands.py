"""`dicom-node status`, `retry`, `resend`, `rerun` and `forget`: what a person sees of studies and may ask for them.

They work beside a running node and without one: all that is asked for is a transaction in the node's database, and the
node finds it there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dicom_node import destination_tables, study_tables, tables
from dicom_node.auditor import AuditedFolders, Auditor, auditor_of, person
from dicom_node.domain.delivery import DeliveryState
from dicom_node.domain.status import DestinationStatus, Reply
from dicom_node.logs import configure_logging
from dicom_node.settings import SHIPPED_CONFIG, Settings
from dicom_node.store import Store
from dicom_node.terminal import ConfigOption, JsonOption, fail, out_console, settings_of

_HELP = "Study Instance UID, or a beginning of it that no other study has."
Study = Annotated[str, typer.Argument(help=_HELP)]


def status(
    study: Annotated[str | None, typer.Argument(help=f"{_HELP} None: all studies.")] = None,
    config: ConfigOption = SHIPPED_CONFIG,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many studies.")] = 50,
    *,
    of_destinations: Annotated[
        bool, typer.Option("--destinations", help="Only how the peers stand that results go to.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """How every study stands: received, analysed, delivered, or why not; and who results wait for. Or one in full."""
    settings = _settings(config)
    with _store_of(settings) as store:
        destinations = _destinations(settings, store)
        if study is not None:
            history = store.history(study)
        elif not of_destinations:
            studies = store.studies(limit)
    if study is not None:
        _show(study_tables.history_json(history) if as_json else study_tables.history_tables(history))
    elif of_destinations and as_json:
        _show(destination_tables.destinations_json(destinations))
    elif as_json:
        _show(tables.status_json(studies))
    else:
        _show(() if of_destinations else (tables.status_table(studies),))
        _show((destination_tables.destinations_table(destinations),))


def retry(study: Study, config: ConfigOption, *, as_json: JsonOption = False) -> None:
    """Have a study that is held, or whose analysis failed, analysed after all."""
    settings = _settings(config)
    with _store_of(settings) as store:
        auditor = auditor_of(settings, store)
        reply = store.retry(study, now=time.time())
        _audit_analysis(auditor, reply)
    _tell(reply, as_json=as_json)


def resend(
    study: Study,
    config: ConfigOption,
    *,
    to: Annotated[str | None, typer.Option("--to", help="A peer of the configuration; none: all.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what arrived.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Send those results of a study again that did not arrive, or all of them."""
    settings = _settings(config)
    if to is not None:
        settings.destination(to)
    with _store_of(settings) as store:
        auditor = auditor_of(settings, store)
        reply = store.resend(study, peer=to, everything=everything, now=time.time())
        if reply.changed:
            peers = _receivers(store, reply) if to is None else [to]
            auditor.to_be_sent(reply.study_instance_uid, peers, person())
    _tell(reply, as_json=as_json)


def rerun(study: Study, config: ConfigOption, *, as_json: JsonOption = False) -> None:
    """Analyse a study again, on the images that there are; what was made before stays."""
    settings = _settings(config)
    with _store_of(settings) as store:
        auditor = auditor_of(settings, store)
        reply = store.rerun(study, now=time.time())
        _audit_analysis(auditor, reply)
    _tell(reply, as_json=as_json)


def forget(study: Study, config: ConfigOption, *, as_json: JsonOption = False) -> None:
    """Remove a study for good: images, results, conflicts and all records of it."""
    settings = _settings(config)
    with _store_of(settings) as store:
        folders = AuditedFolders(settings.node.storage, auditor_of(settings, store), person())
        reply = store.forget(study, discard=folders.discard, now=time.time())
        folders.sweep()
    _tell(reply, as_json=as_json)


def _settings(config: Path) -> Settings:
    settings = settings_of(config)
    configure_logging("warning")
    return settings


def _destinations(settings: Settings, store: Store) -> tuple[DestinationStatus, ...]:
    """Those of the configuration, then those it does not name any more."""
    idle = {name: DestinationStatus(name, 0, None, "", None) for name in settings.deliver.peers}
    return tuple((idle | {each.peer: each for each in store.destinations(now=time.time())}).values())


def _show(told: str | Iterable[Table]) -> None:
    if isinstance(told, str):
        typer.echo(told)
    else:
        for table in told:
            out_console.print(table)


@contextmanager
def _store_of(settings: Settings) -> Iterator[Store]:
    """The node's database; the command ends where there is none, and makes none."""
    if not settings.database.exists():
        fail(f"no node has worked in {settings.node.storage} yet; is this the right --config?")
    store = Store.open(settings.database)
    try:
        yield store
    finally:
        store.close()


def _audit_analysis(auditor: Auditor, reply: Reply) -> None:
    if reply.changed:
        auditor.to_be_analysed(reply.study_instance_uid, person())


def _receivers(store: Store, reply: Reply) -> list[str]:
    """Every peer that something of the study is on its way to."""
    deliveries = (each for job in store.history(reply.study_instance_uid).jobs for each in job.deliveries)
    return sorted({each.peer for each in deliveries if each.state == DeliveryState.PENDING})


def _tell(reply: Reply, *, as_json: bool) -> None:
    typer.echo(study_tables.reply_json(reply) if as_json else f"{reply.study_instance_uid}: {reply.told}")
