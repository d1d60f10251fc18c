"""Results on their way to a web server by STOW-RS: what is sent, and what each answer leads to."""

import random
import ssl

import pytest

from dicom_node.checks import reached
from dicom_node.domain.delivery import RetryPolicy
from dicom_node.domain.errors import ObjectRejected, PeerRefused, PeerUnavailable, PeerUnreachable
from dicom_node.domain.web import Credentials, HttpsFiles, Scheme, WebDestination
from dicom_node.outbox import Outbox
from dicom_node.sending import send_folder
from dicom_node.stow import open_stow
from tests.builders.certificates import authority
from tests.builders.network import HOST, MemoryDeliveries, free_port, image_series, saved
from tests.builders.orthanc import dicomweb_plugin, running_orthanc
from tests.builders.web import Answer, answering, bearer, secret_file, stored


def uid_of(asked):
    """The SOP Instance UID of the one part of a request, by its file meta information."""
    meta = asked.body.split(b"\x02\x00\x03\x00UI", 1)[1]
    return meta[2 : 2 + int.from_bytes(meta[:2], "little")].rstrip(b"\0").decode()


def success(asked):
    """An answer of a server that has stored the instance."""
    return Answer(200, stored(uid_of(asked)))


@pytest.fixture
def files(tmp_path):
    """Three images."""
    return [saved(dataset, tmp_path / "results") for dataset in image_series()]


def test_a_file_goes_as_it_is_in_one_part(files):
    """Byte for byte, as multipart/related of application/dicom, and every later one over the same connection."""
    with answering(success) as server, open_stow(server.destination()) as sender:
        assert [sender.send(path) for path in files] == [0, 0, 0]
    asked = server.asked[0]
    kind, boundary = asked.headers["Content-Type"].split("; boundary=")
    assert kind == 'multipart/related; type="application/dicom"'
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    assert asked.body == head + files[0].read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    assert asked.path == "/dicom-web/studies"
    assert asked.headers["Accept"] == "application/dicom+json"
    assert "Authorization" not in asked.headers


@pytest.mark.parametrize(
    ("scheme", "secret", "shown"),
    [(Scheme.BEARER, "a.b-c", "Bearer a.b-c"), (Scheme.BASIC, "user:word", "Basic dXNlcjp3b3Jk")],
)
def test_the_secret_of_the_file_is_shown(files, tmp_path, scheme, secret, shown):
    """A bearer token, or user name and password."""
    credentials = Credentials(scheme, secret_file(tmp_path / "secret", secret))
    with answering(success) as server, open_stow(server.destination(credentials)) as sender:
        sender.send(files[0])
    assert server.asked[0].headers["Authorization"] == shown


def test_a_secret_that_others_may_read_is_not_used(tmp_path):
    """It is no secret any more; what to do is told, the secret is not."""
    token = secret_file(tmp_path / "token", "a.b-c", mode=0o644)
    destination = WebDestination("web", "http://127.0.0.1:1", bearer(token))
    with pytest.raises(PeerUnavailable, match="chmod 600") as caught, open_stow(destination):
        pass
    assert "a.b-c" not in str(caught.value)


def test_a_server_that_hangs_up_is_lost_for_this_time(files):
    """The object is tried again later; those after it do not wait for time-outs of their own."""
    with answering(lambda _asked: None) as server, open_stow(server.destination()) as sender:
        for path in files[:2]:
            with pytest.raises(PeerUnreachable):
                sender.send(path)
    assert len(server.asked) == 1


def test_a_redirection_is_not_followed(files):
    """Whoever is named there was not configured."""
    with answering(success) as elsewhere:
        moved = Answer(307, headers={"Location": f"{elsewhere.url}/studies"})
        with (
            answering(lambda _asked: moved) as server,
            open_stow(server.destination()) as sender,
            pytest.raises(PeerUnavailable, match="307"),
        ):
            sender.send(files[0])
    assert elsewhere.asked == []


def test_an_endless_answer_is_cut_off(files):
    """What is longer than any answer says nothing of the instance."""
    with (
        answering(lambda asked: Answer(200, b" " * (2 << 20) + stored(uid_of(asked)))) as server,
        open_stow(server.destination()) as sender,
        pytest.raises(PeerRefused, match="HTTP 200"),
    ):
        sender.send(files[0])


def test_a_file_that_is_gone_is_final(tmp_path):
    """Nothing can be sent any more."""
    destination = WebDestination("web", f"http://{HOST}:{free_port()}")
    with open_stow(destination) as sender, pytest.raises(ObjectRejected, match="is gone"):
        sender.send(tmp_path / "gone.dcm")


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """An authority."""
    return authority(tmp_path_factory.mktemp("hospital"))


