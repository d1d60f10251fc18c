"""From settings to what makes the copies: the key, the rules, and where copies go."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.metadata import version

from dicom_node.domain.errors import SettingsError
from dicom_node.domain.research import SpareTime
from dicom_node.durable_files import write_durably
from dicom_node.equipment import DISTRIBUTION
from dicom_node.research.admission import CopyRules
from dicom_node.research.copying import Copier, CopyFolder, CopyStore, to_folder, to_peer
from dicom_node.research.deidentify import Deidentification
from dicom_node.research.keys import read_key
from dicom_node.research.pseudonyms import Pseudonyms
from dicom_node.research_settings import ResearchSection
from dicom_node.settings import Settings

_LOGGER = logging.getLogger(__name__)


def check_research(settings: Settings) -> None:
    """Raises SettingsError when copies are asked for and the key cannot be used."""
    if settings.research is not None:
        read_key(settings.research.key_file)


def spare_time(
    settings: Settings, store: CopyStore, folder: CopyFolder, clock: Callable[[], float]
) -> SpareTime | None:
    """What a worker does while no analysis waits; None where the settings ask for no copies.

    With a key that cannot be used the copies wait, and the log says why: no analysis may stop over it.
    """
    wanted = settings.research
    if wanted is None:
        return None
    to = wanted.destination
    handover = to_peer(folder, to) if isinstance(to, str) else to_folder(to, write_durably)
    try:
        how = _deidentification(wanted)
    except SettingsError as error:
        _LOGGER.error("Research copies wait: %s", error, extra={"action": "research_key_refused"})  # noqa: TRY400
        return SpareTime(wanted.wish, lambda: False)
    give_up_after_s = settings.deliver.give_up_after_hours * 3600
    return SpareTime(wanted.wish, Copier(store, handover, _rules(wanted), how, give_up_after_s, clock).copy_one)


def _rules(wanted: ResearchSection) -> CopyRules:
    modalities = None if wanted.modalities is None else frozenset(wanted.modalities)
    return CopyRules(modalities, annotated=wanted.annotated == "copy")


def _deidentification(wanted: ResearchSection) -> Deidentification:
    software = f"DICOM AI Node {version(DISTRIBUTION)}"
    return Deidentification(Pseudonyms(read_key(wanted.key_file)), wanted.options, software)
