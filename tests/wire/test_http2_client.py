"""What a server's frames mean to the one who asked, however they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geng.hot.hpack import Decoder, field
from geng.wire import http2 as wire
from geng.wire.http2_client import Broken, Peer, Reader, decode, head_of, request_block


def data(payload: bytes, end: bool = False, padding: int = -1) -> bytes:
    if padding < 0:
        return wire.frame_header(len(payload), wire.DATA, int(end), 1) + payload
    size = len(payload) + padding + 1
    return wire.frame_header(size, wire.DATA, wire.PADDED | int(end), 1) + bytes([padding]) + payload + bytes(padding)


HEAD = b"\x88" + field(b"content-type", b"text/plain") + field(b"x-long", b"y" * 300)
RESPONSE = (
    wire.settings(((wire.INITIAL_WINDOW_SIZE, 100),))
    + wire.frame_header(8, wire.PING, 0, 0) + b"12345678"
    + wire.frame_header(100, wire.HEADERS, 0, 1) + HEAD[:100]
    + wire.frame_header(len(HEAD) - 100, wire.CONTINUATION, wire.END_HEADERS, 1) + HEAD[100:]
    + data(b"first ") + wire.frame_header(3, 77, 0, 0) + b"odd"
    + data(b"second ", padding=9) + data(b"", padding=0) + data(b"third")
    + wire.headers(1, field(b"grpc-status", b"0"), True, 16384)
    + wire.rst_stream(1, 0)
)  # fmt: skip


def read(pieces: list[bytes]) -> tuple[Reader, bytes]:
    """All of a response."""
    reader = Reader(Peer(), 4096)
    fields = None
    body = b""
    for piece in pieces:
        if fields is None:
            fields = reader.head(piece)
            if fields is None:
                continue
            assert head_of(fields)[0] == 200
            reader.begin_body(-1)
            piece = reader.take_held()
        body += b"".join(reader.body(piece))
    return reader, body


@given(st.lists(st.integers(1, len(RESPONSE) - 1), max_size=30))
def test_however_it_is_cut(cuts: list[int]) -> None:
    places = [0, *sorted(set(cuts)), len(RESPONSE)]
    reader, body = read([RESPONSE[start:stop] for start, stop in zip(places, places[1:], strict=False)])
    assert body == b"first second third"
    assert (reader.done, reader.trailers, reader.send_window) == (True, [(b"grpc-status", b"0")], 100)
    assert reader.control == [wire.SETTINGS_ACK, wire.ping_ack(b"12345678")]


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 255), st.integers(0, 3), st.binary(max_size=20)), max_size=8))
def test_nothing_but_complaints(frames: list[tuple[int, int, int, bytes]]) -> None:
    text = b"".join(wire.frame_header(len(payload), kind, flags, sid) + payload for kind, flags, sid, payload in frames)
    for head in (b"", wire.headers(1, b"\x88", False, 16384)):
        try:
            read([head + text])
        except Broken as broken:
            assert all(message.startswith("upstream ") for message in broken.messages)


def test_windows_are_widened() -> None:
    reader = Reader(Peer(), 4096)
    assert reader.head(wire.headers(1, b"\x88", False, 16384)) == [(b":status", b"200")]
    reader.begin_body(-1)
    reader.recv_window = 600_000_000
    reader.body(data(b"x" * 16384) * 5000)
    assert reader.control and reader.recv_window > 2**31 - 2**28


def test_streams_follow_each_other() -> None:
    peer = Peer()
    assert [Reader(peer, 4096).sid for _ in range(3)] == [1, 3, 5]


def test_no_dynamic_table() -> None:
    decoder = Peer().decoder
    assert decode(decoder, b"\x20\x20\x40\x01a\x01b", 100) == [(b"a", b"b")]
    with pytest.raises(Broken, match="invalid http2 table index: 62"):
        decode(decoder, b"\xbe", 100)
    with pytest.raises(Broken, match="dynamic table size update: 30"):
        decode(decoder, b"\x3e", 100)


def test_request() -> None:
    block = request_block(b"PUT", True, b"/a", b"host", [(b"X-Name", b"value")])
    assert Decoder(100, 1000).decode(block) == [
        (b":method", b"PUT"), (b":scheme", b"https"), (b":path", b"/a"), (b":authority", b"host"), (b"x-name", b"value"),
    ]  # fmt: skip
