"""Whole requests as bytes in files, fed whole, line by line and byte by byte, to both twins.

valid/ and invalid/ hold NAME.http, what came over the wire, and NAME.json, what it means (text as Latin-1).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.hot.conftest import TWINS, twin

HERE = Path(__file__).parent
FILES = sorted([*HERE.glob("valid/*.http"), *HERE.glob("invalid/*.http")])
MORE, DONE = 0, 1


@pytest.fixture(params=TWINS)
def http1(request: pytest.FixtureRequest) -> ModuleType:
    return twin("http1", request.param)


def whole(raw: bytes) -> Iterator[bytes]:
    yield raw


def lines(raw: bytes) -> Iterator[bytes]:
    yield from raw.splitlines(keepends=True)


def single(raw: bytes) -> Iterator[bytes]:
    for byte in raw:
        yield bytes([byte])


def said(http1: ModuleType, pieces: Iterator[bytes]) -> dict[str, Any]:
    """What a request means, as its .json has it."""
    buf = b""
    head = http1.parse_request(b"")
    for piece in pieces:
        buf += piece
        if head.feed(buf) != MORE:
            break
    buf += b"".join(pieces)
    if head.rc != DONE:
        message = head.message.encode("utf-8", "surrogateescape").decode("latin-1")
        return {"rc": head.rc, "message": message[:60] if len(message) >= 300 else message}
    means: dict[str, Any] = {
        "rc": DONE,
        "method": text(head.method),
        "uri": text(head.uri),
        "args": text(head.args),
        "http_version": head.http_version,
        "server": text(head.server),
        "port": head.port,
        "headers": [[text(name), text(value)] for name, value in head.items()],
    }
    if head.notes:
        means["notes"] = head.notes
    rest = buf[head.end :]
    if head.chunked:
        body = http1.Chunked()
        means["body"] = text(b"".join(rest[start:stop] for start, stop in body.feed(rest)))
        means["body_rc"] = body.rc
    elif head.content_length_n > 0:
        means["body"] = text(rest[: head.content_length_n])
    elif rest:
        means["rest"] = text(rest)
    return means


def text(data: bytes | None) -> str | None:
    return None if data is None else data.decode("latin-1")


@pytest.mark.parametrize("cut", [whole, lines, single])
@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_request(http1: ModuleType, file: Path, cut: Any) -> None:
    assert said(http1, cut(file.read_bytes())) == json.loads(file.with_suffix(".json").read_text())


def test_valid_is_valid_and_invalid_is_not() -> None:
    assert len(FILES) > 70
    for file in FILES:
        means = json.loads(file.with_suffix(".json").read_text())
        good = means["rc"] == DONE and means.get("body_rc", DONE) == DONE
        assert good == (file.parent.name == "valid"), file
