"""The configuration's `audit`: where the audit trail goes, how much of it is kept, and how patients stand in it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dicom_node.network_settings import FilePath, Host, PeerTlsSection, Port
from dicom_node.section import Section

#: RFC 5425 and RFC 5426.
_PORTS = {"tls": 6514, "udp": 514}


class SyslogSection(Section):
    """A collector of audit messages (PS3.15 A.6 and A.7)."""

    host: Host
    #: None: the one registered for the transport.
    port: Port | None = Field(
        default=None,
        description="a whole number from 1 to 65535, or null for 6514 (tls) or 514 (udp)",
        examples=["6514"],
    )
    transport: Literal["tls", "udp"] = Field(default="tls", description="tls or udp", examples=["tls"])
    #: What it leaves out is taken from node.tls.
    tls: PeerTlsSection = Field(
        default=PeerTlsSection(),
        description="a section with certificate, key and authorities",
        examples=["{certificate: node.crt, key: node.key, authorities: ca.crt}"],
    )
    #: Records; beyond, new ones are not forwarded.
    maximum_waiting: int = Field(
        default=100000,
        strict=True,
        ge=100,
        le=10000000,
        description="a whole number from 100 to 10000000",
        examples=["100000"],
    )

    @property
    def open_port(self) -> int:
        """Where it listens."""
        return self.port or _PORTS[self.transport]


class AuditSection(Section):
    """The audit trail (PS3.15 A.5)."""

    #: None: audit.jsonl in node.storage.
    file: FilePath | None = Field(
        default=None,
        description="a file, or null for audit.jsonl in node.storage",
        examples=["/var/log/dicom-node/audit.jsonl"],
    )
    #: Of 10^6 bytes.
    maximum_mb: float = Field(
        default=100.0, strict=True, gt=0, le=1e6, description="megabytes, above 0 and up to 1000000", examples=["100"]
    )
    keep_files: int = Field(
        default=10, strict=True, ge=1, le=1000, description="a whole number from 1 to 1000", examples=["10"]
    )
    patient_id: Literal["none", "hashed", "plain"] = Field(
        default="hashed", description="none, hashed or plain", examples=["hashed"]
    )
    #: None: nobody but the file hears of it.
    syslog: SyslogSection | None = Field(
        default=None, description="null, or a section with the collector's host", examples=["{host: audit.example.org}"]
    )
