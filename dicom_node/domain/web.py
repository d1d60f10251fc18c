"""DICOMweb (PS3.18) as values: peers that store over HTTP, and how this node shows them who it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Scheme(StrEnum):
    """How credentials are shown in the Authorization field (RFC 9110 11.6.2)."""

    #: A token (RFC 6750).
    BEARER = "Bearer"
    #: User name and password with a colon between them (RFC 7617).
    BASIC = "Basic"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A secret that lies in a file, and what it is; the secret itself is read when it is shown."""

    scheme: Scheme
    file: Path


@dataclass(frozen=True, slots=True)
class HttpsFiles:
    """The PEM files of an HTTPS client. Without authorities those of the operating system are believed."""

    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None


@dataclass(frozen=True, slots=True)
class WebDestination:
    """A peer that is stored to by STOW-RS. `name` is its key in the configuration."""

    name: str
    #: The root of its DICOMweb services (PS3.18 8.2), without a slash at the end.
    url: str
    credentials: Credentials | None = None
    https: HttpsFiles = HttpsFiles()

    def __str__(self) -> str:
        """Its URL."""
        return self.url
