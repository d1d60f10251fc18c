"""The configuration's network: the node as an application entity, its peers, who may send, and TLS."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from dicom_node.domain.bounds import Bounds
from dicom_node.domain.commitment import Proof
from dicom_node.domain.retrieval import Retrieve
from dicom_node.section import PeerName, Section


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    return path if info.context is None else info.context / path


def _network(text: str) -> str:
    ipaddress.ip_network(text, strict=False)
    return text


Network = Annotated[str, AfterValidator(_network)]
FilePath = Annotated[Path, AfterValidator(_beside_the_file)]
AeTitle = Annotated[
    str,
    Field(
        # PS3.5 6.2, VR AE: printable ASCII without backslash; spaces around it would not count
        pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$",
        description="an AE title: 1 to 16 ASCII characters, no backslash, no space at either end",
        examples=["AINODE"],
    ),
]
Host = Annotated[
    str, Field(pattern=r"^\S+$", description="a host name or an IP address, as text", examples=["127.0.0.1"])
]
Port = Annotated[
    int, Field(strict=True, ge=1, le=65535, description="a whole number from 1 to 65535", examples=["11112"])
]
_Seconds = Annotated[float, Field(strict=True, gt=0, le=86400)]
_Associations = Annotated[int, Field(strict=True, ge=1, le=1000)]


class TlsSection(Section):
    """DICOM over TLS (PS3.15 B.12), this node's side of it. All files are PEM, the key without a passphrase."""

    certificate: FilePath = Field(
        description="a PEM file with the certificate, then those between it and its authority", examples=["node.crt"]
    )
    key: FilePath = Field(description="a PEM file with the certificate's private key", examples=["node.key"])
    #: Whose certificates are believed, both ways.
    authorities: FilePath = Field(
        description="a PEM file with the certificates of those who sign the peers' certificates", examples=["ca.crt"]
    )
    #: False lets callers in that show none; one that is shown must be right all the same.
    require_peer_certificate: bool = Field(default=True, strict=True, description="true or false", examples=["true"])


class PeerTlsSection(Section):
    """TLS towards one peer. What is left out is taken from node.tls."""

    certificate: FilePath | None = Field(default=None, description="a PEM file, or null", examples=["node.crt"])
    key: FilePath | None = Field(default=None, description="a PEM file, or null", examples=["node.key"])
    authorities: FilePath | None = Field(default=None, description="a PEM file, or null", examples=["ca.crt"])
    #: Whether its certificate must name `host`.
    check_host_name: bool = Field(default=True, strict=True, description="true or false", examples=["true"])


class NodeSection(Section):
    """The node as a DICOM application entity."""

    ae_title: AeTitle
    host: Host = "127.0.0.1"
    port: Port = 11112
    #: Holds the database, what was received, and what was made.
    storage: FilePath = Field(default=Path("var"), description="a folder", examples=["./var"])
    maximum_associations: _Associations = Field(
        default=32, description="a whole number from 1 to 1000", examples=["32"]
    )
    #: None: neither encrypted nor authenticated.
    tls: TlsSection | None = Field(
        default=None,
        description="null, or a section with certificate, key and authorities",
        examples=["{certificate: node.crt, key: node.key, authorities: ca.crt}"],
    )


class PeerSettleSection(Section):
    """When studies that this peer sends are complete. What is left out is taken from settle."""

    quiet_seconds: _Seconds | None = Field(
        default=None, description="seconds, above 0 and up to 86400, or null", examples=["30"]
    )
    urgent_quiet_seconds: _Seconds | None = Field(
        default=None, description="seconds, above 0 and up to 86400, or null", examples=["2"]
    )
    at_most_seconds: _Seconds | None = Field(
        default=None, description="seconds, above 0 and up to 86400, or null", examples=["600"]
    )


class PeerSection(Section):
    """One remote application entity."""

    ae_title: AeTitle
    host: Host
    port: Port
    #: Where it may call from; None: from the addresses of `host`.
    addresses: tuple[Network, ...] | None = Field(
        default=None,
        min_length=1,
        description="a list of IP addresses or networks (CIDR)",
        examples=["[192.0.2.0/24]"],
    )
    #: None: as many as the node takes.
    maximum_associations: _Associations | None = Field(
        default=None, description="a whole number from 1 to 1000, or null", examples=["4"]
    )
    tls: PeerTlsSection | None = Field(default=None, description="true, false, or a section", examples=["true"])
    #: Whether it answers C-FIND, so that it can be asked how much it holds of the studies it sends.
    query: bool = Field(default=False, strict=True, description="true or false", examples=["true"])
    settle: PeerSettleSection = PeerSettleSection()
    #: Of what it sends; None: as each request says.
    priority: Literal["urgent", "routine", "low"] | None = Field(
        default=None, description="urgent, routine, low, or null", examples=["urgent"]
    )
    #: How it proves that it keeps the results it got.
    commitment: Proof = Field(default=Proof.NONE, description="none, request or find", examples=["request"])
    #: How studies are pulled from it.
    retrieve: Retrieve = Field(default=Retrieve.MOVE, description="move or get", examples=["move"])

    @model_validator(mode="before")
    @classmethod
    def _tls_in_a_word(cls, value: object) -> object:
        if isinstance(value, dict) and isinstance(value.get("tls"), bool):
            return {**value, "tls": {} if value["tls"] else None}
        return value


class ReceiveSection(Section):
    """Who may send, and how much and how slowly."""

    #: `from` in the file, which Python keeps for itself. Their AE title and address must both fit.
    senders: tuple[PeerName, ...] = Field(
        validation_alias="from", min_length=1, description="a list of one peer or more", examples=["[PACS]"]
    )
    #: A larger one is refused; of one that is larger by far the association is ended.
    maximum_object_mb: int = Field(
        default=2048, strict=True, ge=1, le=1048576, description="a whole number from 1 to 1048576", examples=["2048"]
    )
    #: An image that would leave less free on the disk is refused: what is left is for results and database.
    minimum_free_mb: int = Field(
        default=1024, strict=True, ge=1, le=1048576, description="a whole number from 1 to 1048576", examples=["1024"]
    )
    #: From the connection to the whole association request, the TLS handshake included (ARTIM, PS3.8 9.1.4).
    artim_seconds: _Seconds = Field(default=30.0, description="seconds, above 0 and up to 86400", examples=["30"])
    #: An open association on which nothing comes, or not the rest of a PDU, is ended.
    idle_seconds: _Seconds = Field(default=120.0, description="seconds, above 0 and up to 86400", examples=["120"])

    @property
    def minimum_free_bytes(self) -> int:
        """What must stay free on the disk."""
        return self.minimum_free_mb << 20

    @property
    def bounds(self) -> Bounds:
        """What callers are held to."""
        return Bounds(self.artim_seconds, self.idle_seconds, self.maximum_object_mb << 20)
