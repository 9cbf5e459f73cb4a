"""grpc_pass and proxy_http_version 2: gRPC's own client and server around it, and upstreams that break the rules."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from geng.hot.hpack import Decoder, field
from geng.wire import http2 as wire
from geng.wire import http3
from tests.harness.applications import exactly
from tests.harness.tls import Authority
from tests.http.v3.client import Client as Http3Client

CONF = """
events {}
http {
    %HTTP%
    upstream u { server 127.0.0.1:%UP%; keepalive 4; }
    server {
        listen 127.0.0.1:%PORT%;
        http2 on;
        client_body_timeout 3s;
        client_max_body_size 0;
        %BODY%
    }
}
"""

GRPC_PASS = "location / { grpc_pass u; %s }"


# ---- gRPC on both sides


class Service(grpc.GenericRpcHandler):
    """Methods of every kind, on plain bytes."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        kinds = {
            "/t/Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "/t/Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "/t/Slow": grpc.unary_unary_rpc_method_handler(self.slow),
            "/t/Down": grpc.unary_stream_rpc_method_handler(self.down),
            "/t/Up": grpc.stream_unary_rpc_method_handler(self.up),
            "/t/Both": grpc.stream_stream_rpc_method_handler(self.both),
        }
        return kinds.get(details.method)

    def unary(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata((("x-trailer", "at the end"),))
        return b"hello " + request

    def fail(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not like this")
        raise AssertionError("abort() raises")

    def slow(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        time.sleep(2)
        return request

    def down(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number

    def up(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        return b"%d" % sum(map(len, requests))

    def both(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            yield b"echo " + request


@pytest.fixture
def service() -> Iterator[int]:
    """A gRPC server's port."""
    with ThreadPoolExecutor(8) as threads:
        made = grpc.server(threads, handlers=(Service(),), options=[("grpc.max_receive_message_length", 1 << 24)])
        port = made.add_insecure_port("127.0.0.1:0")
        made.start()
        yield port
        made.stop(None).wait()


@pytest.fixture
def channel(server: Any, service: int) -> Iterator[grpc.Channel]:
    """A client's way to it, through the server."""
    s = server(CONF.replace("%BODY%", GRPC_PASS.replace("%s", "")).replace("%HTTP%", ""), UP=service)
    with grpc.insecure_channel("{}:{}".format(*s.address())) as made:
        yield made


def test_unary(channel: grpc.Channel) -> None:
    answer, call = channel.unary_unary("/t/Unary").with_call(b"geng", timeout=30, metadata=(("x-own", "1"),))
    assert answer == b"hello geng"
    assert ("x-trailer", "at the end") in [tuple(pair) for pair in call.trailing_metadata()]


def test_many_calls_at_once(channel: grpc.Channel) -> None:
    unary = channel.unary_unary("/t/Unary")
    calls = [unary.future(b"%d" % n, timeout=40) for n in range(40)]
    assert [call.result() for call in calls] == [b"hello %d" % n for n in range(40)]


def test_error_in_trailers(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/t/Fail")(b"", timeout=30)
    assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert error.value.details() == "not like this"


def test_unknown_method(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/t/None")(b"", timeout=30)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_deadline(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/t/Slow")(b"", timeout=0.5)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert channel.unary_unary("/t/Unary")(b"2", timeout=30) == b"hello 2"


def test_server_streaming(channel: grpc.Channel) -> None:
    assert list(channel.unary_stream("/t/Down")(b"2000", timeout=40)) == [b"%d" % n for n in range(2000)]


def test_client_streaming(channel: grpc.Channel) -> None:
    parts = [b"x" * 100_000 for _ in range(50)]
    assert channel.stream_unary("/t/Up")(iter(parts), timeout=40) == b"5000000"


def test_large_message(channel: grpc.Channel) -> None:
    assert channel.stream_unary("/t/Up")(iter([b"x" * 3_000_000]), timeout=40) == b"3000000"


def test_both_directions_at_once(channel: grpc.Channel) -> None:
    """Each message is sent only when the answer to the one before is here."""
    answered = threading.Semaphore(0)

    def ask() -> Iterator[bytes]:
        for number in range(20):
            yield b"%d" % number
            assert answered.acquire(timeout=30)

    answers = []
    for answer in channel.stream_stream("/t/Both")(ask(), timeout=40):
        answers.append(answer)
        answered.release()
    assert answers == [b"echo %d" % n for n in range(20)]


def test_large_messages_both_ways(channel: grpc.Channel) -> None:
    sizes = [300_000] * 10
    answers = channel.stream_stream("/t/Both")((b"x" * size for size in sizes), timeout=40)
    assert [len(answer) - 5 for answer in answers] == sizes


def test_client_that_goes_away(channel: grpc.Channel) -> None:
    def ask() -> Iterator[bytes]:
        yield b"1"
        time.sleep(0.5)

    call = channel.stream_stream("/t/Both")(ask(), timeout=40)
    assert next(call) == b"echo 1"
    call.cancel()
    assert channel.unary_unary("/t/Unary")(b"2", timeout=30) == b"hello 2"


# ---- an upstream of HTTP/2 in a few lines


class Peer:
    """One connection of an upstream: reads frames, says what it is told."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.decoder = Decoder(1 << 20, 1 << 20)
        assert exactly(sock, len(wire.PREFACE)) == wire.PREFACE
        sock.sendall(wire.settings(()))

    def frame(self) -> tuple[int, int, int, bytes]:
        """Kind, flags, stream and payload of the next frame."""
        head = exactly(self.sock, 9)
        size = int.from_bytes(head[:3], "big")
        return head[3], head[4], int.from_bytes(head[5:], "big"), exactly(self.sock, size) if size else b""

    def request(self) -> tuple[int, dict[bytes, bytes], bytes]:
        """The next request: its stream, fields and body."""
        fields: list[tuple[bytes, bytes]] = []
        body = b""
        while True:
            kind, flags, sid, payload = self.frame()
            if kind == wire.HEADERS:
                fields = self.decoder.decode(payload)
            elif kind == wire.DATA:
                body += payload
            else:
                continue
            if flags & wire.END_STREAM:
                return sid, dict(fields), body

    def head(self, sid: int, *lines: tuple[bytes, bytes], end: bool = False, status: bytes = b"200") -> None:
        self.block(sid, ((b":status", status), *lines), end)

    def block(self, sid: int, lines: Any, end: bool) -> None:
        self.sock.sendall(wire.headers(sid, b"".join(field(*line) for line in lines), end, 16384))

    def data(self, sid: int, data: bytes, end: bool = False) -> None:
        self.sock.sendall(wire.frame_header(len(data), wire.DATA, int(end), sid) + data)


def start(server: Any, backend: Any, talk: Callable[[Peer], None], body: str = "", location: str = GRPC_PASS) -> Any:
    def conversation(sock: socket.socket) -> None:
        peer = Peer(sock)
        talk(peer)
        drain(peer)  # to close with something unread would reset the connection, and what was sent would be lost

    up = backend(talk=conversation)
    return server(CONF.replace("%BODY%", location.replace("%s", body)).replace("%HTTP%", ""), UP=up.port)


def hello(peer: Peer) -> None:
    """Answers each request on the connection with its number there."""
    try:
        while True:
            sid, _, body = peer.request()
            peer.head(sid, (b"x-stream", b"%d" % sid))
            peer.data(sid, b"got " + body, True)
    except EOFError:
        return


PROXY_PASS = "location / { proxy_http_version 2; proxy_pass http://u; %s }"


@pytest.mark.parametrize("location", (GRPC_PASS, PROXY_PASS))
def test_connection_is_kept(server: Any, backend: Any, location: str) -> None:
    s = start(server, backend, hello, location=location)
    answers = [s.get("/", method="POST", body=b"body %d" % n) for n in range(3)]
    assert [a["x-stream"] for a in answers] == ["1", "3", "5"]
    assert [a.text for a in answers] == [f"got body {n}" for n in range(3)]


def test_request(server: Any, backend: Any) -> None:
    seen: list[dict[bytes, bytes]] = []

    def talk(peer: Peer) -> None:
        sid, fields, _ = peer.request()
        seen.append(fields)
        peer.head(sid, end=True)

    s = start(server, backend, talk, 'grpc_set_header X-Set "$request_method!"; grpc_set_header X-None "";')
    answer = s.get("/a%20b?c=d", headers={"X-None": "1", "X-Some": "2", "Connection": "keep-alive", "TE": "trailers"})
    assert (answer.status, answer["content-length"]) == (200, "0")
    assert seen[0].items() >= {
        b":method": b"GET", b":scheme": b"http", b":path": b"/a%20b?c=d", b":authority": b"u", b"te": b"trailers",
        b"x-set": b"GET!", b"x-some": b"2",
    }.items()  # fmt: skip
    assert not seen[0].keys() & {b"x-none", b"connection", b"host"}


def test_body_waits_for_the_window(server: Any, backend: Any) -> None:
    sizes: list[int] = []

    def talk(peer: Peer) -> None:
        left = 65535
        total = 0
        while True:
            kind, flags, sid, payload = peer.frame()
            if kind != wire.DATA:
                continue
            left -= len(payload)
            total += len(payload)
            sizes.append(left)
            if flags & wire.END_STREAM:
                break
            if not left:
                left = 100_000
                peer.sock.sendall(wire.window_update(0, left) + wire.window_update(sid, left))
        peer.head(sid)
        peer.data(sid, b"%d" % total, True)

    for location in (GRPC_PASS, PROXY_PASS):
        s = start(server, backend, talk, "", location)
        assert s.get("/", method="POST", body=b"x" * 500_000).text == "500000"
    assert min(sizes) == 0


def test_response_before_the_body(server: Any, backend: Any) -> None:
    """The answer begins while the client still sends, and ends after that."""

    def talk(peer: Peer) -> None:
        while True:
            kind, _, sid, _ = peer.frame()
            if kind == wire.HEADERS:
                break
        peer.head(sid)
        peer.data(sid, b"first")
        body = b""
        while True:
            kind, flags, _, payload = peer.frame()
            body += payload if kind == wire.DATA else b""
            if kind == wire.DATA and flags & wire.END_STREAM:
                break
        peer.data(sid, b" then " + body, True)

    s = start(server, backend, talk)
    with socket.create_connection(s.address(), timeout=30) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 6\r\n\r\nabc")
        seen = b""
        while b"first" not in seen:
            more = sock.recv(4096)
            assert more
            seen += more
        sock.sendall(b"def")
        while more := sock.recv(4096):
            seen += more
    assert b" then abcdef" in seen


def say(*frame: Any, payload: bytes = b"") -> Any:
    """Sends one frame of these (length, kind, flags, stream)."""
    return lambda p, sid: p.sock.sendall(wire.frame_header(*frame) + payload)


BROKEN = [
    (lambda p, sid: p.sock.sendall(wire.rst_stream(sid, 7)), "upstream rejected request with error 7"),
    (lambda p, sid: p.sock.sendall(wire.goaway(0, 11)), "upstream sent goaway with error 11"),
    (lambda p, sid: p.data(sid, b"x"), "upstream sent unexpected http2 frame: 0"),
    (lambda p, sid: p.head(sid + 2), "upstream sent frame for unknown stream 3"),
    (lambda p, sid: p.head(sid, status=b"20"), 'upstream sent invalid :status "20"'),
    (lambda p, sid: p.head(sid, status=b"100"), 'upstream sent unexpected :status "100"'),
    (lambda p, sid: p.block(sid, ((b"a", b"b"),), False), "upstream sent no :status header"),
    (lambda p, sid: p.head(sid, (b":status", b"200")), "upstream sent duplicate :status header"),
    (lambda p, sid: p.head(sid, (b"Upper", b"x")), 'upstream sent invalid header: "Upper: x"'),
    (lambda p, sid: p.head(sid, (b"a", b"x\r\nb: c")), "upstream sent invalid header"),
    (lambda p, sid: p.head(sid, (b"a", b"x" * 5000)), "upstream sent too large http2 header"),
    (say(16385, wire.DATA, 0, 1), "upstream sent too large http2 frame: 16385"),
    (lambda p, sid: p.sock.sendall(wire.window_update(0, 0)), "upstream sent zero window update"),
    (lambda p, sid: p.sock.sendall(wire.window_update(sid, 2**31 - 1)), "upstream sent too large window update"),
    (lambda p, sid: p.sock.sendall(wire.settings(((4, 2**31),))), "too large initial window size: 2147483648"),
    (say(3, wire.SETTINGS, 0, 0, payload=b"abc"), "settings frame with invalid length: 3"),
    (say(0, wire.PING, 0, 0), "upstream sent ping frame with invalid length: 0"),
    (say(1, wire.HEADERS, 4, 1, payload=b"\xbe"), "invalid http2 table index: 62"),
    (say(1, wire.HEADERS, 4, 1, payload=b"\x80"), "invalid http2 table index: 0"),
    (say(1, wire.HEADERS, 4, 1, payload=b"\x40"), "truncated http2 header"),
    (lambda p, sid: p.sock.shutdown(socket.SHUT_WR), "upstream prematurely closed connection"),
]  # fmt: skip


@pytest.mark.parametrize("fault, message", BROKEN, ids=[message for _, message in BROKEN])
def test_broken_head(server: Any, backend: Any, fault: Any, message: str) -> None:
    def talk(peer: Peer) -> None:
        sid, _, _ = peer.request()
        fault(peer, sid)
        drain(peer)

    s = start(server, backend, talk)
    assert s.get("/").status == 502
    assert message in s.log()


def drain(peer: Peer) -> None:
    """Until the server closes."""
    try:
        while peer.sock.fileno() >= 0 and peer.sock.recv(4096):
            pass
    except OSError:
        return


BROKEN_BODIES = [
    (lambda p, sid: p.data(sid, b"more than that", True), "response body larger than indicated content length"),
    (lambda p, sid: p.data(sid, b"le", True), "upstream prematurely closed stream"),
    (lambda p, sid: p.sock.sendall(wire.rst_stream(sid, 2)), "upstream rejected request with error 2"),
    (lambda p, sid: p.block(sid, ((b"a", b"b"),), False), "upstream sent trailer without end stream flag"),
    (lambda p, sid: p.block(sid, ((b":a", b"b"),), True), 'upstream sent invalid trailer ":a: b"'),
    (lambda p, sid: p.data(sid + 2, b"x"), "upstream sent data frame for unknown stream 3"),
    (say(2, wire.DATA, 8, 1, payload=b"\x05x"), "too long padding: 5 in frame 1"),
    (lambda p, sid: p.sock.shutdown(socket.SHUT_WR), "upstream prematurely closed connection"),
]  # fmt: skip


@pytest.mark.parametrize("location", (GRPC_PASS, PROXY_PASS), ids=("grpc", "proxy"))
@pytest.mark.parametrize("fault, message", BROKEN_BODIES, ids=[message for _, message in BROKEN_BODIES])
def test_broken_body(server: Any, backend: Any, fault: Any, message: str, location: str) -> None:
    def talk(peer: Peer) -> None:
        sid, _, _ = peer.request()
        peer.head(sid, (b"content-length", b"7"))
        time.sleep(0.05)
        fault(peer, sid)
        drain(peer)

    s = start(server, backend, talk, location=location)
    with socket.create_connection(s.address(), timeout=30) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        seen = b""
        while more := sock.recv(4096):
            seen += more
    assert seen.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"more than that" not in seen
    assert message in s.log()


def test_ping_and_settings_are_answered(server: Any, backend: Any) -> None:
    kinds: list[tuple[int, int]] = []

    def talk(peer: Peer) -> None:
        sid, _, _ = peer.request()
        peer.sock.sendall(wire.frame_header(8, wire.PING, 0, 0) + b"12345678")
        while (wire.PING, wire.ACK) not in kinds:
            kind, flags, _, payload = peer.frame()
            kinds.append((kind, flags))
            assert kind != wire.PING or payload == b"12345678"
        peer.head(sid)
        peer.data(sid, b"ok", True)

    s = start(server, backend, talk)
    assert s.get("/").text == "ok"
    assert (wire.SETTINGS, wire.ACK) in kinds


def test_goaway_ends_a_connection(server: Any, backend: Any) -> None:
    def talk(peer: Peer) -> None:
        sid, _, _ = peer.request()
        peer.sock.sendall(wire.goaway(sid, 0))
        peer.head(sid, (b"x-stream", b"%d" % sid))
        peer.data(sid, b"ok", True)
        drain(peer)

    s = start(server, backend, talk)
    assert [s.get("/")["x-stream"] for _ in range(3)] == ["1", "1", "1"]


def test_next_upstream(server: Any, backend: Any) -> None:
    count = [0]

    def talk(peer: Peer) -> None:
        sid, _, _ = peer.request()
        count[0] += 1
        peer.head(sid, (b"x-try", b"%d" % count[0]), end=True, status=b"503" if count[0] == 1 else b"200")
        drain(peer)

    up = backend(talk=lambda sock: talk(Peer(sock)))
    conf = CONF.replace("server 127.0.0.1:%UP%;", "server 127.0.0.1:%UP%; server 127.0.0.1:%UP%;")
    conf = conf.replace("%BODY%", GRPC_PASS.replace("%s", "grpc_next_upstream http_503;")).replace("%HTTP%", "")
    s = server(conf, UP=up.port)
    answer = s.get("/")
    assert (answer.status, answer["x-try"]) == (200, "2")


def test_errors_are_intercepted(server: Any, backend: Any) -> None:
    def talk(peer: Peer) -> None:
        sid, _, _ = peer.request()
        peer.head(sid, end=True, status=b"404")

    s = start(server, backend, talk, "grpc_intercept_errors on; error_page 404 = @own;", GRPC_PASS + """
        location @own { return 200 own; }""")  # fmt: skip
    assert s.get("/").text == "own"


def test_read_timeout(server: Any, backend: Any) -> None:
    def talk(peer: Peer) -> None:
        peer.request()
        drain(peer)

    s = start(server, backend, talk, "grpc_read_timeout 200ms;")
    assert s.get("/").status == 504
    assert "upstream timed out" in s.log()


def test_send_timeout(server: Any, backend: Any) -> None:
    """The window stays closed."""

    def talk(peer: Peer) -> None:
        drain(peer)

    s = start(server, backend, talk, "grpc_send_timeout 300ms; ")
    assert s.get("/", method="POST", body=b"x" * 200_000).status == 504
    assert "upstream timed out" in s.log()


def test_trailers_reach_an_http1_client(server: Any, backend: Any) -> None:
    def talk(peer: Peer) -> None:
        sid, _, _ = peer.request()
        peer.head(sid)
        peer.data(sid, b"body")
        peer.block(sid, ((b"grpc-status", b"0"),), True)

    s = start(server, backend, talk)
    with socket.create_connection(s.address(), timeout=30) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTE: trailers\r\n\r\n")
        seen = b""
        while more := sock.recv(4096):
            seen += more
    assert seen.endswith(b"4\r\nbody\r\n0\r\ngrpc-status: 0\r\n\r\n")


def test_client_body_that_never_ends(server: Any, backend: Any) -> None:
    """The response has begun; then the client sends no more."""

    def talk(peer: Peer) -> None:
        while peer.frame()[0] != wire.HEADERS:
            pass
        peer.head(1)
        peer.data(1, b"first")
        drain(peer)

    s = start(server, backend, talk, "client_body_timeout 1s;")
    with socket.create_connection(s.address(), timeout=30) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
        seen = b""
        while more := sock.recv(4096):
            seen += more
    assert b"first" in seen and not seen.endswith(b"0\r\n\r\n")
    assert "client timed out" in s.log()


def test_both_directions_over_http3(server: Any, backend: Any, tmp_path: Path) -> None:
    """A client of HTTP/3 sends more of its body once it has seen the response begin."""

    def talk(peer: Peer) -> None:
        while peer.frame()[0] != wire.HEADERS:
            pass
        peer.head(1)
        peer.data(1, b"first")
        body = b""
        while True:
            kind, flags, _, payload = peer.frame()
            body += payload if kind == wire.DATA else b""
            if kind == wire.DATA and flags & wire.END_STREAM:
                break
        peer.data(1, b" then " + body)
        peer.block(1, ((b"grpc-status", b"0"),), True)

    Authority(tmp_path).issue("localhost")
    listen = "listen 127.0.0.1:%PORT% quic; ssl_certificate localhost.crt; ssl_certificate_key localhost.key;"
    s = start(server, backend, talk, location=listen + GRPC_PASS)
    with Http3Client(s.address()) as client:
        sid = client.ask("/", method="POST", body=b"abc", end=False)
        client.until(lambda: sid in client.answers and client.answers[sid].body == b"first")
        client.send(sid, http3.frame(http3.DATA, b"def"), True)
        answer = client.answer(sid)
    assert answer.body == b"first then abcdef"
    assert ("grpc-status", "0") in [line for head in answer.heads for line in head]
