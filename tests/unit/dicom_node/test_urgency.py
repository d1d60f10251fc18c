"""How urgent an image is."""

import pytest

from dicom_node.domain.urgency import Urgency
from dicom_node.urgency import Signs, UrgencyRules, urgency_of

RULES = UrgencyRules({"ER": Urgency.URGENT, "ARCHIVE": Urgency.ROUTINE, "RESEARCH": Urgency.LOW}, frozenset({"CT"}))


@pytest.mark.parametrize(
    ("sender", "priority", "modality", "requested", "urgency"),
    [
        # the request, PS3.7 9.3.1.1
        ("PACS", 0, "MR", "", Urgency.ROUTINE),
        ("PACS", 1, "MR", "", Urgency.URGENT),
        ("PACS", 2, "MR", "", Urgency.LOW),
        ("PACS", 9, "MR", "", Urgency.ROUTINE),
        # the sender, in its place
        ("ER", 2, "MR", "", Urgency.URGENT),
        ("ARCHIVE", 1, "MR", "", Urgency.ROUTINE),
        ("ARCHIVE", 2, "MR", "", Urgency.ROUTINE),
        ("RESEARCH", 1, "MR", "", Urgency.LOW),
        # the header, above both
        ("RESEARCH", 2, "CT", "", Urgency.URGENT),
        ("RESEARCH", 2, "", "STAT", Urgency.URGENT),
        ("PACS", 0, "", "HIGH", Urgency.URGENT),
        ("PACS", 0, "", "ROUTINE", Urgency.ROUTINE),
        ("PACS", 0, "", "LOW", Urgency.ROUTINE),
        ("ER", 0, "", "LOW", Urgency.URGENT),
    ],
)
def test_urgency(sender, priority, modality, requested, urgency):
    """The header makes urgent; otherwise what is set for the sender counts, otherwise its request."""
    assert urgency_of(Signs(sender, priority, modality, requested), RULES) is urgency


def test_no_rule_is_the_request_alone():
    """As shipped."""
    assert urgency_of(Signs("ER", 0, "CT", ""), UrgencyRules()) is Urgency.ROUTINE


def test_the_names_are_in_the_order_of_urgency():
    """SQL's max and ORDER BY know nothing else."""
    assert sorted(Urgency, key=str) == [Urgency.LOW, Urgency.ROUTINE, Urgency.URGENT]
    assert max(Urgency) is Urgency.URGENT
