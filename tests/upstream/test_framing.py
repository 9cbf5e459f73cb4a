"""Where bodies end: each kind fed whole, byte by byte, and with more behind it."""

from __future__ import annotations

import pytest

from geng.upstream.framing import AFTER_LAST, INVALID, TOO_MUCH, Chunks, Framing, Sized

CASES = [
    (lambda: Sized(5), b"hello", b"hello"),
    (lambda: Sized(0), b"", b""),
    (Chunks, b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n", b"hello world"),
    (lambda: Chunks(True), b"2\r\nok\r\n0\r\nA: b\r\n\r\n", b"ok"),
]


def body(framing: Framing, pieces: list[bytes]) -> bytes:
    return b"".join(bytes(part) for piece in pieces for part in framing.feed(piece))


@pytest.mark.parametrize(("make", "data", "expected"), CASES)
def test_whole_and_byte_by_byte(make, data, expected):  # type: ignore[no-untyped-def]
    for pieces in ([data] if data else [], [data[i : i + 1] for i in range(len(data))]):
        framing = make()
        assert body(framing, pieces) == expected
        assert (framing.done, framing.left, framing.over, framing.error) == (True, 0, False, "")


@pytest.mark.parametrize(("make", "data", "expected"), CASES)
def test_more_behind_it(make, data, expected):  # type: ignore[no-untyped-def]
    framing = make()
    assert body(framing, [data + b"more"]) == expected
    assert framing.done and framing.over
    assert framing.warning == (TOO_MUCH if isinstance(framing, Sized) else AFTER_LAST)


def test_trailers() -> None:
    framing = Chunks(True)
    body(framing, [b"0\r\nA: b\r\nC:d\r\n\r\n"])
    assert list(framing.trailers) == [(b"A", b"b"), (b"C", b"d")]


def test_not_done() -> None:
    framing = Sized(10)
    body(framing, [b"123"])
    assert (framing.done, framing.left) == (False, 7)
    framing.skipped(7)
    assert framing.done
    chunks = Chunks()
    body(chunks, [b"5\r\nhe"])
    assert not chunks.done and chunks.left == 3 + 7
    endless = Framing()
    assert body(endless, [b"abc", b"d"]) == b"abcd"
    assert (endless.done, endless.left) == (False, -1)


def test_invalid_chunks() -> None:
    framing = Chunks()
    body(framing, [b"x\r\n"])
    assert (framing.error, framing.done) == (INVALID, False)
