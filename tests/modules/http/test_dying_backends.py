"""Backends of every protocol that die in the middle of what they say: the client's status, the log, nothing left on disk."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.servers import wait_until
from tests.harness.applications import FastcgiApp, ScgiApp, UwsgiApp, stdout
from tests.harness.client import Truncated
from tests.harness.tls import Authority

CONF = """
events {}
http {
    %PROTOCOL%_temp_path %DIR%/temp;
    %PROTOCOL%_cache_path %DIR%/cache keys_zone=one:1m use_temp_path=on;
    upstream u { server 127.0.0.1:%UP%; }
    server {
        listen 127.0.0.1:%PORT%;
        location / {
            set $memcached_key key;
            %PROTOCOL%_pass %SCHEME%u;
            %PROTOCOL%_read_timeout 10s;
            %PROTOCOL%_buffering %BUFFERING%;
            %CACHE%
        }
        location /alive { return 204; }
    }
}
"""
SIZE = 1_000_000
HEAD = b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % SIZE
READERS: dict[str, Callable[[socket.socket], object]] = {
    "fastcgi": lambda sock: FastcgiApp(lambda request: None).read(sock),
    "scgi": lambda sock: ScgiApp(lambda request: None).read(sock),
    "uwsgi": lambda sock: UwsgiApp(lambda request: None).read(sock),
}
HEADS = {
    "memcached": b"VALUE key 0 %d\r\n" % SIZE,
    "proxy": b"HTTP/1.1 200 OK\r\n" + HEAD,
    "tls": b"HTTP/1.1 200 OK\r\n" + HEAD,
}
PROTOCOLS = ("proxy", "tls", "fastcgi", "uwsgi", "scgi", "memcached")
EOF = "upstream prematurely closed connection"
RESET = "(104: Connection reset by peer)"
HEADER, BODY = "while reading response header from upstream", "while reading upstream"


def said(protocol: str, body: bytes) -> bytes:
    head = HEADS.get(protocol, b"Status: 200 OK\r\n" + HEAD)
    if protocol != "fastcgi":
        return head + body
    return stdout(head) + b"".join(stdout(body[i : i + 50_000]) for i in range(0, len(body), 50_000))


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("dying")).issue("localhost")


@pytest.fixture
def start(server: Any, backend: Any, ca: Authority) -> Callable[..., Any]:
    """`start(protocol, buffering, talk)`: *talk* gets each connection once the request has been read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca.folder / "localhost.crt", ca.folder / "localhost.key")

    def begin(protocol: str, buffering: str, talk: Callable[[Any, socket.socket], None]) -> Any:
        def whole(sock: socket.socket) -> None:
            plain = sock
            sock.settimeout(20)
            if protocol == "tls":
                sock = context.wrap_socket(socket.socket(fileno=sock.detach()), server_side=True)
            if protocol in READERS:
                READERS[protocol](sock)
            else:
                sock.recv(10_000)
            talk(sock, plain)
            sock.close()

        name = "proxy" if protocol == "tls" else protocol
        scheme = {"proxy": "http://", "tls": "https://"}.get(protocol, "")
        cache = f"{name}_cache one; {name}_cache_key $uri; {name}_cache_valid 1h; {name}_cache_lock on;"
        text = CONF.replace("%CACHE%", cache if buffering == "on" and name != "memcached" else "")
        if name == "memcached":
            text = "\n".join(line for line in text.splitlines() if "_path" not in line and "_buffering" not in line)
        return server(text, UP=backend(talk=whole).port, PROTOCOL=name, SCHEME=scheme, BUFFERING=buffering)

    return begin


