"""How the node names itself in what it makes and says."""

from __future__ import annotations

from importlib.metadata import version

from sr_writer.provenance import Equipment

DISTRIBUTION = "dicom-ai-node"


def equipment_of(ae_title: str) -> Equipment:
    """How the node signs its results; one installation differs from another by its AE title."""
    return Equipment(
        manufacturer="DICOM AI Node project",
        model_name="DICOM AI Node",
        software_versions=version(DISTRIBUTION),
        device_serial_number=ae_title,
        ae_title=ae_title,
    )
