"""HTTP/2 connections: errors, flow control, limits, and how they end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from geng.hot.hpack import field, text
from geng.wire import http2 as wire
from tests.harness.backend import Answer
from tests.harness.tls import Authority
from tests.http.v2.client import Client

pytestmark = pytest.mark.live

CONF = """
error_log error.log info;
events {}
http {
    client_header_timeout 4s;
    server {
        listen 127.0.0.1:%PORT%;
        http2 on;
        http2_max_concurrent_streams 2;
        root .;
        location /p/ { proxy_pass http://127.0.0.1:%UP%; }
        location /u/ { proxy_pass http://127.0.0.1:%UP%; proxy_request_buffering off; proxy_http_version 1.1; }
        location /few { keepalive_requests 2; }
    }
}
"""


@pytest.fixture
def served(server: Callable[..., Any], backend: Callable[..., Any]) -> Any:
    up = backend(lambda request: Answer("hello", headers={"Connection": "close", "Keep-Alive": "timeout=5", "X-Y": "z"}))
    return server(CONF, UP=up.port, files={"big": b"0123456789" * 20000, "small": b"hello\n"})


PING = wire.frame_header(8, wire.PING, 0, 0) + b"12345678"

#: what is sent after the preface, the code of the GOAWAY, the message
FAULTS: list[tuple[bytes, int, str]] = [
    (wire.frame_header(0, wire.DATA, 0, 0), 1, "client sent DATA frame with incorrect identifier"),
    (wire.frame_header(0, wire.DATA, 8, 1), 6, "client sent padded DATA frame with incorrect length: 0"),
    (wire.frame_header(2, wire.DATA, 8, 1) + b"\2\0", 1, "incorrect length: 2, padding: 2"),
    (wire.frame_header(0, wire.HEADERS, 4, 1), 6, "client sent HEADERS frame with empty header block"),
    (wire.frame_header(3, wire.HEADERS, 0x24, 1), 6, "client sent HEADERS frame with incorrect length 3"),
    (wire.frame_header(1, wire.HEADERS, 4, 2) + b"\x82", 1, "with incorrect identifier 2, the last was 0"),
    (wire.frame_header(6, wire.HEADERS, 0x24, 1) + pack(">IBB", 1, 0, 0x82), 1, "with incorrect dependency"),
    (wire.frame_header(1, wire.HEADERS, 4, 1) + b"\x80", 9, "client sent invalid hpack table index 0"),
    (wire.frame_header(1, wire.HEADERS, 4, 1) + b"\xbe", 9, "client sent out of bound hpack table index: 0"),
    (wire.frame_header(1, wire.HEADERS, 4, 1) + b"\x40", 6, "client sent header block with incorrect length"),
    (wire.frame_header(2, wire.HEADERS, 4, 1) + b"\0\0", 1, "client sent zero header name length"),
    (wire.frame_header(5, wire.HEADERS, 4, 1) + b"\xff" * 5, 9, "too long header index value"),
    (wire.frame_header(4, wire.HEADERS, 4, 1) + b"\x3f\xe2\x1f\x82", 9, "client sent invalid table size update: 4097"),
    (wire.frame_header(4, wire.HEADERS, 4, 1) + b"\0\x7f\xff\x7f", 11, "client sent too large header field"),
    (wire.frame_header(1, wire.HEADERS, 0, 1) + b"\x82" + PING, 1, "while CONTINUATION was expected"),
    (wire.frame_header(1, wire.CONTINUATION, 4, 1) + b"\x82", 1, "client sent unexpected CONTINUATION frame"),
    (wire.frame_header(4, wire.PRIORITY, 0, 1), 6, "client sent PRIORITY frame with incorrect length 4"),
    (wire.frame_header(5, wire.PRIORITY, 0, 1) + pack(">IB", 1, 0), 1, "for stream 1 with incorrect dependency"),
    (wire.frame_header(4, wire.RST_STREAM, 0, 0) + b"\0\0\0\0", 1, "client sent RST_STREAM frame with incorrect identifier"),
    (wire.frame_header(5, wire.SETTINGS, 0, 0), 6, "client sent SETTINGS frame with incorrect length 5"),
    (wire.frame_header(6, wire.SETTINGS, 1, 0), 6, "with the ACK flag and nonzero length"),
    (wire.frame_header(0, wire.SETTINGS, 0, 1), 1, "client sent SETTINGS frame with incorrect identifier"),
    (wire.settings(((wire.INITIAL_WINDOW_SIZE, 2**31),)), 3, "incorrect INITIAL_WINDOW_SIZE value 2147483648"),
    (wire.settings(((wire.MAX_FRAME_SIZE, 1),)), 1, "incorrect MAX_FRAME_SIZE value 1"),
    (wire.settings(((wire.ENABLE_PUSH, 2),)), 1, "incorrect ENABLE_PUSH value 2"),
    (wire.frame_header(0, wire.PUSH_PROMISE, 0, 1), 1, "client sent PUSH_PROMISE frame"),
    (wire.frame_header(7, wire.PING, 0, 0), 6, "client sent PING frame with incorrect length 7"),
    (wire.frame_header(8, wire.PING, 0, 1) + b"12345678", 1, "client sent PING frame with incorrect identifier"),
    (wire.frame_header(7, wire.GOAWAY, 0, 0), 6, "client sent GOAWAY frame with incorrect length 7"),
    (wire.window_update(0, 0), 1, "with incorrect window increment 0"),
    (wire.window_update(0, 2**31 - 1), 3, "not allowed for window 65535"),
]  # fmt: skip


def test_faults_of_connections(served: Any) -> None:
    for sent, code, message in FAULTS:
        with Client(served.address()) as client:
            client.hello()
            client.sock.sendall(sent)
            assert client.goaway()[1] == code, message
            assert client.closed()
        assert message in served.log(), message
    with Client(served.address()) as client:
        client.sock.sendall(wire.PREFACE[:-6] + b"XX\r\n\r\n")
        assert b"400 Bad Request" in client._receive() or not client.buffer


def test_settings_window_and_ping(served: Any) -> None:
    with Client(served.address()) as client:
        client.hello()
        first = client.until(wire.SETTINGS)
        assert first.payload == pack(">HIHIHI", 3, 2, 4, 65536, 5, 2**24 - 1)
        assert client.until(wire.WINDOW_UPDATE).number == 2**31 - 1 - 65535
        client.until(wire.SETTINGS, ack=True)
        client.ping()


def test_the_windows_hold_data_back(served: Any) -> None:
    with Client(served.address()) as client:
        client.hello((wire.INITIAL_WINDOW_SIZE, 1000))
        sid = client.ask("/big")
        answer = client.body(sid, 1000)
        client.ping()
        assert len(answer.body) == 1000
        client.window(200000, sid)
        client.body(sid, 65535)
        client.ping()
        assert len(answer.body) == 65535  # the connection's window
        client.window(200000)
        assert client.answer(sid).body == b"0123456789" * 20000


def test_priorities_decide_who_goes_first(served: Any) -> None:
    with Client(served.address()) as client:
        client.hello((wire.INITIAL_WINDOW_SIZE, 100000))
        client.send(wire.PRIORITY, 0, 1, pack(">IB", 0, 0)).send(wire.PRIORITY, 0, 3, pack(">IB", 0, 255))
        first = client.ask("/big")
        client.body(first, 65535)
        second = client.ask("/small")
        client.ping()
        at = len(client.frames)
        client.window(100000)
        client.answer(second)
        order = [frame.sid for frame in client.frames[at:] if frame.kind == wire.DATA]
        assert order[0] == second


def test_too_many_streams(served: Any) -> None:
    with Client(served.address()) as client:
        client.hello((wire.INITIAL_WINDOW_SIZE, 10))
        sids = [client.ask("/big") for _ in range(3)]
        assert client.answer(sids[2]).reset == wire.REFUSED_STREAM
        assert "concurrent streams exceeded 2" in served.log()
        client.send(wire.RST_STREAM, 0, sids[0], pack(">I", wire.CANCEL))
        client.ping()
        assert f"client canceled stream {sids[0]}" in served.log()
        assert client.answer(client.ask("/p/")).text == "hello"


def test_a_head_in_many_frames(served: Any) -> None:
    with Client(served.address()) as client:
        client.hello()
        lines = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/small"), (b":authority", b"a"), (b"x", b"yyy")]
        block = b"".join(field(*line) for line in lines)
        client.send(wire.HEADERS, wire.END_STREAM, 1, block[:1])
        for at in range(1, len(block)):
            client.send(wire.CONTINUATION, 0, 1, block[at : at + 1])
        client.send(wire.CONTINUATION, wire.END_HEADERS, 1)
        assert client.answer(1).text == "hello\n"


def test_a_head_that_does_not_come(served: Any) -> None:
    with Client(served.address()) as client:
        client.hello()
        client.send(wire.HEADERS, 0, 1, b"\x82")
        assert client.answer(1).reset == wire.PROTOCOL_ERROR
        client.send(wire.CONTINUATION, wire.END_HEADERS, 1, b"\x86\x84\x41" + text(b"a"))
        client.next_sid = 3
        assert client.answer(client.ask("/small")).status == 200


def test_headers_of_upstreams_pass_but_for_those_of_http1(served: Any) -> None:
    with Client(served.address()) as client:
        client.hello()
        headers = client.answer(client.ask("/p/")).headers
        assert headers["x-y"] == "z"
        assert not {"connection", "keep-alive", "transfer-encoding"} & headers.keys()


def test_a_quiet_end(served: Any) -> None:
    with Client(served.address()) as client:
        client.hello()
        assert client.answer(client.ask("/small")).status == 200
        served.signal(signal.SIGQUIT)
        assert client.goaway() == (1, wire.NO_ERROR)
        assert client.closed()


def test_streams_end_before_the_worker(server: Callable[..., Any], backend: Callable[..., Any]) -> None:
    go = threading.Event()

    def wait(request: Any) -> str:
        go.wait(30)
        return "late"

    up = backend(wait)
    s = server(CONF, UP=up.port)
    with Client(s.address()) as client:
        client.hello()
        sid = client.ask("/p/")
        client.ping()
        s.signal(signal.SIGQUIT)
        assert client.goaway() == (1, wire.NO_ERROR)
        go.set()
        assert client.answer(sid).text == "late"
        assert client.closed()


def test_a_canceled_stream_ends_its_upstream(server: Callable[..., Any], backend: Callable[..., Any]) -> None:
    ended = threading.Event()

    def talk(sock: Any) -> None:
        sock.recv(65536)
        if sock.recv(65536) == b"":
            ended.set()

    up = backend(talk=talk)
    s = server(CONF, UP=up.port)
    with Client(s.address()) as client:
        client.hello()
        sid = client.ask("/p/")
        client.ping()
        client.send(wire.RST_STREAM, 0, sid, pack(">I", wire.CANCEL))
        assert ended.wait(30)
        client.ping()
        assert "client prematurely closed connection, so upstream connection is closed too" in s.log()


def test_tls_and_alpn(server: Callable[..., Any], tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("one", "localhost")
    s = server(
        """
        events {}
        http {
            ssl_certificate %CERT%;
            ssl_certificate_key %KEY%;
            server { listen 127.0.0.1:%PORT% ssl; server_name localhost; http2 on; return 200 "$http2 $scheme"; }
            server { listen 127.0.0.1:%PORT% ssl; server_name other; return 200 "other $http2"; }
        }
        """,
        CERT=str(tmp_path / "one.crt"),
        KEY=str(tmp_path / "one.key"),
    )
    context = authority.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with Client(s.address(), context) as client:
        assert client.sock.selected_alpn_protocol() == "h2"
        client.hello()
        assert client.answer(client.ask("/", scheme="https")).text.startswith("h2 https")
        a = client.answer(client.ask("/", scheme="https", authority="other"))
        assert a.status == 421
    with Client(s.address(), context, name="other") as client:
        assert client.sock.selected_alpn_protocol() == "http/1.1"


def test_a_flood_of_pings(served: Any) -> None:
    with Client(served.address()) as client:
        client.hello()
        try:
            for _ in range(200):
                client.sock.sendall(PING * 4096)
        except OSError:
            pass
        client.closed()
    assert "http2 flood detected" in served.log()


DIRECTIVES = [
    ("listen 127.0.0.1:%PORT% http2;", 'the "listen ... http2" directive is deprecated, use the "http2" directive instead'),
    ("http2_idle_timeout 5;", 'directive is obsolete, use the "keepalive_timeout" directive instead'),
    ("http2_push /x;", 'the "http2_push" directive is obsolete, ignored'),
    ("http2_chunk_size 0;", "the http2 chunk size cannot be zero"),
    ("http2_body_preread_size 3000m;", "the maximum body preread buffer size is 2147483647"),
    ("http2_streams_index_size 3;", '"http2_streams_index_size" directive must be a power of two'),
    ("http2 maybe;", 'invalid value "maybe" in "http2" directive, it must be "on" or "off"'),
]


def test_directives(configtest: Callable[..., Any]) -> None:
    for words, message in DIRECTIVES:
        said = configtest(f"events {{}} http {{ server {{ {words} }} }}").stderr
        assert message in said, said
