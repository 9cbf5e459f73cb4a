"""memcached_pass, against fakes that answer whatever a test says."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Callable
from typing import Any

import pytest

CONF = """
events {}
http {
    upstream u { server 127.0.0.1:%UP%; keepalive 8; }
    server {
        listen 127.0.0.1:%PORT%;
        set $memcached_key $uri;
        types { text/html html; text/plain txt; }
        default_type application/x;
        %BODY%
    }
}
"""

PASS = "location / { memcached_pass u; %s }"


class Fake:
    """Answers each line with what *answer* makes of it."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self.answer = answer
        self.lines: list[bytes] = []

    def __call__(self, sock: socket.socket) -> None:
        with sock.makefile("rb") as lines:
            for line in lines:
                self.lines.append(line)
                answer = self.answer(line)
                if answer is None:
                    return
                sock.sendall(answer)


def value(line: bytes, data: bytes = b"hello", flags: int = 0) -> bytes:
    key = line.split()[1]
    return b"VALUE %s %d %d\r\n%s\r\nEND\r\n" % (key, flags, len(data), data)


def memcached(server: Any, backend: Any, body: str = PASS % "", answer: Any = value, **options: Any) -> Any:
    fake = Fake(answer if callable(answer) else lambda line: answer)
    up = backend(talk=fake)
    return server(CONF.replace("%BODY%", body), UP=up.port, **options), fake, up


def test_found(server: Any, backend: Any) -> None:
    s, fake, up = memcached(server, backend)
    for _ in range(3):
        answer = s.get("/a%20b%25.txt")
        assert (answer.status, answer.text, answer["Content-Length"]) == (200, "hello", "5")
        assert answer["Content-Type"] == "text/plain"
    assert fake.lines == [b"get /a%20b%25.txt\r\n"] * 3
    assert up.connections == 1


def test_head_and_ranges(server: Any, backend: Any) -> None:
    s, _, _ = memcached(server, backend)
    answer = s.get("/x", method="HEAD")
    assert (answer.status, answer["Content-Length"]) == (200, "5")
    answer = s.get("/x", headers={"Range": "bytes=1-2"})
    assert (answer.status, answer.text) == (206, "el")


def test_empty_value(server: Any, backend: Any) -> None:
    s, _, up = memcached(server, backend, answer=lambda line: value(line, b""))
    for _ in range(2):
        assert (s.get("/").status, s.get("/").body) == (200, b"")
    assert up.connections == 1


def test_not_found(server: Any, backend: Any) -> None:
    s, _, up = memcached(
        server, backend, PASS % "error_page 404 = @back;" + "location @back { return 200 back; }", b"END\r\n"
    )
    for _ in range(2):
        assert s.get("/x").text == "back"
    assert up.connections == 1
    assert 'key: "/x" was not found by memcached' in s.log()


def test_not_found_tries_the_next(server: Any, backend: Any) -> None:
    empty, full = backend(talk=Fake(lambda line: b"END\r\n")), backend(talk=Fake(value))
    s = server(
        """
        events {}
        http {
            upstream u { server 127.0.0.1:%EMPTY%; server 127.0.0.1:%FULL%; }
            server {
                listen 127.0.0.1:%PORT%;
                location / { set $memcached_key k; memcached_pass u; memcached_next_upstream not_found; }
            }
        }
        """,
        EMPTY=empty.port,
        FULL=full.port,
    )
    assert [s.get("/").text for _ in range(4)] == ["hello"] * 4
    assert empty.connections


def test_other_methods_and_bodies(server: Any, backend: Any) -> None:
    s, fake, _ = memcached(server, backend)
    with s.connect() as c:
        assert c.ask("/", "POST", {"Content-Length": "4"}, b"body").status == 405
        assert c.ask("/", "GET", {"Content-Length": "4"}, b"body").text == "hello"
        assert c.ask("/", "GET").text == "hello"
    assert len(fake.lines) == 2


