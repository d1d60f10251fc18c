"""What an administrator may set, and how it is read: one YAML file, then the environment, all faults told together.

A variable DICOM_NODE_<SECTION>__<KEY> replaces one key of one section; its text is read as YAML, so that
DICOM_NODE_NODE__PORT=11113 is a number and DICOM_NODE_DELIVER__TO=[PACS] a list. Peers are set in the file only.
Relative paths start at the folder of the file. Nothing here is a secret; a private key is a file of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from dicom_node.analysis_settings import (
    REPOSITORY,
    LoadSection,
    ModelsSection,
    RuntimeSection,
    SettleSection,
    UrgentSection,
)
from dicom_node.audit_settings import AuditSection
from dicom_node.config_file import Document, KeyPath, read_document, scalar
from dicom_node.destinations import DeliverSection
from dicom_node.dicomweb_settings import AnyPeerSection, DicomwebPeerSection, peer_faults, sender_fault
from dicom_node.domain.audit import Collector
from dicom_node.domain.commitment import Proof
from dicom_node.domain.delivery import Destination, TlsFiles
from dicom_node.domain.errors import Fault, SettingsError
from dicom_node.domain.web import WebDestination
from dicom_node.network_settings import NodeSection, PeerSection, PeerTlsSection, ReceiveSection
from dicom_node.pull_settings import CatchUpSection
from dicom_node.research_settings import ResearchSection
from dicom_node.section import Section
from dicom_node.upkeep_settings import LogSection, RetainSection
from dicom_node.validation import choice, faults_of
from dicom_node.web_settings import WebSection, web_faults
from inference.registry import Library

#: Every key with its default.
SHIPPED_CONFIG = REPOSITORY / "config" / "node.yaml"

_ENVIRONMENT_PREFIX = "DICOM_NODE_"


class Settings(Section):
    """Everything that is set, valid as a whole when it comes from `load_settings`."""

    node: NodeSection
    peers: dict[str, AnyPeerSection] = Field(
        min_length=1,
        description="one peer or more, by name",
        examples=["{PACS: {ae_title: PACS, host: 127.0.0.1, port: 4242}}"],
    )
    receive: ReceiveSection
    deliver: DeliverSection
    web: WebSection = WebSection()
    #: None: no copies for research are made.
    research: ResearchSection | None = Field(
        default=None,
        description="a section with to and key_file",
        examples=["{to: RESEARCH, key_file: /etc/dicom-node/research.key}"],
    )
    settle: SettleSection = SettleSection()
    urgent: UrgentSection = UrgentSection()
    catch_up: CatchUpSection = CatchUpSection()
    load: LoadSection = LoadSection()
    models: ModelsSection = ModelsSection()
    runtime: RuntimeSection = RuntimeSection()
    retain: RetainSection = RetainSection()
    audit: AuditSection = AuditSection()
    log: LogSection = LogSection()

    @property
    def library(self) -> Library:
        """The model packages that come with the node, and those that were installed in its storage."""
        return Library(self.models.folder, self.node.storage / "models")

    @property
    def compiled_networks(self) -> Path:
        """Where compiled networks are kept."""
        return self.runtime.compiled or self.node.storage / "compiled"

    @property
    def database(self) -> Path:
        """Where jobs and deliveries are recorded."""
        return self.node.storage / "node.db"

    @property
    def dimse_peers(self) -> dict[str, PeerSection]:
        """Those that are application entities, by name."""
        return {name: peer for name, peer in self.peers.items() if isinstance(peer, PeerSection)}

    @property
    def web_peers(self) -> dict[str, DicomwebPeerSection]:
        """Those that are DICOMweb servers, by name."""
        return {name: peer for name, peer in self.peers.items() if isinstance(peer, DicomwebPeerSection)}

    def destination(self, name: str) -> Destination:
        """The application entity of that name. Raises SettingsError when there is none."""
        peer = self.dimse_peers.get(name)
        if peer is None:
            problem = "is reached by DICOMweb only" if name in self.peers else "no peer has this name"
            raise SettingsError((Fault("peers", None, name, problem, choice(name, self.dimse_peers)),))
        return Destination(name, peer.ae_title, peer.host, peer.port, self._tls_towards(peer.tls))

    @property
    def proving(self) -> frozenset[str]:
        """The destinations that shall prove that they keep the results."""
        proofs = {name: peer.commitment for name, peer in self.dimse_peers.items() if name in self.deliver.peers}
        return frozenset(name for name, proof in proofs.items() if proof is not Proof.NONE)

    @property
    def reporting(self) -> frozenset[str]:
        """Those of them that call to report on storage commitment."""
        return frozenset(name for name in self.proving if self.dimse_peers[name].commitment is Proof.REQUEST)

    def way_out(self, name: str) -> Destination | WebDestination:
        """The peer of that name, as objects are sent to it. Raises SettingsError when there is none."""
        peer = self.peers.get(name)
        return peer.destination(name) if isinstance(peer, DicomwebPeerSection) else self.destination(name)

    @property
    def outgoing_peers(self) -> tuple[str, ...]:
        """The names of all peers that something is sent to: results, or research copies."""
        copies = () if self.research is None else (self.research.destination,)
        return tuple(dict.fromkeys((*self.deliver.peers, *(name for name in copies if isinstance(name, str)))))

    @property
    def own_tls(self) -> TlsFiles | None:
        """What callers are shown and held against; None without TLS."""
        tls = self.node.tls
        return None if tls is None else TlsFiles(tls.certificate, tls.key, tls.authorities)

    @property
    def web_tls(self) -> TlsFiles | None:
        """The same for callers of the web server."""
        tls = self.web.tls
        return None if tls is None else TlsFiles(tls.certificate, tls.key, tls.authorities)

    @property
    def collector(self) -> Collector | None:
        """Who gets the audit trail by syslog; None: nobody."""
        syslog = self.audit.syslog
        if syslog is None:
            return None
        tls = self._tls_towards(syslog.tls if syslog.transport == "tls" else None)
        return Collector(syslog.host, syslog.open_port, tls)

    def _tls_towards(self, wanted: PeerTlsSection | None) -> TlsFiles | None:
        own = self.node.tls
        if wanted is None:
            return None
        shown = wanted if wanted.certificate else own
        believed = wanted if wanted.authorities else own
        if shown is None or shown.certificate is None or shown.key is None:
            return None  # `load_settings` refuses such a file, and that of the next line
        if believed is None or believed.authorities is None:
            return None
        return TlsFiles(shown.certificate, shown.key, believed.authorities, wanted.check_host_name)


def load_settings(path: Path, environment: Mapping[str, str]) -> Settings:
    """Read the file at `path`, then what `environment` replaces. Raises SettingsError with every fault there is."""
    document = read_document(path)
    _replace(document, environment)
    document.faults.extend(_name_faults(document))
    settings: Settings | None = None
    try:
        folder = path.absolute().parent
        settings = Settings.model_validate(document.values, context=folder, by_alias=True, by_name=False)
    except ValidationError as error:
        document.faults.extend(faults_of(error, Settings, document))
    if settings is not None:
        document.faults.extend(_tls_faults(settings, document))
        document.faults.extend(peer_faults(settings.peers, document))
        document.faults.extend(web_faults(settings.web, document))
    if settings is None or document.faults:
        raise SettingsError(tuple(sorted(document.faults, key=lambda fault: (fault.file, fault.line or 0, fault.key))))
    return settings


def _tls_faults(settings: Settings, document: Document) -> list[Fault]:
    """Peers to be reached over TLS with files that neither they nor the node name; a key goes with its certificate."""
    faults = []
    wanted: list[tuple[PeerTlsSection | None, KeyPath]] = [
        (peer.tls, ("peers", name, "tls")) for name, peer in settings.dimse_peers.items()
    ]
    syslog = settings.audit.syslog
    if syslog is not None and syslog.transport == "tls":
        wanted.append((syslog.tls, ("audit", "syslog", "tls")))
    for tls, place in wanted:
        if tls is None:
            continue
        if (tls.certificate is None) != (tls.key is None):
            faults.append(document.fault(place, "has only one of certificate and key", "give both, or neither"))
        own = ("certificate", "key", "authorities")
        missing = [key for key in own if getattr(tls, key) is None]
        if missing and settings.node.tls is None:
            problem = f"no {', '.join(missing)} here, and no node.tls to take it from"
            faults.append(document.fault(place, problem, "add node.tls, or name the files here"))
    return faults


def _replace(document: Document, environment: Mapping[str, str]) -> None:
    for name, text in sorted(environment.items()):
        section, separator, key = name.removeprefix(_ENVIRONMENT_PREFIX).lower().partition("__")
        if not name.startswith(_ENVIRONMENT_PREFIX) or not separator:
            continue
        source = f"environment variable {name}"
        try:
            value = scalar(text)
        except yaml.YAMLError:
            problem, remedy = "is no YAML value", "write it as in the file, in quotes if it is text"
            document.faults.append(Fault(source, None, f"{section}.{key}", problem, remedy))
            continue
        if section == "peers":
            remedy = "write the peer into the file"
            document.faults.append(Fault(source, None, f"{section}.{key}", "peers are set in the file only", remedy))
            continue
        document.put(section, key, value, source)


def _name_faults(document: Document) -> list[Fault]:
    """Names of peers in `receive`, `deliver`, `catch_up` and `research` that no peer has, or that stand there twice."""
    peers = document.at("peers")
    known = [str(name) for name in peers] if isinstance(peers, dict) else []
    faults: list[Fault] = []
    for section, key in (("receive", "from"), ("deliver", "to"), ("catch_up", "from")):
        written = document.at(section, key)
        items = written if isinstance(written, list) else []
        names = [item.get("peer") if isinstance(item, dict) else item for item in items]
        for index, name in enumerate(names):
            place = (section, key, index)
            if isinstance(name, str) and name not in known:
                faults.append(document.fault(place, f"expected the name of a peer, got {name!r}", choice(name, known)))
            elif name in names[:index]:
                faults.append(document.fault(place, f"{name!r} stands here twice", "remove one of the two"))
            elif section == "receive" and isinstance(name, str) and (fault := sender_fault(document, place, name)):
                faults.append(fault)
    copies_to = document.at("research", "to")
    if isinstance(copies_to, str) and "/" not in copies_to and copies_to not in known:
        problem = f"expected the name of a peer, or a folder with a slash in it, got {copies_to!r}"
        faults.append(document.fault(("research", "to"), problem, choice(copies_to, known)))
    return faults
