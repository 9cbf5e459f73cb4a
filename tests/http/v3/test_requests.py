"""Requests over HTTP/3: heads, bodies, what they see of each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from geng.wire import http3 as wire
from geng.wire import qpack
from tests.harness.backend import Backend
from tests.harness.server import Server, wait_until
from tests.harness.tls import Authority, Connection
from tests.http.v3.client import Client, Lines

pytestmark = pytest.mark.live

CONF = """
events {}
http {
    access_log access.log;
    ssl_certificate %CA%/localhost.crt;
    ssl_certificate_key %CA%/localhost.key;
    client_body_timeout 2s;
    client_header_timeout 4s;
    large_client_header_buffers 4 4k;
    server {
        listen 127.0.0.1:%PORT% quic;
        listen 127.0.0.1:%PORT% ssl;
        root .;
        location /v { return 200 "$http3 $server_protocol $request_method $host $http_cookie $http_x_y $scheme"; }
        location /length { client_max_body_size 100; proxy_pass http://127.0.0.1:%UP%; }
        location /p/ { proxy_pass http://127.0.0.1:%UP%; }
        location /u/ { proxy_pass http://127.0.0.1:%UP%; proxy_request_buffering off; proxy_http_version 1.1; }
        location /redirect { return 301 /there; }
        location /empty { add_header X-Y z always; return 204; }
        location /hints { early_hints $http3; proxy_pass http://127.0.0.1:%HINTS%; }
        location /trailers { add_trailer X-T $request_length; return 200 body; }
        location /unknown { ssi on; ssi_types *; alias page; }
        location /slow { limit_rate 20k; alias big; }
    }
    server {
        listen 127.0.0.1:%PORT% quic;
        server_name off;
        http3 off;
    }
    server {
        listen 127.0.0.1:%PORT2% quic;
        listen 127.0.0.1:%PORT2% ssl;
        server_name few;
        max_headers 3;
        http3_hq on;
        location / { return 200 "few $http3 $server_protocol"; }
    }
}
"""

BIG = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls")).issue("localhost")


def echo(request: Any) -> str:
    return (
        f"{request.method} {request.target} {request.get('content-length')} {len(request.body)} {request.body[:20].decode()}"
    )


def hints(sock: Any) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(4096)
    sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


@pytest.fixture(scope="module")
def s(tmp_path_factory: pytest.TempPathFactory, command: list[str], ca: Authority) -> Iterator[Server]:
    """One server for all tests that need no other: each has connections of its own."""
    up, early = Backend(echo), Backend(talk=hints)
    files: dict[str, bytes | str] = {"big": BIG, "page": '<!--#echo var="uri" -->'}
    places: dict[str, Any] = {"CA": ca.folder, "UP": up.port, "HINTS": early.port}
    one = Server(CONF, tmp_path_factory.mktemp("server"), command=command, files=files, **places)
    try:
        yield one.start()
        one.stop()
    finally:
        one.kill()
        up.stop()
        early.stop()


@pytest.fixture
def c(s: Server) -> Iterator[Client]:
    with Client(s.address()) as client:
        yield client


def test_requests_of_one_connection(s: Server, c: Client) -> None:
    asked = [c.ask("/v", ("cookie", "a=b"), ("x-y", "z"), ("cookie", "c=d")) for _ in range(3)]
    for sid in asked:
        answer = c.answer(sid)
        assert (answer.status, answer.text) == (200, "h3 HTTP/3.0 GET localhost a=b; c=d z https")
        assert answer.headers["content-type"] == "text/plain"
    wait_until(lambda: s.log("access.log").count('"GET /v HTTP/3.0" 200') >= 3, "three lines in the log")


def test_files(c: Client) -> None:
    answer = c.get("/big")
    assert answer.body == BIG
    assert (answer.headers["content-length"], answer.sizes) == ("1048576", [len(BIG)])
    head = c.get("/big", method="HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "1048576")
    part = c.get("/big", ("range", "bytes=256-260"))
    assert (part.status, part.body) == (206, b"\0\1\2\3\4")
    assert c.get("/big", ("if-none-match", answer.headers["etag"])).status == 304
    assert c.get("/none").status == 404


def test_heads_without_bodies(s: Server, c: Client) -> None:
    empty = c.get("/empty")
    assert (empty.status, empty.body, empty.headers["x-y"]) == (204, b"", "z")
    assert "content-length" not in empty.headers
    moved = c.get("/redirect")
    assert (moved.status, moved.headers["location"]) == (301, f"https://localhost:{s.ports['PORT']}/there")


def test_body_of_unknown_length(c: Client) -> None:
    answer = c.get("/unknown")
    assert answer.text == "/unknown"
    assert "content-length" not in answer.headers


def test_trailers(c: Client) -> None:
    answer = c.get("/trailers")
    assert (answer.text, len(answer.heads)) == ("body", 2)
    assert int(dict(answer.heads[1])["x-t"]) > 10


def test_early_hints(c: Client) -> None:
    answer = c.get("/hints")
    assert [dict(head)[":status"] for head in answer.heads] == ["103", "200"]
    assert dict(answer.heads[0])["link"] == "</x>"
    assert answer.text == "ok"


@pytest.mark.parametrize("path", ["/p/", "/u/"])
def test_bodies(c: Client, path: str) -> None:
    assert c.answer(c.ask(path, method="POST", body=b"abc")).text.endswith(" 3 abc")
    whole = c.ask(path, ("content-length", "5"), method="POST", body=b"hello")
    assert c.answer(whole).text == f"POST {path} 5 5 hello"
    pieces = c.ask(path, method="PUT", end=False)
    for piece in (b"a", b"b" * 5000, b"c" * 60000):
        c.send(pieces, wire.frame(0x21, b"skipped") + wire.frame(wire.DATA, piece))
    c.send(pieces, c.head([("x-trailer", "y")], pieces), fin=True)
    assert " 65001 ab" in c.answer(pieces).text


@pytest.mark.parametrize("path", ["/p/", "/u/"])
@pytest.mark.parametrize(("length", "body"), [("5", b"abc"), ("2", b"abc")])
def test_bodies_of_another_length(s: Server, c: Client, path: str, length: str, body: bytes) -> None:
    assert c.answer(c.ask(path, ("content-length", length), method="POST", body=body)).status == 400
    expected = {"5": "client sent less body data than expected: 3 out of 5", "2": "larger than declared"}
    assert expected[length] in s.log()


def test_bodies_that_are_too_large(s: Server, c: Client) -> None:
    assert c.answer(c.ask("/length", method="POST", body=b"x" * 101)).status == 413
    assert "client intended to send too large body: 0+101 bytes" in s.log()
    assert c.answer(c.ask("/length", ("content-length", "101"), method="POST", end=False)).status == 413


def test_body_that_does_not_come(c: Client) -> None:
    answer = c.answer(c.ask("/p/", ("content-length", "5"), method="POST", end=False))
    assert answer.reset == wire.GENERAL_PROTOCOL_ERROR


def test_bad_body(s: Server, c: Client) -> None:
    sid = c.ask("/p/", method="POST", end=False)
    c.send(sid, wire.goaway(0))
    assert c.answer(sid).reset == wire.FRAME_UNEXPECTED
    assert "client sent invalid body" in s.log()


def lines(*more: tuple[str, str], **changes: str | None) -> Lines:
    """A good head with *changes* of its pseudo-headers, and *more* behind them."""
    pseudo = {"method": "GET", "scheme": "https", "path": "/v", "authority": "localhost"} | changes
    return [(f":{name}", value) for name, value in pseudo.items() if value is not None] + list(more)


FAULTS: dict[str, Lines] = {
    'client sent no ":method" header': lines(method=None),
    'client sent no ":scheme" header': lines(scheme=None),
    'client sent no ":path" header': lines(path=None),
    'client sent empty ":path" header': lines(path=""),
    'client sent duplicate ":path" header': [*lines(), (":path", "/v")],
    'client sent duplicate ":authority" header': [*lines(), (":authority", "x")],
    'client sent invalid ":path" header: "v"': lines(path="v"),
    'client sent invalid ":scheme" header: "1x"': lines(scheme="1x"),
    'client sent invalid method: "get"': lines(method="get"),
    'client sent unknown pseudo-header ":x"': [*lines(), (":x", "y")],
    "client sent out of order pseudo-headers": [*lines(("x", "y")), (":x", "y")],
    'client sent invalid header name: "X"': lines(("X", "y")),
    'client sent header "x" with invalid value: "a\0b"': lines(("x", "a\0b")),
    'client sent "Connection" header': lines(("connection", "close")),
    'client sent "Transfer-Encoding" header': lines(("transfer-encoding", "chunked")),
    'client sent "Upgrade" header': lines(("upgrade", "x")),
    'client sent invalid "TE" header': lines(("te", "gzip")),
    'client sent neither ":authority" nor "Host" header': lines(authority=None),
    'client sent ":authority" and "Host" headers with different values': lines(("host", "x")),
    'client sent invalid ":authority" header': lines(authority="a/b"),
    'client sent invalid "Content-Length" header': lines(("content-length", "x")),
}


def test_bad_heads(s: Server, c: Client) -> None:
    for message, said in FAULTS.items():
        block = qpack.NO_TABLE + b"".join(
            qpack.field(name.encode("latin-1"), value.encode("latin-1"))
            if name != "X"
            else b"\x21X" + qpack.coded(value.encode(), 0, 127)
            for name, value in said
        )
        answer = c.answer(c.raw(wire.frame(wire.HEADERS, block)))
        assert answer.status == 400, message
        assert message in s.log()


def test_methods_that_are_not_allowed(c: Client) -> None:
    assert c.get("/v", method="CONNECT").status == 405
    assert c.get("/v", method="TRACE").status == 405


def test_large_heads(s: Server, c: Client) -> None:
    assert c.get("/v", *((f"x-{n}", "y" * 4000) for n in range(3))).status == 200
    assert c.get("/v", *((f"x-{n}", "y" * 4000) for n in range(5))).status == 400
    assert "client sent too large header while" in s.log()
    assert c.get("/v", ("x", "~" * 5000)).reset == wire.EXCESSIVE_LOAD
    assert "client sent too large field line" in s.log()
    wait_until(lambda: '"GET /v HTTP/3.0" 400' in s.log("access.log"), "its line in the log")


def test_other_servers(s: Server, c: Client) -> None:
    assert c.get("/", authority="off").status == 421
    assert "for which the negotiated protocol is disabled" in s.log()
    with Client(s.address("PORT2")) as few:
        assert few.get("/", ("a", "1"), ("b", "2"), ("c", "3")).text == "few h3 HTTP/3.0"
        assert few.get("/", ("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")).status == 400
        assert "client sent too many header lines" in s.log()


def test_hq(s: Server) -> None:
    with Client(s.address("PORT2"), alpn="hq-interop") as hq:
        sid = hq.quic.get_next_available_stream_id()
        hq.raw(b"GET /\r\n")
        hq.until(lambda: hq.answers[sid].ended)
        assert hq.answers[sid].rest == b"few hq "
    with Client(s.address(), alpn="hq-interop") as hq:
        assert hq.closed is not None and hq.closed[0] == 0x178  # no_application_protocol


def test_the_same_port_over_tcp(s: Server, ca: Authority) -> None:
    with Connection(s.address(), ca.context()) as tcp:
        assert tcp.ask("/v", headers={"Connection": "close"}).text == " HTTP/1.1 GET localhost   https"


def test_client_that_goes(s: Server, c: Client) -> None:
    sid = c.ask("/slow")
    c.until(lambda: c.answers[sid].heads)
    c.quic.stop_stream(sid, wire.REQUEST_CANCELLED)
    c.flush()
    assert c.answer(sid).reset == wire.REQUEST_CANCELLED
    assert c.get("/v").status == 200
    wait_until(lambda: '"GET /slow HTTP/3.0" 200' in s.log("access.log"), "its line in the log")


MORE = """
events {}
http {
    access_log access.log;
    ssl_certificate %CA%/localhost.crt;
    ssl_certificate_key %CA%/localhost.key;
    server {
        listen 127.0.0.1:%PORT% quic;
        listen 127.0.0.1:%PORT2%;
        location /tcp { return 200 "$tcpinfo_rtt|$proxy_protocol_addr|$remote_addr|$server_addr|$server_port|$http2"; }
        location /close { return 444; }
        location /status { stub_status; }
        location /verify { return 200 "$ssl_protocol $ssl_server_name $ssl_session_reused $ssl_alpn_protocol"; }
    }
    server {
        listen 127.0.0.1:%PORT3% quic;
        listen 127.0.0.1:%PORT3% ssl;
        ssl_verify_client on;
        ssl_client_certificate %CA%/ca.crt;
        location / { return 200 "$ssl_client_verify $ssl_client_s_dn"; }
    }
}
"""


def test_what_variables_say_of_the_connection(server: Callable[..., Server], ca: Authority) -> None:
    s = server(MORE, CA=ca.folder)
    with Client(s.address()) as c:
        assert c.get("/tcp").text == f"||127.0.0.1|127.0.0.1|{s.ports['PORT']}|"
        assert c.get("/verify").text == "TLSv1.3 localhost . h3"
        assert c.get("/close").reset == wire.GENERAL_PROTOCOL_ERROR
        assert c.get("/tcp").status == 200
        assert "Active connections: 2 \n" in c.get("/status").text  # the connection and the request's stream
    wait_until(lambda: '"GET /close HTTP/3.0" 444 0' in s.log("access.log"), "its line in the log")


def test_clients_certificates(server: Callable[..., Server], ca: Authority) -> None:
    ca.issue("client", "client.example")
    s = server(MORE, CA=ca.folder)
    with Client(s.address("PORT3")) as c:
        assert c.get("/").status == 400
        assert "client sent no required SSL certificate" in s.log()
    with Client(s.address("PORT3"), certificate=str(ca.folder / "client")) as c:
        assert c.get("/").text.startswith("SUCCESS CN=client")
