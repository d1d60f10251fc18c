"""TLS towards web servers: the other side is always verified; this node shows a certificate where it has one."""

from __future__ import annotations

import ssl

from dicom_node.domain.errors import Fault, SettingsError
from dicom_node.domain.web import HttpsFiles
from dicom_node.tls import CIPHERS, check_pem, unusable_key


def https_context(files: HttpsFiles) -> ssl.SSLContext:
    """TLS 1.2 or later, with the suites of DICOM over TLS. Raises SettingsError for a file that cannot be used."""
    authorities = files.authorities
    if authorities is not None:
        check_pem(authorities, "authorities", b"-----BEGIN CERTIFICATE-----")
    try:
        context = ssl.create_default_context(cafile=authorities)
    except (ssl.SSLError, OSError) as error:
        fault = Fault(str(authorities), None, "tls.authorities", "holds a damaged certificate", "put a whole one there")
        raise SettingsError((fault,)) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    if files.certificate is not None and files.key is not None:
        check_pem(files.certificate, "certificate", b"-----BEGIN CERTIFICATE-----")
        check_pem(files.key, "key", b"PRIVATE KEY-----")
        try:
            # an encrypted key would ask for its passphrase on the terminal
            context.load_cert_chain(files.certificate, files.key, password="")
        except (ssl.SSLError, OSError) as error:
            raise unusable_key(files.key, files.certificate) from error
    return context
