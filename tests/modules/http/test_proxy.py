"""proxy_pass with everything around it, against fake upstreams: what they are sent, what the client gets, what is logged."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from tests.harness.backend import Answer

CONF = """
events {}
http {
    upstream u { server 127.0.0.1:%UP%; keepalive 8; }
    server {
        listen 127.0.0.1:%PORT%;
        server_name localhost;
        %BODY%
    }
}
"""


def proxy(server: Any, backend: Any, body: str, handler: Any = lambda request: "hello", **options: Any) -> Any:
    """A server with *body* in its server block, and its upstream."""
    up = backend(handler)
    conf = CONF.replace("%BODY%", body)
    return server(conf, UP=up.port, **options), up


def talking(backend: Any, *answers: bytes, close: bool = True) -> Any:
    """An upstream that sends one of *answers* per connection, whatever it is asked."""
    left = list(answers)
    lock = threading.Lock()

    def talk(sock: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = sock.recv(65536)
            if not more:
                return
            data += more
        with lock:
            answer = left.pop(0) if len(left) > 1 else left[0]
        sock.sendall(answer)
        if not close:
            sock.recv(1)

    return backend(talk=talk)


# ---- the request


def test_head_as_nginx_writes_it(server: Any, backend: Any) -> None:
    s, up = proxy(server, backend, "location / { proxy_pass http://u; }")
    s.get("/a%20b/c?d=e", headers={"Host": "localhost", "X-A": "1", "Connection": "keep-alive", "TE": "trailers"})
    assert up.requests[0].head == b"GET /a%20b/c?d=e HTTP/1.1\r\nHost: u\r\nX-A: 1\r\n\r\n"


@pytest.mark.parametrize(
    ("location", "target", "asked", "sent"),
    [
        ("/a/", "http://u/b/", "/a/c%20d?x=y", "/b/c%20d?x=y"),
        ("/a", "http://u/b", "/axy", "/bxy"),
        ("/a/", "http://u", "/a/%7Ec", "/a/%7Ec"),
        ("/a/", "http://u/?q=", "/a/c", "/?q=c"),
        ("/a/", "http://u/", "/a/%C3%A4", "/%C3%A4"),
    ],
)
def test_uri(server: Any, backend: Any, location: str, target: str, asked: str, sent: str) -> None:
    s, up = proxy(server, backend, f"location {location} {{ proxy_pass {target}; }}")
    assert s.get(asked).status == 200
    assert up.requests[0].target == sent


def test_set_header(server: Any, backend: Any) -> None:
    s, up = proxy(
        server,
        backend,
        """
        proxy_set_header X-Outer outer;
        location / {
            proxy_pass http://u;
            proxy_set_header Host $http_x_host;
            proxy_set_header X-Empty "";
            proxy_set_header X-Gone $http_gone;
            proxy_set_header X-For $proxy_add_x_forwarded_for;
            proxy_set_header Connection close;
        }
        location /inherits { proxy_pass http://u; }
        location /old { proxy_pass http://u; proxy_http_version 1.0; proxy_set_header Host ""; }
        """,
    )
    s.get("/", headers={"X-Host": "other", "X-Empty": "was", "X-Forwarded-For": "1.2.3.4"})
    sent = up.requests[0]
    assert sent["Host"] == "other"
    assert sent["X-For"] == "1.2.3.4, 127.0.0.1"
    assert sent["Connection"] == "close"
    assert [sent.get(name) for name in ("X-Empty", "X-Gone", "X-Outer")] == [None, None, None]
    s.get("/", headers={})
    assert up.requests[1]["Host"] == "u"  # an empty one is not sent in HTTP/1.1
    s.get("/inherits")
    assert up.requests[2]["X-Outer"] == "outer"
    s.get("/old")
    assert up.requests[3].version == "HTTP/1.0"
    assert up.requests[3].get("Host") is None


def test_method_body_and_headers(server: Any, backend: Any) -> None:
    s, up = proxy(
        server,
        backend,
        """
        location /m { proxy_pass http://u; proxy_method PUT; }
        location /b { proxy_pass http://u; proxy_set_body "it is $request_method"; }
        location /nh { proxy_pass http://u; proxy_pass_request_headers off; }
        location /nb { proxy_pass http://u; proxy_pass_request_body off; proxy_set_header Content-Length ""; }
        """,
    )
    s.get("/m")
    assert up.requests[0].method == "PUT"
    with s.connect() as c:
        c.ask("/b", "POST", {"Content-Length": "3"}, b"abc")
        assert (up.requests[1].body, up.requests[1]["Content-Length"]) == (b"it is POST", "10")
        c.ask("/nh", "POST", {"Content-Length": "3", "X-A": "b"}, b"abc")
        assert up.requests[2].get("X-A") is None
        assert up.requests[2].body == b"abc"
        c.ask("/nb", "POST", {"Content-Length": "3"}, b"abc")
        assert up.requests[3].get("Content-Length") is None


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("size", [1, 5000, 3_000_000])
def test_request_bodies(server: Any, backend: Any, buffering: str, size: int) -> None:
    body = bytes(i * 7 % 251 for i in range(1000)) * (size // 1000 + 1)
    body = body[:size]
    s, up = proxy(
        server,
        backend,
        f"client_max_body_size 10m; location / {{ proxy_pass http://u; proxy_request_buffering {buffering}; }}",
    )
    with s.connect() as c:
        assert c.ask("/", "POST", {"Content-Length": str(size)}, body).text == "hello"
        assert up.requests[0].body == body
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, size, 100_000):
            piece = body[at : at + 100_000]
            c.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        c.send(b"0\r\n\r\n")
        assert c.response().text == "hello"
        assert up.requests[1].body == body
    if size > 100_000:  # what has arrived with the head is no stream, and a short body may have
        how = "Transfer-Encoding" if buffering == "off" else "Content-Length"
        assert up.requests[1].get(how) is not None


def test_variable_target(server: Any, backend: Any) -> None:
    s, up = proxy(server, backend, "location / { proxy_pass http://$arg_to; }")
    assert s.get(f"/x?to=127.0.0.1:{up.port}").text == "hello"
    assert up.requests[0].target == f"/x?to=127.0.0.1:{up.port}"
    assert s.get("/x?to=u/other").text == "hello"
    assert up.requests[1].target == "/other"
    assert s.get("/x?to=nowhere.invalid").status == 502
    assert "no resolver defined to resolve nowhere.invalid" in s.log()
    assert s.get("/x?to=127.0.0.1:99999").status == 500
    assert 'invalid port in upstream "127.0.0.1:99999"' in s.log()


def test_unix(server: Any, backend: Any, tmp_path: Any) -> None:
    path = tmp_path / "s"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()

    def serve() -> None:
        sock, _ = listening.accept()
        sock.recv(65536)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        sock.close()

    thread = threading.Thread(target=serve)
    thread.start()
    s, _ = proxy(server, backend, f"location / {{ proxy_pass http://unix:{path}:/x; }}")
    assert s.get("/").text == "ok"
    thread.join(10)
    listening.close()
    assert s.get("/").status == 502
    log = s.log()
    assert f"connect() to unix:{path} failed (111: Connection refused) while connecting to upstream" in log
    assert f'upstream: "http://unix:{path}:/x"' in log


# ---- the response


def test_headers_of_the_response(server: Any, backend: Any) -> None:
    answer = Answer(
        "x",
        headers={
            "Server": "hidden", "Date": "hidden", "X-Pad": "hidden", "X-Accel-Charset": "hidden", "X-A": "a", "X-B": "b",
            "Content-Type": "text/plain", "ETag": '"e"', "Last-Modified": "Sun, 20 Nov 1994 06:00:00 GMT",
            "Connection": "Keep-Alive", "Keep-Alive": "timeout=5", "Set-Cookie": "a=b",
        },
    )  # fmt: skip
    s, _ = proxy(
        server,
        backend,
        """
        location / { proxy_pass http://u; proxy_hide_header X-A; }
        location /p { proxy_pass http://u; proxy_pass_header Server; proxy_pass_header X-Pad; }
        """,
        lambda request: answer,
    )
    r = s.get("/")
    assert r["Server"] != "hidden" and r["Date"] != "hidden"
    assert [name for name in ("X-Pad", "X-Accel-Charset", "X-A", "Keep-Alive") if name in r] == []
    assert (r["X-B"], r["Set-Cookie"], r["ETag"], r["Content-Type"]) == ("b", "a=b", '"e"', "text/plain")
    assert r.all("Last-Modified") == ["Sun, 20 Nov 1994 06:00:00 GMT"]
    r = s.get("/p")
    assert (r.all("Server"), r["X-Pad"]) == (["hidden"], "hidden")


def test_redirects(server: Any, backend: Any) -> None:
    where = {"to": ""}
    s, up = proxy(
        server,
        backend,
        """
        location / { proxy_pass http://u; }
        location /uri/ { proxy_pass http://u/base/; }
        location /off { proxy_pass http://u; proxy_redirect off; }
        location /two { proxy_pass http://u; proxy_redirect http://one/ /uno/; proxy_redirect ~*^http://two/(.*) /dos/$1; }
        """,
        lambda request: Answer(status=302, headers={"Location": where["to"], "Refresh": "0; url=" + where["to"]}),
    )

    def get(path: str, to: str) -> tuple[str, str]:
        where["to"] = to
        r = s.get(path)
        return r["Location"], r["Refresh"]

    assert get("/", "http://u/x")[1] == "0; url=/x"
    assert get("/", "http://u/x")[0].endswith(f":{s.ports['PORT']}/x")
    assert get("/", "http://other/x")[0] == "http://other/x"
    assert get("/", "/relative")[0] == "/relative"
    assert get("/uri/", "http://u/base/x")[1] == "0; url=/uri/x"
    assert get("/off", "http://u/x") == ("http://u/x", "0; url=http://u/x")
    assert get("/two", "http://one/x")[1] == "0; url=/uno/x"
    assert get("/two", "HTTP://TWO/x")[1] == "0; url=/dos/x"


def test_cookies(server: Any, backend: Any) -> None:
    cookie = {"is": ""}
    s, _ = proxy(
        server,
        backend,
        """
        location / {
            proxy_pass http://u;
            proxy_cookie_domain www.example.org .example.com;
            proxy_cookie_domain ~\\.(?P<sl>\\w+)\\.net$ $sl.com;
            proxy_cookie_path /one/ /uno/;
            proxy_cookie_flags id secure httponly samesite=strict;
            proxy_cookie_flags ~^plain nosecure nosamesite;
        }
        """,
        lambda request: Answer(headers={"Set-Cookie": cookie["is"]}),
    )

    def get(value: str) -> str:
        cookie["is"] = value
        return s.get("/")["Set-Cookie"]

    assert get("a=b") == "a=b"
    assert get("a=b; Domain=.WWW.example.org; path=/one/x") == "a=b; Domain=.example.com; path=/uno/x"
    assert get("a=b; domain=a.b.net;path=/two/") == "a=b; domain=b.com; path=/two/"
    assert get("id=1") == "id=1; Secure; HttpOnly; SameSite=Strict"
    assert get("id=1; SameSite=Lax; secure") == "id=1; SameSite=Strict; secure; HttpOnly"
    assert get("plain1=1; Secure; SameSite=None; HttpOnly") == "plain1=1; HttpOnly"


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_bodies(server: Any, backend: Any, buffering: str) -> None:
    big = bytes(range(256)) * 8192  # 2 MB

    def answer(request: Any) -> Any:
        if request.method == "HEAD":
            return Answer(headers={"Content-Length": str(len(big))})
        if request.target == "/chunked":
            pieces = [big[i : i + 7000] for i in range(0, len(big), 7000)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
            return Answer(body, headers={"Transfer-Encoding": "chunked"})
        if request.target == "/close":
            return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + big
        return Answer(big if request.target == "/length" else b"")

    s, up = proxy(server, backend, f"location / {{ proxy_pass http://u; proxy_buffering {buffering}; }}", answer)
    with s.connect() as c:
        for path in ("/length", "/chunked", "/close", "/empty"):
            assert c.ask(path).body == (b"" if path == "/empty" else big), path
        assert c.ask("/length", "HEAD")["Content-Length"] == str(len(big))
        assert c.ask("/length").body == big
    assert up.connections == 2  # /close ends the first; the others are kept


def test_slow_client_gets_it_all_from_a_file(server: Any, backend: Any) -> None:
    big = bytes(range(256)) * 80_000  # 20 MB
    s, up = proxy(
        server,
        backend,
        """
        location / { proxy_pass http://u; }
        location /none { proxy_pass http://u; proxy_max_temp_file_size 0; }
        location /few { proxy_pass http://u; proxy_max_temp_file_size 64k; }
        location /filtered { proxy_pass http://u; proxy_limit_rate 1000m; }
        """,
        lambda request: Answer(big),
    )
    for path in ("/", "/none", "/few", "/filtered"):
        with s.connect() as c:
            c.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            if path == "/":
                assert "an upstream response is buffered to a temporary file" in s.log()
            else:
                time.sleep(0.7)  # nothing to wait for: the client is slow
            assert c.response().body == big, path


def test_trailers(server: Any, backend: Any) -> None:
    up = talking(
        backend,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"2\r\nok\r\n0\r\nX-T: v\r\nX-Hide: w\r\n\r\n",
    )
    s = server(
        CONF.replace(
            "%BODY%",
            "location / { proxy_pass http://u; proxy_pass_trailers on; proxy_hide_header X-Hide; }"
            "location /off { proxy_pass http://u; }",
        ),
        UP=up.port,
    )
    r = s.get("/")
    assert (r.text, r.trailers) == ("ok", [("X-T", "v")])
    assert s.get("/off").trailers == []


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (b"", 502, "upstream prematurely closed connection while reading response header from upstream"),
        (b"HTTP/1.1 200", 502, "upstream prematurely closed connection while reading response header from upstream"),
        (b"HTTP/1.1 200 OK\r\nBad\0: x\r\n\r\n", 502, "upstream sent invalid header"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 8000 + b"\r\n\r\n", 502, "upstream sent too big header while reading"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            502,
            'upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time',
        ),
    ],
)
def test_bad_heads(server: Any, backend: Any, answer: bytes, status: int, said: str) -> None:
    up = talking(backend, answer)
    s = server(CONF.replace("%BODY%", "location / { proxy_pass http://u; }"), UP=up.port)
    assert s.get("/x").status == status
    assert said in s.log()
    assert f'request: "GET /x HTTP/1.1", upstream: "http://127.0.0.1:{up.port}/x", host: "' in s.log()


def test_no_head_at_all(server: Any, backend: Any) -> None:
    up = talking(backend, b"only a body")
    s = server(CONF.replace("%BODY%", "location / { proxy_pass http://u; }"), UP=up.port)
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.rest() == b"only a body"
    assert "upstream sent no valid HTTP/1.0 header while reading response header from upstream" in s.log()


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_unfinished_bodies(server: Any, backend: Any, buffering: str) -> None:
    up = talking(
        backend,
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
    )
    s = server(CONF.replace("%BODY%", f"location / {{ proxy_pass http://u; proxy_buffering {buffering}; }}"), UP=up.port)
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.rest().endswith(b"\r\n\r\nshort")
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.rest().endswith(b"\r\n\r\n5\r\nshort\r\n")
    assert s.log().times(2, "upstream prematurely closed connection while reading upstream")


def test_more_than_the_length(server: Any, backend: Any) -> None:
    up = talking(backend, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok-and-more", close=False)
    s = server(CONF.replace("%BODY%", "location / { proxy_pass http://u; }"), UP=up.port)
    with s.connect() as c:
        assert c.ask("/").text == "ok"
        assert c.ask("/").text == "ok"
    assert up.connections == 2
    assert 'upstream sent more data than specified in "Content-Length" header while reading upstream' in s.log()


def test_accel(server: Any, backend: Any) -> None:
    def answer(request: Any) -> Any:
        if request.target == "/internal":
            return Answer("never", headers={"X-Accel-Redirect": "/there?a=b", "Content-Type": "x/y", "Set-Cookie": "c=d"})
        if request.target == "/named" and request.method == "GET":
            return Answer("never", headers={"X-Accel-Redirect": "@n"})
        return f"{request.method} {request.target}"

    s, _ = proxy(
        server,
        backend,
        """
        location / { proxy_pass http://u; }
        location /there { internal; proxy_pass http://u/end; }
        location @n { proxy_pass http://u; proxy_method OPTIONS; }
        location /internal { proxy_pass http://u; }
        location /ignored { proxy_pass http://u/internal; proxy_ignore_headers X-Accel-Redirect; }
        """,
        answer,
    )
    r = s.get("/internal")
    assert (r.text, r["Set-Cookie"]) == ("GET /end?a=b", "c=d")
    assert s.get("/named").text == "OPTIONS /named"
    assert s.get("/ignored").text == "never"


def test_upgrade(server: Any, backend: Any) -> None:
    def talk(sock: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(65536)
        assert b"Upgrade: foo\r\n" in data
        sock.sendall(b"HTTP/1.1 101 Switching\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\nfirst")
        while True:
            data = sock.recv(65536)
            if not data:
                return
            sock.sendall(data.upper())

    up = backend(talk=talk)
    s = server(
        CONF.replace(
            "%BODY%",
            "location / { proxy_pass http://u; proxy_set_header Upgrade $http_upgrade;"
            " proxy_set_header Connection upgrade; }",
        ),
        UP=up.port,
    )
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\nearly")
        r = c.response()
        assert (r.status, r["Upgrade"]) == (101, "foo")
        assert c.exactly(10) == b"firstEARLY"
        big = b"abc" * 300_000
        threading.Thread(target=c.send, args=(big,)).start()
        assert c.exactly(len(big)) == big.upper()
        c.shutdown_write()
        assert c.closed()


# ---- the next upstream, errors, timeouts


def test_next_upstream(server: Any, backend: Any) -> None:
    bad = backend(lambda request: Answer(status=500) if request.target != "/close" else None)
    good = backend(lambda request: "good")
    s = server(
        """
        events {}
        http {
            upstream u { server 127.0.0.1:%BAD% max_fails=0; server 127.0.0.1:%GOOD% backup; }
            server {
                listen 127.0.0.1:%PORT%;
                location / { proxy_pass http://u; }
                location /500 { proxy_pass http://u; proxy_next_upstream http_500; }
                location /off { proxy_pass http://u/close; proxy_next_upstream off; }
                location /unsafe { proxy_pass http://u/close; proxy_next_upstream error non_idempotent; }
                location /close { proxy_pass http://u; }
            }
        }
        """,
        BAD=bad.port,
        GOOD=good.port,
    )
    assert s.get("/").status == 500
    assert s.get("/500").text == "good"
    assert s.get("/close").text == "good"
    assert s.get("/off").status == 502
    with s.connect() as c:
        assert c.ask("/close", "POST", {"Content-Length": "1"}, b"x").status == 502
        assert c.ask("/unsafe", "POST", {"Content-Length": "1"}, b"x").text == "good"
    assert good.requests[-1].body == b"x"


def test_nobody_there(server: Any, backend: Any) -> None:
    s = server(
        """
        events {}
        http {
            upstream none { server 127.0.0.1:%PORT9% down; }
            upstream dead { server 127.0.0.1:1; server 127.0.0.1:2; }
            server {
                listen 127.0.0.1:%PORT%;
                location /none { proxy_pass http://none; }
                location /dead { proxy_pass http://dead; }
            }
        }
        """.replace("%PORT9%", "9")
    )
    assert s.get("/none").status == 502
    assert "no live upstreams while connecting to upstream, client: 127.0.0.1, server: " in s.log()
    assert 'upstream: "http://none/none"' in s.log()
    assert s.get("/dead").status == 502
    assert "connect() failed (111: Connection refused) while connecting to upstream" in s.log()
    assert 'upstream: "http://127.0.0.1:2/dead"' in s.log()
    assert "upstream server temporarily disabled while connecting to upstream" in s.log()
    assert s.get("/dead").status == 502
    assert 'upstream: "http://dead/dead"' in s.log()


def test_stale_idle_connection(server: Any, backend: Any) -> None:
    """A kept connection that the upstream closes when asked again is no failure of the upstream."""
    state = {"n": 0}

    def talk(sock: socket.socket) -> None:
        for _ in range(2):
            data = b""
            while b"\r\n\r\n" not in data:
                more = sock.recv(65536)
                if not more:
                    return
                data += more
            state["n"] += 1
            if state["n"] == 2:
                return
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % state["n"])

    up = backend(talk=talk)
    s = server(CONF.replace("%BODY%", "location / { proxy_pass http://u; }"), UP=up.port)
    with s.connect() as c:
        assert c.ask("/").text == "1"
        assert c.ask("/").text == "3"
    assert up.connections == 2
    assert "upstream prematurely closed connection" in s.log()


def test_timeouts(server: Any, backend: Any) -> None:
    def answer(request: Any) -> Any:
        if request.target == "/body":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
        over.wait(30)
        return "late"

    over = threading.Event()
    body = """
        location / { proxy_pass http://u; proxy_read_timeout 200ms; }
        location /body { proxy_pass http://u; proxy_read_timeout 1s; }
    """
    s, _ = proxy(server, backend, body, answer)
    assert s.get("/").status == 504
    over.set()
    assert "upstream timed out (110: Connection timed out) while reading response header from upstream" in s.log()
    with s.connect() as c:
        c.send(b"GET /body HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.rest().endswith(b"\r\n\r\n")  # what was no full buffer is forgotten
    assert "upstream timed out (110: Connection timed out) while reading upstream" in s.log()


def test_intercepted_errors(server: Any, backend: Any) -> None:
    s, _ = proxy(
        server,
        backend,
        """
        error_page 401 402 404 = /page;
        location / { proxy_pass http://u; proxy_intercept_errors on; }
        location /page { proxy_pass http://u/good; }
        location /plain { proxy_pass http://u; }
        """,
        lambda request: (
            "good" if request.target == "/good" else Answer("bad", status=401, headers={"WWW-Authenticate": "Basic"})
        ),
    )
    r = s.get("/")
    assert (r.status, r.text, r["WWW-Authenticate"]) == (200, "good", "Basic")
    assert s.get("/plain").text == "bad"


def test_client_leaves(server: Any, backend: Any) -> None:
    asked, gone = threading.Event(), threading.Event()

    def talk(sock: socket.socket) -> None:
        sock.recv(65536)
        asked.set()
        sock.settimeout(30)
        if sock.recv(1) == b"":
            gone.set()

    up = backend(talk=talk)
    s = server(CONF.replace("%BODY%", "location / { proxy_pass http://u; }"), UP=up.port)
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert asked.wait(30)
    assert gone.wait(30)
    assert "client prematurely closed connection, so upstream connection is closed too while reading response" in s.log()


def test_pipelined_request_waits(server: Any, backend: Any) -> None:
    def answer(request: Any) -> Any:
        time.sleep(0.3)
        return request.target

    s, _ = proxy(server, backend, "location / { proxy_pass http://u; }", answer)
    with s.connect() as c:
        c.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.1)  # let the first be under way
        c.send(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [c.response().text for _ in range(3)] == ["/1", "/2", "/3"]


# ---- what is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("location ~ /a { proxy_pass http://u/b; }", "cannot have URI part in location given by regular expression"),
        ("location / { proxy_pass u; }", "invalid URL prefix"),
        ("location / { proxy_pass http://u; proxy_pass http://u; }", '"proxy_pass" directive is duplicate'),
        ("location / { proxy_pass http://u:1; }", 'upstream "u" may not have port 1'),
        ("location / { proxy_redirect default; }", "should be placed after the"),
        ("location / { proxy_pass http://$host; proxy_redirect default; }", "cannot be used with"),
        ("location / { proxy_redirect off; proxy_redirect a b; }", '"proxy_redirect" directive is duplicate'),
        ("proxy_buffers 1 4k;", 'there must be at least 2 "proxy_buffers"'),
        ("proxy_busy_buffers_size 1k;", '"proxy_busy_buffers_size" must be equal to or greater than the maximum'),
        ("proxy_busy_buffers_size 1m;", "must be less than the size of all"),
        ("proxy_max_temp_file_size 1k;", "must be equal to zero to disable temporary files usage or"),
        ("proxy_next_upstream sometimes;", 'invalid value "sometimes"'),
        ("proxy_bind nonsense;", 'invalid address "nonsense"'),
        ("proxy_bind 127.0.0.1 solid;", 'invalid parameter "solid"'),
        ("proxy_cookie_path maybe;", 'invalid parameter "maybe"'),
        ("proxy_cookie_domain off; proxy_cookie_domain a b;", '"proxy_cookie_domain" directive is duplicate'),
    ],
)
def test_refused(configtest: Any, text: str, message: str) -> None:
    result = configtest(CONF.replace("%BODY%", text), UP=1)
    assert result.returncode != 0
    assert message in result.stderr


def test_server_and_date_that_pass_are_the_upstreams_or_none(server: Any, backend: Any) -> None:
    s, _ = proxy(
        server,
        backend,
        "location / { proxy_pass http://u; proxy_pass_header Server; proxy_pass_header Date; }",
        lambda request: Answer("a"),
    )
    answer = s.get("/")
    assert answer.text == "a"
    assert answer.get("Server") is None and answer.get("Date") is None
