"""What needs no peer: the file's wishes, and the socket's option."""

import os
import socket
from types import SimpleNamespace

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.presentation import build_context

from dicom_node.associations import application_entity, send_without_delay
from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import ObjectRejected, PeerUnreachable
from dicom_node.storage_scu import LARGEST_PROPOSAL, ContextWish, StorageSender, context_wish, open_storage
from tests.builders.network import HOST, dataset_bytes, image_series, saved


def test_a_file_tells_what_it_needs(tmp_path):
    """SOP class and transfer syntax come from the file meta information."""
    wish = context_wish(saved(image_series()[0], tmp_path))
    assert wish == ContextWish("1.2.840.10008.5.1.4.1.1.4", ExplicitVRLittleEndian)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "is gone"),
        (b"text", "no DICOM file"),
        (b"", "no DICOM file"),
        (bytes(128) + b"DICM", "no DICOM file"),
        (bytes(128) + b"DICM\x02\x00\x02\x00UI\x04\x001.2\x00", "no DICOM file"),
    ],
)
def test_what_cannot_be_sent_is_rejected(tmp_path, content, problem):
    """A missing file and one that is no DICOM file are told apart."""
    path = tmp_path / "object.dcm"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ObjectRejected, match=problem):
        context_wish(path)


def test_meta_information_without_a_data_set_is_rejected(tmp_path):
    """There is nothing to send."""
    path = saved(image_series()[0], tmp_path)
    os.truncate(path, path.stat().st_size - len(dataset_bytes(path)))
    with pytest.raises(ObjectRejected, match="no DICOM file"):
        context_wish(path)


def test_an_answer_without_a_status_may_be_tried_again(tmp_path):
    """An element that is empty or missing says no to no object; the association is not used any more."""
    path = saved(image_series()[0], tmp_path)
    wish = context_wish(path)
    context = build_context(wish.sop_class_uid, wish.transfer_syntax_uid)
    empty = Dataset()
    empty.Status = None
    for response in (Dataset(), empty):
        association = SimpleNamespace(is_established=True, accepted_contexts=[context])
        line = SimpleNamespace(store=lambda *_, answer=response: answer)
        sender = StorageSender(association, Destination("x", "X", HOST, 1), line)
        for told in ("gave no answer", "ended the association"):
            with pytest.raises(PeerUnreachable, match=told) as failure:
                sender.send(path)
            assert failure.value.retryable


def test_answers_are_not_delayed():
    """TCP_NODELAY is set when a connection opens."""
    with socket.socket() as plain:
        event = SimpleNamespace(assoc=SimpleNamespace(dul=SimpleNamespace(socket=SimpleNamespace(socket=plain))))
        send_without_delay(event)
        assert plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_one_association_has_room_for_so_many():
    """Presentation context IDs are finite, and asking for more is a programming error."""
    wishes = {ContextWish(f"1.2.{number}", ExplicitVRLittleEndian) for number in range(LARGEST_PROPOSAL + 1)}
    with (
        pytest.raises(ValueError, match="one association takes"),
        open_storage(Destination("x", "X", HOST, 1), "NODE", wishes),
    ):
        pytest.fail("associated")


def test_the_node_says_who_it_is():
    """Implementation Class UID and version name are the node's own (PS3.7 D.3.3.2)."""
    entity = application_entity("NODE")
    assert entity.implementation_class_uid.startswith("2.25.")
    assert entity.implementation_version_name == "DICOM_AI_NODE"
