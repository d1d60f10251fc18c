"""Uploads by STOW-RS over real sockets: what is kept, what is answered, and who is held to which bounds."""

import json
import logging
import socket
import threading
from contextlib import suppress
from dataclasses import replace

import pytest

from dicom_node.domain.calls import CallOutcome
from dicom_node.domain.errors import OutOfResources
from dicom_node.domain.web import HttpsFiles, WebDestination
from dicom_node.stow import open_stow
from dicom_node.tls import ServerTls
from dicom_node.web.access import KnownSender
from dicom_node.web.multipart_related import BLOCK_BYTES
from tests.builders.certificates import authority
from tests.builders.command import eventually
from tests.builders.datasets import encoded
from tests.builders.network import HOST, PATIENCE_S, MemoryRegister, dataset_bytes, image_series, saved
from tests.builders.orthanc import dicomweb_plugin, running_orthanc
from tests.builders.uploads import BOUNDARY, RELATED, part, related, running_web

STUDIES = "/dicom-web/studies"


@pytest.fixture
def images():
    """Three images of one study."""
    return image_series()


@pytest.fixture
def node(tmp_path):
    """A node to which anybody may store."""
    with running_web(tmp_path / "node") as running:
        yield running


def test_objects_are_kept_byte_for_byte_and_named_in_the_answer(node, images, tmp_path):
    """200, each under Referenced SOP Sequence; the file meta information is the node's own, the data set as it came."""
    said = node.post(related([encoded(image) for image in images]))
    assert said.status == 200
    assert said.headers["content-type"] == "application/dicom+json"
    assert said.stored == [image.SOPInstanceUID for image in images]
    assert said.told["00081190"] == {"vr": "UR"}
    assert "00081198" not in said.told
    kept = {path.stem: path for path in node.files}
    for image in images:
        assert dataset_bytes(kept[image.SOPInstanceUID]) == dataset_bytes(saved(image, tmp_path / "sent"))
    assert node.register.callers == ["TESTER"] * 3
    assert node.leftovers == []


def test_our_own_user_agent_is_understood(node, images, tmp_path):
    """Out and in are two ends of one thing; the same object again is a success, and kept once."""
    paths = [saved(image, tmp_path / "sent") for image in images]
    with open_stow(WebDestination("web", f"http://{HOST}:{node.port}/dicom-web")) as sender:
        assert [sender.send(path) for path in (*paths, paths[0])] == [0, 0, 0, 0]
        assert sender.probe() == 400
    assert len(node.files) == 3


def test_a_part_of_large_size_goes_by_way_of_the_disk(node, images):
    """It is the same in the end, whether a part was held in memory or not."""
    images[0].PixelData = bytes(3 << 20)
    assert node.post(related([encoded(image) for image in images])).status == 200
    assert {path.stat().st_size > 3 << 20 for path in node.files} == {True, False}
    assert node.leftovers == []


def test_a_body_without_a_length_comes_in_chunks(node, images):
    """As user agents send that do not know how much there will be."""
    body = related([encoded(image) for image in images])
    assert node.post(iter([body[:1000], body[1000:5000], body[5000:]])).status == 200
    assert len(node.files) == 3


def test_some_fail_and_the_others_are_stored(node, images):
    """202: garbage has no name to be told by, the rest has; no failure of one part touches another."""
    images[1].SOPClassUID = "1.2.3"
    good, unknown, mismatch = map(encoded, images)
    uid = images[2].SOPInstanceUID
    wrong_uid = "1" * len(uid)
    no_uid, mismatch = (mismatch.replace(uid.encode(), b"%c" % sign * len(uid), 1) for sign in b"\n1")
    other_syntax = good.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0", 1)
    garbage = [b"", b"garbage", bytes(128) + b"DICM" + b"\xff" * 50, good[:200], bytes(1 << 17), no_uid]
    said = node.post(related([*garbage, good, unknown, mismatch, other_syntax]))
    assert said.status == 202
    assert said.stored == [images[0].SOPInstanceUID]
    assert said.failed == {images[1].SOPInstanceUID: 0x0122, wrong_uid: 0xA900, images[0].SOPInstanceUID: 0xC122}
    assert said.unreadable == [0xC000] * len(garbage)
    assert len(node.files) == 1


