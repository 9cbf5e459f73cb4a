"""Requests that break before they are served: whose answer it is, and what the logs say (ngx_http_request.c)."""

from __future__ import annotations

import re
import socket
from typing import Any

from scripts.lib.servers import wait_until
from tests.harness.client import Connection

CONF = """
events { }
http {
    log_format seen '$server_name|$status|$server_protocol|$request';
    access_log seen.log seen;
    client_header_buffer_size 256;
    large_client_header_buffers 2 512;
    server {
        listen 127.0.0.1:%PORT% default_server;
        server_name first.test;
        error_page 400 /first;
        location = /first { internal; return 400 "first\\n"; }
        location / { return 200 "of first\\n"; }
        location /read { proxy_pass http://127.0.0.1:%PORT%; }
    }
    server {
        listen 127.0.0.1:%PORT%;
        server_name "" *.second.test;
        error_page 400 /second;
        location = /second { internal; return 400 "second\\n"; }
        location / { return 200 "of second\\n"; }
    }
}
"""


def ask(server: Any, data: bytes) -> bytes:
    with Connection(server.address()) as c:
        return c.send(data).rest()


WHOSE = (
    (b"G\xe9T / HTTP/1.1\r\n\r\n", b"first"),
    (b"GET / HTTP/1.x\r\n\r\n", b"first"),
    (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", b"first"),
    (b"GET / HTTP/1.1\r\nX\x00: 1\r\n\r\n", b"first"),
    (b"GET / HTTP/1.1\r\nHost: x.second.test\r\nX\x00: 1\r\n\r\n", b"second"),
    (b"GET http://x.second.test/ HTTP/1.1\r\nX\x00: 1\r\n\r\n", b"second"),
    (b"GET / HTTP/1.1\r\n\r\n", b"second"),  # complete, and for the server without a name
    (b"GET / HTTP/1.0\r\nContent-Length: x\r\n\r\n", b"second"),
)


def test_whose_page_a_broken_request_gets(server: Any) -> None:
    s = server(CONF)
    for data, who in WHOSE:
        assert ask(s, data).endswith(b"\r\n\r\n" + who + b"\n"), data


def test_a_version_that_broke_is_empty_not_missing(server: Any) -> None:
    s = server(CONF)
    for line in (b"GET / HTTP/x", b"GET / XTTP/1.1", b"GET / HTTP/1.1"):
        ask(s, line + b"\r\nConnection: close\r\n\r\n")
    wait_until(lambda: s.log("seen.log").count("\n") >= 3, "three lines")
    assert [line.split("|")[2] for line in s.log("seen.log").splitlines()] == ["", "-", "HTTP/1.1"]


def test_more_pipelined_requests_than_the_header_buffers_hold(server: Any) -> None:
    s = server(CONF)
    one = b"GET / HTTP/1.1\r\nHost: first.test\r\n\r\n"
    with Connection(s.address()) as c:
        c.send(one * 200)
        assert [c.response().status for _ in range(200)] == [200] * 200


def log_line(server: Any, text: str) -> str:
    wait_until(lambda: text in server.log(), text)
    found = re.search(rf"\d+#\d+: \*\d+ ({re.escape(text)}.*)", server.log())
    assert found
    return found[1]


def test_log_says_what_the_connection_was_doing(server: Any) -> None:
    s = server(CONF)
    ask(s, b"GET /1 HTTP/1.1\r\nHost: first.test\r\n\r\nG\xe9T /2 HTTP/1.1\r\n\r\n")
    assert " while reading client pipelined request line, client: 127.0.0.1, server: first.test" in log_line(
        s, "client sent invalid method"
    )
    ask(s, b"GET /3 HTTP/1.1\r\nHost: first.test\r\nX_Y: 1\r\nConnection: close\r\n\r\n")
    assert ' while reading client request headers, client: 127.0.0.1, server: first.test, request: "GET /3' in log_line(
        s, 'client sent invalid header line: "X_Y: 1"'
    )


def test_log_of_a_client_that_leaves(server: Any) -> None:
    s = server(CONF)
    with Connection(s.address()) as c:
        c.send(b"GET /half").shutdown_write()
        assert c.closed()
    assert log_line(s, "client prematurely closed connection") == (
        "client prematurely closed connection while reading client request line, client: 127.0.0.1, "
        'server: first.test, request: "GET /half"'
    )


def test_log_of_a_client_that_leaves_inside_its_body(server: Any) -> None:
    s = server(CONF)
    with Connection(s.address()) as c:
        c.send(b"POST /read HTTP/1.1\r\nHost: first.test\r\nContent-Length: 10\r\n\r\nabc")
        c.sock.shutdown(socket.SHUT_WR)
        assert c.closed()
    assert log_line(s, "client prematurely closed connection").startswith(
        'client prematurely closed connection, client: 127.0.0.1, server: first.test, request: "POST /read HTTP/1.1"'
    )
