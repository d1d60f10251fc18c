"""Forwarding from a thread of its own."""

import pytest

from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import ObjectRejected
from dicom_node.forwarding import Forwarder
from tests.builders.network import HOST, image_series, saved

# pynetdicom drops the socket of a refused connection without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def test_stopping_does_not_wait_for_a_peer_that_is_away(tmp_path):
    """However long it would wait before it tried again, stop ends it."""
    forwarder = Forwarder(Destination("away", "AWAY", HOST, 1), "NODE", retry_after_s=3600.0)
    forwarder.start()
    forwarder.put(saved(image_series()[0], tmp_path))
    forwarder.stop()


def test_what_can_never_be_sent_does_not_enter(tmp_path):
    """A file that is no DICOM file is told of at once, so that it stands in front of no other."""
    forwarder = Forwarder(Destination("away", "AWAY", HOST, 1), "NODE")
    with pytest.raises(ObjectRejected):
        forwarder.put(tmp_path / "missing.dcm")
