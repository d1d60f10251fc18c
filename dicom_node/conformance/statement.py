"""All facts of the Conformance Statement of one configured node, as values; no words about them."""

from __future__ import annotations

from dataclasses import dataclass

from dicom_node.admission import REJECTIONS, Rejection
from dicom_node.bounded_socket import DRAINED
from dicom_node.conformance.commitment import CommitmentFacts, commitment_facts
from dicom_node.conformance.content import (
    Concept,
    ContentItem,
    character_sets_read,
    concepts,
    content_tree,
    declared_templates,
    used_templates,
)
from dicom_node.conformance.network import (
    ANALYSED,
    Context,
    Policy,
    Status,
    TransferSyntax,
    accepted_contexts,
    failures_met,
    policy,
    proposed_contexts,
    retrieval_contexts,
    statuses_answered,
    statuses_understood,
    substitutes,
    transfer_syntaxes,
)
from dicom_node.conformance.objects import Attribute, CreatedIod, Module, created_iods, observe
from dicom_node.conformance.parameters import Parameter, parameters
from dicom_node.conformance.specimens import INFLUENCES
from dicom_node.conformance.web import Web, web_of
from dicom_node.domain.bounds import Bounds
from dicom_node.domain.breaker import OPENS_AFTER
from dicom_node.domain.delivery import FIRST_DELAY_S, LONGEST_DELAY_S, Destination
from dicom_node.domain.refusal import REMEMBERED_S
from dicom_node.equipment import equipment_of
from dicom_node.pdata import LONGEST_PDU_BYTES
from dicom_node.settings import Settings
from inference.stages import Stage, load_cascade
from sr_writer.codes import PRIVATE_SCHEME
from sr_writer.created import CREATED_KINDS, ROOT_TEMPLATE, Template
from sr_writer.provenance import Equipment