def files_below(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def check(s: Any, *words: str) -> None:
    """Nothing left, the words in one line of the log, and the worker well."""
    wait_until(lambda: any(all(word in line for word in words) for line in s.log().splitlines()), f"{words} in the log")
    wait_until(lambda: not files_below(s.folder / "temp", s.folder / "cache", s.folder / "proxy_temp"), "no files left")
    assert s.get("/alive").status == 204
    assert "[alert]" not in s.log()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_at_all_or_half_a_head(start: Any, protocol: str) -> None:
    answers = [b"", said(protocol, b"")[:9], said(protocol, b"")[:14]]
    turn = iter(answers)
    s = start(protocol, "on", lambda sock, plain: sock.sendall(next(turn)))
    for _ in answers:
        assert s.get("/").status == 502
    check(s, "[error]", EOF, HEADER, "request: ", "upstream: ")
    assert s.log().count(EOF) == len(answers)


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("protocol", [one for one in PROTOCOLS if one != "fastcgi"])  # has an end of its own: test_fastcgi
@pytest.mark.parametrize("size", [10, 300_000])
def test_half_a_body(start: Any, protocol: str, buffering: str, size: int) -> None:
    s = start(protocol, buffering, lambda sock, plain: sock.sendall(said(protocol, b"x" * size)))
    with s.connect() as c, pytest.raises(Truncated) as broken:
        c.ask("/")
    assert broken.value.args[0] == b"x" * size
    check(s, "[error]", EOF, BODY)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("sent", [b"", b"x" * 1000])
def test_reset(start: Any, protocol: str, sent: bytes) -> None:
    def talk(sock: Any, plain: socket.socket) -> None:
        if sent:
            sock.sendall(said(protocol, sent))
            seen.wait(5)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    seen = threading.Event()
    s = start(protocol, "off", talk)
    with s.connect() as c:
        if not sent:
            assert c.ask("/").status == 502
        else:
            c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            c._until(b"\r\n\r\n")
            assert c.exactly(1000) == sent
            seen.set()
            assert c.closed()
    # a reset is no error of TLS's: to nginx it is the end
    check(s, EOF if protocol == "tls" else RESET, BODY if sent else HEADER)


GARBAGE = [
    ("fastcgi", b"\2\6\0\1" + bytes(4), "upstream sent unsupported FastCGI protocol version: 2"),
    ("fastcgi", b"\1\x63\0\1" + bytes(4), "upstream sent invalid FastCGI record type: 99"),
    ("uwsgi", b"\0\1\2\r\n\r\n", 'upstream sent invalid header: "\\x00..."'),
    ("scgi", b"\0\1\2\r\n\r\n", 'upstream sent invalid header: "\\x00..."'),
    ("memcached", b"HELLO\r\n", 'memcached sent invalid response: "HELLO"'),
    ("memcached", b"VALUE other 0 5\r\n", "memcached sent invalid key in response"),
    ("memcached", b"VALUE key 0 x\r\n", "memcached sent invalid length in response"),
    (
        "proxy",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "upstream sent duplicate header line",
    ),
    ("proxy", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", 'upstream sent invalid "Content-Length" header'),
    (
        "tls",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        '"Content-Length" and "Transfer-Encoding"',
    ),
]


@pytest.mark.parametrize(("protocol", "answer", "message"), GARBAGE)
def test_garbage(start: Any, protocol: str, answer: bytes, message: str) -> None:
    s = start(protocol, "on", lambda sock, plain: sock.sendall(answer))
    assert s.get("/").status == 502
    check(s, "[error]", message)


@pytest.mark.parametrize("body", [b"", b"x" * 1000])
def test_a_record_that_is_no_tls(start: Any, body: bytes) -> None:
    """The connection is TLS's, and what comes is not."""

    def talk(sock: Any, plain: socket.socket) -> None:
        if body:
            sock.sendall(said("tls", body))
        socket.socket.sendall(sock, b"this is no record, and long enough to be taken for one" * 3)
        socket.socket.recv(sock, 1)  # past TLS, which would tell of an alert

    s = start("tls", "on", talk)
    with s.connect() as c:
        if body:
            with pytest.raises(Truncated):
                c.ask("/")
        else:
            assert c.ask("/").status == 502
    check(s, "[error]", BODY if body else HEADER)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "peer closed connection in SSL handshake"),
        (b"220 mail.example.com ESMTP\r\n", "SSL_do_handshake() failed (SSL: error:"),
        (b"\x16\x03\x03\x00\x10half a record", "peer closed connection in SSL handshake"),
    ],
)
def test_no_handshake(server: Any, backend: Any, answer: bytes, message: str) -> None:
    def talk(sock: socket.socket) -> None:
        sock.recv(10_000)
        sock.sendall(answer)

    text = CONF.replace("%CACHE%", "")
    s = server(text, UP=backend(talk=talk).port, PROTOCOL="proxy", SCHEME="https://", BUFFERING="on")
    assert s.get("/").status == 502
    check(s, message, "while SSL handshaking to upstream")


def test_nothing_for_too_long(start: Any) -> None:
    for protocol in PROTOCOLS:
        s = start(protocol, "on", lambda sock, plain: sock.recv(1))
        s.reload(s.conf.replace("_read_timeout 10s", "_read_timeout 100ms"))
        assert s.get("/").status == 504
        check(s, "[error]", "upstream timed out (110: Connection timed out)", HEADER)
