"""How the node names itself in what it makes and says, and how it knows its own by that name."""

from __future__ import annotations

from importlib.metadata import version

from dicom_node.domain.study import Maker
from sr_writer.provenance import Equipment, is_own_uid

DISTRIBUTION = "dicom-ai-node"
_MAKER = Maker("DICOM AI Node project", "DICOM AI Node")


def equipment_of(ae_title: str) -> Equipment:
    """How the node signs its results; one installation differs from another by its AE title."""
    return Equipment(
        manufacturer=_MAKER.manufacturer,
        model_name=_MAKER.model_name,
        software_versions=version(DISTRIBUTION),
        device_serial_number=ae_title,
        ae_title=ae_title,
    )


def is_own(sop_instance_uid: str, maker: Maker) -> bool:
    """Whether a node of this project made an object, by the root of its UID or by its maker.

    The maker counts by manufacturer and model, both whole. They stay when an archive gives the object new UIDs, and
    the basic profile of de-identification (PS3.15 Table E.1-1) keeps them, which it does not with Device Serial Number
    and Contributing Equipment Sequence. An object that others derived from ours, or from what we analysed, names its
    own maker.
    """
    return is_own_uid(sop_instance_uid) or maker == _MAKER
