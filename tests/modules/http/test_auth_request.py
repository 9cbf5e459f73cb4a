"""auth_request: another URI decides, and what of its answer is kept."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from scripts.lib.servers import wait_until
from tests.harness.backend import Answer

CONF = """
events {}
http {
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%/html;
        auth_request /ask;
        auth_request_set $who $upstream_http_x_who;
        auth_request_set $asked $uri;
        auth_request_set $args "who=$who";
        location / { add_header X-Who $who; add_header X-Asked $asked; add_header X-Args $args; }
        location /post { proxy_pass http://127.0.0.1:%UP%; }
        location /off/ { auth_request off; alias %DIR%/html/; add_header X-Who "($who)"; }
        location /gone/ { auth_request /nobody; error_page 500 = @gone; }
        location /dies/ { auth_request /dying; }
        location /hangs/ { auth_request /hanging; }
        location /patient/ { auth_request /patience; }
        location = /hanging { proxy_pass http://127.0.0.1:%HANGING%; proxy_read_timeout 300ms; }
        location = /patience { proxy_pass http://127.0.0.1:%HANGING%; proxy_read_timeout 60s; }
        location /closes/ { auth_request /closing; }
        location /static/ { auth_request /page.html; alias %DIR%/html/; }
        location /local/ { auth_request /local-ask; alias %DIR%/html/; }
        location /round/ { auth_request /again/; auth_request_set $none x; alias %DIR%/html/; }
        location @gone { return 503 "nobody to ask"; }
        location = /ask {
            internal;
            proxy_pass http://127.0.0.1:%UP%;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header X-Original-URI $request_uri;
        }
        location = /nobody { proxy_pass http://127.0.0.1:%NOBODY%; }
        location = /dying { proxy_pass http://127.0.0.1:%DYING%; }
        location = /closing { return 444; }
        location = /local-ask { add_header WWW-Authenticate Local always; return 401; }
        location /again/ { auth_request /again/; return 204; }
    }
}
"""

FILES: dict[str, bytes | str] = {"html/index.html": "inside", "html/page.html": "a page"}

pytestmark = pytest.mark.live


def answers(request: Any) -> Any:
    """200 to who says `X-Token: good`; else what X-Token says."""
    if request.target != "/ask":
        return f"{request.method} {request.body.decode()}"
    assert request.method == "GET"
    assert request.body == b""
    token = request.get("X-Token") or "401"
    if token == "good":
        return Answer("ignored", headers={"X-Who": "anna"})
    return Answer("ignored", int(token), {"WWW-Authenticate": "Token first", "www-authenticate": "Token second"})


def hangs(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def dies(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Half")


@pytest.fixture
def s(server: Any, backend: Any) -> Any:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        s = server(
            CONF,
            files=FILES,
            UP=backend(answers).port,
            DYING=backend(talk=dies).port,
            HANGING=backend(talk=hangs).port,
            NOBODY=nobody.getsockname()[1],
        )
        yield s


def test_what_the_answer_means(s: Any) -> None:
    answer = s.get("/", {"X-Token": "good"})
    assert (answer.status, answer.text, answer["X-Who"], answer["X-Args"]) == (200, "inside", "anna", "who=anna")
    assert answer["X-Asked"] == "/ask"
    answer = s.get("/")
    assert (answer.status, answer.all("WWW-Authenticate")) == (401, ["Token first", "Token second"])
    answer = s.get("/", {"X-Token": "403"})
    assert (answer.status, "WWW-Authenticate" in answer) == (403, False)
    for status in ("302", "404", "500"):
        assert s.get("/", {"X-Token": status}).status == 500
        assert f'auth request unexpected status: {status}, client: 127.0.0.1, server: , request: "GET /' in s.log()


def test_the_body_is_not_for_who_is_asked(s: Any) -> None:
    with s.connect() as c:
        assert c.ask("/post", "POST", {"X-Token": "good"}, b"the body").text == "POST the body"
        assert c.ask("/post", "POST", {"X-Token": "401"}, b"the body").status == 401
        assert c.ask("/post", "PUT", {"X-Token": "good"}, b"x" * 100_000).text == "PUT " + "x" * 100_000


def test_off_static_and_local(s: Any) -> None:
    answer = s.get("/off/")
    assert (answer.text, answer["X-Who"]) == ("inside", "()")
    assert s.get("/static/").text == "inside"
    answer = s.get("/local/")  # filters add nothing to what is no answer of its own
    assert (answer.status, "WWW-Authenticate" in answer) == (401, False)
    assert s.get("/round/").text == "inside"  # who is asked is not asked about


def test_who_is_asked_fails(s: Any) -> None:
    answer = s.get("/gone/")
    assert (answer.status, answer.text) == (503, "nobody to ask")
    assert s.get("/dies/").status == 500
    log = s.log()
    assert log.times(2, "auth request unexpected status: 502")
    assert "upstream prematurely closed connection while reading response header from upstream" in log
    with s.connect() as c:
        c.send(b"GET /closes/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.closed()
    assert s.get("/off/").status == 200


def test_who_is_asked_does_not_answer(s: Any) -> None:
    assert s.get("/hangs/").status == 500
    assert "auth request unexpected status: 504" in s.log()
    with s.connect() as c:
        c.send(b"GET /patient/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.get("/off/").status == 200  # others are served meanwhile
    wait_until(lambda: "client prematurely closed connection" in s.log(), "the request given up")
    assert s.get("/off/").status == 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("auth_request a; auth_request b;", '"auth_request" directive is duplicate in'),
        ("auth_request_set x y;", 'invalid variable name "x" in'),
        ("auth_request_set $host y;", 'the duplicate "host" variable in'),
        ('auth_request_set $a "$";', "invalid variable name in"),
        ("auth_request_set $ y;", 'invalid variable name "$" in'),
        ("auth_request;", 'invalid number of arguments in "auth_request" directive in'),
    ],
)
def test_mistakes(configtest: Any, text: str, message: str) -> None:
    assert message in configtest(f"events {{}} http {{ {text} }}").stderr
