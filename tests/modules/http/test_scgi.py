"""scgi_pass with everything around it, against fake applications."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from scripts.lib.servers import wait_until
from tests.harness.applications import Pair, ScgiApp, ask_with_body

PASS = "location / { scgi_pass u; %s }"


def test_params(scgi: Pair) -> None:
    s, app = scgi(
        PASS % "scgi_param SCGI 1; scgi_param URI $request_uri; scgi_param NO $arg_no if_not_empty; scgi_param E '';",
    )
    assert s.get("/a?b", headers={"X-A": "c"}).text == "hello"
    assert app.requests[0].pairs == [
        ("CONTENT_LENGTH", "0"), ("SCGI", "1"), ("URI", "/a?b"), ("E", ""),
        ("HTTP_HOST", app.requests[0].params["HTTP_HOST"]), ("HTTP_CONNECTION", "close"), ("HTTP_X_A", "c"),
    ]  # fmt: skip


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [1, 40_000, 2_000_000])
def test_request_bodies(scgi: Pair, buffering: str, size: int, chunked: bool) -> None:
    body = (bytes(range(251)) * (size // 251 + 1))[:size]
    s, app = scgi(PASS % f"client_max_body_size 10m; scgi_request_buffering {buffering};")
    with s.connect() as c:
        assert ask_with_body(c, body, chunked) == "hello"
    assert app.requests[0].body == body
    assert app.requests[0].params["CONTENT_LENGTH"] == str(size)


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize(
    ("answer", "status", "reason", "body"),
    [
        (b"Status: 404 Nowhere\r\n\r\nbody", 404, "Nowhere", "body"),
        (b"HTTP/1.0 403 Not you\r\n\r\nbody", 403, "Not you", "body"),
        (b"HTTP/1.1 200 OK\nContent-Length: 4\n\nbody and more", 200, "OK", "body"),
        (b"Location: http://example.com/\r\n\r\n", 302, "Moved Temporarily", ""),
        (b"\n", 200, "OK", ""),
        (b"Status: 204\r\n\r\n", 204, "No Content", ""),
    ],
)
def test_responses(scgi: Pair, answer: bytes, status: int, reason: str, body: str, buffering: str) -> None:
    s, _ = scgi(PASS % f"scgi_buffering {buffering};", answer)
    for _ in range(2):
        got = s.get("/")
        assert (got.status, got.text) == (status, body)
        if status != 204:
            assert got.reason.strip() == reason
    if b"more" in answer:
        assert "sent more data than specified" in s.log()
    else:
        assert s.log().lacks("sent more data than specified")


def test_connections_are_not_kept(scgi: Pair) -> None:
    s, app = scgi(PASS % "", b"Content-Length: 5\r\n\r\nhello")
    for _ in range(3):
        assert s.get("/").text == "hello"
    assert len(app.requests) == 3


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "upstream prematurely closed connection"),
        (b"Status: 20", "upstream prematurely closed connection"),
        (b"Status: no\r\n\r\n", 'upstream sent invalid status "no"'),
        (b"A\0: b\r\n\r\n", 'upstream sent invalid header: "A\\x00..."'),
        (b"A: " + b"b" * 5000, "upstream sent too big header"),
    ],
)
def test_no_response(scgi: Pair, answer: bytes, message: str) -> None:
    s, _ = scgi(PASS % "", lambda request: answer or None)
    assert s.get("/").status == 502
    log = s.log()
    assert f"{message} while reading response header from upstream" in log and 'upstream: "scgi://127.0.0.1:' in log


def test_dies_in_the_middle(scgi: Pair) -> None:
    s, _ = scgi(PASS % "", b"Content-Length: 10\r\n\r\nhalf")
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        data = b""
        while more := c.sock.recv(65536):
            data += more
    assert data.endswith(b"\r\n\r\nhalf")
    assert "upstream prematurely closed connection while reading upstream" in s.log()


def test_cache_and_store(scgi: Pair) -> None:
    s, app = scgi(
        """
        add_header X $upstream_cache_status;
        location / { scgi_pass u; scgi_cache one; scgi_cache_key $uri; scgi_cache_valid 1h; }
        location /store { scgi_pass u; scgi_store %DIR%/kept$uri; }
        """,
        http="scgi_cache_path %DIR%/cache keys_zone=one:1m;",
    )
    assert [s.get("/a")["X"] for _ in range(3)] == ["MISS", "HIT", "HIT"]
    assert s.get("/a").text == "hello"
    s.get("/store")
    wait_until((s.folder / "kept" / "store").exists, "the stored file")
    assert len(app.requests) == 2


def test_upgrade(scgi: Pair) -> None:
    def talk(sock: socket.socket) -> None:
        assert ScgiApp(lambda request: None).read(sock) is not None
        sock.sendall(b"Status: 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
        while data := sock.recv(100):
            sock.sendall(data.upper())

    s = scgi.talking(talk, PASS % "")
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += c.sock.recv(1)
        assert head.startswith(b"HTTP/1.1 101 ")
        c.send(b"shout")
        assert c.sock.recv(100) == b"SHOUT"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("scgi_pass 127.0.0.1:9/uri;", 'invalid host in upstream "127.0.0.1:9/uri"'),
        ("scgi_pass 127.0.0.1;", 'no port in upstream "127.0.0.1"'),
        ("scgi_param A b c;", 'invalid parameter "c"'),
        ("scgi_send_lowat 1;", 'unknown directive "scgi_send_lowat"'),
    ],
)
def test_refused(configtest: Any, body: str, message: str) -> None:
    checked = configtest("events {} http { server { location / { " + body + " } } }")
    assert checked.returncode == 1
    assert message in checked.stderr
