"""Frames, transport parameters and tokens: written and read again; garbage is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geng.quic import debug, params, tokens
from geng.quic import frames as f
from geng.quic.conf import QuicConf

NUMBER = (1 << 62) - 1
FRAMES: list[f.Frame] = [
    f.Ping(),
    f.ResetStream(4, 0x10C, 1000),
    f.StopSending(4, 0x10C),
    f.Crypto(5, b"hello"),
    f.StreamFrame(8, 70000, b"data", False),
    f.StreamFrame(8, 0, b"", True),
    f.MaxData(NUMBER),
    f.MaxStreamData(3, 16384),
    f.MaxStreamsBidi(100),
    f.MaxStreamsUni(3),
    f.DataBlocked(0),
    f.StreamDataBlocked(1, 2),
    f.StreamsBlockedBidi(64),
    f.StreamsBlockedUni(63),
    f.NewConnectionId(3, 1, b"12345678", b"t" * 16),
    f.RetireConnectionId(2),
    f.PathChallenge(b"12345678"),
    f.PathResponse(b"12345678"),
    f.ConnectionClose(0x10C, b"why", 0, True),
    f.ConnectionClose(7, b"", 0x1C),
    f.Ack([(5, 9), (3, 3), (0, 0)], 77),
    f.Ack([(0, 4)], 0, (1, 2, 3)),
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame.name)
def test_what_is_written_is_read(frame: f.Frame) -> None:
    data = b"\0\0" + frame.encode() + b"\x01"
    padding, found, ping = f.parse(data, f.APPLICATION)
    assert (padding, found, ping) == (f.Padding(2), frame, f.Ping())


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame.name)
def test_a_piece_of_a_frame_is_refused(frame: f.Frame) -> None:
    data = frame.encode()
    for size in range(1, len(data)):
        try:
            found = list(f.parse(data[:size], f.APPLICATION))
        except f.BadFrame as bad:
            assert bad.code == f.FRAME_ENCODING_ERROR
        else:
            assert found != [frame]


@given(st.binary(max_size=200), st.sampled_from((f.INITIAL, f.HANDSHAKE, f.APPLICATION)))
def test_garbage_is_frames_or_refused(data: bytes, level: int) -> None:
    try:
        for frame in f.parse(data, level):
            if not isinstance(frame, f.Padding):
                assert list(f.parse(frame.encode(), level)) == [frame]
    except f.BadFrame as bad:
        assert bad.code in (f.FRAME_ENCODING_ERROR, f.PROTOCOL_VIOLATION)


@given(st.integers(0, NUMBER))
def test_numbers(value: int) -> None:
    data = f.varint(value)
    assert len(data) == f.varint_size(value)
    assert f.Reader(data).varint() == value


def test_frames_stand_where_they_may() -> None:
    with pytest.raises(f.BadFrame) as bad:
        list(f.parse(f.MaxData(1).encode(), f.INITIAL))
    assert bad.value.code == f.PROTOCOL_VIOLATION
    for server_only in (f.HandshakeDone(), f.NewToken(b"x")):
        with pytest.raises(f.BadFrame):
            list(f.parse(server_only.encode(), f.APPLICATION))


@pytest.mark.parametrize("size", range(1, 200))
@pytest.mark.parametrize("frame", [f.StreamFrame(4, 16380, b"s" * 150, True), f.Crypto(60, b"c" * 150)], ids=["s", "c"])
def test_a_frame_is_split_to_fit(frame: Any, size: int) -> None:
    part = type(frame)(
        *([frame.id] if hasattr(frame, "id") else []), frame.offset, frame.data, *([True] if hasattr(frame, "fin") else [])
    )
    whole = len(part.encode())
    if size >= whole:
        return
    rest = part.split(size)
    if rest is None:
        assert size < 10
        return
    assert len(part.encode()) <= size
    assert part.data + rest.data == frame.data
    assert rest.offset == part.offset + len(part.data)
    if hasattr(frame, "fin"):
        assert (part.fin, rest.fin) == (False, True)


class Lines:
    """A connection whose log is kept."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.log = self

    def debug(self, line: str, *, kind: int, ctx: object) -> None:
        self.lines.append(line)


