"""TLS for tests: an authority whose certificates are made as they are wanted, and a client on a socket."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from . import client


class Authority:
    """A certificate authority with its files in *folder*: `ca.crt`, and `NAME.crt`, `NAME.key` by issue()."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.ca = trustme.CA()
        self.ca.cert_pem.write_to_path(str(folder / f"{name}.crt"))
        self.path = str(folder / f"{name}.crt")

    def issue(self, name: str, *hosts: str, rsa: bool = False, common_name: str | None = None, **more: Any) -> Authority:
        """*more*: what trustme.CA.issue_cert() takes, `not_after=…` say."""
        kind = trustme.KeyType.RSA if rsa else trustme.KeyType.ECDSA
        made = self.ca.issue_cert(*(hosts or (name,)), common_name=common_name or name, key_type=kind, **more)
        made.private_key_pem.write_to_path(str(self.folder / f"{name}.key"))
        for i, blob in enumerate(made.cert_chain_pems):
            blob.write_to_path(str(self.folder / f"{name}.crt"), append=i > 0)
        return self

    def revoke(self, *names: str) -> Path:
        """A list of these certificates as revoked, `crl.pem`."""
        authority = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        key = serialization.load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        now = datetime.now(timezone.utc)
        made = x509.CertificateRevocationListBuilder().issuer_name(authority.subject)
        made = made.last_update(now - timedelta(days=1)).next_update(now + timedelta(days=1))
        for name in names:
            certificate = x509.load_pem_x509_certificate((self.folder / f"{name}.crt").read_bytes())
            revoked = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            made = made.add_revoked_certificate(revoked.revocation_date(now - timedelta(hours=1)).build())
        path = self.folder / "crl.pem"
        path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))  # type: ignore[arg-type]
        return path

    def context(self, **settings: Any) -> ssl.SSLContext:
        """What trusts this authority's certificates."""
        made = ssl.create_default_context(cafile=self.path)
        made.check_hostname = False
        for name, value in settings.items():
            setattr(made, name, value)
        return made


class Connection(client.Connection):
    """A client over TLS; `tls` is the ssl.SSLSocket."""

    def __init__(
        self,
        address: tuple[str, int],
        context: ssl.SSLContext | None = None,
        server_name: str | None = "localhost",
        session: ssl.SSLSession | None = None,
    ) -> None:
        super().__init__(address)
        if context is None:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        plain = self.sock
        try:
            self.tls = context.wrap_socket(plain, server_hostname=server_name, session=session)
        except BaseException:
            plain.close()
            raise
        self.sock = self.tls

    def common_name(self) -> str:
        """Of the certificate that the server showed; the context must have asked for it."""
        found = self.tls.getpeercert() or {}
        return next(value for ((key, value), *_) in found["subject"] if key == "commonName")  # type: ignore[misc]
