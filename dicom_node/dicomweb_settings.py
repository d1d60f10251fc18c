"""The configuration's DICOMweb: peers that are stored to by STOW-RS (PS3.18 10.5)."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator, Discriminator, Field, Tag

from dicom_node.config_file import Document
from dicom_node.domain.errors import Fault
from dicom_node.domain.web import Credentials, HttpsFiles, Scheme, WebDestination
from dicom_node.network_settings import FilePath, PeerSection
from dicom_node.section import Section

#: The key that makes a peer one of this kind.
_URL = "dicomweb"
#: What is sent there stays on this machine.
OWN_HOSTS = ("127.0.0.1", "::1", "localhost")


def _service_root(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    _ = parts.port  # raises ValueError for one that is none
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
        raise ValueError(url)
    return url.rstrip("/")


class HttpsSection(Section):
    """HTTPS towards one peer. All files are PEM, the key without a passphrase."""

    #: None: those the operating system believes.
    authorities: FilePath | None = Field(default=None, description="a PEM file, or null", examples=["ca.crt"])
    certificate: FilePath | None = Field(default=None, description="a PEM file, or null", examples=["node.crt"])
    key: FilePath | None = Field(default=None, description="a PEM file, or null", examples=["node.key"])


class DicomwebPeerSection(Section):
    """One remote DICOMweb server."""

    #: The root of its services; `/studies` follows it.
    dicomweb: Annotated[str, Field(pattern=r"^[!-~]+$"), AfterValidator(_service_root)] = Field(
        description="the URL of its DICOMweb services, without user, password or query",
        examples=["https://pacs.example.org/dicom-web"],
    )
    #: Holds a bearer token.
    token_file: FilePath | None = Field(default=None, description="a file, or null", examples=["archive.token"])
    #: Holds `user:password`, for basic authentication.
    login_file: FilePath | None = Field(default=None, description="a file, or null", examples=["archive.login"])
    tls: HttpsSection = Field(
        default=HttpsSection(),
        description="a section with authorities, certificate and key",
        examples=["{authorities: ca.crt}"],
    )

    def destination(self, name: str) -> WebDestination:
        """The peer as those see it who talk to it."""
        credentials = None
        if self.token_file is not None:
            credentials = Credentials(Scheme.BEARER, self.token_file)
        elif self.login_file is not None:
            credentials = Credentials(Scheme.BASIC, self.login_file)
        https = HttpsFiles(self.tls.certificate, self.tls.key, self.tls.authorities)
        return WebDestination(name, self.dicomweb, credentials, https)


def _kind(value: object) -> str:
    keys = value if isinstance(value, dict) else {}
    return "dicomweb" if isinstance(value, DicomwebPeerSection) or _URL in keys else "dimse"


#: Either kind of peer; the key `dicomweb` tells them apart.
AnyPeerSection = Annotated[
    Annotated[PeerSection, Tag("dimse")] | Annotated[DicomwebPeerSection, Tag("dicomweb")], Discriminator(_kind)
]


def peer_faults(peers: Mapping[str, PeerSection | DicomwebPeerSection], document: Document) -> Iterator[Fault]:
    """DICOMweb peers whose keys contradict each other, or that would be shown a secret anybody may read on the way."""
    for name, peer in peers.items():
        if not isinstance(peer, DicomwebPeerSection):
            continue
        place = ("peers", name)
        if (peer.tls.certificate is None) != (peer.tls.key is None):
            problem = "has only one of certificate and key"
            yield document.fault((*place, "tls"), problem, "give both, or neither")
        if peer.token_file and peer.login_file:
            problem = "has both token_file and login_file"
            yield document.fault((*place, "login_file"), problem, "remove one of the two")
        url = urllib.parse.urlsplit(peer.dicomweb)
        if (peer.token_file or peer.login_file) and url.scheme == "http" and url.hostname not in OWN_HOSTS:
            problem = "token or password would go over the network unencrypted"
            yield document.fault((*place, _URL), problem, "use https")


def sender_fault(document: Document, place: tuple[str | int, ...], name: str) -> Fault | None:
    """What is wrong where `receive.from` names a peer of this kind."""
    peers = document.at("peers")
    if not isinstance(peers, dict) or _kind(peers.get(name)) != "dicomweb":
        return None
    problem = f"{name!r} is reached by DICOMweb and has no AE title to call with"
    return document.fault(place, problem, "remove it, or name a peer with ae_title, host and port")
