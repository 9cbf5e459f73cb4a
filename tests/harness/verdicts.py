"""The cases of tests/golden/verdicts: a text, what stands around it, and what `nginx -t` says of it.

A file holds cases, parted by blank lines: some lines of configuration, then with `> ` in front the lines that
`nginx -t` prints, and `ok` where it accepts the text; `…` in them stands for anything. `# inside http` says what stands
around the cases that follow; other comments say whatever they say. `files/` holds what make_files() makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme

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
    def whole(self) -> str:
        return (AROUND.get(self.inside) or INSIDE % self.inside) % self.text

    def agrees(self, heard: list[str]) -> bool:
        return len(heard) == len(self.said) and all(pattern(said).fullmatch(line) for said, line in zip(self.said, heard))


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
    "latin1.conf": "server_name a\xe9;\n",
    "broken.xsl": "<xsl:stylesheet",
    "broken.dtd": "<!ELEMENT",
}


def make_files(folder: Path) -> None:
    """What the cases name as `files/…`: `cert.pem` with `key.pem`, its authority `ca.pem`, `other.key`, and no good ones."""
    folder.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    authority.issue_cert("other", key_type=trustme.KeyType.ECDSA).private_key_pem.write_to_path(str(folder / "other.key"))
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content.encode("latin-1"))
