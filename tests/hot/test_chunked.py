"""The chunked coding: one table, every row fed in pieces of each size, to both twins."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MORE, DONE, INVALID = 0, 1, 4

# (body, rc, data, bytes left over)
BODIES: list[tuple[bytes, int, bytes, int]] = [
    (b"0\r\n\r\n", DONE, b"", 0),
    (b"5\r\nhello\r\n0\r\n\r\n", DONE, b"hello", 0),
    (b"5\r\nhello\r\n0\r\n\r\nGET /", DONE, b"hello", 5),
    (b"1\r\na\r\n2\r\nbc\r\n00\r\n\r\n", DONE, b"abc", 0),
    (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", DONE, b"0123456789" * 2, 0),
    (b"5;a=b\r\nhello\r\n0;c\r\n\r\n", DONE, b"hello", 0),
    (b"5 \t x\r\nhello\r\n0 \r\n\r\n", DONE, b"hello", 0),
    (b"0\r\nA: b\r\nC: d\r\n\r\n", DONE, b"", 0),
    (b"", MORE, b"", 0),
    (b"5\r\nhel", MORE, b"hel", 0),
    (b"5\r\nhello\r\n0\r\n", MORE, b"hello", 0),
    (b"5\r\nhello\r\n0\r\n\r", MORE, b"hello", 0),
    (b"\r\n", INVALID, b"", 0),
    (b"g\r\n", INVALID, b"", 0),
    (b" 5\r\n", INVALID, b"", 0),
    (b"-5\r\n", INVALID, b"", 0),
    (b"0x5\r\n", INVALID, b"", 0),
    (b"5\nhello", INVALID, b"", 0),
    (b"5\rhello", INVALID, b"", 0),
    (b"5;a\nhello", INVALID, b"", 0),
    (b"5;a\r\r\nhello", INVALID, b"", 0),
    (b"5\r\nhelloX", INVALID, b"hello", 0),
    (b"5\r\nhello\n", INVALID, b"hello", 0),
    (b"5\r\nhello\rX", INVALID, b"hello", 0),
    (b"0\r\n\n", INVALID, b"", 0),
    (b"0\r\n\rX", INVALID, b"", 0),
    (b"0\r\nA: b\n", INVALID, b"", 0),
    (b"0\n\r\n", INVALID, b"", 0),
    (b"7fffffffffffffff\r\n", INVALID, b"", 0),
    (b"7ffffffffffffff0\r\nab", INVALID, b"", 0),
    (b"7ffffffffffffff\r\nab", MORE, b"ab", 0),
    (b"8000000000000000\r\n", INVALID, b"", 0),
    (b"00000000000000000000001\r\nx\r\n0\r\n\r\n", DONE, b"x", 0),
]


def decode(http1: ModuleType, raw: bytes, step: int, **options: Any) -> tuple[Any, bytes, int]:
    """(the decoder, the data, bytes not consumed), the body fed in pieces of *step*."""
    body = http1.Chunked(**options)
    data = b""
    used = 0
    for at in range(0, len(raw), step):
        piece = raw[used : at + step]
        data += b"".join(piece[start:stop] for start, stop in body.feed(piece))
        used += body.pos
        if body.rc != MORE:
            break
    return body, data, len(raw) - used


@pytest.mark.parametrize(("raw", "rc", "data", "left"), BODIES, ids=repr)
@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_bodies(http1: ModuleType, raw: bytes, rc: int, data: bytes, left: int, step: int) -> None:
    body, got, rest = decode(http1, raw, step)
    assert (body.rc, got) == (rc, data)
    if rc != INVALID:
        assert rest == left


# the least that must still come after each prefix of a body: exact when the rest is the shortest one
LEAST = [
    (b"", 5),
    (b"5", 14),
    (b"5;", 14),
    (b"5\r", 13),
    (b"5\r\n", 12),
    (b"5\r\nhel", 9),
    (b"5\r\nhello", 7),
    (b"0", 4),
]


@pytest.mark.parametrize(("raw", "length"), LEAST)
def test_length(http1: ModuleType, raw: bytes, length: int) -> None:
    body = http1.Chunked()
    body.feed(raw)
    assert body.length == length


TRAILERS: list[tuple[bytes, int, list[tuple[bytes, bytes]], str]] = [
    (b"0\r\n\r\n", DONE, [], ""),
    (b"0\r\nA: b\r\nC_d:e\r\nF\n\r\n", DONE, [(b"A", b"b"), (b"C_d", b"e"), (b"F", b"")], ""),
    (b"0\r\nA b\r\n\r\n", INVALID, [], 'upstream sent invalid trailer: "A\\x20..."'),
    (b"0\r\nA: " + b"v" * 61 + b"\r\n\r\n", DONE, [(b"A", b"v" * 61)], ""),
    (b"0\r\nA: " + b"v" * 70 + b"\r\n\r\n", INVALID, [], "upstream sent too big trailers"),
]


@pytest.mark.parametrize(("raw", "rc", "lines", "said"), TRAILERS, ids=repr)
@pytest.mark.parametrize("step", [1, 2, 1000])
def test_trailers(http1: ModuleType, raw: bytes, rc: int, lines: list[tuple[bytes, bytes]], said: str, step: int) -> None:
    body, _, left = decode(http1, b"1\r\nx\r\n" + raw + b"next", step, keep_trailers=True, trailer_limit=70)
    assert (body.rc, body.trailers, body.message) == (rc, lines, said)
    if rc == DONE:
        assert left == 4


def test_nothing_is_read_behind_the_end(http1: ModuleType) -> None:
    body = http1.Chunked()
    assert body.feed(b"1\r\nx\r\n0\r\n\r\n5\r\nhello") == [(3, 4)]
    assert body.feed(b"5\r\nhello") == []
    assert (body.pos, body.rc) == (0, DONE)


def test_chunk_header(http1: ModuleType) -> None:
    assert http1.chunk_header(4095) == b"fff\r\n"
    assert http1.chunk_header(1) == b"1\r\n"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=12), step=st.integers(1, 50))
def test_what_is_encoded_is_decoded(http1: ModuleType, chunks: list[bytes], step: int) -> None:
    raw = b"".join(http1.chunk_header(len(chunk)) + chunk + b"\r\n" for chunk in chunks) + b"0\r\n\r\n"
    body, data, left = decode(http1, raw + b"tail", step)
    assert (body.rc, data, left) == (DONE, b"".join(chunks), 4)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(raw=st.one_of(st.binary(max_size=40), st.text("0aF;\r\n x", max_size=30).map(str.encode)))
def test_the_size_of_the_pieces_does_not_matter(http1: ModuleType, raw: bytes) -> None:
    whole, data, _ = decode(http1, raw, 1000)
    slow, slow_data, _ = decode(http1, raw, 1)
    assert (slow.rc, slow_data, slow.length) == (whole.rc, data, whole.length)