@pytest.mark.parametrize(
    ("contents", "status"), [([], 400), ([b"garbage"], 400), ([bytes(128) + b"DICM"], 400), (None, 409)]
)
def test_nothing_stored_is_told_by_the_status(node, images, contents, status):
    """400 where nothing was a DICOM file, 409 where objects were not acceptable."""
    if contents is None:
        images[0].SOPClassUID = "1.2.3"
        contents = [encoded(images[0])]
    assert node.post(related(contents)).status == status
    assert node.files == []


def test_a_part_of_another_kind_is_a_failure(node, images):
    """And one that does not say what it is may be what it must be."""
    end = f"--{BOUNDARY}--\r\n".encode()
    said = node.post(part(b"{}", "application/dicom+json") + part(encoded(images[0]), None) + end)
    assert (said.status, said.unreadable, len(said.stored)) == (202, [0xC000], 1)


def test_the_study_of_the_url_holds(node, images):
    """An object of another study is not stored there; a URL that names none is no request."""
    study, body = images[0].StudyInstanceUID, related([encoded(images[0])])
    said = node.post(body, f"{STUDIES}/1.2.3")
    assert (said.status, said.failed) == (409, {images[0].SOPInstanceUID: 0xA900})
    assert node.post(body, f"{STUDIES}/{study}").status == 200
    assert node.post(body, f"{STUDIES}/..%5C..").status == 400
    assert node.post(body, f"{STUDIES}/").status == 404


@pytest.mark.parametrize(
    ("content_type", "status"),
    [("application/dicom", 415), ('multipart/related; type="application/dicom+json"; boundary=x', 415),
     ("multipart/form-data; boundary=x", 415), ("multipart/related", 400), ("", 415),
     (f"multipart/related; boundary={'x' * 257}", 400), (f"multipart/related; boundary={BOUNDARY}", 200)],
)  # fmt: skip
def test_the_media_type_must_be_that_of_dicom_files(node, images, content_type, status):
    """415 for what else STOW-RS may carry, 400 for a boundary that is none."""
    assert node.post(related([encoded(images[0])]), Content_Type=content_type).status == status


def test_what_is_compressed_is_not_unpacked(node, images):
    """Nobody knows how large it would become."""
    assert node.post(related([encoded(images[0])]), Content_Encoding="gzip").status == 415


def test_an_answer_in_xml_alone_cannot_be_had(node, images):
    """Before anything is stored."""
    body = related([encoded(images[0])])
    assert node.post(body, Accept="application/dicom+xml").status == 406
    assert node.files == []
    assert node.post(body, Accept="application/dicom+xml, application/*;q=0.5").status == 200


def test_a_body_that_breaks_off_keeps_what_came(node, images):
    """400, with the objects that are stored all the same."""
    said = node.post(related([encoded(image) for image in images])[:-60])
    assert said.status == 400
    assert said.stored == [image.SOPInstanceUID for image in images[:2]]
    assert len(node.files) == 2


def test_an_object_that_is_too_large_ends_the_request(tmp_path, images):
    """413, with those before it; not more of it is held than the bound."""
    images[1].PixelData = bytes(1 << 20)
    with running_web(tmp_path / "node", part_bytes=1 << 20) as node:
        said = node.post(related([encoded(image) for image in images]))
        assert (said.status, said.stored) == (413, [images[0].SOPInstanceUID])
        assert node.leftovers == []


def test_a_full_disk_is_told_and_may_be_tried_again(tmp_path, images):
    """503 with Retry-After, while a large part comes or when it is to be kept."""
    images[0].PixelData = bytes(3 << 20)
    with running_web(tmp_path / "node", minimum_free_bytes=1 << 60) as node:
        said = node.post(related([encoded(images[0])]))
        assert (said.status, said.headers["retry-after"], node.files) == (503, "60", [])

    class FullRegister(MemoryRegister):
        def record_instance(self, instance, *, calling_ae, now):
            raise OutOfResources("full")

    with running_web(tmp_path / "other", register=FullRegister()) as node:
        said = node.post(related([encoded(images[1])]))
        assert (said.status, said.failed) == (503, {images[1].SOPInstanceUID: 0xA700})
        assert said.headers["retry-after"] == "60"


