"""What the configuration says of studies: how long to wait for them, whom to ask about them, how urgent they are."""

from __future__ import annotations

from dicom_node.domain.delivery import Destination
from dicom_node.domain.study import StudyActivity
from dicom_node.domain.urgency import Urgency
from dicom_node.intake import Patience
from dicom_node.network_settings import PeerSettleSection
from dicom_node.settings import Settings
from dicom_node.urgency import UrgencyRules


def senders_by_ae_title(settings: Settings) -> dict[str, str]:
    """Calling AE title -> the peer of `receive.from` that has it; the first of those that share one."""
    return {settings.dimse_peers[name].ae_title: name for name in reversed(settings.receive.senders)}


def patience_for(settings: Settings, activity: StudyActivity) -> Patience:
    """How long to wait for more of a study: the longest of what is set for its senders."""
    names = senders_by_ae_title(settings)
    peers = [names[sender.calling_ae_title] for sender in activity.senders if sender.calling_ae_title in names]
    sections = [settings.dimse_peers[name].settle for name in peers] or [PeerSettleSection()]
    each = [_patience(section, settings, is_urgent=activity.urgency is Urgency.URGENT) for section in sections]
    return Patience(
        quiet_seconds=max(patience.quiet_seconds for patience in each),
        at_most_seconds=max(patience.at_most_seconds for patience in each),
    )


def _patience(own: PeerSettleSection, settings: Settings, *, is_urgent: bool) -> Patience:
    """What a peer has set, in the place of what is set for all; no number is 0."""
    quiet_seconds = own.quiet_seconds or settings.settle.quiet_seconds
    urgent_quiet_seconds = own.urgent_quiet_seconds or settings.settle.urgent_quiet_seconds
    return Patience(
        quiet_seconds=urgent_quiet_seconds if is_urgent and urgent_quiet_seconds else quiet_seconds,
        at_most_seconds=own.at_most_seconds or settings.settle.at_most_seconds,
    )


def urgency_rules(settings: Settings) -> UrgencyRules:
    """Which images are urgent."""
    peers = {ae_title: settings.dimse_peers[name] for ae_title, name in senders_by_ae_title(settings).items()}
    senders = {ae_title: Urgency(peer.priority) for ae_title, peer in peers.items() if peer.priority is not None}
    return UrgencyRules(senders, frozenset(settings.urgent.modalities))


def answering_senders(settings: Settings) -> dict[str, Destination]:
    """Calling AE title -> where to ask, of the senders that answer queries."""
    names = senders_by_ae_title(settings)
    return {
        ae_title: settings.destination(name) for ae_title, name in names.items() if settings.dimse_peers[name].query
    }
