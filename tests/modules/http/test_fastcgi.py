"""fastcgi_pass with everything around it, against fake applications: what they are sent, what the client gets."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.servers import wait_until
from tests.harness.applications import FastcgiApp, Request, end, exactly, record, stderr, stdout

CONF = """
events {}
http {
    %HTTP%
    upstream u { server 127.0.0.1:%UP%; keepalive 8; }
    server {
        listen 127.0.0.1:%PORT%;
        server_name localhost;
        %BODY%
    }
}
"""

HELLO = stdout(b"Content-Type: text/plain\r\n\r\nhello") + end()
PASS = "location / { fastcgi_pass u; %s }"


def fastcgi(server: Any, backend: Any, body: str, answer: Any = HELLO, http: str = "", **options: Any) -> Any:
    """A server with *body* in its server block, and its application, which answers with *answer*."""
    app = FastcgiApp(answer if callable(answer) else lambda request: answer)
    up = backend(talk=app)
    return server(CONF.replace("%BODY%", body).replace("%HTTP%", http), UP=up.port, **options), app


# ---- the request


def test_params(server: Any, backend: Any) -> None:
    s, app = fastcgi(
        server,
        backend,
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


def test_lines_of_one_name_are_one(server: Any, backend: Any) -> None:
    s, app = fastcgi(server, backend, PASS % "")
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nCookie: b=1\r\nX-B: 3\r\nx-a: 2\r\nCookie: c=2\r\n\r\n")
        assert c.response().status == 200
    assert [pair for pair in app.requests[0].pairs if pair[0] != "HTTP_HOST"] == [
        ("HTTP_X_A", "1, 2"), ("HTTP_COOKIE", "b=1; c=2"), ("HTTP_X_B", "3")
    ]  # fmt: skip


def test_long_names_and_values(server: Any, backend: Any) -> None:
    s, app = fastcgi(server, backend, PASS % f"fastcgi_param {'N' * 200} $arg_a$arg_a;")
    s.get("/?a=" + "v" * 2000)
    assert app.requests[0].params["N" * 200] == "v" * 4000


def test_too_many_params(server: Any, backend: Any) -> None:
    value = "v" * 4000
    params = "".join(f"fastcgi_param P{i} {value};" for i in range(17))
    s, app = fastcgi(server, backend, PASS % params, alerts=True)
    assert s.get("/").status == 500
    assert not app.requests
    assert "[alert]" in s.log() and "fastcgi request record is too big: 68" in s.log()


def test_inheritance_is_all_or_nothing(server: Any, backend: Any) -> None:
    s, app = fastcgi(
        server,
        backend,
        "fastcgi_param A 1; fastcgi_param B 2; location / { fastcgi_pass u; }"
        "location /own { fastcgi_pass u; fastcgi_param C 3; fastcgi_pass_request_headers off; }",
    )
    s.get("/")
    s.get("/own", headers={"X-A": "b"})
    assert app.requests[0].params["A"] == "1" and app.requests[0].params["B"] == "2"
    assert app.requests[1].params == {"C": "3", "HTTP_HOST": app.requests[0].params["HTTP_HOST"]}


def test_split_path_info(server: Any, backend: Any) -> None:
    s, app = fastcgi(
        server,
        backend,
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
def test_request_bodies(server: Any, backend: Any, buffering: str, size: int, chunked: bool) -> None:
    body = (bytes(i * 7 % 251 for i in range(1000)) * (size // 1000 + 1))[:size]
    conf = PASS % (
        "client_max_body_size 10m; fastcgi_param CONTENT_LENGTH $content_length;"
        f" fastcgi_keep_conn on; fastcgi_request_buffering {buffering};"
    )
    s, app = fastcgi(server, backend, conf)
    with s.connect() as c:
        for _ in range(2):
            if chunked:
                c.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                for at in range(0, size, 100_000):
                    piece = body[at : at + 100_000]
                    c.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                assert c.send(b"0\r\n\r\n").response().text == "hello"
            else:
                assert c.ask("/", "POST", {"Content-Length": str(size)}, body).text == "hello"
    assert [request.body == body for request in app.requests] == [True, True]
    for request in app.requests:
        assert max(len(content) for kind, content in request.records if kind == 5) <= 32768
        if not chunked or buffering == "on":
            assert request.params["CONTENT_LENGTH"] == str(size)


def test_pass_request_body_off(server: Any, backend: Any) -> None:
    s, app = fastcgi(server, backend, PASS % "fastcgi_pass_request_body off;")
    assert s.get("/", method="POST", body=b"body").text == "hello"
    assert app.requests[0].body == b""


def test_a_body_that_goes_on_as_it_comes(server: Any, backend: Any) -> None:
    came = threading.Event()

    def talk(sock: socket.socket) -> None:
        data = b""
        while b"first" not in data:
            data += sock.recv(65536)
        came.set()
        while not data.endswith(record(5, b"")):
            data += sock.recv(65536)
        sock.sendall(HELLO)
        sock.recv(1)

    up = backend(talk=talk)
    s = server(CONF.replace("%BODY%", PASS % "fastcgi_request_buffering off;").replace("%HTTP%", ""), UP=up.port)
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
def test_status(server: Any, backend: Any, head: bytes, status: int, reason: str) -> None:
    s, _ = fastcgi(server, backend, PASS % "", stdout(head + b"body") + end())
    answer = s.get("/")
    assert (answer.status, answer.reason.strip(), answer.text) == (status, reason, "body")
    assert "Status" not in answer
    assert answer.get("Server") is not None and answer.get("Date") is not None


RESPONSE = b"Content-Type: text/x\r\nX-Long: " + b"x" * 300 + b"\r\nSet-Cookie: a=b\r\n\r\n" + b"body " * 100


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("step", [1, 7, 100, 10_000])
def test_records_cut_anywhere(server: Any, backend: Any, step: int, buffering: str) -> None:
    cut = b"".join(
        stdout(RESPONSE[at : at + step], padding=at % 9) + (stderr(b"noise") if at % 70 == 0 else b"")
        for at in range(0, len(RESPONSE), step)
    )
    conf = PASS % f"fastcgi_keep_conn on; fastcgi_buffering {buffering}; fastcgi_buffer_size 16k; fastcgi_buffers 8 16k;"
    s, app = fastcgi(server, backend, conf, cut + end(3))
    for _ in range(3):
        answer = s.get("/")
        assert answer.text == "body " * 100
        assert answer["X-Long"] == "x" * 300 and answer["Content-Type"] == "text/x"
    assert all(request.keep for request in app.requests)
    assert 'FastCGI sent in stderr: "noise" while reading' in s.log()


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_a_slow_application(server: Any, backend: Any, buffering: str) -> None:
    """Every byte by itself."""

    def talk(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while FastcgiApp(lambda request: None).read(sock) is not None:
            for byte in stdout(b"X-A: b\r\nContent-Length: 5\r\n\r\nhel", 2) + stderr(b"e") + stdout(b"lo") + end():
                sock.sendall(bytes([byte]))

    up = backend(talk=talk)
    body = PASS % f"fastcgi_keep_conn on; fastcgi_buffering {buffering}; access_log %DIR%/access.log;"
    s = server(CONF.replace("%BODY%", body).replace("%HTTP%", ""), UP=up.port)
    for n in range(3):
        assert s.get("/").text == "hello"
        # the client has all of its answer before the application has said that it was all
        wait_until(lambda n=n: s.log("access.log").count("\n") > n, "the request's end")
    assert up.connections == 1


def test_large_body(server: Any, backend: Any) -> None:
    body = b"0123456789abcdef" * 100_000
    records = b"".join(stdout(body[at : at + 65528], at % 8) for at in range(0, len(body), 65528))
    s, _ = fastcgi(server, backend, PASS % "fastcgi_keep_conn on;", stdout(b"X-A: b\r\n\r\n") + records + end())
    assert s.get("/").body == body


def test_head_and_no_content(server: Any, backend: Any) -> None:
    s, app = fastcgi(
        server,
        backend,
        PASS % "fastcgi_param REQUEST_METHOD $request_method; fastcgi_keep_conn on;",
        lambda request: (
            stdout(b"Status: 204\r\n\r\n" if request.params["REQUEST_METHOD"] == "GET" else b"X: y\r\n\r\n") + end()
        ),
    )
    with s.connect() as c:
        assert c.ask("/", "GET").status == 204
        assert c.ask("/", "HEAD").status == 200
        assert c.ask("/", "GET").status == 204


def test_keepalive(server: Any, backend: Any) -> None:
    def answer(request: Request) -> bytes:
        return HELLO

    app = FastcgiApp(answer)
    up = backend(talk=app)
    body = "location / { fastcgi_pass u; fastcgi_keep_conn on; } location /not { fastcgi_pass u; }"
    s = server(CONF.replace("%BODY%", body).replace("%HTTP%", ""), UP=up.port)
    for _ in range(4):
        assert s.get("/").text == "hello"
    assert up.connections == 1
    for _ in range(2):
        assert s.get("/not").text == "hello"
    assert not app.requests[-1].keep
    assert up.connections <= 3


def test_stderr_before_the_head(server: Any, backend: Any) -> None:
    """More of it than the buffer holds."""
    noise = b"".join(stderr(b"%04d " % i + b"e" * 995 + b"\n", 3) for i in range(30))
    s, _ = fastcgi(server, backend, PASS % "", noise + HELLO)
    assert s.get("/").text == "hello"
    assert 'FastCGI sent in stderr: "0000 eee' in s.log() and "0029 eee" in s.log()
    assert "while reading response header from upstream" in s.log() and 'upstream: "fastcgi://127.0.0.1:' in s.log()


def test_catch_stderr(server: Any, backend: Any) -> None:
    s, _ = fastcgi(
        server,
        backend,
        PASS % 'fastcgi_catch_stderr "PHP Fatal"; fastcgi_catch_stderr other;',
        lambda request: stderr(b"PHP Fatal error: x.\r\n. ") + HELLO,
    )
    assert s.get("/").status == 502
    assert 'FastCGI sent in stderr: "PHP Fatal error: x" while' in s.log()


def test_catch_stderr_tries_the_next(server: Any, backend: Any) -> None:
    bad = backend(talk=FastcgiApp(lambda request: stderr(b"bad day") + HELLO))
    good = backend(talk=FastcgiApp(lambda request: HELLO))
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


# ---- what goes wrong


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
def test_no_response(server: Any, backend: Any, answer: bytes, message: str) -> None:
    # an application that keeps its connection and stops in the middle would only be waited for
    keep = "off" if message == "upstream prematurely closed connection" else "on"
    s, _ = fastcgi(server, backend, PASS % f"fastcgi_keep_conn {keep};", lambda request: answer or None)
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
def test_broken_in_the_middle(server: Any, backend: Any, buffering: str, keep: str, together: bool) -> None:
    parted = threading.Event()

    def talk(sock: socket.socket) -> None:
        FastcgiApp(lambda request: None).read(sock)
        sock.sendall(stdout(b"X: y\r\n\r\nbegun"))
        if not together:
            parted.wait(5)
        sock.sendall(b"\1\6\0\7")
        sock.recv(1)

    up = backend(talk=talk)
    body = PASS % f"fastcgi_keep_conn {keep}; fastcgi_buffering {buffering};"
    s = server(CONF.replace("%BODY%", body).replace("%HTTP%", ""), UP=up.port)
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
def test_shorter_than_promised(server: Any, backend: Any, tail: bytes, message: str) -> None:
    s, _ = fastcgi(server, backend, PASS % "fastcgi_keep_conn on;", stdout(b"Content-Length: 10\r\n\r\nhalf") + tail)
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert raw(c).endswith(b"\r\n\r\nhalf")
    assert f"{message} while reading upstream" in s.log()


def test_longer_than_promised(server: Any, backend: Any) -> None:
    s, _ = fastcgi(server, backend, PASS % "fastcgi_keep_conn on;", stdout(b"Content-Length: 4\r\n\r\nhalf more") + end())
    with s.connect() as c:
        assert c.ask("/").text == "half"
        assert c.ask("/").text == "half"
    assert 'upstream sent more data than specified in "Content-Length" header while reading upstream' in s.log()


def test_dies_in_a_kept_body(server: Any, backend: Any) -> None:
    def talk(sock: socket.socket) -> None:
        FastcgiApp(lambda request: None).read(sock)
        sock.sendall(stdout(b"X: y\r\n\r\nhalf") + record(6, b"x" * 100)[:20])

    up = backend(talk=talk)
    s = server(CONF.replace("%BODY%", PASS % "fastcgi_keep_conn on;").replace("%HTTP%", ""), UP=up.port)
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert not raw(c).endswith(b"0\r\n\r\n")
    assert "upstream prematurely closed connection while reading upstream" in s.log()


def test_answers_before_it_has_the_body(server: Any, backend: Any) -> None:
    def talk(sock: socket.socket) -> None:
        exactly(sock, 100)
        sock.sendall(stdout(b"Status: 413\r\n\r\nenough") + end())
        while sock.recv(65536):
            pass

    up = backend(talk=talk)
    s = server(CONF.replace("%BODY%", PASS % "client_max_body_size 0;").replace("%HTTP%", ""), UP=up.port)
    with s.connect() as c:
        assert c.ask("/", "POST", {"Content-Length": "20000000"}, bytes(20_000_000)).text == "enough"


def test_timeout(server: Any, backend: Any) -> None:
    s = server(
        CONF.replace("%BODY%", PASS % "fastcgi_read_timeout 100ms;").replace("%HTTP%", ""),
        UP=backend(talk=lambda sock: sock.recv(1 << 20) and sock.recv(1)).port,
    )
    assert s.get("/").status == 504
    assert "upstream timed out (110: Connection timed out) while reading response header from upstream" in s.log()


# ---- what surrounds it


def test_headers_of_the_response(server: Any, backend: Any) -> None:
    s, _ = fastcgi(
        server,
        backend,
        "location / { fastcgi_pass u; fastcgi_hide_header X-Hide; fastcgi_pass_header X-Accel-Expires; }"
        "location /ignored { fastcgi_pass u; fastcgi_ignore_headers X-Accel-Redirect; }"
        "location = /secret { internal; return 200 secret; }",
        lambda request: (
            stdout(
                (b"X-Accel-Redirect: /secret\r\n" if b"x" in request.body else b"")
                + b"X-Hide: 1\r\nX-Accel-Expires: 7\r\nX-Show: 2\r\n\r\nplain"
            )
            + end()
        ),
    )
    answer = s.get("/")
    assert (answer.get("X-Hide"), answer.get("X-Accel-Expires"), answer.get("X-Show")) == (None, "7", "2")
    assert s.get("/", method="POST", body=b"x").text == "secret"
    assert s.get("/ignored", method="POST", body=b"x").text == "plain"


def test_intercept_errors(server: Any, backend: Any) -> None:
    s, _ = fastcgi(
        server,
        backend,
        "location / { fastcgi_pass u; fastcgi_intercept_errors on; error_page 404 /page; }"
        "location /not { fastcgi_pass u; error_page 404 /page; } location = /page { return 200 page; }",
        stdout(b"Status: 404\r\n\r\nits own") + end(),
    )
    assert s.get("/").text == "page"
    assert s.get("/not").text == "its own"


def test_force_ranges_and_limit_rate(server: Any, backend: Any) -> None:
    s, _ = fastcgi(server, backend, PASS % "fastcgi_force_ranges on; fastcgi_limit_rate 1m;")
    assert s.get("/", headers={"Range": "bytes=1-2"}).status == 200  # there is no length to take a part of
    s, _ = fastcgi(server, backend, PASS % "fastcgi_force_ranges on;", stdout(b"Content-Length: 5\r\n\r\nhello") + end())
    answer = s.get("/", headers={"Range": "bytes=1-2"})
    assert (answer.status, answer.text) == (206, "el")


def test_variables_in_the_address(server: Any, backend: Any, tmp_path: Path) -> None:
    s, app = fastcgi(
        server, backend, "location / { fastcgi_pass $arg_to; } location /named { set $up u; fastcgi_pass $up; }"
    )
    port = s.places["UP"]
    assert s.get(f"/?to=127.0.0.1:{port}").text == "hello"
    assert s.get("/named").text == "hello"
    assert s.get("/?to=127.0.0.1").status == 500
    assert 'no port in upstream "127.0.0.1"' in s.log()
    assert s.get("/?to=127.0.0.1:x").status == 500
    assert 'invalid port in upstream "127.0.0.1:x"' in s.log()


def test_store(server: Any, backend: Any) -> None:
    s, app = fastcgi(
        server,
        backend,
        "location / { fastcgi_pass u; fastcgi_store %DIR%/store$uri; fastcgi_store_access user:rw group:r; }",
    )
    assert s.get("/file").text == "hello"
    stored = s.folder / "store" / "file"
    wait_until(stored.exists, "the stored file")
    assert stored.read_bytes() == b"hello"


@pytest.mark.parametrize("keep", ["on", "off"])
def test_cache(server: Any, backend: Any, keep: str) -> None:
    count = [0]

    def answer(request: Request) -> bytes:
        count[0] += 1
        if "HTTP_IF_NONE_MATCH" in request.params:
            return stdout(b"Status: 304\r\n\r\n") + end()
        life = 1 if "old" in request.params["URI"] else 60
        head = b'Content-Length: 6\r\nAccept-Ranges: bytes\r\nETag: "e"\r\n'
        head += b"X-Count: %d\r\nCache-Control: max-age=%d\r\n\r\n" % (count[0], life)
        return stderr(b"n" * 9000) + stdout(head[:20]) + stderr(b"between") + stdout(head[20:] + b"cached") + end()

    s, app = fastcgi(
        server,
        backend,
        "location / { fastcgi_pass u; fastcgi_cache one; fastcgi_cache_key $uri; add_header X-Cache $upstream_cache_status;"
        f" fastcgi_keep_conn {keep}; fastcgi_param URI $uri; fastcgi_cache_valid 304 1s; fastcgi_cache_revalidate on;"
        " fastcgi_cache_use_stale error; }",
        answer,
        "fastcgi_cache_path %DIR%/cache levels=1:2 keys_zone=one:1m;",
    )
    headers = {"Range": "bytes=0-2", "If-Match": "x"}
    first = s.get("/a")
    assert (first["X-Cache"], first.text, first["X-Count"]) == ("MISS", "cached", "1")
    for _ in range(2):
        second = s.get("/a")
        assert (second["X-Cache"], second.text, second["X-Count"]) == ("HIT", "cached", "1")
    assert s.get("/a", headers={"Range": "bytes=0-2"}).text == "cac"
    s.get("/b", headers=headers)
    asked = app.requests[-1].params
    assert not {"HTTP_RANGE", "HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"} & set(asked)
    assert s.get("/a", method="HEAD")["X-Cache"] == "HIT"
    assert s.get("/old").text == "cached"
    wait_until(lambda: s.get("/old")["X-Cache"] == "REVALIDATED", "an old response")
    assert app.requests[-1].params["HTTP_IF_NONE_MATCH"] == '"e"'


def test_a_stored_head_that_is_broken(server: Any, backend: Any) -> None:
    s, app = fastcgi(
        server,
        backend,
        PASS % "fastcgi_cache one; fastcgi_cache_key $uri; fastcgi_cache_valid 1h; add_header X $upstream_cache_status;",
        http="fastcgi_cache_path %DIR%/cache keys_zone=one:1m;",
    )
    assert s.get("/")["X"] == "MISS"
    (stored,) = (path for path in (s.folder / "cache").rglob("*") if path.is_file())
    data = stored.read_bytes()
    assert data.count(b"\1\6\0\1") == 1
    stored.write_bytes(data.replace(b"\1\6\0\1", b"\1\6\0\2"))
    answer = s.get("/")
    assert (answer.status, answer.text) == (200, "hello")
    assert "contains invalid header" in s.log()
    assert len(app.requests) == 2


def test_cache_needs_no_key_but_says_so(configtest: Any) -> None:
    conf = """
    events {}
    http {
        fastcgi_cache_path %DIR%/cache keys_zone=one:1m;
        server { location / { fastcgi_pass 127.0.0.1:9; fastcgi_cache one; } }
    }
    """
    checked = configtest(conf)
    assert checked.returncode == 0
    assert "[warn]" in checked.stderr and 'no "fastcgi_cache_key" for "fastcgi_cache" in ' in checked.stderr


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("fastcgi_pass 127.0.0.1:9; fastcgi_pass 127.0.0.1:9;", '"fastcgi_pass" directive is duplicate'),
        ("fastcgi_pass http://127.0.0.1:9;", 'invalid host in upstream "http://127.0.0.1:9"'),
        ("fastcgi_pass 127.0.0.1:9/uri;", 'invalid host in upstream "127.0.0.1:9/uri"'),
        ("fastcgi_param A b c;", 'invalid parameter "c"'),
        ("fastcgi_split_path_info ^(.+)$;", 'pattern "^(.+)$" must have 2 captures'),
        ("fastcgi_next_upstream http_502;", 'invalid value "http_502"'),
        ("fastcgi_buffers 1 4k;", 'there must be at least 2 "fastcgi_buffers"'),
        ("fastcgi_cache one; fastcgi_store on;", '"fastcgi_store" directive is incompatible with "fastcgi_cache"'),
        ("fastcgi_cache nowhere;", '"fastcgi_cache" zone "nowhere" is unknown'),
        ("fastcgi_keep_conn maybe;", 'invalid value "maybe" in "fastcgi_keep_conn" directive'),
    ],
)
def test_refused(configtest: Any, body: str, message: str) -> None:
    conf = "events {} http { fastcgi_cache_path %DIR%/c keys_zone=one:1m; server { location / { " + body + " } } }"
    checked = configtest(conf)
    assert checked.returncode == 1
    assert message in checked.stderr
