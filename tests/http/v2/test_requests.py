"""Requests over HTTP/2: heads, bodies, what they see of each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from geng.wire import http2 as wire
from tests.http.v2.client import Client

pytestmark = pytest.mark.live

CONF = """
events {}
http {
    access_log access.log;
    server {
        listen 127.0.0.1:%PORT%;
        http2 on;
        root .;
        location /v { return 200 "$http2 $server_protocol $request_method $host $http_cookie $http_x_y"; }
        location /length { return 200 "$content_length|$http_content_length"; }
        location /p/ { proxy_pass http://127.0.0.1:%UP%; }
        location /may { proxy_pass http://127.0.0.1:%UP%; proxy_pass_request_body off; proxy_set_header Content-Length ""; }
        location /file/ {
            client_body_buffer_size 512;
            auth_request /may;  # nobody reads the body until it is here
            add_header X-File $request_body_file;
            proxy_pass http://127.0.0.1:%UP%;
        }
        location /u/ { proxy_pass http://127.0.0.1:%UP%; proxy_request_buffering off; proxy_http_version 1.1; }
        location /chunks { http2_chunk_size 100; alias big; }
        location /redirect { return 301 /there; }
        location /early { add_header X-Y z always; return 204; }
        location /hints { early_hints $http2; proxy_pass http://127.0.0.1:%HINTS%; }
        location /slow { limit_rate 8k; limit_rate_after 4k; alias big; }
        location /trailer { add_trailer X-T "$request_method"; alias big; }
    }
    server {
        listen 127.0.0.1:%PORT%;
        server_name off;
        http2 on;
        return 200 other;
    }
}
"""


@pytest.fixture
def client(server, backend) -> Client:
    up = backend(lambda request: f"got {len(request.body)} {request.body[-4:].decode()}")
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    hints = backend(lambda request: early + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    s = server(CONF, UP=up.port, HINTS=hints.port, files={"big": b"0123456789" * 1000, "small": b"hello\n"})
    with Client(s.address()) as made:
        made.server = s
        yield made.hello()


def test_a_file(client: Client) -> None:
    a = client.answer(client.ask("/small"))
    assert (a.status, a.text, a.headers["content-length"]) == (200, "hello\n", "6")
    assert a.headers["content-type"] == "text/plain"
    assert a.headers["server"].startswith("geng")
    assert a.sizes == [6]


def test_variables_and_cookies(client: Client) -> None:
    a = client.answer(client.ask("/v", ("cookie", "a=b"), ("x-y", "z"), ("cookie", "c=d"), authority="Some.Host:1"))
    assert a.text == "h2c HTTP/2.0 GET some.host a=b; c=d z"


def test_head_has_no_body(client: Client) -> None:
    a = client.answer(client.ask("/small", method="HEAD"))
    assert (a.status, a.body, a.headers["content-length"], a.sizes) == (200, b"", "6", [])


def test_many_streams(client: Client) -> None:
    sids = [client.ask("/v", ("x-y", str(n))) for n in range(50)]
    assert [client.answer(sid).text.split()[-1] for sid in sids] == [str(n) for n in range(50)]


def test_redirects_are_absolute(client: Client) -> None:
    a = client.answer(client.ask("/redirect"))
    assert a.headers["location"] == f"http://localhost:{client.server.address()[1]}/there"


def test_204(client: Client) -> None:
    a = client.answer(client.ask("/early"))
    assert (a.status, a.headers["x-y"], "content-length" in a.headers, a.sizes) == (204, "z", False, [])


def test_chunk_size(client: Client) -> None:
    a = client.answer(client.ask("/chunks"))
    assert a.sizes == [100] * 100


def test_trailers(client: Client) -> None:
    a = client.answer(client.ask("/trailer"))
    assert len(a.body) == 10000
    assert a.heads[1] == [("x-t", "GET")]


def test_early_hints(client: Client) -> None:
    a = client.answer(client.ask("/hints"))
    assert a.heads[0][0] == (":status", "103")
    assert ("link", "</a>") in a.heads[0]
    assert dict(a.heads[1])[":status"] == "200"
    assert a.text == "ok"


def test_limit_rate(client: Client) -> None:
    a = client.answer(client.ask("/slow"))
    assert a.body == b"0123456789" * 1000


def test_a_body_that_is_said_to_be_empty(client: Client) -> None:
    sid = client.ask("/u/", ("content-length", "0"), method="POST", end=False)
    client.ping()
    assert sid not in client.answers
    client.data(sid, end=True)
    assert client.answer(sid).text == "got 0 "


@pytest.mark.parametrize("way", ["p", "u"])
def test_bodies_go_to_upstreams(client: Client, way: str) -> None:
    sid = client.ask(f"/{way}/", method="POST", end=False)
    client.data(sid, b"a" * 10000).data(sid, b"b" * 10000).data(sid, b"last", end=True)
    assert client.answer(sid).text == "got 20004 last"


@pytest.mark.parametrize("told", [True, False], ids=["known length", "unknown length"])
def test_bodies_larger_than_the_buffer_go_to_a_file(client: Client, told: bool) -> None:
    """Where all of them is here before anybody reads, too: no part of them has come with the head, as HTTP/1's may."""
    for size, in_file in ((600, True), (500, False)):
        length = [("content-length", str(size))] if told else []
        with client.together():
            sid = client.ask("/file/", *length, method="POST", end=False)
            client.data(sid, b"a" * size, end=True)
        a = client.answer(sid)
        assert (a.status, a.text.split()[:2], "x-file" in a.headers) == (200, ["got", str(size)], in_file)


@pytest.mark.parametrize("way", ["p", "u"])
def test_bodies_of_known_length(client: Client, way: str) -> None:
    sid = client.ask(f"/{way}/", ("content-length", "8"), method="POST", end=False)
    client.data(sid, b"1234").data(sid, b"last", end=True)
    assert client.answer(sid).text == "got 8 last"


@pytest.mark.parametrize("way", ["p", "u"])
def test_bodies_longer_than_declared(client: Client, way: str) -> None:
    sid = client.ask(f"/{way}/", ("content-length", "4"), method="POST", end=False)
    client.data(sid, b"12345678", end=True)
    assert client.answer(sid).status == 400
    assert "client intended to send body data larger than declared" in client.server.log()


def test_bodies_shorter_than_declared(client: Client) -> None:
    sid = client.ask("/p/", ("content-length", "9"), method="POST", end=False)
    client.data(sid, b"1234", end=True)
    assert client.answer(sid).status == 400
    assert "only 4 out of 9 bytes of request body received" in client.server.log()


def test_bodies_too_large(client: Client) -> None:
    sid = client.ask("/p/", ("content-length", "10000000"), method="POST", end=False)
    a = client.answer(sid)
    assert a.status == 413
    client.ping()
    assert client.answers[sid].reset == wire.NO_ERROR


def test_bodies_that_nobody_reads(client: Client) -> None:
    sid = client.ask("/v", method="POST", end=False)
    assert client.answer(sid).status == 200
    client.data(sid, b"1234", end=True).ping()
    assert client.answers[sid].reset == wire.NO_ERROR
    assert client.answer(client.ask("/small")).status == 200


def test_http1_on_the_same_port(client: Client) -> None:
    assert client.server.get("/v").text.startswith(" HTTP/1.1 GET")


def test_the_preface_in_pieces(client: Client) -> None:
    import time

    with Client(client.server.address()) as slow:
        for at in range(0, len(wire.PREFACE), 5):
            slow.sock.sendall(wire.PREFACE[at : at + 5])
            time.sleep(0.02)
        slow.sock.sendall(wire.settings(()))
        assert slow.answer(slow.ask("/small")).text == "hello\n"


def test_the_log(client: Client) -> None:
    client.answer(client.ask("/small"))
    client.ping()
    log = client.server.log("access.log")
    assert '"GET /small HTTP/2.0" 200 15 ' in log


BAD_HEADS: list[tuple[list[tuple[str, str]], int, str]] = [
    ([(":method", "GET"), (":path", "/"), (":scheme", "http")], 400, 'neither ":authority" nor "Host" header'),
    ([(":method", "GET"), (":path", "/"), ("host", "x")], 400, "client sent no :scheme header"),
    ([(":method", "GET"), (":scheme", "http"), ("host", "x")], 400, "client sent no :path header"),
    ([(":path", "/"), (":scheme", "http"), ("host", "x")], 400, "client sent no :method header"),
    ([(":method", "GET"), (":path", "/"), (":path", "/")], 400, "client sent duplicate :path header"),
    ([(":method", "GET"), (":path", "/"), (":x", "/")], 400, 'client sent unknown pseudo-header ":x"'),
    ([(":method", "GET"), (":path", "x")], 400, 'client sent invalid :path header: "x"'),
    ([(":method", "GET"), (":path", "/x y")], 400, 'client sent invalid :path header: "/x y"'),
    ([(":method", "get")], 400, 'client sent invalid method: "get"'),
    ([(":method", "")], 400, "client sent empty :method header"),
    ([(":scheme", "1")], 400, 'client sent invalid :scheme header: "1"'),
    ([*[(":method", "GET"), (":path", "/"), (":scheme", "http"), ("a", "b")], (":authority", "x")], 400, "out of order"),
    ([(":method", "GET"), (":path", "/"), (":scheme", "http"), ("A", "b")], 400, 'invalid header name: "A"'),
    ([(":method", "GET"), (":path", "/"), (":scheme", "http"), ("b", "c\n")], 400, 'header "b" with invalid value'),
    ([(":method", "GET"), (":path", "/"), (":scheme", "http"), ("host", "a"), (":authority", "b")], 400, "out of order"),
    ([(":method", "GET"), (":path", "/"), (":scheme", "http"), ("connection", "a")], 400, 'client sent "Connection" header'),
    ([(":method", "GET"), (":path", "/"), (":scheme", "http"), ("te", "a")], 400, 'client sent invalid "TE" header'),
    (
        [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "a"), ("host", "b")],
        400,
        'client sent ":authority" and "Host" headers with different values',
    ),
    (
        [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "a/b")],
        400,
        'client sent invalid ":authority" header',
    ),
    ([(":method", "TRACE"), (":path", "/"), (":scheme", "http"), (":authority", "a")], 405, "client sent TRACE method"),
    ([(":method", "CONNECT"), (":path", "/"), (":scheme", "http"), (":authority", "a")], 405, "client sent CONNECT method"),
]


def test_bad_heads(server: Callable[..., object]) -> None:
    s = server("""
    error_log error.log info;
    events {}
    http { server { listen 127.0.0.1:%PORT%; http2 on; } }
    """)
    with Client(s.address()) as client:
        client.hello()
        for lines, status, message in BAD_HEADS:
            sid = client.ask_raw(lines)
            assert client.answer(sid).status == status, lines
            assert message in s.log(), lines
