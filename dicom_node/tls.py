"""TLS by PS3.15 B.12 (BCP 195: RFC 8996 and 9325): contexts from PEM files, and what went wrong in words.

TLS 1.2 or later, with forward secrecy and authenticated encryption, certificates both ways. A file that cannot be used
is told as a fault of the configuration, with its name and the remedy.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path

from dicom_node.domain.delivery import Destination, TlsFiles
from dicom_node.domain.errors import Fault, PeerUnreachable, SettingsError

_LOGGER = logging.getLogger(__name__)

#: RFC 9325 4.2; TLS 1.3 has suites of its own, all of which are sound.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM"
#: OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which the ssl module has no name for.
_WHATEVER_THE_DATE = 0x200000
#: Turns of each end in which a handshake is done.
_MOST_FLIGHTS = 4
#: OpenSSL's X509_V_ERR_*.
_NOT_YET_VALID, _EXPIRED = 9, 10

#: OpenSSL's reason -> what the other side did, and what helps.
_REASONS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": (
        "it showed no certificate",
        "give it one that an authority in `node: {tls: {authorities: ...}}` has signed",
    ),
    "UNSUPPORTED_PROTOCOL": ("it knows no TLS 1.2 or later", "bring its TLS up to date; older versions are not safe"),
    "WRONG_VERSION_NUMBER": ("it spoke without TLS, or not DICOM", "switch TLS on at the peer, for this port"),
    "NO_SHARED_CIPHER": (
        "no cipher suite is known to both",
        "allow it one with ECDHE and AES-GCM, the BCP 195 profile of its TLS",
    ),
}
_REASONS["TLSV1_ALERT_PROTOCOL_VERSION"] = _REASONS["UNSUPPORTED_PROTOCOL"]
_REASONS["HTTP_REQUEST"] = _REASONS["WRONG_VERSION_NUMBER"]
_HUNG_UP = (
    "it hung up in the handshake",
    "see that TLS is on at the peer for this port, and in its log whether it believes this node's certificate",
)
_REASONS["UNEXPECTED_EOF_WHILE_READING"] = _HUNG_UP
_DOUBTS_US = (
    "it does not believe this node's certificate",
    "have it trust the authority that signed node.tls.certificate; see with `dicom-node check` that it is valid",
)


def server_context(files: TlsFiles, *, require_peer_certificate: bool) -> ssl.SSLContext:
    """What callers meet. Raises SettingsError for a file that cannot be used."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, files)
    context.verify_mode = ssl.CERT_REQUIRED if require_peer_certificate else ssl.CERT_OPTIONAL
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """What a server meets that speaks no DICOM. Raises SettingsError for a file that cannot be used."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, files)
    context.check_hostname = files.check_host_name
    return context


class ClientTls(ssl.SSLContext):
    """The context of one association out; it remembers how the handshake failed, which pynetdicom does not tell."""

    problem: OSError | None = None

    def failure(self, destination: Destination) -> PeerUnreachable | None:
        """Why there is no TLS connection, when the handshake is what failed."""
        if self.problem is None:
            return None
        reason, remedy = why_no_tls(self.problem)
        return PeerUnreachable(f"no TLS with {destination}: {reason}; {remedy}")


def client_tls(destination: Destination) -> ClientTls | None:
    """For a peer that is called over TLS, with the files as they are now: the next association uses what was renewed.

    Raises PeerUnreachable when one cannot be used.
    """
    if destination.tls is None:
        return None
    try:
        context = _context(ssl.PROTOCOL_TLS_CLIENT, destination.tls)
    except SettingsError as error:
        raise PeerUnreachable(f"no TLS with {destination}: {error}") from error
    context.sslsocket_class = _NotingSocket
    context.check_hostname = destination.tls.check_host_name
    return context


class _NotingSocket(ssl.SSLSocket):
    """Closes itself where it fails: pynetdicom shuts it down first, and leaves it open when that fails."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError as error:
            if isinstance(self.context, ClientTls):
                self.context.problem = error
            self.close()
            raise

    def shutdown(self, how: int) -> None:
        try:
            super().shutdown(how)
        except OSError:
            self.close()
            raise


class ServerTls:
    """The context for new connections; when one of its files has changed, the next connection gets a new one.

    Files that cannot be used when they change are told in the log, and the context before them stays. Safe for
    threads. Raises SettingsError when they cannot be used at first.
    """

    def __init__(self, files: TlsFiles, *, require_peer_certificate: bool) -> None:
        self._files = files
        self._require = require_peer_certificate
        self._lock = threading.Lock()
        self._seen = _states(files)
        self._context = server_context(files, require_peer_certificate=require_peer_certificate)

    def context(self) -> ssl.SSLContext:
        """The one to use now."""
        with self._lock:
            states = _states(self._files)
            if states != self._seen:
                self._seen = states
                self._reload()
            return self._context

    def _reload(self) -> None:
        try:
            self._context = server_context(self._files, require_peer_certificate=self._require)
        except SettingsError as error:
            _LOGGER.error(  # noqa: TRY400  # the message is the remedy
                "TLS goes on with the files before: %s", error, extra={"action": "tls_reload_failed"}
            )
        else:
            _LOGGER.info("TLS uses the changed files from now on", extra={"action": "tls_reloaded"})


