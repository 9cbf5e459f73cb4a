"""HTTP/3's numbers and frames, whole and byte by byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geng.wire import http3 as wire
from geng.wire.http3 import ControlReader, FrameReader, Http3Error


@pytest.mark.parametrize(
    ("number", "data"),
    [
        (0, "00"), (37, "25"), (63, "3f"), (64, "4040"), (15293, "7bbd"), (16383, "7fff"), (16384, "80004000"),
        (494878333, "9d7f3e7d"), (1 << 30, "c000000040000000"), (151288809941952652, "c2197c5eff14e88c"),
    ],
)  # fmt: skip
def test_numbers(number: int, data: str) -> None:
    raw = bytes.fromhex(data)
    assert wire.varint(number) == raw
    assert wire.read_varint(raw, 0, len(raw)) == (number, len(raw))
    for end in range(len(raw)):
        assert wire.read_varint(raw, 0, end)[1] == wire.NOT_YET


def bodies(data: bytes, step: int) -> tuple[list[tuple[int, bytes]], FrameReader]:
    """The frames that a body's reader sees in *data*, *step* bytes at a time: kind and payload."""
    reader = FrameReader()
    reader.in_head = False
    found: list[tuple[int, bytes]] = []
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step])
        while True:
            if reader.rest and reader.kind == wire.DATA:
                part = reader.take()
                if not part:
                    break
                found[-1] = found[-1][0], found[-1][1] + part
            elif not reader.header():
                break
            else:
                found.append((reader.kind, b""))
                if reader.kind == wire.HEADERS:
                    return found, reader
    return found, reader


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=100), max_size=6), st.integers(1, 40), st.booleans())
def test_bodies(parts: list[bytes], step: int, trailers: bool) -> None:
    data = b"".join(wire.frame(0x21 + 0x1F * n, b"?" * n) + wire.frame(wire.DATA, part) for n, part in enumerate(parts))
    if trailers:
        data += wire.frame(wire.HEADERS, b"whatever")
    found, _ = bodies(data, step)
    assert found == [(wire.DATA, part) for part in parts] + ([(wire.HEADERS, b"")] if trailers else [])


@pytest.mark.parametrize(
    "kind", [2, 6, 8, 9, wire.CANCEL_PUSH, wire.SETTINGS, wire.PUSH_PROMISE, wire.GOAWAY, wire.MAX_PUSH_ID]
)
def test_frames_that_requests_have_not(kind: int) -> None:
    for in_head in (True, False):
        reader = FrameReader()
        reader.in_head = in_head
        reader.feed(wire.varint(kind))
        with pytest.raises(Http3Error) as caught:
            reader.header()
        assert caught.value.code == wire.FRAME_UNEXPECTED


def test_a_body_without_a_head() -> None:
    reader = FrameReader()
    reader.feed(wire.frame(wire.DATA, b"x"))
    with pytest.raises(Http3Error) as caught:
        reader.header()
    assert caught.value.code == wire.FRAME_UNEXPECTED


@pytest.mark.parametrize("step", [1, 2, 100])
def test_control_streams(step: int) -> None:
    data = (
        wire.settings(((1, 4096), (7, 16), (0x33, 1)))
        + wire.frame(0x21, b"skipped")
        + wire.goaway(4)
        + wire.frame(wire.MAX_PUSH_ID, b"\x08")
        + wire.frame(0x40, b"")
    )
    reader = ControlReader()
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step])
    assert reader.settings == {1: 4096, 7: 16, 0x33: 1}
    assert reader.buffer == b""


@pytest.mark.parametrize("step", [1, 100])
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (wire.goaway(0), wire.MISSING_SETTINGS),
        (wire.settings(()) + wire.settings(()), wire.FRAME_UNEXPECTED),
        (wire.settings(()) + wire.frame(wire.DATA, b"x"), wire.FRAME_UNEXPECTED),
        (wire.settings(()) + wire.frame(wire.HEADERS, b"x"), wire.FRAME_UNEXPECTED),
        (wire.settings(()) + wire.frame(8, b"x"), wire.FRAME_UNEXPECTED),
        (wire.settings(()) + wire.frame(wire.CANCEL_PUSH, b"\0"), wire.ID_ERROR),
        (wire.frame(wire.SETTINGS, b"\x01"), wire.SETTINGS_ERROR),
        (wire.frame(wire.SETTINGS, b"\x01\x40"), wire.SETTINGS_ERROR),
    ],
)
def test_bad_control_streams(data: bytes, code: int, step: int) -> None:
    reader = ControlReader()
    with pytest.raises(Http3Error) as caught:
        for at in range(0, len(data), step):
            reader.feed(data[at : at + step])
    assert caught.value.code == code
