"""The cases of tests/golden/verdicts: a text, what stands around it, and what `nginx -t` says of it.

A file holds cases, parted by blank lines: some lines of configuration, then with `> ` in front the lines that
`nginx -t` prints, and `ok` where it accepts the text; `…` in them stands for anything. `# inside http` says what stands
around the cases that follow; other comments say whatever they say. `files/` holds what make_files() makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import AuthorityInformationAccessOID

GOLDEN = Path(__file__).parents[1] / "golden" / "verdicts"

AROUND = {
    "main": "events {}\n\n%s\n",
    "server": "events {}\nhttp { server { listen 127.0.0.1:18080;\n%s\n}}\n",
    "events": "events {\n\n%s\n}\n",
    "stream-server": "events {}\nstream { server { listen 127.0.0.1:18081;\n%s\n}}\n",
    "nothing": "\n\n%s",
}
"""What stands around a text, which begins at line 3."""
INSIDE = "events {}\n%s {\n%%s\n}\n"


@dataclass(frozen=True)
class Case:
    file: str
    inside: str
    text: str
    said: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.file}: {' '.join(self.text.split())[:90]}"

    @property
    def directives(self) -> str:
        """What stands behind `-g`."""
        return self.text if self.inside == "-g" else ""

    @property
    def whole(self) -> str:
        if self.directives:
            return "events {}\n"
        return (AROUND.get(self.inside) or INSIDE % self.inside) % self.text

    def agrees(self, heard: list[str]) -> bool:
        return len(heard) == len(self.said) and all(
            pattern(said).fullmatch(line) for said, line in zip(self.said, heard, strict=True)
        )


def pattern(said: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, said.split("…"))), re.DOTALL)


def cases(file: str = "*") -> Iterator[Case]:
    """Every case, in the order of the files."""
    for path in sorted(GOLDEN.glob(f"{file}.txt")):
        inside = "main"
        for block in re.split(r"\n\s*\n", path.read_text().strip("\n")):
            if block.startswith("#"):
                named = re.match(r"# inside (\S+)", block)
                inside = named[1] if named else inside
                continue
            lines = block.split("\n")
            text = "\n".join(line for line in lines if not line.startswith("> "))
            yield Case(path.stem, inside, text, tuple(line[2:] for line in lines if line.startswith("> ")))


CONTENTS = {
    "garbage.pem": "this is no certificate\n",
    "ticket.key": "x" * 10,
    "long.pass": "x" * 5000,
    "mime.types": "text/plain",
    "fragment.conf": "server_name a;\n",
    "unfinished.conf": "server_name a",
    "unclosed.conf": "server { listen 127.0.0.1:18080;\n",
    "long.conf": "root " + "x" * 5000 + ";\n",
    "quote.conf": "root 'x" + " y" * 5000,
    "many.conf": "".join(f"sub_filter a{i} b;\n" for i in range(256)),
}


RESPONDERS = {"ftp.pem": "ftp://a", "nowhere.pem": "http://no.such.host.invalid"}
BROKEN = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def _with_responder(authority: trustme.CA, issued: trustme.LeafCert, responder: str) -> bytes:
    """*issued*, with the address of an OCSP responder."""
    key = load_pem_private_key(authority.private_key_pem.bytes(), None)
    given = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(responder))
    made = (
        x509.CertificateBuilder()
        .subject_name(given.subject)
        .issuer_name(given.issuer)
        .public_key(given.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1))
        .not_valid_after(datetime(2120, 1, 1))
        .add_extension(x509.AuthorityInformationAccess([access]), False)
        .sign(key, SHA256())  # type: ignore[arg-type]
    )
    return made.public_bytes(Encoding.PEM)


def make_files(folder: Path) -> None:
    """What the cases name as `files/…`: `cert.pem` with `key.pem`, its authority `ca.pem`, `other.key`, and no good ones."""
    folder.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
    certificate = issued.cert_chain_pems[0].bytes()
    (folder / "cert.pem").write_bytes(certificate)
    (folder / "chain.pem").write_bytes(certificate + BROKEN)
    for name, responder in RESPONDERS.items():
        (folder / name).write_bytes(_with_responder(authority, issued, responder))
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    authority.issue_cert("other", key_type=trustme.KeyType.ECDSA).private_key_pem.write_to_path(str(folder / "other.key"))
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content.encode("latin-1"))
