"""What the configuration says of studies."""

import pytest

from dicom_node.domain.study import Sender, StudyActivity
from dicom_node.domain.urgency import Urgency
from dicom_node.intake import Patience
from dicom_node.settings import load_settings
from dicom_node.study_rules import answering_senders, patience_for, senders_by_ae_title, urgency_rules

CONFIGURATION = """\
node: {ae_title: AINODE}
peers:
  PACS: {ae_title: PACS_AE, host: h, port: 1, query: true}
  MR1: {ae_title: MR_AE, host: h, port: 2, priority: low, settle: {quiet_seconds: 30}}
  ER: {ae_title: ER_AE, host: h, port: 3, priority: urgent, settle: {urgent_quiet_seconds: 1, at_most_seconds: 20}}
  ARC: {ae_title: ARC_AE, host: h, port: 4, query: true, priority: urgent}
  PACS2: {ae_title: PACS_AE, host: i, port: 5, settle: {quiet_seconds: 90}}
receive: {from: [PACS, MR1, ER, PACS2]}
deliver: {to: [ARC]}
settle: {quiet_seconds: 5, urgent_quiet_seconds: 2, at_most_seconds: 60}
urgent: {modalities: [CT, XA]}
"""


@pytest.fixture
def settings(tmp_path):
    """Of several peers; the last has the AE title of the first, and another address."""
    path = tmp_path / "node.yaml"
    path.write_text(CONFIGURATION)
    return load_settings(path, {})


@pytest.mark.parametrize(
    ("senders", "urgency", "quiet", "at_most"),
    [
        (["PACS_AE"], Urgency.ROUTINE, 5, 60),
        (["PACS_AE"], Urgency.LOW, 5, 60),
        (["PACS_AE"], Urgency.URGENT, 2, 60),
        (["MR_AE"], Urgency.ROUTINE, 30, 60),
        (["MR_AE"], Urgency.URGENT, 2, 60),
        (["ER_AE"], Urgency.ROUTINE, 5, 20),
        (["ER_AE"], Urgency.URGENT, 1, 20),
        (["ER_AE", "MR_AE"], Urgency.ROUTINE, 30, 60),
        (["STRANGER"], Urgency.ROUTINE, 5, 60),
        (["STRANGER", "ER_AE"], Urgency.ROUTINE, 5, 20),
        ([], Urgency.URGENT, 2, 60),
    ],
)
def test_patience_is_that_of_the_senders(settings, senders, urgency, quiet, at_most):
    """Each key of a peer's own, otherwise that of all; of several senders the longest."""
    activity = StudyActivity("1.2", 1, 0.0, 0.0, tuple(Sender(each, 1) for each in senders), urgency)
    assert patience_for(settings, activity) == Patience(quiet, at_most)


def test_without_a_time_of_their_own_urgent_studies_wait_like_all(settings):
    """As shipped."""
    settle = settings.settle.model_copy(update={"urgent_quiet_seconds": None})
    activity = StudyActivity("1.2", 1, 0.0, 0.0, (Sender("MR_AE", 1),), Urgency.URGENT)
    assert patience_for(settings.model_copy(update={"settle": settle}), activity).quiet_seconds == 30


def test_urgency_goes_by_sender_and_modality(settings):
    """A peer without a priority has none; one that may not send has no say."""
    rules = urgency_rules(settings)
    assert rules.senders == {"MR_AE": Urgency.LOW, "ER_AE": Urgency.URGENT}
    assert rules.modalities == {"CT", "XA"}


def test_asked_are_senders_that_answer(settings):
    """By the AE title they call with; the first of two that share one."""
    assert senders_by_ae_title(settings) == {"PACS_AE": "PACS", "MR_AE": "MR1", "ER_AE": "ER"}
    assert {ae_title: str(peer) for ae_title, peer in answering_senders(settings).items()} == {"PACS_AE": "PACS_AE@h:1"}
