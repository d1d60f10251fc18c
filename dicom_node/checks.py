"""What `dicom-node check` looks at besides the settings themselves: disk, port, models, peers; it changes nothing."""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from dicom_node import tls
from dicom_node.credentials import read_secret
from dicom_node.domain.audit import Collector
from dicom_node.domain.cluster import ClusterError, match
from dicom_node.domain.delivery import Destination, TlsFiles
from dicom_node.domain.errors import DeliveryError, PeerRefused, SettingsError
from dicom_node.domain.web import WebDestination
from dicom_node.peers import echo
from dicom_node.ray_process import CONNECTS_WITHIN_S, RayProcess
from dicom_node.research.setup import check_research
from dicom_node.settings import Settings
from dicom_node.stow import open_stow
from dicom_node.syslog import CollectorError, send_records
from dicom_node.web_settings import WebSection
from inference.registry import BrokenPackage, Package
from inference.stages import CascadeError, load_cascade

#: Days before its end from which a certificate is to be renewed.
_RENEW_DAYS = 30


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    #: Works, but not everything that is configured will be done.
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at, and what was seen."""

    subject: str
    verdict: Verdict
    detail: str


def run_checks(settings: Settings) -> Iterator[Check]:
    """Every check, one after the other, as they are done."""
    yield _storage(settings.node.storage, settings.receive.minimum_free_bytes)
    yield from _tls_files(settings)
    yield _port(settings)
    yield from _web(settings.web)
    yield from _models(settings)
    yield from _cluster(settings)
    yield from _gpu(settings)
    yield from _research(settings)
    for name in settings.peers:
        yield _peer(settings.way_out(name), settings.node.ae_title, gets_results=name in settings.outgoing_peers)
    if settings.collector is not None:
        yield _collector(settings.collector)


def _storage(folder: Path, least_bytes: int) -> Check:
    subject = f"storage {folder}"
    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return Check(subject, Verdict.FAILED, f"this user cannot write to {nearest}; change its owner or node.storage")
    free = shutil.disk_usage(nearest).free
    detail = f"{free / 1e9:.1f} GB free"
    if free < least_bytes:
        least = f"{least_bytes / 1e9:.1f} GB"
        return Check(subject, Verdict.FAILED, f"{detail}, below {least} images are refused (0xA700); make room")
    return Check(subject, Verdict.OK, detail)


def _tls_files(settings: Settings) -> Iterator[Check]:
    """The node's, and those a peer or the collector has for itself."""
    wanted = [settings.own_tls, settings.web_tls, *(settings.destination(name).tls for name in settings.dimse_peers)]
    wanted.append(None if settings.collector is None else settings.collector.tls)
    pairs = {(files.certificate, files.key, files.authorities): files for files in wanted if files is not None}
    for files in pairs.values():
        yield _certificate(files)


def _research(settings: Settings) -> Iterator[Check]:
    """The key of the copies, and the folder they go to."""
    if settings.research is None:
        return
    subject = f"research key {settings.research.key_file}"
    try:
        check_research(settings)
    except SettingsError as error:
        yield Check(subject, Verdict.FAILED, str(error))
    else:
        yield Check(subject, Verdict.OK, "for its owner alone, and random as far as can be seen")
    folder = settings.research.destination
    if isinstance(folder, Path):
        is_usable = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
        detail = "this user may write there" if is_usable else "is no folder that this user may write to; make it"
        yield Check(f"research copies {folder}", Verdict.OK if is_usable else Verdict.FAILED, detail)


def _certificate(files: TlsFiles) -> Check:
    subject = f"certificate {files.certificate}"
    try:
        ends = tls.expiry(files)
        ended = tls.authorities_expired(files)
    except SettingsError as error:
        return Check(subject, Verdict.FAILED, str(error))
    days = (ends - time.time()) / 86400
    day = datetime.datetime.fromtimestamp(ends, datetime.UTC).date().isoformat()
    if days < 0:
        return Check(subject, Verdict.FAILED, f"expired on {day}; renew it, the running node takes the new files")
    if ended:
        return Check(
            subject, Verdict.WARNING, f"{files.authorities} holds authorities that have expired: {'; '.join(ended)}"
        )
    if files.key.stat().st_mode & 0o077:
        return Check(subject, Verdict.WARNING, f"others may read {files.key}; `chmod 600` it")
    if days < _RENEW_DAYS:
        return Check(subject, Verdict.WARNING, f"expires on {day}, in {days:.0f} days; renew it")
    return Check(subject, Verdict.OK, f"valid until {day}")


def _collector(collector: Collector) -> Check:
    """A connection without a message; the file has them all, whatever comes of it."""
    subject = f"audit collector {collector}"
    try:
        send_records((), collector)
    except CollectorError as error:
        return Check(subject, Verdict.FAILED, str(error))
    return Check(
        subject, Verdict.OK, "cannot be asked" if collector.tls is None else "believes this node, and is believed"
    )


