"""HTTP/3 connections: their streams, the dynamic table, limits, and how they end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from geng.wire import http3 as wire
from geng.wire import qpack
from tests.harness.server import Server, wait_until
from tests.harness.tls import Authority
from tests.http.v3.client import Client

pytestmark = pytest.mark.live

Start = Callable[..., Server]

CONF = """
worker_processes 1;
events {}
http {
    access_log access.log;
    ssl_certificate %CA%/localhost.crt;
    ssl_certificate_key %CA%/localhost.key;
    client_header_timeout 4s;
    server {
        listen 127.0.0.1:%PORT% quic;
        listen 127.0.0.1:%PORT% ssl;
        root .;
        keepalive_requests 4;
        location / { return 200 "$connection_requests $http_x"; }
        location /slow { limit_rate 200; return 200 "%BODY%"; }
        location /wait { proxy_pass http://127.0.0.1:%UP%; }
    }
}
"""

BODY = "x" * 300


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls")).issue("localhost")


@pytest.fixture(scope="module")
def s(tmp_path_factory: pytest.TempPathFactory, command: list[str], ca: Authority) -> Iterator[Server]:
    """One server for all tests that need no other: each has connections of its own."""
    one = Server(CONF, tmp_path_factory.mktemp("server"), command=command, CA=ca.folder, BODY=BODY, UP=1)
    try:
        yield one.start()
        one.stop()
    finally:
        one.kill()


@pytest.fixture
def alone(server: Start, ca: Authority) -> Server:
    """One that a test may stop."""
    return server(CONF, CA=ca.folder, BODY=BODY, UP=1)


def test_settings(s: Server) -> None:
    with Client(s.address()) as c:
        c.until(lambda: c.of_server(wire.CONTROL_STREAM))
        assert c.of_server(wire.CONTROL_STREAM) == wire.settings(((1, 4096), (7, 128)))
        assert sorted(data[:1] for data in c.streams.values()) == [b"\0", b"\3"]


def test_dynamic_table(s: Server) -> None:
    with Client(s.address(), table=4096) as c:
        for n in range(3):
            answer = c.get("/", ("x", "a value that is worth an entry"), ("y", "another"))
            assert answer.text == f"{n + 1} a value that is worth an entry"
        c.until(lambda: c.of_server(wire.DECODER_STREAM))
        c.encoder.feed_decoder(c.of_server(wire.DECODER_STREAM))


def test_request_that_waits_for_the_table(s: Server) -> None:
    with Client(s.address()) as c:
        block = b"\x02\x80" + qpack.indexed(17) + qpack.indexed(23) + qpack.indexed(1)
        block += qpack.named(0) + b"\x01h" + b"\x10"
        sid = c.raw(wire.frame(wire.HEADERS, block))
        assert c.get("/").status == 200
        assert not c.answers[sid].heads
        c.send(c.encoding, b"\x3f\xe1\x1f" + b"\x41x\x05entry")
        assert c.answer(sid).text == "1 entry"
        c.until(lambda: qpack.acknowledge(sid) in c.of_server(wire.DECODER_STREAM))


def test_number_of_streams(server: Start, ca: Authority) -> None:
    s = server(CONF.replace("root .;", "http3_max_concurrent_streams 2; root .;"), CA=ca.folder, BODY=BODY, UP=1)
    with Client(s.address()) as c:
        c.until(lambda: c.of_server(wire.CONTROL_STREAM))
        assert c.of_server(wire.CONTROL_STREAM) == wire.settings(((1, 4096), (7, 2)))
        assert c.quic._remote_max_streams_bidi == 2
        assert [c.answer(sid).status for sid in [c.ask() for _ in range(4)]] == [200] * 4


def broken_control(c: Client) -> None:
    c.send(c.control, wire.settings(()))


def no_settings(c: Client) -> None:
    c.uni(wire.CONTROL_STREAM, wire.goaway(0))


def closed_control(c: Client) -> None:
    c.send(c.control, b"", fin=True)


def second_control(c: Client) -> None:
    c.uni(wire.CONTROL_STREAM)


def unknown_too_early(c: Client) -> None:
    c.uni(0x21)


def large_table(c: Client) -> None:
    c.send(c.encoding, b"\x3f\xe2\x1f")


def acknowledgement(c: Client) -> None:
    c.send(c.decoding, b"\x80")


@pytest.mark.parametrize(
    ("does", "settings", "code"),
    [
        (broken_control, True, wire.FRAME_UNEXPECTED),
        (no_settings, False, wire.MISSING_SETTINGS),
        (closed_control, True, wire.CLOSED_CRITICAL_STREAM),
        (unknown_too_early, False, wire.STREAM_CREATION_ERROR),
        (large_table, True, wire.ENCODER_STREAM_ERROR),
        (acknowledgement, True, wire.DECODER_STREAM_ERROR),
    ],
)
def test_streams_that_break_rules(s: Server, does: Callable[[Client], None], settings: bool, code: int) -> None:
    with Client(s.address(), settings=settings) as c:
        does(c)
        assert c.end() == (code, "stream error")


def test_two_control_streams(s: Server) -> None:
    with Client(s.address(), settings=False) as c:
        c.uni(wire.CONTROL_STREAM, wire.settings(()))
        second_control(c)
        assert c.end() == (wire.STREAM_CREATION_ERROR, "stream error")
    assert "stream already created" in s.log()


@pytest.mark.parametrize(
    ("data", "code", "status"),
    [
        (wire.frame(wire.DATA, b"x"), wire.FRAME_UNEXPECTED, 400),
        (wire.settings(()), wire.FRAME_UNEXPECTED, 400),
        (wire.frame(wire.HEADERS, b""), wire.FRAME_ERROR, 400),
        (wire.frame(wire.HEADERS, b"\0\0"), wire.FRAME_ERROR, 400),
        (wire.frame(wire.HEADERS, b"\0\0\x80"), wire.DECOMPRESSION_FAILED, 400),
        (wire.frame(wire.HEADERS, b"\0\0\x20"), wire.INTERNAL_ERROR, 500),
        (wire.HEADERS.to_bytes(1, "big") + b"\x10\0\0", wire.INTERNAL_ERROR, 400),
    ],
)
def test_request_streams_that_break_rules(s: Server, data: bytes, code: int, status: int) -> None:
    with Client(s.address()) as c:
        assert c.answer(c.raw(data)).reset == code
        assert c.get("/").status == 200
    wait_until(lambda: f'"" {status} 0 ' in s.log("access.log"), "its line in the log")


def test_head_that_does_not_come(s: Server) -> None:
    with Client(s.address()) as c:
        nothing = c.raw(b"\x01\x20\0", fin=False)
        assert c.answer(nothing).reset == wire.GENERAL_PROTOCOL_ERROR
    assert "client timed out (110: Connection timed out)" in s.log()
    wait_until(lambda: '"" 408 0 ' in s.log("access.log"), "its line in the log")


def test_number_of_requests(s: Server) -> None:
    with Client(s.address()) as c:
        for n in range(4):
            assert c.get("/").text == f"{n + 1} "
        c.until(lambda: c.of_server(wire.CONTROL_STREAM).endswith(wire.goaway(16)))
        assert c.end() == (wire.NO_ERROR, "reached maximum number of requests")


def test_idle_connections_end(server: Start, ca: Authority) -> None:
    s = server(CONF.replace("root .;", "keepalive_timeout 3s; root .;"), CA=ca.folder, BODY=BODY, UP=1)
    with Client(s.address()) as c:
        assert c.get("/").status == 200
        assert c.end()[0] == wire.NO_ERROR


def test_stop(alone: Server) -> None:
    with Client(alone.address()) as c:
        assert c.get("/").status == 200
        sid = c.ask("/slow")
        c.until(lambda: c.answers[sid].heads)
        alone.signal(signal.SIGQUIT)
        c.until(lambda: c.of_server(wire.CONTROL_STREAM).endswith(wire.goaway(8)))
        assert c.answer(sid).body == b"x" * 300
        assert c.end() == (wire.NO_ERROR, "connection shutdown")


def test_reload(alone: Server) -> None:
    alone.reload()
    with Client(alone.address()) as c:
        assert c.get("/").status == 200


def test_client_that_goes_while_an_upstream_is_asked(server: Start, ca: Authority, backend: Callable[..., Any]) -> None:
    seen: list[bytes] = []

    def wait(sock: Any) -> None:
        seen.append(sock.recv(4096))
        seen.append(sock.recv(4096))

    s = server(CONF, CA=ca.folder, BODY=BODY, UP=backend(talk=wait).port)
    with Client(s.address()) as c:
        sid = c.ask("/wait")
        wait_until(lambda: seen, "the request")
        c.quic.stop_stream(sid, wire.REQUEST_CANCELLED)
        c.flush()
        assert c.answer(sid).reset == wire.REQUEST_CANCELLED
        wait_until(lambda: len(seen) == 2 and seen[1] == b"", "the upstream's connection closed")
    wait_until(lambda: '"GET /wait HTTP/3.0" 499 0 ' in s.log("access.log"), "its line in the log")


def test_configuration(configtest: Callable[..., Any], ca: Authority, tmp_path: Path) -> None:
    def said(text: str) -> str:
        conf = "events {} http { ssl_certificate %CA%/localhost.crt; ssl_certificate_key %CA%/localhost.key; " + text + " }"
        return str(configtest(conf, CA=ca.folder).stderr)

    (tmp_path / "empty").write_bytes(b"")
    assert "test is successful" in said("server { listen 127.0.0.1:8443 quic; quic_retry on; quic_gso on; http3_hq on; }")
    assert "zero key size" in said(
        "quic_host_key %DIR%/empty; server { listen 127.0.0.1:8443 quic; }".replace("%DIR%", str(tmp_path))
    )
    assert '"ssl_protocols" must enable TLSv1.3' in said("ssl_protocols TLSv1.2; server { listen 127.0.0.1:8443 quic; }")
    assert '"backlog" parameter is incompatible with "quic"' in said("server { listen 127.0.0.1:8443 quic backlog=5; }")
    assert 'no "ssl_certificate" is defined for the "listen ... quic"' in str(
        configtest("events {} http { server { listen 127.0.0.1:8443 quic; } }").stderr
    )


def test_worker_shutdown_timeout(server: Start, ca: Authority, backend: Callable[..., Any]) -> None:
    seen: list[bytes] = []

    def wait(sock: Any) -> None:
        seen.append(sock.recv(4096))
        seen.append(sock.recv(4096))

    conf = "worker_shutdown_timeout 300ms;" + CONF
    s = server(conf, CA=ca.folder, BODY=BODY, UP=backend(talk=wait).port)
    with Client(s.address()) as c:
        sid = c.ask("/wait")
        c.until(lambda: seen)
        s.signal(signal.SIGQUIT)
        assert c.end()[0] == wire.NO_ERROR
        assert not c.answers[sid].heads
    wait_until(lambda: len(seen) == 2, "the upstream's connection closed")


def junk(random: Random) -> bytes:
    """Frames, whole or not, and bytes that are none."""
    made = b""
    for _ in range(random.randrange(1, 5)):
        body = random.randbytes(random.randrange(0, 40))
        kind = random.choice(
            (wire.DATA, wire.HEADERS, wire.HEADERS, wire.SETTINGS, wire.GOAWAY, 0x21, random.randrange(1 << 20))
        )
        if kind == wire.HEADERS and random.random() < 0.7:
            lines = ((17, 23, 1, 0), (15, 23, 1, 0), (20, 23, 1), (99, 17), range(0, 98, 7))
            body = qpack.NO_TABLE + b"".join(map(qpack.indexed, random.choice(lines))) + body[: random.randrange(4)]
        made += wire.frame(kind, body)
    return made[: random.randrange(1, len(made) + 1)] if random.random() < 0.3 else made


@pytest.mark.parametrize("seed", range(2))
def test_junk(s: Server, seed: int) -> None:
    random = Random(seed)
    for _ in range(10):
        with Client(s.address(), settings=random.random() < 0.7) as c:
            for _ in range(6):
                if c.closed is None and random.random() < 0.2:
                    c.uni(random.choice((0, 1, 2, 3, 0x21)), random.randbytes(random.randrange(30)))
                elif c.closed is None:
                    c.raw(junk(random), fin=random.random() < 0.8)
                if c.closed is None and random.random() < 0.3:
                    c.quic.reset_stream(c.raw(junk(random), fin=False), wire.REQUEST_CANCELLED)
                    c.flush()
            try:
                c.until(lambda: c.closed is not None, patience=0.05)
            except AssertionError:
                pass  # nothing to say to that
    with Client(s.address()) as c:
        assert c.get("/").status == 200
