"""What nginx says of a text that is hardly a configuration, and what the syntax and the tables say."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from geng.conf.source import Sources
from geng.conf.syntax import Fault, Row
from geng.conf.tables import EVENTS, HTTP, MAIN, check
from geng.errors import ConfigError, Invalid

pytestmark = pytest.mark.peer

RAW = 0  # the rows of `types` are no directives
INSIDE = {"http": HTTP, "events": EVENTS, "types": RAW}

PIECES: dict[bytes, float] = {
    **{b" ": 20, b"\n": 8, b"\t": 3, b"\r": 2, b";": 12, b"{": 6, b"}": 10, b'"': 5, b"'": 5, b"\\": 5, b"$": 3},
    **{b"${": 3, b"#": 3, b")": 3, b"x": 8, b"n": 1, b"\xff": 1, b"\xc3\xa9": 1, b"a b;": 4},
    **{b"env": 8, b"env A;": 6, b'env "A";': 6, b"events {}": 2, b"http": 2, b"types {": 1},
    **{b"y" * 4089: 0.3, b"y" * 4096: 0.3, b'"' + b"z" * 4093: 0.3},
}


def text(rnd: random.Random) -> bytes:
    pieces = b"".join(rnd.choices([*PIECES], [*PIECES.values()], k=rnd.randint(1, 14)))
    return rnd.choice([b"%b", b"env A;\n%b", b"http { types { %b", b"http { types { %b }}", b"http { %b }"]) % pieces


@pytest.mark.parametrize("seed", range(5))
def test_same_words(seed: int, peer: Callable[[str], str], tmp_path: Path) -> None:
    nginx = peer("nginx")
    file = tmp_path / "nginx.conf"
    rnd = random.Random(seed)
    for _ in range(100):
        file.write_bytes(text(rnd))
        theirs = verdict_of_nginx(nginx, file)
        if not of_another_floor(theirs):
            assert verdict(file) == theirs, file.read_bytes()


def verdict_of_nginx(nginx: str, file: Path) -> str:
    command = [nginx, "-t", "-p", str(file.parent), "-c", str(file), "-e", "stderr", "-g", f"pid {file.parent}/pid;"]
    said = subprocess.run(command, capture_output=True, timeout=60, check=False).stderr
    found = re.search(rb"\[emerg\] (?:\d+#\d+: )?(.*?)\nnginx: configuration file", said, re.S)
    return found[1].decode("utf-8", "surrogateescape") if found else ""


def of_another_floor(message: str) -> bool:
    """Whether nginx got as far as what a directive means, of which syntax and tables know nothing."""
    return bool(re.match(r'no "events" section|"\S+" directive is duplicate|duplicate|could not build', message))


def verdict(file: Path) -> str:
    sources = Sources(lambda name: Path(name).read_bytes(), lambda pattern: [], str(file.parent))
    try:
        walk(sources.main(str(file)), MAIN)
    except ConfigError as error:
        return str(error)
    return ""


def walk(rows: list[Row], context: int) -> None:
    for row in rows:
        if isinstance(row, Fault):
            raise ConfigError(row.message, row.file, row.line)
        if context == RAW:
            if row.block is not None:
                raise ConfigError('unexpected "{"', row.file, row.line)
            continue
        try:
            check(row, context)
        except Invalid as invalid:
            raise ConfigError(str(invalid), row.file, row.line) from None
        if row.block is not None:
            walk(row.block, INSIDE[row.name])