def why_no_tls(error: OSError) -> tuple[str, str]:
    """Why a handshake failed, and what would help, told of the other side."""
    if isinstance(error, ssl.SSLCertVerificationError):
        remedies = {_EXPIRED: "renew it", _NOT_YET_VALID: "see whether both clocks are right"}
        unknown = "have it signed by an authority in `authorities`, or add its authority there"
        return f"its certificate is not valid: {error.verify_message}", remedies.get(error.verify_code, unknown)
    if isinstance(error, ssl.SSLError) and error.reason is not None:
        if error.reason in _REASONS:
            return _REASONS[error.reason]
        if "ALERT" in error.reason and ("CERTIFICATE" in error.reason or "UNKNOWN_CA" in error.reason):
            return _DOUBTS_US
        words = error.reason.replace("_", " ").lower()
        return f"the handshake failed: {words}", "see the peer's own log of its TLS"
    if isinstance(error, TimeoutError):
        return "it did not finish the handshake in time", "switch TLS on at the peer, for this port"
    return _HUNG_UP


def expiry(files: TlsFiles) -> float:
    """When the certificate ends, in seconds since the epoch, past or not. Raises SettingsError.

    The ssl module tells the dates of a certificate only to whom it was shown: this shows it to itself.
    """
    server = _context(ssl.PROTOCOL_TLS_SERVER, files)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(_WHATEVER_THE_DATE)
    client.load_verify_locations(files.certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    try:
        for _ in range(_MOST_FLIGHTS):
            for end in ends:
                _shake_hands(end)
    except ssl.SSLError as error:
        reason, _ = why_no_tls(error)
        raise _unusable(files.certificate, "certificate", reason, "have one made for servers and clients") from error
    return ssl.cert_time_to_seconds(str((ends[0].getpeercert() or {})["notAfter"]))


def authorities_expired(files: TlsFiles) -> tuple[str, ...]:
    """The names of authorities whose certificates have ended. Raises SettingsError."""
    found = _context(ssl.PROTOCOL_TLS_CLIENT, files).get_ca_certs()
    ended = [each for each in found if ssl.cert_time_to_seconds(str(each["notAfter"])) < time.time()]
    return tuple(str(each["subject"]) for each in ended)


def _shake_hands(end: ssl.SSLObject) -> None:
    """As far as it goes before the other end has answered; nothing more when it is done."""
    with suppress(ssl.SSLWantReadError):
        end.do_handshake()


def _context(protocol: int, files: TlsFiles) -> ClientTls:
    pairs = (("certificate", files.certificate, b"-----BEGIN CERTIFICATE-----"),
             ("key", files.key, b"PRIVATE KEY-----"),
             ("authorities", files.authorities, b"-----BEGIN CERTIFICATE-----"))  # fmt: skip
    for key, path, mark in pairs:
        check_pem(path, key, mark)
    context = ClientTls(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    try:
        # an encrypted key would ask for its passphrase on the terminal; it is refused above
        context.load_cert_chain(files.certificate, files.key, password="")
    except (ssl.SSLError, OSError) as error:
        raise unusable_key(files.key, files.certificate) from error
    try:
        context.load_verify_locations(files.authorities)
    except (ssl.SSLError, OSError) as error:
        raise _unusable(files.authorities, "authorities", "holds a damaged certificate", "put a whole one there") from (
            error
        )
    return context


def check_pem(path: Path, key: str, mark: bytes) -> None:
    """That `path`, named by `key` of a tls section, can be read and holds `mark`. Raises SettingsError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        raise _unusable(path, key, problem, "name a PEM file that the node's user may read") from error
    if mark not in content:
        what = "private key" if key == "key" else "certificate"
        raise _unusable(path, key, f"holds no {what} in PEM", "convert it, or name another file")
    if key == "key" and b"ENCRYPTED" in content:
        remedy = "store it without (`openssl pkey -in KEY -out NEW`), readable by the node's user only"
        raise _unusable(path, key, "needs a passphrase", remedy)


def unusable_key(key: Path, certificate: Path) -> SettingsError:
    """What to say of a private key that OpenSSL does not take."""
    belongs = f"is not the key of {certificate}, or is damaged"
    return _unusable(key, "key", belongs, "name the key that the certificate was made with")


def _unusable(path: Path, key: str, problem: str, remedy: str) -> SettingsError:
    return SettingsError((Fault(str(path), None, f"tls.{key}", problem, remedy),))


def _states(files: TlsFiles) -> tuple[tuple[int, int, int] | None, ...]:
    """What changes when a file does: time, size, inode."""
    return tuple(map(_state, (files.certificate, files.key, files.authorities)))


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
