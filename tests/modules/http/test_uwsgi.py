"""uwsgi_pass with what differs from SCGI, against fake applications."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.applications import Pair, ask_with_body

PASS = "location / { uwsgi_pass u; uwsgi_param CONTENT_LENGTH $content_length if_not_empty; %s }"


def test_params(uwsgi: Pair) -> None:
    s, app = uwsgi(PASS % f"uwsgi_param URI $request_uri; uwsgi_param LONG {'v' * 300}; uwsgi_modifier2 7;")
    assert s.get("/a?b", headers={"X-A": "c"}).text == "hello"
    assert app.requests[0].modifiers == (0, 7)
    assert app.requests[0].params == {
        "URI": "/a?b",
        "LONG": "v" * 300,
        "HTTP_HOST": app.requests[0].params["HTTP_HOST"],
        "HTTP_CONNECTION": "close",
        "HTTP_X_A": "c",
    }


def test_modifiers_and_string(uwsgi: Pair) -> None:
    s, app = uwsgi(
        "location / { uwsgi_pass u; uwsgi_modifier1 22; uwsgi_string eval; uwsgi_pass_request_headers off;"
        ' uwsgi_param HTTP_HOST ""; }',
    )
    s.get("/")
    assert (app.requests[0].modifiers, app.requests[0].body) == ((22, 0), b"eval")


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [1, 40_000, 2_000_000])
def test_request_bodies(uwsgi: Pair, buffering: str, size: int, chunked: bool) -> None:
    body = (bytes(range(251)) * (size // 251 + 1))[:size]
    s, app = uwsgi(PASS % f"client_max_body_size 10m; uwsgi_request_buffering {buffering};")
    with s.connect() as c:
        assert ask_with_body(c, body, chunked) == "hello"
    assert app.requests[0].body == body


def test_too_big(uwsgi: Pair) -> None:
    s, app = uwsgi(PASS % "".join(f"uwsgi_param P{i} {'v' * 4000};" for i in range(17)), alerts=True)
    assert s.get("/").status == 500
    assert "[alert]" in s.log() and "uwsgi request is too big: 68" in s.log()


def test_status_header_passes(uwsgi: Pair) -> None:
    """Of the three protocols only this one does not hide it."""
    s, _ = uwsgi(PASS % "", b"Status: 404 No\r\n\r\nbody")
    assert (s.get("/").status, s.get("/")["Status"]) == (404, "404 No")


@pytest.mark.parametrize("schema", ["", "uwsgi://", "UWSGI://"])
def test_addresses(uwsgi: Pair, schema: str) -> None:
    s, _ = uwsgi(f"location / {{ uwsgi_pass {schema}u; }} location /var {{ uwsgi_pass {schema}127.0.0.1:$arg_p; }}")
    assert s.get("/").text == "hello"
    assert s.get(f"/var?p={s.places['UP']}").text == "hello"
    assert s.get("/var?p=x").status == 500
    assert 'invalid port in upstream "127.0.0.1:x"' in s.log()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "upstream prematurely closed connection"),
        (b"HTTP/1.1 2", "upstream prematurely closed connection"),
        (b"HTTP/1.1 200 OK\r\nA\0", 'upstream sent invalid header: "A\\x00..."'),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 5000, "upstream sent too big header"),
        (b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 'upstream sent duplicate header line: "Content-Length: 2"'),
    ],
)
def test_no_response(uwsgi: Pair, answer: bytes, message: str) -> None:
    s, _ = uwsgi(PASS % "", lambda request: answer or None)
    assert s.get("/").status == 502
    log = s.log()
    assert message in log and "while reading response header from upstream" in log
    assert 'upstream: "uwsgi://127.0.0.1:' in log


def test_cache(uwsgi: Pair) -> None:
    s, app = uwsgi(
        PASS % "uwsgi_cache one; uwsgi_cache_key $uri; uwsgi_cache_valid 1h; add_header X $upstream_cache_status;",
        http="uwsgi_cache_path %DIR%/cache keys_zone=one:1m;",
    )
    assert [s.get("/a")["X"] for _ in range(3)] == ["MISS", "HIT", "HIT"]
    assert len(app.requests) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("uwsgi_pass u; uwsgi_pass u;", '"uwsgi_pass" directive is duplicate'),
        ("uwsgi_modifier1 256;", "value must be between 0 and 255"),
        ("uwsgi_param A b c;", 'invalid parameter "c"'),
        ("uwsgi_pass suwsgi://127.0.0.1:x;", 'invalid port in upstream "127.0.0.1:x"'),
        ("uwsgi_pass uwsgi://127.0.0.1:9/x;", 'invalid host in upstream "127.0.0.1:9/x"'),
    ],
)
def test_refused(configtest: Any, body: str, message: str) -> None:
    checked = configtest("events {} http { upstream u { server 127.0.0.1:9; } server { location / { " + body + " } } }")
    assert checked.returncode == 1
    assert message in checked.stderr