def https_server(shown, wanted=None):
    """What an HTTPS server has; `wanted` is whose certificates it asks for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.certificate, shown.key)
    if wanted is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(wanted)
    return context


def test_https_is_verified_against_the_given_authorities(files, hospital):
    """With them it goes; with those of the system alone it does not, and the reason is told."""
    context = https_server(hospital.sign("server"))
    with answering(success, context) as server:
        with open_stow(server.destination(https=HttpsFiles(authorities=hospital.certificate))) as sender:
            assert sender.send(files[0]) == 0
        with (
            open_stow(server.destination()) as sender,
            pytest.raises(PeerUnreachable, match="certificate is not valid"),
        ):
            sender.send(files[0])


def test_a_certificate_must_name_the_host(files, hospital):
    """One of the same authority for another host does not do."""
    context = https_server(hospital.sign("other", hosts="DNS:elsewhere.example"))
    with (
        answering(success, context) as server,
        open_stow(server.destination(https=HttpsFiles(authorities=hospital.certificate))) as sender,
        pytest.raises(PeerUnreachable, match="certificate is not valid"),
    ):
        sender.send(files[0])


def test_a_certificate_of_our_own_is_shown_where_it_is_asked_for(files, hospital):
    """With it the server takes the object, without it nothing."""
    context, own = https_server(hospital.sign("server"), hospital.certificate), hospital.sign("node")
    with answering(success, context) as server:
        with open_stow(server.destination(https=HttpsFiles(own.certificate, own.key, own.authorities))) as sender:
            assert sender.send(files[0]) == 0
        with (
            open_stow(server.destination(https=HttpsFiles(authorities=own.authorities))) as sender,
            pytest.raises(PeerUnreachable),
        ):
            sender.send(files[0])


@pytest.fixture
def deliveries():
    """An empty store of deliveries."""
    return MemoryDeliveries()


def outbox_for(deliveries, destination):
    """An outbox at 100 s that knows one web server."""
    return Outbox(deliveries, {"web": destination}, "NODE", lambda: 100.0, RetryPolicy(3600.0, random.Random(7)))


def test_the_queue_is_that_of_c_store(files, deliveries):
    """What must wait holds back its job, what is rejected is dead with its reason, the rest arrives in order."""
    for path, job in zip(files, (1, 1, 2), strict=True):
        deliveries.add(path, peer="web", job_id=job)
    full = files[0].stem

    def answer(asked):
        return Answer(202, stored(full, failure=0xA700)) if uid_of(asked) == full else success(asked)

    with answering(answer) as server:
        assert outbox_for(deliveries, server.destination()).deliver_due() == 1
    assert [uid_of(asked) for asked in server.asked] == [files[0].stem, files[2].stem]
    assert deliveries.statuses == {3: 0}
    assert "0xA700" in deliveries.reasons[1]
    with answering(lambda asked: Answer(409, stored(uid_of(asked), failure=0x0122))) as server:
        outbox = outbox_for(deliveries, server.destination())
        deliveries.due_at |= {1: 0.0, 2: 0.0}
        assert outbox.deliver_due() == 0
    assert "0x0122" in deliveries.buried[1]
    assert "0x0122" in deliveries.buried[2]


def test_a_busy_server_is_left_alone_as_long_as_it_asks(files, deliveries):
    """Retry-After counts where it is longer than the delay there would be; nothing else is sent in this turn."""
    for path in files:
        deliveries.add(path, peer="web")
    with answering(lambda _asked: Answer(503, headers={"Retry-After": "120"})) as server:
        assert outbox_for(deliveries, server.destination()).deliver_due() == 0
    assert len(server.asked) == 1
    assert set(deliveries.due_at.values()) == {220.0}


def test_orthanc_takes_results_and_says_so(files, tmp_path):
    """A real server: the probe, a folder as `dicom-node send` sends it, and the same again."""
    with running_orthanc(tmp_path / "orthanc", plugins=[dicomweb_plugin()]) as orthanc:
        destination = WebDestination("web", f"http://{HOST}:{orthanc.http_port}/dicom-web")
        assert "HTTP 200" in reached(destination, "NODE")
        for _ in range(2):
            assert [result.status for result in send_folder(files[0].parent, destination, "NODE")] == [0, 0, 0]
        held = {each["SOPInstanceUID"] for each in orthanc.instances()}
        assert held == {path.stem for path in files}
        wrong = WebDestination("web", f"http://{HOST}:{orthanc.http_port}/nothing-here")
        with pytest.raises(PeerUnavailable, match="is its URL that of its DICOMweb services"):
            reached(wrong, "NODE")
