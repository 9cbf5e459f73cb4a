"""When what an upstream sends reaches the client: at once, at the end, and never twice (ngx_event_pipe.c)."""

from __future__ import annotations

import gzip
import socket
import threading
from typing import Any

from scripts.lib.servers import wait_until
from tests.harness.client import Connection

CONF = """
events { }
http {
    proxy_cache_path %DIR%/cache keys_zone=one:1m;
    server {
        listen 127.0.0.1:%PORT%;
        location / { proxy_pass http://127.0.0.1:%UP%; }
        location /kept/ { proxy_pass http://127.0.0.1:%UP%; proxy_cache one; proxy_cache_valid 1m; }
        location /packed/ { proxy_pass http://127.0.0.1:%UP%; gzip on; gzip_types *; gzip_min_length 0; }
        location /direct/ { proxy_pass http://127.0.0.1:%UP%; proxy_buffering off; }
    }
}
"""
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Steps:
    """An upstream that sends its next piece when it is told to."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.told = threading.Semaphore(0)

    def __call__(self, sock: socket.socket) -> None:
        seen = b""
        while not seen.endswith(b"\r\n\r\n"):
            seen += sock.recv(65536)
        for piece in self.pieces:
            assert self.told.acquire(timeout=30)
            sock.sendall(piece)

    def go(self) -> None:
        self.told.release()


def until(c: Connection, text: bytes) -> bytes:
    """What comes, up to *text*."""
    while text not in c.buffer:
        more = c.sock.recv(65536)
        assert more, f"the end, without {text!r}: {c.buffer!r}"
        c.buffer += more
    data, _, c.buffer = c.buffer.partition(text)
    return data + text


def stream(server: Any, backend: Any, target: str) -> None:
    """Each chunk arrives while the upstream has not sent the next."""
    steps = Steps(CHUNKED, b"5\r\nfirst\r\n", b"6\r\nsecond\r\n", b"0\r\n\r\n")
    s = server(CONF, UP=backend(talk=steps).port)
    with Connection(s.address()) as c:
        c.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target.encode())
        steps.go()
        steps.go()
        assert until(c, b"\r\n\r\n5\r\nfirst\r\n").startswith(b"HTTP/1.1 200 ")
        steps.go()
        assert until(c, b"second\r\n") == b"6\r\nsecond\r\n"
        steps.go()
        assert until(c, b"0\r\n\r\n") == b"0\r\n\r\n"


def test_chunks_are_not_held_back(server: Any, backend: Any) -> None:
    """Server-sent events, with proxy_buffering as it is by default."""
    stream(server, backend, "/")


def test_chunks_are_not_held_back_where_they_are_cached(server: Any, backend: Any) -> None:
    stream(server, backend, "/kept/")


def test_chunks_are_not_held_back_without_buffering(server: Any, backend: Any) -> None:
    stream(server, backend, "/direct/")


def test_half_a_chunk_waits_for_the_rest_of_it(server: Any, backend: Any) -> None:
    steps = Steps(CHUNKED + b"6\r\nabc", b"def\r\n", b"0\r\n\r\n")
    s = server(CONF, UP=backend(talk=steps).port)
    with Connection(s.address()) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        steps.go()
        assert until(c, b"abc\r\n").endswith(b"\r\n\r\n3\r\nabc\r\n")
        steps.go()
        steps.go()
        assert until(c, b"0\r\n\r\n") == b"3\r\ndef\r\n0\r\n\r\n"


def test_gzip_packs_all_chunks_as_one(server: Any, backend: Any) -> None:
    """Nothing is flushed through the filters: each chunk by itself would be packed badly."""
    pieces = [b"3\r\nab%d\r\n" % n for n in range(8)]
    steps = Steps(CHUNKED, *pieces, b"0\r\n\r\n")
    s = server(CONF, UP=backend(talk=steps).port)
    for _ in range(len(pieces) + 2):
        steps.go()
    with Connection(s.address()) as c:
        found = c.ask("/packed/", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(found.body) == b"".join(b"ab%d" % n for n in range(8))
    assert b"\x00\x00\xff\xff" not in found.body, "no empty block, which is what a flush leaves"


def test_what_is_too_much_is_neither_passed_on_nor_repeated(server: Any, backend: Any) -> None:
    answers = {
        "/direct/sized": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef",
        "/sized": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef",
        "/direct/chunks": CHUNKED + b"3\r\nabc\r\n0\r\n\r\nmore",
        "/chunks": CHUNKED + b"3\r\nabc\r\n0\r\n\r\nmore",
        "/direct/none": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nabc",
    }
    s = server(CONF, UP=backend(lambda request: answers[request.target]).port)
    with Connection(s.address()) as c:
        for target in answers:
            c.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert c.response().text == ("" if target.endswith("none") else "abc")
            assert c.buffer == b"", target
        c.send(b"GET /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n")
        assert c.response().status == 400, "the next answer, not what was left of the last"
    assert (
        s.log().count("upstream sent more data than specified") + s.log().count("upstream sent data after final chunk") == 5
    )


def test_what_the_log_says_of_strange_answers(server: Any, backend: Any) -> None:
    answers = {
        "/old": b"just text",
        "/underscore": b"HTTP/1.1 200 OK\r\nX_A: 1\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n",
        "/unsafe": b"HTTP/1.1 200 OK\r\nX-Accel-Redirect: /../x\r\nContent-Length: 0\r\n\r\n",
    }

    def talk(sock: socket.socket) -> None:
        seen = b""
        while not seen.endswith(b"\r\n\r\n"):
            seen += sock.recv(65536)
        sock.sendall(answers[seen.split()[1].decode()])

    conf = CONF.replace(
        "proxy_cache_path",
        "log_format seen '$status $sent_http_x_a $sent_http_x_b'; access_log seen.log seen; proxy_cache_path",
    )
    s = server(conf, UP=backend(talk=talk).port)
    for target in answers:
        with Connection(s.address()) as c:
            c.send(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            if target == "/old":
                assert c.exactly(9) == b"just text"
            else:
                c.response()
    wait_until(lambda: s.log("seen.log").count("\n") == 3, "three lines")
    assert s.log("seen.log").splitlines() == ["009 - -", "200 1 2", "404 - -"]
    assert 'unsafe URI "/../x" was detected while reading response header from upstream, client: ' in s.log()