def test_a_fault_of_this_node_is_no_traceback(tmp_path, images, caplog):
    """500 without a word, and a line in the log without what the exception said."""

    class BrokenRegister(MemoryRegister):
        def record_instance(self, instance, *, calling_ae, now):
            raise ZeroDivisionError("DOE^JANE")

    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    with running_web(tmp_path / "node", register=BrokenRegister()) as node:
        said = node.post(related([encoded(images[0])]))
    assert (said.status, said.told) == (500, {})
    assert "ZeroDivisionError at test_stow_in.py" in caplog.text
    assert "DOE^JANE" not in caplog.text


@pytest.mark.parametrize(
    ("shown", "status"),
    [("Bearer right", 200), ("bearer right", 200), ("Bearer wrong", 401), ("", 401), ("Basic right", 401)],
)
def test_a_token_lets_in(tmp_path, images, shown, status):
    """Who shows none or a wrong one is turned away before anything is read, and stands in the list of callers."""
    with running_web(tmp_path / "node", senders=[KnownSender("PACS", "right", None)]) as node:
        said = node.post(related([encoded(images[0])]), Authorization=shown)
        assert said.status == status
        [call] = node.calls
    assert call.address == HOST
    if status == 200:
        assert node.register.callers == ["PACS"]
        assert call.outcome is CallOutcome.ACCEPTED
    else:
        assert said.headers["www-authenticate"] == "Bearer"
        assert call.outcome is CallOutcome.REJECTED
        assert "web.stow.from" in call.remedy
        assert node.files == []


def test_an_address_is_that_of_the_connection(tmp_path, images):
    """Whatever a caller says of where it comes from."""
    near, far = (KnownSender("PACS", None, (address,)) for address in (HOST, "198.51.100.7"))
    body = related([encoded(images[0])])
    for sender, status in ((near, 200), (far, 401)):
        with running_web(tmp_path / sender.addresses[0], senders=[sender]) as node:
            assert node.post(body, X_Forwarded_For="198.51.100.7").status == status


def test_a_large_upload_of_a_stranger_gets_its_answer(tmp_path):
    """It is told why before the connection ends, however much it sends."""
    with running_web(tmp_path / "node", senders=[KnownSender("PACS", "right", None)]) as node:
        assert node.post(iter([bytes(1 << 20)] * 20)).status == 401


def test_https_with_certificates_both_ways(tmp_path, images):
    """As with DICOM over TLS: who shows no certificate does not get as far as its request."""
    hospital = authority(tmp_path / "hospital")
    tls = ServerTls(hospital.sign("node"), require_peer_certificate=True)
    own, path = hospital.sign("peer"), saved(images[0], tmp_path / "sent")
    with running_web(tmp_path / "node", tls=tls) as node:
        known = HttpsFiles(own.certificate, own.key, own.authorities)
        there = WebDestination("web", f"https://{HOST}:{node.port}/dicom-web", https=known)
        with open_stow(there) as sender:
            assert sender.send(path) == 0
        anonymous = replace(there, https=HttpsFiles(authorities=own.authorities))
        with open_stow(anonymous) as sender, pytest.raises(Exception, match="https://"):
            sender.send(path)
        assert len(node.files) == 1


def test_renewed_certificates_are_used_without_a_restart(tmp_path, images):
    """The next connection sees the new one."""
    first, second = authority(tmp_path / "first"), authority(tmp_path / "second", "second")
    files, path = first.sign("node"), saved(images[0], tmp_path / "sent")
    tls = ServerTls(files, require_peer_certificate=False)
    with running_web(tmp_path / "node", tls=tls) as node:
        for signer in (first, second):
            renewed = signer.sign("node")
            files.key.write_bytes(renewed.key.read_bytes())
            files.certificate.write_bytes(renewed.certificate.read_bytes())
            there = f"https://{HOST}:{node.port}/dicom-web"
            with open_stow(WebDestination("web", there, https=HttpsFiles(authorities=signer.certificate))) as sender:
                assert sender.send(path) == 0


