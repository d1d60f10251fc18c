"""The configuration's `web`: where the node listens for HTTP, and what it answers there."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from dicom_node.config_file import Document
from dicom_node.dicomweb_settings import OWN_HOSTS
from dicom_node.domain.errors import Fault
from dicom_node.network_settings import FilePath, Host, Network, Port, TlsSection
from dicom_node.section import Section


class StowSenderSection(Section):
    """One who may store: by a token, from some addresses, or both."""

    #: Holds the bearer token it shows.
    token_file: FilePath | None = Field(default=None, description="a file, or null", examples=["pacs.token"])
    #: None: from anywhere.
    addresses: tuple[Network, ...] | None = Field(
        default=None, min_length=1, description="a list of IP addresses or networks (CIDR)", examples=["[192.0.2.0/24]"]
    )


class StowSection(Section):
    """Images by STOW-RS (PS3.18 10.5)."""

    #: `from` in the file. The name stands where a calling AE title would.
    senders: dict[str, StowSenderSection] = Field(
        validation_alias="from",
        min_length=1,
        description="who may store, by name",
        examples=["{PACS: {token_file: pacs.token}}"],
    )


class WebSection(Section):
    """HTTP. The node listens when one of the services is configured."""

    host: Host = "127.0.0.1"
    port: Port = 8080
    #: None: plain HTTP, as behind a proxy on this machine.
    tls: TlsSection | None = Field(
        default=None,
        description="null, or a section with certificate, key and authorities",
        examples=["{certificate: node.crt, key: node.key, authorities: ca.crt}"],
    )
    stow: StowSection | None = Field(
        default=None,
        description="null, or a section with the key from",
        examples=["{from: {PACS: {token_file: pacs.token}}}"],
    )

    @property
    def listens(self) -> bool:
        """Whether there is anything to listen for."""
        return self.stow is not None


def web_faults(web: WebSection, document: Document) -> Iterator[Fault]:
    """Senders that anybody could be, and tokens that anybody could read on the way."""
    for name, sender in {} if web.stow is None else web.stow.senders.items():
        place = ("web", "stow", "from", name)
        if sender.token_file is None and sender.addresses is None:
            yield document.fault(place, "anybody could store", "add token_file, addresses, or both")
        if sender.token_file is not None and web.tls is None and web.host not in OWN_HOSTS:
            remedy = "add web.tls, or listen on 127.0.0.1 behind a proxy that speaks HTTPS"
            yield document.fault((*place, "token_file"), "the token would come over the network unencrypted", remedy)
