"""What the node accepts and proposes on the network, and how it answers and reacts: read off the parts that do it."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import UID

from dicom_node.answers import STATUS_RANGES, Answer
from dicom_node.commitment_messages import STORAGE_COMMITMENT
from dicom_node.commitment_scu import commitment_contexts
from dicom_node.conformance.objects import CreatedIod
from dicom_node.decoding import is_decodable
from dicom_node.domain.errors import (
    DeliveryError,
    ObjectRejected,
    PeerRefused,
    PeerUnreachable,
    ReceiveError,
    SopClassRefused,
)
from dicom_node.domain.study import InstanceKind
from dicom_node.intake import classify_object
from dicom_node.peers import query_contexts, verification_contexts
from dicom_node.retrieve_scu import get_contexts, move_contexts
from dicom_node.scp import accepting_entity, name_of
from dicom_node.selection import reasons_to_leave_out
from dicom_node.storage_scu import ContextWish, storage_contexts
from sr_writer.created import CREATED_KINDS, name_of_kind
from sr_writer.fallback import in_place_of
from sr_writer.profiles import PROFILES, Profile, SegmentationForm

ANALYSED = "analysed"


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context: a SOP class, its transfer syntaxes in order of preference, the node's role."""

    name: str
    sop_class_uid: str
    transfer_syntaxes: tuple[str, ...]
    role: str
    #: What becomes of an object of this class; empty where none is sent.
    use: str = ""


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """A transfer syntax that objects are received in, and whether their pixels are read."""

    name: str
    uid: str
    decoded: bool


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for every association; times in seconds, None without a limit."""

    implementation_class_uid: str
    implementation_version_name: str
    maximum_pdu_bytes: int
    connection_timeout_s: float | None
    acse_timeout_s: float | None
    dimse_timeout_s: float | None
    network_timeout_s: float | None


@dataclass(frozen=True, slots=True)
class Status:
    """A C-STORE status, or a range of them, with its name and what follows."""

    codes: str
    meaning: str
    behaviour: str


#: What becomes of a result, by what its peer answered.
REACTIONS: dict[Answer, str] = {
    Answer.ARRIVED: "The object has arrived; a status other than 0000 is written to the log.",
    Answer.LATER: "The object and those of its analysis after it are sent again later, as after a failure below.",
    Answer.NOT_ITS_CLASS: "The peer refuses the SOP class: another takes its place, or the object is given up.",
    Answer.NEVER: "The object is given up, with the status as its reason; a person must look.",
}
_RETRIED = (
    "It is tried again later, until `deliver.give_up_after_hours` after the first failure; then a person must look."
)
_GIVEN_UP = "The objects are given up, with the reason; a person must look."


def accepted_contexts(ae_title: str, *, analyse_secondary_captures: bool) -> tuple[Context, ...]:
    """Every presentation context that the listening application entity accepts, by SOP Class UID."""
    contexts = []
    for context in accepting_entity(ae_title).supported_contexts:
        sop_class_uid = str(context.abstract_syntax)
        roles = [role for role, played in (("SCU", context.scu_role), ("SCP", context.scp_role)) if played]
        contexts.append(
            Context(
                name_of(sop_class_uid),
                sop_class_uid,
                tuple(str(syntax) for syntax in context.transfer_syntax),
                "/".join(roles) or "SCP",
                _use(sop_class_uid, analyse_secondary_captures=analyse_secondary_captures),
            )
        )
    return tuple(sorted(contexts, key=lambda context: [int(part) for part in context.sop_class_uid.split(".")]))


def _use(sop_class_uid: str, *, analyse_secondary_captures: bool) -> str:
    if not _is_storage(sop_class_uid):
        return ""
    header = Dataset()
    header.SOPClassUID = sop_class_uid
    [reason] = reasons_to_leave_out([header], analyse_secondary_captures)
    if classify_object(sop_class_uid, is_own=False) is not InstanceKind.IMAGE:
        return "kept; not an image"
    return ANALYSED if reason is None else f"kept, and told in the report: it {reason}"


def _is_storage(sop_class_uid: str) -> bool:
    others = (*verification_contexts(), *commitment_contexts())
    return not any(context.abstract_syntax == sop_class_uid for context in others)


def transfer_syntaxes(accepted: tuple[Context, ...]) -> tuple[TransferSyntax, ...]:
    """Those of the storage contexts, in the order of preference."""
    uids = dict.fromkeys(uid for context in accepted if context.use for uid in context.transfer_syntaxes)
    return tuple(TransferSyntax(name_of(uid), uid, is_decodable(UID(uid))) for uid in uids)


def proposed_contexts(iods: tuple[CreatedIod, ...]) -> tuple[Context, ...]:
    """Every presentation context that is proposed: of the objects that are made and their proofs, C-ECHO and C-FIND."""
    wishes = {ContextWish(iod.kind.sop_class_uid, iod.transfer_syntax) for iod in iods}
    return tuple(
        Context(
            name_of(str(context.abstract_syntax)),
            str(context.abstract_syntax),
            tuple(name_of(str(syntax)) for syntax in context.transfer_syntax),
            "SCU, or SCP to report" if context.abstract_syntax == STORAGE_COMMITMENT else "SCU",
        )
        for context in (
            *verification_contexts(),
            *commitment_contexts(),
            *query_contexts(),
            *storage_contexts(wishes),
        )
    )


def retrieval_contexts() -> tuple[Context, ...]:
    """Every presentation context that is proposed to ask peers for studies, without those for what a C-GET brings."""
    return tuple(
        Context(
            name_of(str(context.abstract_syntax)),
            str(context.abstract_syntax),
            tuple(name_of(str(syntax)) for syntax in context.transfer_syntax),
            "SCU",
        )
        for context in (*query_contexts(), *move_contexts(), get_contexts(())[0])
    )


def policy(ae_title: str) -> Policy:
    """Limits and marks of the application entity, both ways."""
    entity = accepting_entity(ae_title)
    return Policy(
        str(entity.implementation_class_uid),
        str(entity.implementation_version_name),
        entity.maximum_pdu_size,
        entity.connection_timeout,
        entity.acse_timeout,
        entity.dimse_timeout,
        entity.network_timeout,
    )


def statuses_answered() -> tuple[Status, ...]:
    """Every C-STORE status of the SCP."""
    kept = "The object is on disk and recorded, or was before; see 5.2.5 for another one under its UID."
    success = Status("0000", "Success", kept)
    failures = sorted(ReceiveError.__subclasses__(), key=lambda failure: failure.status)
    return (success, *(Status(f"{each.status:04X}", each.meaning, each.__doc__ or "") for each in failures))


def statuses_understood() -> tuple[Status, ...]:
    """Every C-STORE status as the SCU takes it."""
    known = (
        Status(
            f"{each.first:04X}" + (f" to {each.last:04X}" if each.last != each.first else ""),
            each.meaning,
            REACTIONS[each.answer],
        )
        for each in STATUS_RANGES
    )
    return (*known, Status("any other", "Failure", REACTIONS[Answer.NEVER]))


def failures_met() -> tuple[Status, ...]:
    """What else can go wrong when the node sends, and what follows."""
    met: tuple[tuple[str, DeliveryError], ...] = (
        ("no connection, no answer, abort, or a time-out", PeerUnreachable()),
        ("association rejected, transient (result 2)", PeerRefused("", transient=True)),
        ("association rejected, permanent (result 1)", PeerRefused("", transient=False)),
        ("no presentation context of an object's SOP class accepted", SopClassRefused("", "")),
        ("the SOP class accepted, in no transfer syntax that the object can be sent in", ObjectRejected()),
    )
    reactions: dict[type[DeliveryError], str] = {SopClassRefused: REACTIONS[Answer.NOT_ITS_CLASS]}
    return tuple(
        Status(event, "", reactions.get(type(error), _RETRIED if error.retryable else _GIVEN_UP))
        for event, error in met
    )


def substitutes() -> tuple[Status, ...]:
    """SOP classes that something takes the place of where a peer refuses them, by name, and what that is."""
    profile = Profile(PROFILES["everything"].objects, segmentation=SegmentationForm.LABELMAP)
    found = ((str(kind.sop_class_uid), in_place_of(kind.sop_class_uid, profile, ())) for kind in CREATED_KINDS)
    return tuple(Status(name_of_kind(uid), "", instead) for uid, instead in found if instead is not None)
