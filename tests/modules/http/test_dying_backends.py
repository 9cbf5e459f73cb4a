"""Backends of every protocol that die in the middle of what they say: the client's status, the log, nothing left on disk."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.servers import wait_until
from tests.harness.applications import FastcgiApp, ScgiApp, UwsgiApp, end, stdout
from tests.harness.backend import Backend
from tests.harness.client import Truncated, request
from tests.harness.server import Server
from tests.harness.tls import Authority

CONF = """
events {}
http {
    proxy_temp_path %DIR%/temp/p; fastcgi_temp_path %DIR%/temp/f; uwsgi_temp_path %DIR%/temp/u; scgi_temp_path %DIR%/temp/s;
    proxy_cache_path %DIR%/cache keys_zone=one:1m;
    fastcgi_cache_path %DIR%/cache_f keys_zone=f:1m;
    uwsgi_cache_path %DIR%/cache_u keys_zone=u:1m;
    scgi_cache_path %DIR%/cache_s keys_zone=s:1m;
    server {
        listen 127.0.0.1:%PORT%;
        set $memcached_key key;
%LOCATIONS%
        location /handshake/ { proxy_pass https://127.0.0.1:%HANDSHAKE%; }
        location /alive { return 204; }
    }
}
"""
LOCATION = """
        location /%NAME%/on/ { %P%_pass %TO%; %CACHE% }
        location /%NAME%/off/ { %P%_pass %TO%; %OFF% }
        location /%NAME%/soon/ { %P%_pass %TO%; %P%_read_timeout 100ms; }
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


class Backends:
    """One for each protocol; what it does with a connection once the request has been read is `talk[protocol]`."""

    def __init__(self, ca: Authority) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(ca.folder / "localhost.crt", ca.folder / "localhost.key")
        self.talk: dict[str, Callable[[Any], None]] = {}
        self.backends = {name: Backend(talk=partial(self.serve, name)) for name in (*PROTOCOLS, "handshake")}

    def serve(self, protocol: str, sock: socket.socket) -> None:
        sock.settimeout(20)
        if protocol == "tls":
            sock = self.context.wrap_socket(socket.socket(fileno=sock.detach()), server_side=True)
        if protocol in READERS:
            READERS[protocol](sock)
        else:
            sock.recv(10_000)
        self.talk[protocol](sock)
        sock.close()

    def configuration(self) -> str:
        made = ""
        for name in PROTOCOLS:
            p = "proxy" if name == "tls" else name
            scheme = {"proxy": "http://", "tls": "https://"}.get(name, "")
            zone = "one" if p == "proxy" else p[0]
            cache = f"{p}_cache {zone}; {p}_cache_key $uri; {p}_cache_valid 1h; {p}_cache_lock on;"
            off = f"{p}_buffering off;"
            if p == "memcached":
                cache = off = ""
            text = LOCATION.replace("%NAME%", name).replace("%P%", p).replace("%CACHE%", cache).replace("%OFF%", off)
            made += text.replace("%TO%", f"{scheme}127.0.0.1:{self.backends[name].port}")
        return CONF.replace("%LOCATIONS%", made).replace("%HANDSHAKE%", str(self.backends["handshake"].port))

    def stop(self) -> None:
        for one in self.backends.values():
            one.stop()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, command: list[str]) -> Iterator[tuple[Server, Backends]]:
    backends = Backends(Authority(tmp_path_factory.mktemp("dying-ca")).issue("localhost"))
    folder = tmp_path_factory.mktemp("dying")
    (folder / "temp").mkdir()
    running = Server(backends.configuration(), folder, command=command).start()
    yield running, backends
    running.stop()
    backends.stop()


@pytest.fixture
def start(both: tuple[Server, Backends]) -> Callable[..., Server]:
    """`start(protocol, talk)`: the server, whose log begins anew."""
    running, backends = both

    def begin(protocol: str, talk: Callable[[Any], None]) -> Server:
        backends.talk[protocol] = talk
        os.truncate(running.folder / "error.log", 0)
        return running

    return begin


FOLDERS = ("temp", "cache", "cache_f", "cache_u", "cache_s")


