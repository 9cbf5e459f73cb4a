"""FastCGI records, written and read: geng/wire/fastcgi.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geng.wire import fastcgi
from geng.wire.fastcgi import END_REQUEST, ENDED, FAULT, MORE, STDERR, STDOUT, Records


def test_begin() -> None:
    assert fastcgi.begin(True) == bytes.fromhex("0101000100080000 0001010000000000")
    assert fastcgi.begin(False) == bytes.fromhex("0101000100080000 0001000000000000")


@pytest.mark.parametrize(
    ("name", "value", "head"),
    [
        (b"A", b"", "0100"),
        (b"N" * 127, b"v" * 127, "7f7f"),
        (b"N" * 128, b"v" * 127, "800000807f"),
        (b"N", b"v" * 70000, "0180011170"),
    ],
)
def test_pair(name: bytes, value: bytes, head: str) -> None:
    assert fastcgi.pair(name, value) == bytes.fromhex(head) + name + value


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9])
def test_params_are_aligned(size: int) -> None:
    made = fastcgi.params(b"x" * size)
    padding = -size % 8
    assert made == bytes([1, 4, 0, 1, 0, size, padding, 0]) + b"x" * size + bytes(padding) + bytes([1, 4, 0, 1, 0, 0, 0, 0])


def test_body_cuts() -> None:
    assert list(fastcgi.body_cuts(0)) == []
    assert list(fastcgi.body_cuts(32768)) == [(0, 32768)]
    assert list(fastcgi.body_cuts(70000)) == [(0, 32768), (32768, 32768), (65536, 4464)]


def read(chunks: list[bytes]) -> list[tuple[int, bytes]]:
    """What all chunks hold, neighbouring pieces of one type joined."""
    records = Records()
    found: list[tuple[int, bytes]] = []
    for data in chunks:
        records.pos = 0
        while True:
            kind = records.step(data)
            if kind == MORE:
                assert records.pos == len(data)
                break
            piece = data[records.start : records.stop] if kind > 0 else b""
            if found and found[-1][0] == kind and piece:
                found[-1] = (kind, found[-1][1] + piece)
            else:
                found.append((kind, piece))
            if kind in (FAULT, ENDED):
                return found
    return found


RESPONSE = (
    fastcgi.header(STDOUT, 5, 3) + b"hello\0\0\0"
    + fastcgi.header(STDERR, 3) + b"oh!"
    + fastcgi.header(STDOUT, 0, 2) + b"\0\0"
    + fastcgi.header(END_REQUEST, 8, 1) + bytes(9)
)  # fmt: skip
READ = [(STDOUT, b"hello"), (STDERR, b"oh!"), (STDOUT, b""), (END_REQUEST, b""), (ENDED, b"")]


def test_whole() -> None:
    assert read([RESPONSE]) == READ


@given(st.lists(st.integers(1, len(RESPONSE) - 1), max_size=len(RESPONSE)))
def test_in_any_pieces(cuts: list[int]) -> None:
    at = [0, *sorted(set(cuts)), len(RESPONSE)]
    assert read([RESPONSE[a:b] for a, b in zip(at, at[1:], strict=False)]) == READ


def test_byte_by_byte() -> None:
    assert read([RESPONSE[i : i + 1] for i in range(len(RESPONSE))]) == READ


def test_what_follows_the_end_is_left() -> None:
    records = Records()
    data = RESPONSE + b"more"
    while records.step(data) != ENDED:
        pass
    assert records.pos == len(RESPONSE)


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        (b"H", "upstream sent unsupported FastCGI protocol version: 72"),
        (b"\1\4", "upstream sent invalid FastCGI record type: 4"),
        (b"\1\6\1", "upstream sent unexpected FastCGI request id high byte: 1"),
        (b"\1\6\0\2", "upstream sent unexpected FastCGI request id low byte: 2"),
    ],
)
def test_faults_are_seen_at_the_first_wrong_byte(head: bytes, fault: str) -> None:
    for tail in (b"", b"\0" * 20):
        records = Records()
        assert records.step(head + tail) == FAULT
        assert records.fault == fault
    records = Records()
    for i in range(len(head)):
        records.pos = 0
        kind = records.step(head[i : i + 1])
    assert (kind, records.fault) == (FAULT, fault)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    records = Records()
    for _ in range(1000):
        if records.step(data) in (MORE, FAULT, ENDED):
            break
    else:
        pytest.fail("no end")
    assert records.pos <= len(data)


@pytest.mark.parametrize("cut", range(9))
def test_rest_stands_for_what_was_read(cut: int) -> None:
    data = fastcgi.header(STDERR, 5, 3) + b"stder\0\0\0" + fastcgi.header(STDOUT, 1)
    for start in (0, 8, 13, 16):
        at = min(start + cut, len(data))
        records = Records()
        while records.step(data[:at]) != MORE:
            pass
        rest = records.rest()
        records.pos = len(rest)
        last = 0
        while (kind := records.step(rest + data[at:] + b"!")) != MORE:
            last = kind
        assert last == STDOUT