def test_gzip_flag(server: Any, backend: Any) -> None:
    packed = gzip.compress(b"hello")
    s, _, _ = memcached(
        server,
        backend,
        PASS % "memcached_gzip_flag 2; gunzip on;" + "location /off { memcached_pass u; }",
        lambda line: value(line, packed, 0 if b"plain" in line else 6),
    )
    answer = s.get("/x", headers={"Accept-Encoding": "gzip"})
    assert (answer.get("Content-Encoding"), answer.body) == ("gzip", packed)
    answer = s.get("/x")
    assert (answer.get("Content-Encoding"), answer.text) == (None, "hello")
    assert s.get("/plain").body == packed
    assert s.get("/off").get("Content-Encoding") is None


def test_no_key(server: Any, backend: Any) -> None:
    s, _, _ = memcached(server, backend, "location / { set $memcached_key ''; memcached_pass u; }")
    assert s.get("/").status == 500
    assert 'the "$memcached_key" variable is not set' in s.log()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"ERROR\r\n", 'memcached sent invalid response: "ERROR"'),
        (b"\n", 'memcached sent invalid response: ""'),
        (b"VALUE other 0 5\r\nhello\r\nEND\r\n", 'memcached sent invalid key in response "VALUE other 0 5" for key "/k"'),
        (b"VALUE /k 0 x\r\n", 'memcached sent invalid length in response "VALUE /k 0 x" for key "/k"'),
        (b"VALUE /k x 5\r\n", 'memcached sent invalid flags in response "VALUE /k x 5" for key "/k"'),
        (b"VALUE " + b"x" * 5000, "upstream sent too big header"),
        (None, "upstream prematurely closed connection"),
    ],
)
def test_no_response(server: Any, backend: Any, answer: Any, message: str) -> None:
    s, _, _ = memcached(server, backend, PASS % "memcached_gzip_flag 1;", lambda line: answer)
    assert s.get("/k").status == 502
    log = s.log()
    assert message in log and "while reading response header from upstream" in log
    assert 'upstream: "memcached://127.0.0.1:' in log


@pytest.mark.parametrize("tail", [b"\r\nEND\r\nmore", b"\r\nOVER\n", b"xx"])
@pytest.mark.parametrize("apart", [False, True])
def test_invalid_trailer(server: Any, backend: Any, tail: bytes, apart: bool) -> None:
    def talk(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.recv(1000)
        data = b"VALUE /k 0 5\r\nhello" + tail
        for piece in (data[i : i + 1] for i in range(len(data))) if apart else (data,):
            sock.sendall(piece)
        sock.recv(1)

    s = server(CONF.replace("%BODY%", PASS % ""), UP=backend(talk=talk).port)
    assert s.get("/k").text == "hello"
    if not (apart and b"END" in tail):  # what follows the end may come when nobody listens any more
        assert "memcached sent invalid trailer while reading upstream" in s.log()


@pytest.mark.parametrize("cut", [18, 19, 21])
def test_dies_in_the_middle(server: Any, backend: Any, cut: int) -> None:
    def talk(sock: socket.socket) -> None:
        sock.recv(1000)
        sock.sendall(b"VALUE /k 0 5\r\nhello\r\nEND\r\n"[:cut])

    s = server(CONF.replace("%BODY%", PASS % ""), UP=backend(talk=talk).port)
    with s.connect() as c:
        c.send(b"GET /k HTTP/1.1\r\nHost: a\r\n\r\n")
        data = b""
        while more := c.sock.recv(1000):
            data += more
    assert data.endswith(b"hello"[: cut - 14])
    assert "upstream prematurely closed connection while reading upstream" in s.log()


def test_large_value(server: Any, backend: Any) -> None:
    data = bytes(range(256)) * 8000
    s, _, up = memcached(server, backend, answer=lambda line: value(line, data))
    for _ in range(3):
        assert s.get("/").body == data
    assert up.connections == 1


def test_refused(configtest: Any) -> None:
    conf = "events {} http { server { location / { memcached_pass 127.0.0.1:9; } } }"
    checked = configtest(conf)
    assert checked.returncode == 1
    assert 'unknown "memcached_key" variable' in checked.stderr
    checked = configtest(
        conf.replace("memcached_pass", "set $memcached_key k; memcached_next_upstream http_500; memcached_pass")
    )
    assert 'invalid value "http_500"' in checked.stderr
