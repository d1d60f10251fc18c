"""Who may come in, and what the rejection tells to change."""

import re

import pytest
import yaml

from dicom_node.admission import Admitted, AssociationRequest, KnownPeer, Rejected, admit
from dicom_node.doorkeeping import admission
from dicom_node.settings import load_settings

PACS = KnownPeer("PACS", "HOSPITAL", frozenset({"192.0.2.1", "2001:db8::1"}))
TWIN = KnownPeer("TWIN", "HOSPITAL", frozenset({"192.0.2.2"}))
WARD = KnownPeer("WARD", "WARD", ("10.1.0.0/16", "2001:db8:1::/48", "192.0.2.77"), addresses_key="addresses")
BUSY = KnownPeer("BUSY", "BUSY", frozenset({"192.0.2.3"}), maximum_associations=2)


def asked(calling="HOSPITAL", address="192.0.2.1", called="AINODE", peers=(PACS, TWIN, WARD, BUSY), others=(0, 0)):
    """The decision about an association; `others` are open, in all and of this caller."""
    return admit(AssociationRequest(calling, called, address, *others), peers, "AINODE", 32)


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"calling": "HOSPITAL        ", "called": " AINODE"},
        {"address": "192.0.2.2"},
        {"address": "::ffff:192.0.2.1"},
        {"address": "2001:0db8:0:0::1"},
        {"calling": "WARD", "address": "10.1.255.3"},
        {"calling": "WARD", "address": "::ffff:10.1.2.3"},
        {"calling": "WARD", "address": "2001:db8:1:2::3"},
        {"calling": "WARD", "address": "192.0.2.77"},
    ],
    ids=["as configured", "padded", "namesake", "IPv4 over IPv6", "long form", "network", "network over IPv6",
         "IPv6 network", "address beside networks"],
)  # fmt: skip
def test_known_peers_are_admitted(request_):
    """AE titles are compared without padding, addresses by value, and peers may share an AE title."""
    assert isinstance(asked(**request_), Admitted)


@pytest.mark.parametrize(
    ("request_", "numbers", "words"),
    [
        ({"called": "AI_NODE"}, (1, 1, 7), ["'AI_NODE'", "'AINODE'", "`node: {ae_title: AI_NODE}`"]),
        ({"called": "ainode"}, (1, 1, 7), ["'ainode'"]),
        ({"called": ""}, (1, 1, 7), ["''"]),
        ({"calling": "STRANGER"}, (1, 1, 3), ["'STRANGER'", "receive.from"]),
        ({"calling": "hospital"}, (1, 1, 3), ["'hospital'"]),
        ({"peers": ()}, (1, 1, 3), ["receive.from"]),
        ({"address": "192.0.2.9"}, (1, 1, 3), ["192.0.2.9", "peers.PACS.host", "peers.TWIN.host (192.0.2.2)"]),
        ({"calling": "WARD", "address": "10.2.0.1"}, (1, 1, 3), ["10.2.0.1", "peers.WARD.addresses (10.1.0.0/16"]),
        ({"calling": "STRANGER", "called": "AI_NODE"}, (1, 1, 7), ["AI_NODE"]),
        ({"calling": "BUSY", "address": "192.0.2.3", "others": (9, 2)}, (2, 3, 2), ["maximum_associations: 3"]),
        ({"others": (32, 1)}, (2, 3, 2), ["32 associations", "`node: {maximum_associations: 64}`"]),
    ],
)
def test_others_are_rejected_with_the_standards_numbers(request_, numbers, words):
    """PS3.8 Table 9-21: 1/1/7 for a wrong called AE title, 1/1/3 for a calling one, 2/3/2 without room; the reason
    and the remedy say what to change."""
    decision = asked(**request_)
    assert isinstance(decision, Rejected)
    assert (decision.result, decision.source, decision.diagnostic) == numbers
    assert [word for word in words if word not in f"{decision.reason}; {decision.remedy}"] == []


def test_peer_whose_host_is_unknown_is_told():
    """A peer whose host resolves to nothing is rejected, and the reason says that no address is known."""
    decision = asked(peers=[KnownPeer("PACS", "HOSPITAL", ())])
    assert "peers.PACS.host (unknown)" in decision.reason


@pytest.mark.parametrize(("open_now", "admitted"), [(0, True), (31, True), (32, False), (40, False)])
def test_associations_over_the_limit_may_try_again(open_now, admitted):
    """At the limit the rejection is transient."""
    assert isinstance(asked(others=(open_now, 0)), Admitted) is admitted


@pytest.mark.parametrize(("open_of_caller", "admitted"), [(0, True), (1, True), (2, False)])
def test_a_peer_may_have_a_limit_of_its_own(open_of_caller, admitted):
    """Below that of the node."""
    assert isinstance(asked("BUSY", "192.0.2.3", others=(5, open_of_caller)), Admitted) is admitted


CONFIG = """\
node: {ae_title: AINODE}
peers:
  PACS: {ae_title: PACS, host: 192.0.2.1, port: 104}
  MR: {ae_title: MR_ONE, host: 192.0.2.2, port: 104, maximum_associations: 1}
receive: {from: [PACS]}
deliver: {to: []}
"""


def merged(base, change):
    """A mapping with another laid over it."""
    both = dict(base)
    for key, value in change.items():
        both[key] = merged(both[key], value) if isinstance(value, dict) and key in both else value
    return both


@pytest.mark.parametrize(
    "request_",
    [
        AssociationRequest("CT 1", "AINODE", "192.0.2.7", 0),
        AssociationRequest("no", "AINODE", "2001:db8::7", 0),
        AssociationRequest("MR_ONE", "AINODE", "192.0.2.2", 0),
        AssociationRequest("PACS", "AINODE", "192.0.2.8", 0),
        AssociationRequest("PACS", "ai:node", "192.0.2.1", 0),
        AssociationRequest("PACS", "AINODE", "192.0.2.1", 32),
    ],
    ids=["stranger", "stranger whose AE title is a word of YAML", "peer that may not send", "peer elsewhere",
         "other called AE title", "full"],
)  # fmt: skip
def test_the_remedy_lets_it_in(tmp_path, request_):
    """What stands between backticks, written where the remedy says, is a configuration that admits the caller."""
    path = tmp_path / "node.yaml"
    path.write_text(CONFIG)
    refusal = admission(load_settings(path, {}), request_)
    values = yaml.safe_load(CONFIG)
    for written in re.findall("`([^`]*)`", refusal.remedy):
        change = yaml.safe_load(written if written.startswith(("node", "receive")) else f"{{{written}}}")
        if "under peers" in refusal.remedy and "receive" not in change:
            change = {"peers": change}
        elif to := re.search(r"to peers\.(\w+)", refusal.remedy):
            change = {"peers": {to[1]: change}}
        values = merged(values, change)
    path.write_text(yaml.safe_dump(values))
    assert admission(load_settings(path, {}), request_) is None
