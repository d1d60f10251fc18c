"""`dicom-node pull`: studies had from a peer, beside a running node or without one.

What comes by C-GET is received here, into the same folder and database and by the same rules as in the node. What
comes by C-MOVE is sent to the node, which must be running.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated

import typer

from dicom_node import app as composition
from dicom_node import pull_tables
from dicom_node.auditor import auditor_of
from dicom_node.domain.retrieval import Dates, Pulled, RemoteStudy, StudyKeys
from dicom_node.gaps import PriorLimits
from dicom_node.logs import configure_logging
from dicom_node.progress import Progress
from dicom_node.pull_sources import PullAudit, puller
from dicom_node.pulling import Puller
from dicom_node.receiving import Receiver
from dicom_node.remote_studies import find_priors, find_studies
from dicom_node.settings import Settings
from dicom_node.spool import Spool
from dicom_node.store import Store
from dicom_node.study_rules import urgency_rules
from dicom_node.terminal import (
    FAILED,
    WRONG_SETTINGS,
    ConfigOption,
    JsonOption,
    err_console,
    fail,
    out_console,
    settings_of,
)
from dicom_node.transfers import Receptions


def pull(  # noqa: PLR0913  # each is an option of the command
    peer: Annotated[str, typer.Argument(help="A peer of the configuration.")],
    config: ConfigOption,
    *,
    study: Annotated[str, typer.Option("--study", help="Study Instance UID.")] = "",
    accession: Annotated[str, typer.Option("--accession", help="Accession Number.")] = "",
    date: Annotated[str, typer.Option("--date", help="Study Date, as 2026-11-20 or 2026-11-20..2026-11-22.")] = "",
    priors_of: Annotated[str, typer.Option("--priors-of", help="Earlier studies of the patient of this study.")] = "",
    modality: Annotated[list[str] | None, typer.Option("--modality", help="Only series of it; repeatable.")] = None,
    body_part: Annotated[str, typer.Option("--body-part", help="With --priors-of: Body Part Examined.")] = "",
    most: Annotated[int, typer.Option("--most", min=1, help="With --priors-of: the latest so many.")] = 2,
    years: Annotated[int | None, typer.Option("--years", min=1, help="With --priors-of: no older ones.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be pulled.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Have a peer send studies that it holds, as far as they are not here."""
    settings = settings_of(config)
    configure_logging("error")
    if sum(map(bool, (study, accession, date, priors_of))) != 1:
        fail("say which studies: one of --study, --accession, --date and --priors-of", WRONG_SETTINGS)
    keys = StudyKeys(study_instance_uid=study or priors_of, accession_number=accession, dates=_dates(date))
    limits = PriorLimits(most, years) if priors_of else None
    modalities = tuple(each.upper() for each in modality or ())
    with _puller_of(settings, peer) as puller:
        found = _found(puller, keys, limits, modalities, body_part)
        if dry_run:
            pulled = [puller.look(each, modalities) for each in found]
        else:
            pulled = _pull_all(puller, found, modalities, as_prior=bool(priors_of))
    _tell(pulled, peer, as_json=as_json)
    if any(each.problem or (each.missing and not dry_run) for each in pulled):
        raise typer.Exit(FAILED)


def _found(
    puller: Puller, keys: StudyKeys, limits: PriorLimits | None, modalities: Sequence[str], body_part: str
) -> tuple[RemoteStudy, ...]:
    """The studies of these keys; with `limits` the priors of the one study."""
    with puller.query() as query:
        found = find_studies(query, keys, modalities if limits is None else ())
        if not found:
            fail("the peer tells of no such study")
        return found if limits is None else find_priors(query, found[0], limits, modalities, body_part)


def _pull_all(
    puller: Puller, studies: Sequence[RemoteStudy], modalities: Sequence[str], *, as_prior: bool
) -> list[Pulled]:
    pulled = []
    for number, each in enumerate(studies, start=1):
        with Progress(err_console, what=f"study {number} of {len(studies)}, instances") as progress:
            pulled.append(puller.pull(each, modalities, partial(_advance, progress), as_prior=as_prior))
            progress.tell(f"{each.study_instance_uid}: {_brief(pulled[-1])}")
    return pulled


def _advance(progress: Progress, count: int) -> None:
    for _ in range(count):
        progress.advance()


def _brief(pulled: Pulled) -> str:
    told = f"{pulled.arrived} arrived, {pulled.here} were here, {pulled.missing} missing"
    return f"{told}: {pulled.problem}" if pulled.problem else told


def _tell(pulled: Sequence[Pulled], peer: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(pull_tables.pulled_json(pulled))
    else:
        out_console.print(pull_tables.pulled_table(pulled, peer))


def _dates(text: str) -> Dates | None:
    """From FROM or FROM..TO, each in ISO 8601; None for no text."""
    if not text:
        return None
    first, _, last = text.partition("..")
    try:
        return Dates(datetime.date.fromisoformat(first), datetime.date.fromisoformat(last or first))
    except ValueError as error:
        fail(f"--date {text}: {error}; write for example 2026-11-20 or 2026-11-20..2026-11-22", WRONG_SETTINGS)


@contextmanager
def _puller_of(settings: Settings, peer: str) -> Iterator[Puller]:
    settings.destination(peer)
    os.umask(0o077)  # as `serve`: what is made here is the node's
    settings.node.storage.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = Store.open(settings.database)
    try:
        spool = Spool(settings.node.storage, settings.receive.minimum_free_bytes)
        receiver = Receiver(spool, store, composition.classify, urgency_rules(settings))
        audit = PullAudit(auditor_of(settings, store), Receptions())
        yield puller(settings, peer, store, receiver, audit)
        audit.auditor.received(audit.receptions.over(all_are=True))
    finally:
        store.close()