def test_orthanc_sends_images_by_stow_rs(tmp_path, images):
    """A real user agent: it shows its token, and takes our answer for a success."""
    with (
        running_web(tmp_path / "node", senders=[KnownSender("ORTHANC", "a-token", None)]) as node,
        running_orthanc(tmp_path / "orthanc", plugins=[dicomweb_plugin()]) as orthanc,
    ):
        there = {"Url": f"http://{HOST}:{node.port}/dicom-web/", "HttpHeaders": {"Authorization": "Bearer a-token"}}
        orthanc.post("/dicom-web/servers/node", json.dumps(there).encode(), method="PUT")
        sent = [orthanc.post("/instances", encoded(image))["ID"] for image in images]
        told = orthanc.post("/dicom-web/servers/node/stow", json.dumps({"Resources": sent}).encode())
        assert told["InstancesCount"] == "3"
    assert {path.stem for path in node.files} == {image.SOPInstanceUID for image in images}
    assert node.register.callers == ["ORTHANC"] * 3


def raw(port, content):
    """A connection on which this was sent."""
    connection = socket.create_connection((HOST, port), PATIENCE_S)
    connection.sendall(content)
    return connection


HEADER = f"POST {STUDIES} HTTP/1.1\r\nHost: x\r\nContent-Type: {RELATED}\r\nContent-Length: 100000\r\n\r\n".encode()


def test_a_stalled_upload_is_ended(tmp_path):
    """408 when no block comes in time."""
    with running_web(tmp_path / "node", idle_s=0.2) as node, raw(node.port, HEADER + part(b"abc")) as stalled:
        assert stalled.recv(12) == b"HTTP/1.1 408"


@pytest.mark.parametrize("content", [b"", b"POST /dicom-web/stu"])
def test_a_header_that_does_not_come_is_not_waited_for(tmp_path, content):
    """The connection is ended, silent or slow."""
    with running_web(tmp_path / "node", header_s=0.2) as node, raw(node.port, content) as slow:
        with suppress(ConnectionResetError):
            assert slow.recv(1) == b""
        assert node.calls == []


@pytest.mark.parametrize("over_tls", [False, True])
def test_one_connection_too_many_is_hung_up_on(tmp_path, over_tls):
    """Also while those before it have not got through the TLS handshake; when one goes there is room again."""
    tls = ServerTls(authority(tmp_path / "own").sign("node"), require_peer_certificate=False) if over_tls else None
    with running_web(tmp_path / "node", tls=tls, most_connections=1) as node, raw(node.port, b"") as first:
        with raw(node.port, b"") as second:
            assert second.recv(1) == b""
        first.close()

        def there_is_room():
            with raw(node.port, b"") as third:
                third.settimeout(0.2)
                try:
                    return third.recv(1) != b""
                except TimeoutError:
                    return True

        assert eventually(there_is_room, PATIENCE_S)


def test_an_open_upload_counts_for_its_study(node, images):
    """From its first stored object to its end: the study is not complete before."""
    images[1].PixelData = bytes(BLOCK_BYTES)
    study, body = images[0].StudyInstanceUID, related([encoded(image) for image in images])
    length = f"Content-Length: {len(body)}".encode()
    with raw(node.port, HEADER.replace(b"Content-Length: 100000", length) + body[:-100]) as upload:
        assert eventually(lambda: node.uploads.serving(study) == 1, PATIENCE_S)
        assert node.uploads.serving("1.2.3") == 0
        upload.sendall(body[-100:])
        assert upload.recv(12) == b"HTTP/1.1 200"
    assert eventually(lambda: node.uploads.serving(study) == 0, PATIENCE_S)


def test_stopping_lets_the_object_under_way_finish(tmp_path, images):
    """Whoever is told of success has it; the server is gone after it."""
    entered, go_on = threading.Event(), threading.Event()

    class SlowRegister(MemoryRegister):
        def record_instance(self, instance, *, calling_ae, now):
            entered.set()
            assert go_on.wait(PATIENCE_S)
            return super().record_instance(instance, calling_ae=calling_ae, now=now)

    said = []
    with running_web(tmp_path / "node", register=SlowRegister()) as node:
        sending = threading.Thread(target=lambda: said.append(node.post(related([encoded(images[0])]))))
        sending.start()
        assert entered.wait(PATIENCE_S)
        threading.Timer(0.2, go_on.set).start()
    sending.join(PATIENCE_S)
    assert [each.status for each in said] == [200]
    assert len(node.files) == 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, node.port))