def files_below(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def check(s: Any, *words: str) -> None:
    """Nothing left, the words in one line of the log, and the worker well."""
    wait_until(lambda: any(all(word in line for word in words) for line in s.log().splitlines()), f"{words} in the log")
    wait_until(lambda: not files_below(*(s.folder / name for name in FOLDERS)), "no files left")
    assert s.get("/alive").status == 204
    assert s.log().lacks("[alert]")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_at_all_or_half_a_head(start: Any, protocol: str) -> None:
    answers = [b"", said(protocol, b"")[:9], said(protocol, b"")[:14]]
    turn = iter(answers)
    s = start(protocol, lambda sock: sock.sendall(next(turn)))
    for _ in answers:
        assert s.get(f"/{protocol}/on/").status == 502
    check(s, "[error]", EOF, HEADER, "request: ", "upstream: ")
    assert s.log().times(len(answers), EOF)


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("protocol", [one for one in PROTOCOLS if one != "fastcgi"])  # has an end of its own: test_fastcgi
@pytest.mark.parametrize("size", [10, 300_000])
def test_half_a_body(start: Any, protocol: str, buffering: str, size: int) -> None:
    s = start(protocol, lambda sock: sock.sendall(said(protocol, b"x" * size)))
    with s.connect() as c, pytest.raises(Truncated) as broken:
        c.ask(f"/{protocol}/{buffering}/")
    assert broken.value.args[0] == b"x" * size
    check(s, "[error]", EOF, BODY)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("sent", [b"", b"x" * 1000])
def test_reset(start: Any, protocol: str, sent: bytes) -> None:
    def talk(sock: Any) -> None:
        if sent:
            sock.sendall(said(protocol, sent))
            seen.wait(30)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    seen = threading.Event()
    s = start(protocol, talk)
    with s.connect() as c:
        if not sent:
            assert c.ask(f"/{protocol}/off/").status == 502
        else:
            c.send(request(f"/{protocol}/off/"))
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
    s = start(protocol, lambda sock: sock.sendall(answer))
    assert s.get(f"/{protocol}/on/").status == 502
    check(s, "[error]", message)


@pytest.mark.parametrize("protocol", [one for one in PROTOCOLS if one != "memcached"])  # has an end of its own
def test_more_than_the_length(start: Any, protocol: str) -> None:
    def answer(length: int) -> bytes:
        data = said(protocol, b"x" * 2000).replace(b"Content-Length: 1000000", b"Content-Length: %07d" % length)
        return data + end() if protocol == "fastcgi" else data

    s = start(protocol, lambda sock: sock.sendall(answer(1000)))
    assert s.get(f"/{protocol}/off/").body == b"x" * 1000
    check(s, "[warn]", 'upstream sent more data than specified in "Content-Length" header', BODY)


@pytest.mark.parametrize("body", [b"", b"x" * 1000])
def test_a_record_that_is_no_tls(start: Any, body: bytes) -> None:
    """The connection is TLS's, and what comes is not."""

    def talk(sock: Any) -> None:
        if body:
            sock.sendall(said("tls", body))
        socket.socket.sendall(sock, b"this is no record, and long enough to be taken for one" * 3)
        socket.socket.recv(sock, 1)  # past TLS, which would tell of an alert

    s = start("tls", talk)
    with s.connect() as c:
        if body:
            with pytest.raises(Truncated):
                c.ask("/tls/on/")
        else:
            assert c.ask("/tls/on/").status == 502
    # what comes at once may be seen while the request is sent
    check(s, "[error]", BODY if body else "SSL_read() failed")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "peer closed connection in SSL handshake"),
        (b"220 mail.example.com ESMTP\r\n", "SSL_do_handshake() failed (SSL: error:"),
        (b"\x16\x03\x03\x00\x10half a record", "peer closed connection in SSL handshake"),
    ],
)
def test_no_handshake(start: Any, answer: bytes, message: str) -> None:
    s = start("handshake", lambda sock: sock.sendall(answer))
    assert s.get("/handshake/").status == 502
    check(s, message, "while SSL handshaking to upstream")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_for_too_long(start: Any, protocol: str) -> None:
    s = start(protocol, lambda sock: socket.socket.recv(sock, 1))
    assert s.get(f"/{protocol}/soon/").status == 504
    check(s, "[error]", "upstream timed out (110: Connection timed out)", HEADER)
