"""mirror: requests that are made elsewhere as well, whatever becomes of them."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from scripts.lib.servers import wait_until

CONF = """
events {}
http {
    log_format mirrored "$uri $args";
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%/html;
        location / { mirror /copy; mirror /second; proxy_pass http://127.0.0.1:%UP%; }
        location /off/ { mirror off; proxy_pass http://127.0.0.1:%UP%; }
        location /bodyless/ { mirror /copy-bodyless; mirror_request_body off; proxy_pass http://127.0.0.1:%UP%; }
        location /gone/ { mirror /nobody; mirror /dying; proxy_pass http://127.0.0.1:%UP%; }
        location /slow/ { mirror /hanging; proxy_pass http://127.0.0.1:%UP%; }
        location = /hanging { internal; proxy_pass http://127.0.0.1:%HANGING%; proxy_read_timeout 500ms; }
        location /file { mirror /copy; }
        location /refused/ { mirror /copy; deny all; }
        location /closing/ { mirror /closes; alias %DIR%/html/; }
        location = /copy { internal; proxy_pass http://127.0.0.1:%MIRROR%$request_uri; }
        location = /second { internal; log_subrequest on; access_log %DIR%/second.log mirrored; }
        location = /copy-bodyless {
            internal;
            proxy_pass http://127.0.0.1:%MIRROR%$request_uri;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }
        location = /nobody { internal; proxy_pass http://127.0.0.1:%NOBODY%; }
        location = /dying { internal; proxy_pass http://127.0.0.1:%DYING%; }
        location = /closes { internal; return 444; }
    }
}
"""

pytestmark = pytest.mark.live


def hangs(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def dies(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it")


@pytest.fixture
def run(server: Any, backend: Any) -> Any:
    mirror = backend(lambda request: "nobody sees this")
    up = backend(lambda request: f"{request.method} {request.target} {len(request.body)}")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        places = {
            "UP": up.port,
            "MIRROR": mirror.port,
            "DYING": backend(talk=dies).port,
            "HANGING": backend(talk=hangs).port,
        }
        s = server(CONF, files={"html/file": "f"}, NOBODY=nobody.getsockname()[1], **places)
        yield s, mirror


def test_requests_are_made_twice(run: Any) -> None:
    s, mirror = run
    assert s.get("/a?b=c").text == "GET /a?b=c 0"
    assert s.get("/up", method="PUT", body=b"12345").text == "PUT /up 5"
    assert s.get("/large", method="POST", body=b"x" * 200_000).text == "POST /large 200000"
    assert s.get("/off/").text == "GET /off/ 0"
    assert s.get("/file").text == "f"
    wait_until(lambda: len(mirror.requests) == 4, "four copies")
    copies = [(one.method, one.target, len(one.body)) for one in mirror.requests]  # none waits for another
    expected = [("GET", "/a?b=c", 0), ("GET", "/file", 0), ("POST", "/large", 200_000), ("PUT", "/up", 5)]
    assert sorted(copies) == expected
    assert sorted(s.log("second.log").lines(3)) == ["/second -", "/second -", "/second b=c"]


def test_one_connection(run: Any) -> None:
    s, mirror = run
    with s.connect() as c:
        for n in range(5):
            assert c.ask(f"/{n}", "POST", body=b"x" * n).text == f"POST /{n} {n}"
    wait_until(lambda: len(mirror.requests) == 5, "five copies")


def test_the_body_stays_here(run: Any) -> None:
    s, mirror = run
    assert s.get("/bodyless/", method="POST", body=b"12345").text == "POST /bodyless/ 5"
    wait_until(lambda: len(mirror.requests) == 1, "the copy")
    assert mirror.requests[0].body == b""
    assert mirror.requests[0].get("Content-Length") is None


def test_what_fails_there_harms_nobody(run: Any) -> None:
    s, mirror = run
    with s.connect() as c:
        for n in range(3):
            assert c.ask(f"/gone/{n}").text == f"GET /gone/{n} 0"
    log = s.log()
    assert log.times(3, "connect() failed (111: Connection refused) while connecting to upstream")
    assert s.get("/refused/").status == 403
    assert mirror.requests == []


def test_a_mirror_that_does_not_answer(run: Any) -> None:
    s, mirror = run
    with s.connect() as c:
        assert c.ask("/slow/1").text == "GET /slow/1 0"
        assert s.log().lacks("while reading response header from upstream")  # nobody had to wait for it
        assert s.get("/off/").status == 200
        assert c.ask("/slow/2").text == "GET /slow/2 0"
    wait_until(lambda: s.log().count("upstream timed out") == 2, "the mirror given up")


def test_a_body_that_never_comes_is_not_mirrored(run: Any) -> None:
    s, mirror = run
    with s.connect() as c:
        c.send(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome").shutdown_write()
        assert c.closed()
    wait_until(lambda: "client prematurely closed connection" in s.log(), "the line in the log")
    assert mirror.requests == []
    assert s.get("/off/").status == 200


@pytest.mark.parametrize("text", ["mirror off; mirror off;", "mirror off; mirror /a;", "mirror /a; mirror off;"])
def test_mistakes(configtest: Any, text: str) -> None:
    assert '"mirror" directive is duplicate in' in configtest(f"events {{}} http {{ {text} }}").stderr
