"""Certificates for tests, made by the openssl program: an authority, and what it or another one has signed."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicom_node.domain.delivery import TlsFiles


@dataclass(frozen=True)
class Authority:
    """Signs certificates in a folder of its own."""

    folder: Path
    name: str

    @property
    def certificate(self) -> Path:
        """Its own."""
        return self.folder / f"{self.name}.crt"

    def sign(self, name: str, *, days: int = 30, hosts: str = "IP:127.0.0.1,DNS:localhost") -> TlsFiles:
        """A certificate that ends in `days` (below 0: it has ended), and its key."""
        key, request, certificate = (self.folder / f"{name}.{ending}" for ending in ("key", "csr", "crt"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={hosts}\nextendedKeyUsage=serverAuth,clientAuth\n")
        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key)
        openssl("req", *new_key, "-subj", f"/CN={name}", "-out", request)
        signer = ("-CA", self.certificate, "-CAkey", self.folder / f"{self.name}.key", "-CAcreateserial")
        openssl("x509", "-req", "-in", request, *signer, "-days", days, "-extfile", extensions, "-out", certificate)
        key.chmod(0o600)
        return TlsFiles(certificate, key, self.certificate)


def authority(folder: Path, name: str = "authority") -> Authority:
    """A new one; its folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    new = Authority(folder, name)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / f"{name}.key")
    openssl("req", "-x509", *key, "-subj", f"/CN={name}", "-days", 30, "-out", new.certificate)
    return new


def openssl(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run it to its end, without the machine's own configuration of it; skips the test where it is not installed."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed (apt-get install openssl)")
    command = ["openssl", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "OPENSSL_CONF"}
    return subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=check, env=environment)