_STATE = {
    "Completion Flag",
    "Completion Flag Description",
    "Verification Flag",
    "Preliminary Flag",
    "Content Qualification",
}


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is asked of the images, and when a study counts as complete."""

    stages: tuple[Stage, ...]
    quiet_seconds: float
    at_most_seconds: float


@dataclass(frozen=True, slots=True)
class Tls:
    """Whether callers and peers are met over TLS."""

    inbound: bool
    requires_certificate: bool
    outbound: bool


@dataclass(frozen=True, slots=True)
class Network:
    """Everything about associations."""

    policy: Policy
    maximum_associations: int
    #: Of callers.
    bounds: Bounds
    tls: Tls
    senders: tuple[Destination, ...]
    destinations: tuple[Destination, ...]
    accepted: tuple[Context, ...]
    proposed: tuple[Context, ...]
    transfer_syntaxes: tuple[TransferSyntax, ...]
    commitment: CommitmentFacts
    #: Of disk space; below it images are refused.
    minimum_free_bytes: int
    retrieving: tuple[Context, ...] = retrieval_contexts()
    rejections: tuple[Rejection, ...] = REJECTIONS
    answered: tuple[Status, ...] = statuses_answered()
    understood: tuple[Status, ...] = statuses_understood()
    failures: tuple[Status, ...] = failures_met()
    substitutes: tuple[Status, ...] = substitutes()
    opens_after: int = OPENS_AFTER
    refusals_remembered_h: int = int(REMEMBERED_S / 3600)
    first_delay_s: float = FIRST_DELAY_S
    longest_delay_s: float = LONGEST_DELAY_S
    drained: int = DRAINED
    longest_pdu_bytes: int = LONGEST_PDU_BYTES

    @property
    def analysed(self) -> tuple[Context, ...]:
        """Storage contexts whose objects are analysed."""
        return tuple(context for context in self.accepted if context.use == ANALYSED)

    @property
    def kept(self) -> tuple[Context, ...]:
        """Storage contexts whose objects are kept and not analysed."""
        return tuple(context for context in self.accepted if context.use not in ("", ANALYSED))


@dataclass(frozen=True, slots=True)
class Report:
    """The structured report in all its parts."""

    tree: tuple[ContentItem, ...]
    templates: tuple[Template, ...]
    #: Numbers of templates that the object states.
    declared: frozenset[str]
    #: How far it is finished, checked and fit for use.
    state: tuple[Attribute, ...]
    root_template: str = ROOT_TEMPLATE


@dataclass(frozen=True, slots=True)
class Statement:
    """Everything that the document says of one configuration."""

    equipment: Equipment
    address: Destination
    analysis: Analysis
    network: Network
    iods: tuple[CreatedIod, ...]
    #: Alike in all created objects.
    common_modules: tuple[Module, ...]
    report: Report
    concepts: tuple[Concept, ...]
    parameters: tuple[Parameter, ...]
    web: Web
    character_sets_read: tuple[str, ...]
    character_sets_written: tuple[str, ...]
    #: Who gets audit messages by syslog; empty: nobody.
    collector: str
    #: How patients stand in them.
    audited_patients: str
    #: Options of the de-identification profile for research copies; None where none are made.
    research_options: tuple[str, ...] | None
    influences: tuple[str, ...] = tuple(INFLUENCES)
    private_scheme: str = PRIVATE_SCHEME


def statement_of(settings: Settings) -> Statement:
    """Gather the facts. Raises CascadeError for a cascade file that cannot be followed."""
    node = settings.node
    observed = observe()
    iods = created_iods(observed)
    document = observed.plain[_report_class()]
    common = tuple(module for module in iods[0].modules if all(module in iod.modules for iod in iods))
    return Statement(
        equipment=equipment_of(node.ae_title),
        address=Destination("node", node.ae_title, node.host, node.port),
        analysis=Analysis(
            tuple(load_cascade(settings.models.cascade).stages),
            settings.settle.quiet_seconds,
            settings.settle.at_most_seconds,
        ),
        network=_network(settings, iods),
        iods=iods,
        common_modules=common,
        report=Report(
            content_tree(document), used_templates(document), declared_templates(document), _document_state(iods)
        ),
        concepts=concepts(observed.plain.values()),
        parameters=parameters(settings),
        web=web_of(settings),
        character_sets_read=character_sets_read(),
        character_sets_written=tuple(sorted({str(made.SpecificCharacterSet) for made in observed.plain.values()})),
        collector=str(settings.collector or ""),
        audited_patients=settings.audit.patient_id,
        research_options=None if settings.research is None else tuple(sorted(settings.research.options)),
    )


def _network(settings: Settings, iods: tuple[CreatedIod, ...]) -> Network:
    accepted = accepted_contexts(
        settings.node.ae_title, analyse_secondary_captures=settings.load.secondary_capture == "analyse"
    )
    return Network(
        policy=policy(settings.node.ae_title),
        maximum_associations=settings.node.maximum_associations,
        bounds=settings.receive.bounds,
        tls=Tls(
            inbound=settings.node.tls is not None,
            requires_certificate=settings.node.tls is not None and settings.node.tls.require_peer_certificate,
            outbound=any(peer.tls is not None for peer in settings.dimse_peers.values()),
        ),
        senders=tuple(map(settings.destination, settings.receive.senders)),
        destinations=tuple(
            settings.destination(name) for name in settings.outgoing_peers if name in settings.dimse_peers
        ),
        accepted=accepted,
        proposed=proposed_contexts(iods),
        transfer_syntaxes=transfer_syntaxes(accepted),
        commitment=commitment_facts(settings.retain),
        minimum_free_bytes=settings.receive.minimum_free_bytes,
    )


def _document_state(iods: tuple[CreatedIod, ...]) -> tuple[Attribute, ...]:
    report = next(iod for iod in iods if iod.kind.sop_class_uid == _report_class())
    attributes = (attribute for module in report.modules for attribute in module.attributes)
    return tuple(attribute for attribute in attributes if attribute.name in _STATE)


def _report_class() -> str:
    return next(kind.sop_class_uid for kind in CREATED_KINDS if kind.modality == "SR")
