"""The Conformance Statement against associations: what it says is accepted is accepted, and nothing else."""

import re
from functools import cache

import pytest
from pydicom.uid import UID_dictionary
from pynetdicom import AE
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import build_context

from dicom_node.conformance.rendering import render
from dicom_node.conformance.statement import statement_of
from dicom_node.settings import SHIPPED_CONFIG, load_settings
from tests.builders.network import running_node

CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
MOST_CONTEXTS = 128


def registered(kind):
    """Every UID of PS3.6 Annex A of one kind, retired ones too."""
    return [uid for uid, (_, uid_kind, *_) in UID_dictionary.items() if uid_kind == kind]


@cache
def acceptance():
    """Section 7.2.4 of the shipped configuration's statement."""
    text = render(statement_of(load_settings(SHIPPED_CONFIG, {})))
    return text.split("#### 7.2.4")[1].split("### 7.3")[0]


def uids_below(sentence):
    """The UIDs of the table that follows a sentence."""
    table = acceptance().split(sentence)[1].strip().split("\n\n")[0]
    return re.findall(r"^\| [^|]+ \| ([\d.]+) \|", table, re.MULTILINE)


def accepted_of(node, pairs):
    """Which (abstract syntax, transfer syntax) the node accepts, each proposed in a context of its own."""
    accepted = set()
    for start in range(0, len(pairs), MOST_CONTEXTS):
        proposed = [build_context(*pair) for pair in pairs[start : start + MOST_CONTEXTS]]
        association = AE(ae_title="TESTER").associate(
            node.destination.host, node.destination.port, contexts=proposed, ae_title="NODE"
        )
        accepted |= {
            (str(each.abstract_syntax), str(each.transfer_syntax[0])) for each in association.accepted_contexts
        }
        association.release()
    return accepted


def test_stated_sop_classes_are_accepted_and_no_others(tmp_path):
    """Of all that are registered."""
    stated = [
        *uids_below("Verification and Storage Commitment:"),
        *uids_below("whose images are analysed:"),
        *uids_below("that are kept only:"),
    ]
    assert len(stated) == len(set(stated)) > 150
    with running_node(tmp_path) as node:
        accepted = accepted_of(node, [(uid, IMPLICIT) for uid in sorted({*stated, *registered("SOP Class")})])
    assert {uid for uid, _ in accepted} == set(stated)


def test_stated_transfer_syntaxes_are_accepted_and_no_others(tmp_path):
    """For an image and for a report, of all that are registered and a private one."""
    stated = uids_below("are kept, and reported as not analysed.")
    asked = sorted({*stated, *registered("Transfer Syntax"), "1.2.840.113619.5.2"})
    classes = (CT, "1.2.840.10008.5.1.4.1.1.88.34")
    with running_node(tmp_path) as node:
        accepted = accepted_of(node, [(uid, syntax) for uid in classes for syntax in asked])
    assert accepted == {(uid, syntax) for uid in classes for syntax in stated}


def test_the_first_stated_transfer_syntax_is_chosen(tmp_path):
    """Whatever the order in which they are proposed."""
    stated = uids_below("are kept, and reported as not analysed.")
    with running_node(tmp_path) as node:
        association = AE(ae_title="TESTER").associate(
            node.destination.host,
            node.destination.port,
            contexts=[build_context(CT, stated[::-1])],
            ae_title="NODE",
        )
        chosen = [str(context.transfer_syntax[0]) for context in association.accepted_contexts]
        association.release()
    assert chosen == stated[:1]


def negotiation(kind):
    """An item of extended negotiation."""
    if kind == "roles":
        item = SCP_SCU_RoleSelectionNegotiation()
        item.sop_class_uid, item.scu_role, item.scp_role = CT, True, True
    elif kind == "window":
        item = AsynchronousOperationsWindowNegotiation()
        item.maximum_number_operations_invoked = item.maximum_number_operations_performed = 5
    elif kind == "extended":
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid, item.service_class_application_information = CT, b"\x02\x00\x00\x00\x00\x00"
    else:
        item = UserIdentityNegotiation()
        item.user_identity_type, item.primary_field, item.positive_response_requested = 1, b"somebody", True
    return item


@pytest.mark.parametrize("kind", ["roles", "window", "extended", "identity"])
def test_extended_negotiation_is_not_answered(tmp_path, kind):
    """The association is accepted as if the item were not there, which is what the statement says."""
    with running_node(tmp_path) as node:
        association = AE(ae_title="TESTER").associate(
            node.destination.host,
            node.destination.port,
            contexts=[build_context(CT)],
            ae_title="NODE",
            ext_neg=[negotiation(kind)],
        )
        assert association.is_established
        acceptor = association.acceptor
        answered = (acceptor.role_selection, acceptor.sop_class_extended, acceptor.user_identity)
        window = acceptor.asynchronous_operations
        association.release()
    assert not any(answered)
    assert window == (1, 1)
