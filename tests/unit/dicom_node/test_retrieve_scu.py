"""What is proposed for a C-GET, and queries of which answers are lost; what needs a peer is tested with one."""

from types import SimpleNamespace

import pytest
from pydicom.dataset import Dataset

from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import PeerRefused, PeerUnreachable
from dicom_node.intake import IMAGE_STORAGE
from dicom_node.peers import Query
from dicom_node.retrieve_scu import STUDY_ROOT_GET, get_contexts
from dicom_node.transfer_syntaxes import ACCEPTED

MR, SR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.88.34"
PACS = Destination("PACS", "PACS", "192.0.2.10", 104)


def status(code):
    """A response of that status."""
    response = Dataset()
    response.Status = code
    return response


class Association:
    """Answers each query with two matches, of which the first `lost` queries lose one; then with `final`."""

    def __init__(self, lost=0, final=0x0000):
        self.lost, self.final, self.queries = lost, final, 0

    def bind(self, _event, handler):
        """Whom to tell of each message."""
        self.told = handler

    def send_c_find(self, _identifier, _model):
        """The responses, and before it a word on each that came."""
        self.queries += 1
        for code in (0xFF00, 0xFF01, self.final):
            self.told(SimpleNamespace(message=SimpleNamespace(command_set=status(code))))
        matches = [(status(0xFF00), Dataset()), (status(0xFF01), Dataset())][self.queries <= self.lost :]
        return iter([*matches, (status(self.final), None)])


def test_a_query_that_lost_an_answer_is_asked_again():
    """A match that nobody saw would be an image that nobody misses."""
    association = Association(lost=1)
    assert len(Query(association, PACS).find(Dataset())) == 2
    assert association.queries == 2


def test_a_query_that_loses_answers_each_time_has_none():
    """Rather than some."""
    with pytest.raises(PeerUnreachable, match="were lost"):
        Query(Association(lost=99), PACS).find(Dataset())


def test_a_query_that_fails_is_told_with_its_status():
    """What matched until then does not count."""
    with pytest.raises(PeerRefused, match="0xA700"):
        Query(Association(final=0xA700), PACS).find(Dataset())


def test_a_c_get_proposes_what_comes_in_every_syntax():
    """By itself, so that the peer may choose the one that it has stored."""
    first, *storage = get_contexts({MR, SR})
    assert first.abstract_syntax == STUDY_ROOT_GET
    assert {(context.abstract_syntax, *context.transfer_syntax) for context in storage} == {
        (sop_class, syntax) for sop_class in (MR, SR) for syntax in ACCEPTED
    }


def test_a_c_get_of_many_classes_fits_one_association():
    """128 presentation contexts at most (PS3.8 9.3.2.2); of what nobody knows, the images."""
    _, *storage = get_contexts(())
    assert {context.abstract_syntax for context in storage} == IMAGE_STORAGE
    assert all(len(context.transfer_syntax) == len(ACCEPTED) for context in storage)
    assert len(get_contexts({f"1.2.{number}" for number in range(300)})) == 128
