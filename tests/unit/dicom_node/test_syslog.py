"""Syslog: records by RFC 5424, octet counting and certificates by RFC 5425, datagrams by RFC 5426."""

import re
import socket
import threading
from dataclasses import replace

import pytest

from dicom_node.domain.audit import Collector
from dicom_node.syslog import CollectorError, framed, send_records, syslog_record
from dicom_node.tls import server_context
from tests.builders.audit import collecting
from tests.builders.certificates import authority
from tests.builders.network import HOST, PATIENCE_S, free_port

#: RFC 5424 6: PRI, version, timestamp, host, application, process, message ID, no structured data, BOM and text.
RECORD = re.compile(
    r"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S{1,255}) dicom-node 77 DICOM\+RFC3881 - \ufeff(<.*>)"
)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """Who signs."""
    return authority(tmp_path_factory.mktemp("hospital"))


def record(text="<a/>", **changes):
    """One of process 77."""
    return syslog_record(text, **{"host": "node.example.org", "process": 77, "at": 1764160886.25, **changes})


def test_a_record_is_a_syslog_message():
    """Facility 10, severity 5 or 4 (PS3.15 A.6); text behind a byte order mark."""
    found = RECORD.fullmatch(record("<ä/>"))
    assert found.groups() == ("85", "2025-11-26T12:41:26.250Z", "node.example.org", "<ä/>")
    assert RECORD.fullmatch(record(severity=4))[1] == "84"
    assert RECORD.fullmatch(record(host="two words\n"))[3] == "twowords"
    assert record(host="").split(" ")[2] == "-"


def test_a_frame_counts_octets_and_not_characters():
    """RFC 5425 4.3."""
    assert framed("äb") == b"3 \xc3\xa4b"


def test_records_arrive_whole_and_in_order(hospital):
    """More than one TLS record holds, in one connection."""
    records = [record(f"<m>{number}{'ä' * 3000}</m>") for number in range(20)]
    with collecting(hospital.sign("collector"), shown=hospital.sign("node")) as collector:
        send_records(records, collector.address)
        send_records([record("<last/>")], collector.address)
    assert collector.heard == [*records, record("<last/>")]
    assert collector.litter == b""


@pytest.mark.parametrize(
    "kind", ["no certificate that it believes", "an authority it is not signed by", "its host name"]
)
def test_certificates_are_checked_both_ways(hospital, tmp_path, kind):
    """Nothing is told to a stranger, and nothing counts as arrived that a collector has refused."""
    stranger = authority(tmp_path, "stranger")
    node, shown = (
        hospital.sign("node"),
        hospital.sign("collector", hosts="DNS:elsewhere" if "host" in kind else "IP:127.0.0.1"),
    )
    if "believes" in kind:
        node = replace(stranger.sign("node"), authorities=node.authorities)
    elif "authority" in kind:
        node = replace(node, authorities=stranger.certificate)
    with collecting(shown, shown=node) as collector, pytest.raises(CollectorError, match=r"certificate|its host"):
        send_records([record()], collector.address)
    assert collector.heard == []


def test_nobody_there_is_told(hospital):
    """With what helps."""
    with pytest.raises(CollectorError, match=r"no connection to .*: Connection refused; is it running"):
        send_records([record()], Collector(HOST, free_port(), hospital.sign("node")))
    files = replace(hospital.sign("node"), certificate=hospital.folder / "none.crt")
    told = pytest.raises(CollectorError, match=r"no TLS with .*none\.crt: tls\.certificate: cannot be read")
    with collecting(hospital.sign("collector"), shown=files) as collector, told:
        send_records([record()], collector.address)


def test_a_collector_that_hangs_up_early_gets_all_again(hospital):
    """It took the connection, not what came over it."""
    files = hospital.sign("collector")
    with socket.create_server((HOST, 0)) as listening:
        context = server_context(files, require_peer_certificate=False)

        def hang_up():
            plain, _ = listening.accept()
            context.wrap_socket(plain, server_side=True).close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(CollectorError):
            send_records([record()], Collector(HOST, listening.getsockname()[1], files))
        thread.join(PATIENCE_S)


def test_datagrams_are_one_record_each():
    """RFC 5426 3.1: no framing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.settimeout(PATIENCE_S)
        collector.bind((HOST, 0))
        send_records([record("<a/>"), record("<b/>")], Collector(HOST, collector.getsockname()[1], None))
        assert [collector.recv(1 << 16).decode() for _ in range(2)] == [record("<a/>"), record("<b/>")]