def _port(settings: Settings) -> Check:
    node = settings.node
    subject = f"port {node.host}:{node.port}"
    with socket.socket(socket.AF_INET6 if ":" in node.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((node.host, node.port))
        except OSError as error:
            problem = error.strerror or str(error)
        else:
            return Check(subject, Verdict.OK, "free")
    # whoever listens there: what certificate it shows is not the question
    own = settings.own_tls
    shown = None if own is None else replace(own, check_host_name=False)
    here = Destination("this node", node.ae_title, node.host, node.port, shown)
    try:
        echo(here, node.ae_title)
    except PeerRefused:  # it speaks DICOM, and does not let itself in
        return Check(subject, Verdict.OK, "in use by a DICOM listener: this node is running")
    except DeliveryError:
        return Check(subject, Verdict.FAILED, f"{problem}; see what else uses it, or set node.port")
    return Check(subject, Verdict.FAILED, f"another DICOM node called {node.ae_title} listens there; set node.port")


def _web(web: WebSection) -> Iterator[Check]:
    """Nothing, where nothing is served."""
    if web.stow is None:
        return
    subject = f"port {web.host}:{web.port}"
    with socket.socket(socket.AF_INET6 if ":" in web.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((web.host, web.port))
        except OSError as error:
            right = "that is right if this node is running; else see what uses it, or set web.port"
            yield Check(subject, Verdict.WARNING, f"{error.strerror}; {right}")
        else:
            yield Check(subject, Verdict.OK, "free")
    for name, sender in web.stow.senders.items():
        if sender.token_file is not None:
            yield _token(f"token of {name}", sender.token_file)


def _token(subject: str, path: Path) -> Check:
    try:
        read_secret(path)
    except SettingsError as error:
        return Check(subject, Verdict.FAILED, str(error))
    return Check(subject, Verdict.OK, f"in {path}")


def _models(settings: Settings) -> Iterator[Check]:
    try:
        stages = load_cascade(settings.models.cascade).stages
    except CascadeError as error:
        yield Check("cascade", Verdict.FAILED, str(error))
        return
    packages = settings.library.packages()
    for name in dict.fromkeys(stage.package for stage in stages):
        subject, package = f"model package {name}", packages.get(name)
        if package is None:
            asked = ", ".join(stage.name for stage in stages if stage.package == name)
            yield Check(subject, Verdict.WARNING, f"not installed; not attempted will be: {asked}")
        else:
            yield _model(subject, package)


def _model(subject: str, package: Package | BrokenPackage) -> Check:
    from inference.models import load  # noqa: PLC0415  # torch takes seconds to import: what is before is told before

    model = package if isinstance(package, BrokenPackage) else load(package)
    if isinstance(model, BrokenPackage):
        return Check(subject, Verdict.FAILED, model.reason)
    card = model.package.card
    return Check(subject, Verdict.OK, f"version {card.version}, sha256 {card.weights_sha256[:12]}")


def _cluster(settings: Settings) -> Iterator[Check]:
    """Nothing, where this machine computes alone; without the cluster it does that all the same."""
    runtime = settings.runtime
    if runtime.executor == "local":
        return
    packages = settings.library.packages()
    wanted = {name: package.digest for name, package in packages.items() if isinstance(package, Package)}
    with contextlib.suppress(CascadeError):  # told above
        wanted = {name: wanted[name] for name in load_cascade(settings.models.cascade).packages if name in wanted}
    subject, connection = f"Ray cluster {runtime.address}", RayProcess(runtime.address, runtime.timeout_seconds)
    try:
        found = match(wanted, connection.offer(CONNECTS_WITHIN_S))
    except ClusterError as error:
        yield Check(subject, Verdict.WARNING, f"{error}; this machine computes meanwhile")
    else:
        yield Check(subject, Verdict.WARNING if found.problems else Verdict.OK, found.told)
    finally:
        connection.stop()


def _gpu(settings: Settings) -> Iterator[Check]:
    """Only where one is asked for."""
    if settings.runtime.device != "cuda":
        return
    import torch  # noqa: PLC0415  # as above

    if torch.cuda.is_available():
        yield Check("GPU", Verdict.OK, torch.cuda.get_device_name())
    else:
        yield Check("GPU", Verdict.WARNING, "torch finds none, the processor computes; see its driver and torch's CUDA")


def reached(destination: Destination | WebDestination, own_ae_title: str) -> str:
    """What a peer answered: to a C-ECHO, or to a STOW-RS request without an object. Raises DeliveryError."""
    if isinstance(destination, WebDestination):
        with open_stow(destination) as sender:
            return f"{destination} answered HTTP {sender.probe()} to a STOW-RS request without an object"
    echo(destination, own_ae_title)
    return f"{destination} answered C-ECHO{' over TLS' if destination.tls else ''}"


def _peer(destination: Destination | WebDestination, own_ae_title: str, *, gets_results: bool) -> Check:
    """A peer that only sends, as many modalities do, need not answer."""
    subject = f"peer {destination.name}"
    try:
        told = reached(destination, own_ae_title)
    except DeliveryError as error:
        if gets_results:
            return Check(subject, Verdict.FAILED, str(error))
        return Check(subject, Verdict.WARNING, f"{error}; it is in no deliver.to, so that this hinders nothing")
    return Check(subject, Verdict.OK, told)