def test_what_debugging_says() -> None:
    c: Any = Lines()
    for frame in FRAMES:
        debug.frame(c, frame, 7, False)
    assert all(line.startswith("quic frame rx app:7 ") for line in c.lines)
    assert c.lines[1:6] == [
        "quic frame rx app:7 RESET_STREAM id:0x4 error_code:0x10c final_size:1000",
        "quic frame rx app:7 STOP_SENDING id:0x4 err:0x10c",
        "quic frame rx app:7 CRYPTO len:5 off:5",
        "quic frame rx app:7 STREAM id:0x8 off:70000 len:4",
        "quic frame rx app:7 STREAM id:0x8 off:0 len:0 fin:1",
    ]
    assert "quic frame rx app:7 CONNECTION_CLOSE_APP err:268 why" in c.lines
    assert "quic frame rx app:7 ACK n:2 delay:77 9-5 3 0" in c.lines


# ---- transport parameters


def test_parameters() -> None:
    made = params.Params(
        max_idle_timeout=60000, initial_max_data=1 << 20, active_connection_id_limit=4, disable_active_migration=True,
        initial_scid=b"scid",
    )  # fmt: skip
    text = made.encode()
    with pytest.raises(params.BadParams, match="forbidden transport param id:0x0"):
        params.parse(text)  # a server's
    text = text[: text.index(b"\x00\x00\x0f\x04scid")] + b"\x0f\x04scid"
    assert params.parse(text) == made
    assert params.why_not(made, b"scid") == ("", "")
    assert params.why_not(made, b"other")[0] == "invalid initial_source_connection_id"


@pytest.mark.parametrize(
    "field, value",
    [
        ("max_udp_payload_size", 1199),
        ("active_connection_id_limit", 1),
        ("ack_delay_exponent", 21),
        ("max_ack_delay", 16384),
    ],
)
def test_parameters_that_cannot_be(field: str, value: int) -> None:
    made = params.Params()
    setattr(made, field, value)
    assert params.why_not(made, b"")[0]


@given(st.binary(max_size=100))
def test_garbage_in_parameters(data: bytes) -> None:
    try:
        params.parse(data)
    except params.BadParams as bad:
        assert str(bad)


# ---- tokens

CONF = QuicConf(None, on_stream=lambda s: None, host_key=b"key")  # type: ignore[arg-type]
CLIENT = ("127.0.0.1", 1234)


def test_a_retry_token_is_for_one_address_and_port() -> None:
    token = tokens.make(CONF, CLIENT, b"original", True)
    assert tokens.check(CONF, CLIENT, token) == (b"original", True)
    with pytest.raises(tokens.BadToken, match="quic invalid token") as bad:
        tokens.check(CONF, ("127.0.0.1", 1235), token)
    assert bad.value.retried and not bad.value.garbage


def test_a_token_for_later_is_for_an_address() -> None:
    token = tokens.make(CONF, CLIENT, b"", False)
    assert tokens.check(CONF, ("127.0.0.1", 99), token) == (b"", False)
    with pytest.raises(tokens.BadToken, match="quic invalid token"):
        tokens.check(CONF, ("127.0.0.2", 1234), token)


def test_an_old_token(monkeypatch: pytest.MonkeyPatch) -> None:
    token = tokens.make(CONF, CLIENT, b"original", True)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + tokens.RETRY_LIFETIME + 2)
    with pytest.raises(tokens.BadToken, match="quic expired token"):
        tokens.check(CONF, CLIENT, token)


@given(st.binary(max_size=200))
def test_garbage_is_no_token(data: bytes) -> None:
    with pytest.raises(tokens.BadToken, match="quic garbage token"):
        tokens.check(CONF, CLIENT, data)


def test_a_host_key_makes_the_same_tokens_again() -> None:
    other = QuicConf(None, on_stream=lambda s: None, host_key=b"key")  # type: ignore[arg-type]
    assert tokens.reset_token(CONF, b"cid", 0) == tokens.reset_token(other, b"cid", 0)
    assert tokens.reset_token(CONF, b"cid", 0) != tokens.reset_token(CONF, b"cid", 1)
    assert tokens.check(other, CLIENT, tokens.make(CONF, CLIENT, b"o", True)).odcid == b"o"
