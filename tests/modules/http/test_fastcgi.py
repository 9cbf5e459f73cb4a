"""fastcgi_pass against fake applications: what they are sent, and what the client gets."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from scripts.lib.servers import wait_until
from tests.harness.applications import FastcgiApp, Pair, ask_with_body, end, record, stderr, stdout

PASS = "location / { fastcgi_pass u; %s }"


# ---- the request


def test_params(fastcgi: Pair) -> None:
    s, app = fastcgi(
        """
        fastcgi_index index.php;
        fastcgi_param SCRIPT_FILENAME /srv$fastcgi_script_name;
        fastcgi_param LITERAL value;
        fastcgi_param EMPTY $arg_none;
        fastcgi_param GONE $arg_none if_not_empty;
        fastcgi_param THERE $arg_a if_not_empty;
        fastcgi_param HTTP_X_SET set;
        fastcgi_param HTTP_X_GONE "";
        location / { fastcgi_pass u; }
        """,
    )
    headers = {"Host": "example.com:81", "X-Set": "client", "x-gone": "1", "X-dash": "2", "User-Agent": "test"}
    assert s.get("/dir/?a=b", headers=headers | {"Cookie": "a=1"}).text == "hello"
    assert app.requests[0].pairs == [
        ("SCRIPT_FILENAME", "/srv/dir/index.php"),
        ("LITERAL", "value"),
        ("EMPTY", ""),
        ("THERE", "b"),
        ("HTTP_X_SET", "set"),
        ("HTTP_HOST", "example.com:81"),
        ("HTTP_CONNECTION", "close"),
        ("HTTP_X_DASH", "2"),
        ("HTTP_USER_AGENT", "test"),
        ("HTTP_COOKIE", "a=1"),
    ]


def test_lines_of_one_name_are_one(fastcgi: Pair) -> None:
    s, app = fastcgi(PASS % "")
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nCookie: b=1\r\nX-B: 3\r\nx-a: 2\r\nCookie: c=2\r\n\r\n")
        assert c.response().status == 200
    assert [pair for pair in app.requests[0].pairs if pair[0] != "HTTP_HOST"] == [
        ("HTTP_X_A", "1, 2"), ("HTTP_COOKIE", "b=1; c=2"), ("HTTP_X_B", "3")
    ]  # fmt: skip


def test_long_names_and_values(fastcgi: Pair) -> None:
    s, app = fastcgi(PASS % f"fastcgi_param {'N' * 200} $arg_a$arg_a;")
    s.get("/?a=" + "v" * 2000)
    assert app.requests[0].params["N" * 200] == "v" * 4000


def test_too_many_params(fastcgi: Pair) -> None:
    value = "v" * 4000
    params = "".join(f"fastcgi_param P{i} {value};" for i in range(17))
    s, app = fastcgi(PASS % params, alerts=True)
    assert s.get("/").status == 500
    assert not app.requests
    assert "[alert]" in s.log() and "fastcgi request record is too big: 68" in s.log()


def test_inheritance_is_all_or_nothing(fastcgi: Pair) -> None:
    s, app = fastcgi(
        "fastcgi_param A 1; fastcgi_param B 2; location / { fastcgi_pass u; }"
        "location /own { fastcgi_pass u; fastcgi_param C 3; fastcgi_pass_request_headers off; }",
    )
    s.get("/")
    s.get("/own", headers={"X-A": "b"})
    assert app.requests[0].params["A"] == "1" and app.requests[0].params["B"] == "2"
    assert app.requests[1].params == {"C": "3", "HTTP_HOST": app.requests[0].params["HTTP_HOST"]}


def test_split_path_info(fastcgi: Pair) -> None:
    s, app = fastcgi(
        r"""
        location ~ \.php {
            fastcgi_split_path_info ^(.+\.php)(.*)$;
            fastcgi_param S $fastcgi_script_name;
            fastcgi_param P $fastcgi_path_info;
            fastcgi_pass u;
        }
        """,
    )
    s.get("/a.php/b/c?d")
    s.get("/a.php")
    s.get("/x.phpy")
    assert [(r.params["S"], r.params["P"]) for r in app.requests] == [
        ("/a.php", "/b/c"), ("/a.php", ""), ("/x.php", "y"),
    ]  # fmt: skip


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("size", [1, 5000, 32768, 32769, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_request_bodies(fastcgi: Pair, buffering: str, size: int, chunked: bool) -> None:
    body = (bytes(i * 7 % 251 for i in range(1000)) * (size // 1000 + 1))[:size]
    conf = PASS % (
        "client_max_body_size 10m; fastcgi_param CONTENT_LENGTH $content_length;"
        f" fastcgi_keep_conn on; fastcgi_request_buffering {buffering};"
    )
    s, app = fastcgi(conf)
    with s.connect() as c:
        for _ in range(2):
            assert ask_with_body(c, body, chunked) == "hello"
    assert [request.body == body for request in app.requests] == [True, True]
    for request in app.requests:
        assert max(len(content) for kind, content in request.records if kind == 5) <= 32768
        if not chunked or buffering == "on":
            assert request.params["CONTENT_LENGTH"] == str(size)


def test_pass_request_body_off(fastcgi: Pair) -> None:
    s, app = fastcgi(PASS % "fastcgi_pass_request_body off;")
    assert s.get("/", method="POST", body=b"body").text == "hello"
    assert app.requests[0].body == b""


def test_a_body_that_goes_on_as_it_comes(fastcgi: Pair) -> None:
    came = threading.Event()

    def talk(sock: socket.socket) -> None:
        data = b""
        while b"first" not in data:
            data += sock.recv(65536)
        came.set()
        while not data.endswith(record(5, b"")):
            data += sock.recv(65536)
        sock.sendall(FastcgiApp.hello)
        sock.recv(1)

    s = fastcgi.talking(talk, PASS % "fastcgi_request_buffering off;")
    with s.connect() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nfirst")
        assert came.wait(30)
        assert c.send(b"second").response().text == "hello"


# ---- the response


@pytest.mark.parametrize(
    ("head", "status", "reason"),
    [
        (b"X-A: b\r\n\r\n", 200, "OK"),
        (b"X-A: b\n\n", 200, "OK"),
        (b"Status: 404 Nowhere\r\n\r\n", 404, "Nowhere"),
        (b"Status: 418\r\n\r\n", 418, ""),
        (b"Location: http://example.com/\r\n\r\n", 302, "Moved Temporarily"),
        (b"Status: 201 Made\r\nLocation: /x\r\n\r\n", 201, "Made"),
    ],
)
def test_status(fastcgi: Pair, head: bytes, status: int, reason: str) -> None:
    s, _ = fastcgi(PASS % "", stdout(head + b"body") + end())
    answer = s.get("/")
    assert (answer.status, answer.reason.strip(), answer.text) == (status, reason, "body")
    assert "Status" not in answer
    assert answer.get("Server") is not None and answer.get("Date") is not None


RESPONSE = b"Content-Type: text/x\r\nX-Long: " + b"x" * 300 + b"\r\nSet-Cookie: a=b\r\n\r\n" + b"body " * 100


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("step", [1, 7, 100, 10_000])
def test_records_cut_anywhere(fastcgi: Pair, step: int, buffering: str) -> None:
    cut = b"".join(
        stdout(RESPONSE[at : at + step], padding=at % 9) + (stderr(b"noise") if at % 70 == 0 else b"")
        for at in range(0, len(RESPONSE), step)
    )
    conf = PASS % f"fastcgi_keep_conn on; fastcgi_buffering {buffering}; fastcgi_buffer_size 16k; fastcgi_buffers 8 16k;"
    s, app = fastcgi(conf, cut + end(3))
    for _ in range(3):
        answer = s.get("/")
        assert answer.text == "body " * 100
        assert answer["X-Long"] == "x" * 300 and answer["Content-Type"] == "text/x"
    assert all(request.keep for request in app.requests)
    assert 'FastCGI sent in stderr: "noise" while reading' in s.log()


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_a_slow_application(fastcgi: Pair, buffering: str) -> None:
    """Every byte by itself."""

    def talk(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while FastcgiApp(lambda request: None).read(sock) is not None:
            for byte in stdout(b"X-A: b\r\nContent-Length: 5\r\n\r\nhel", 2) + stderr(b"e") + stdout(b"lo") + end():
                sock.sendall(bytes([byte]))

    said = f"fastcgi_keep_conn on; fastcgi_buffering {buffering}; access_log %DIR%/access.log;"
    s = fastcgi.talking(talk, PASS % said)
    for n in range(3):
        assert s.get("/").text == "hello"
        # the client has all of its answer before the application has said that it was all
        wait_until(lambda n=n: s.log("access.log").count("\n") > n, "the request's end")
    assert fastcgi.up.connections == 1


def test_large_body(fastcgi: Pair) -> None:
    body = b"0123456789abcdef" * 100_000
    records = b"".join(stdout(body[at : at + 65528], at % 8) for at in range(0, len(body), 65528))
    s, _ = fastcgi(PASS % "fastcgi_keep_conn on;", stdout(b"X-A: b\r\n\r\n") + records + end())
    assert s.get("/").body == body


def test_head_and_no_content(fastcgi: Pair) -> None:
    s, app = fastcgi(
        PASS % "fastcgi_param REQUEST_METHOD $request_method; fastcgi_keep_conn on;",
        lambda request: (
            stdout(b"Status: 204\r\n\r\n" if request.params["REQUEST_METHOD"] == "GET" else b"X: y\r\n\r\n") + end()
        ),
    )
    with s.connect() as c:
        assert c.ask("/", "GET").status == 204
        assert c.ask("/", "HEAD").status == 200
        assert c.ask("/", "GET").status == 204


def test_keepalive(fastcgi: Pair) -> None:
    body = "location / { fastcgi_pass u; fastcgi_keep_conn on; } location /not { fastcgi_pass u; }"
    s, app = fastcgi(body)
    for _ in range(4):
        assert s.get("/").text == "hello"
    assert fastcgi.up.connections == 1
    for _ in range(2):
        assert s.get("/not").text == "hello"
    assert not app.requests[-1].keep
    assert fastcgi.up.connections <= 3


def test_stderr_before_the_head(fastcgi: Pair) -> None:
    """More of it than the buffer holds."""
    noise = b"".join(stderr(b"%04d " % i + b"e" * 995 + b"\n", 3) for i in range(30))
    s, _ = fastcgi(PASS % "", noise + FastcgiApp.hello)
    assert s.get("/").text == "hello"
    assert 'FastCGI sent in stderr: "0000 eee' in s.log() and "0029 eee" in s.log()
    assert "while reading response header from upstream" in s.log() and 'upstream: "fastcgi://127.0.0.1:' in s.log()


def test_catch_stderr(fastcgi: Pair) -> None:
    s, _ = fastcgi(
        PASS % 'fastcgi_catch_stderr "PHP Fatal"; fastcgi_catch_stderr other;',
        lambda request: stderr(b"PHP Fatal error: x.\r\n. ") + FastcgiApp.hello,
    )
    assert s.get("/").status == 502
    assert 'FastCGI sent in stderr: "PHP Fatal error: x" while' in s.log()


def test_catch_stderr_tries_the_next(server: Any, backend: Any) -> None:
    bad = backend(talk=FastcgiApp(lambda request: stderr(b"bad day") + FastcgiApp.hello))
    good = backend(talk=FastcgiApp(lambda request: FastcgiApp.hello))
    s = server(
        """
        events {}
        http {
            upstream u { server 127.0.0.1:%BAD%; server 127.0.0.1:%GOOD%; }
            server {
                listen 127.0.0.1:%PORT%;
                location / {
                    fastcgi_pass u;
                    fastcgi_catch_stderr bad;
                    fastcgi_next_upstream error timeout invalid_header;
                }
            }
        }
        """,
        BAD=bad.port,
        GOOD=good.port,
    )
    assert [s.get("/").status for _ in range(4)] == [200] * 4
    assert bad.connections and good.connections == 4
