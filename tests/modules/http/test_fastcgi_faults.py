"""fastcgi_pass and applications that break the protocol, die or let wait."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from tests.harness.applications import FastcgiApp, Pair, end, exactly, record, stdout

PASS = "location / { fastcgi_pass u; %s }"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "upstream sent unsupported FastCGI protocol version: 72"),
        (record(6, b"x", version=2), "upstream sent unsupported FastCGI protocol version: 2"),
        (record(1, b"x"), "upstream sent invalid FastCGI record type: 1"),
        (record(6, b"x", id=2), "upstream sent unexpected FastCGI request id low byte: 2"),
        (record(6, b"x", id=256), "upstream sent unexpected FastCGI request id high byte: 1"),
        (record(3, bytes(8)), "upstream sent unexpected FastCGI record: 3"),
        (stdout(b""), "upstream prematurely closed FastCGI stdout"),
        (stdout(b"X: y\r\n") + stdout(b""), "upstream prematurely closed FastCGI stdout"),
        (stdout(b"X\0: y\r\n\r\n"), 'upstream sent invalid header: "X\\x00..."'),
        (stdout(b"Status: oops\r\n\r\n"), 'upstream sent invalid status "oops"'),
        (stdout(b"X: " + b"y" * 5000), "upstream sent too big header"),
        (b"", "upstream prematurely closed connection"),
        (b"\1", "upstream prematurely closed connection"),
        (stdout(b"X: y\r\n"), "upstream prematurely closed connection"),
        (stdout(b"X: y\r\n\r\n")[:12], "upstream prematurely closed connection"),
    ],
)
def test_no_response(fastcgi: Pair, answer: bytes, message: str) -> None:
    # an application that keeps its connection and stops in the middle would only be waited for
    keep = "off" if message == "upstream prematurely closed connection" else "on"
    s, _ = fastcgi(PASS % f"fastcgi_keep_conn {keep};", lambda request: answer or None)
    assert s.get("/").status == 502
    assert f"{message} while reading response header from upstream" in s.log()


def raw(c: Any) -> bytes:
    data = b""
    while more := c.sock.recv(65536):
        data += more
    return data


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("keep", ["on", "off"])
@pytest.mark.parametrize("together", [True, False])
def test_broken_in_the_middle(fastcgi: Pair, buffering: str, keep: str, together: bool) -> None:
    parted = threading.Event()

    def talk(sock: socket.socket) -> None:
        FastcgiApp(lambda request: None).read(sock)
        sock.sendall(stdout(b"X: y\r\n\r\nbegun"))
        if not together:
            parted.wait(5)
        sock.sendall(b"\1\6\0\7")
        sock.recv(1)

    body = PASS % f"fastcgi_keep_conn {keep}; fastcgi_buffering {buffering};"
    s = fastcgi.talking(talk, body)
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        threading.Timer(0.2, parted.set).start()
        assert not raw(c).endswith(b"0\r\n\r\n")
    assert "upstream sent unexpected FastCGI request id low byte: 7 while reading upstream" in s.log()


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (stdout(b""), "upstream prematurely closed FastCGI stdout"),
        (record(3, bytes(8)), "upstream prematurely closed FastCGI request"),
    ],
)
def test_shorter_than_promised(fastcgi: Pair, tail: bytes, message: str) -> None:
    s, _ = fastcgi(PASS % "fastcgi_keep_conn on;", stdout(b"Content-Length: 10\r\n\r\nhalf") + tail)
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert raw(c).endswith(b"\r\n\r\nhalf")
    assert f"{message} while reading upstream" in s.log()


def test_longer_than_promised(fastcgi: Pair) -> None:
    s, _ = fastcgi(PASS % "fastcgi_keep_conn on;", stdout(b"Content-Length: 4\r\n\r\nhalf more") + end())
    with s.connect() as c:
        assert c.ask("/").text == "half"
        assert c.ask("/").text == "half"
    assert 'upstream sent more data than specified in "Content-Length" header while reading upstream' in s.log()


def test_dies_in_a_kept_body(fastcgi: Pair) -> None:
    def talk(sock: socket.socket) -> None:
        FastcgiApp(lambda request: None).read(sock)
        sock.sendall(stdout(b"X: y\r\n\r\nhalf") + record(6, b"x" * 100)[:20])

    s = fastcgi.talking(talk, PASS % "fastcgi_keep_conn on;")
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert not raw(c).endswith(b"0\r\n\r\n")
    assert "upstream prematurely closed connection while reading upstream" in s.log()


def test_answers_before_it_has_the_body(fastcgi: Pair) -> None:
    def talk(sock: socket.socket) -> None:
        exactly(sock, 100)
        sock.sendall(stdout(b"Status: 413\r\n\r\nenough") + end())
        while sock.recv(65536):
            pass

    s = fastcgi.talking(talk, PASS % "client_max_body_size 0;")
    with s.connect() as c:
        assert c.ask("/", "POST", {"Content-Length": "20000000"}, bytes(20_000_000)).text == "enough"


def test_timeout(fastcgi: Pair) -> None:
    s = fastcgi.talking(lambda sock: sock.recv(1 << 20) and sock.recv(1), PASS % "fastcgi_read_timeout 100ms;")
    assert s.get("/").status == 504
    assert "upstream timed out (110: Connection timed out) while reading response header from upstream" in s.log()
