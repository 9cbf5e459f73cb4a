"""Response heads: one table, every row fed whole, byte by byte and with what follows it, to both twins."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MORE, DONE, EARLY_HINTS, INVALID = 0, 1, 3, 4
HTTP, CGI, EITHER = range(3)

S = b"HTTP/1.1 200 OK\r\n"
SAME_TIME = 'upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time'


def duplicate(name: str, ignored: bool = True) -> str:
    said = f'upstream sent duplicate header line: "{name}: 2", previous value: "{name}: 1"'
    return said + ", ignored" if ignored else said


# (status line and headers without the empty line, rc, what the head says)
HEADS: list[tuple[bytes, int, dict[str, Any]]] = [
    (S, DONE, {"status": 200, "status_line": b"200 OK", "reason": b"OK", "http_version": 1001, "count": 0}),
    (b"HTTP/1.0 404 Not Found\r\n", DONE, {"status": 404, "connection_close": True, "http_version": 1000}),
    (b"HTTP/1.1 200\r\n", DONE, {"status_line": b"200", "reason": b""}),
    (b"HTTP/1.1 200 \n", DONE, {"status_line": b"200 ", "reason": b""}),
    (b"HTTP/1.1 403.1 x\r\n", DONE, {"status": 403, "status_line": b"403.1 x"}),
    (b"HTTP/1.1    200 a  b\r\n", DONE, {"status_line": b"200 a  b"}),
    (b"HTTP/1.1 2 0 0\r\n", DONE, {"status": 200, "status_line": b"0 0"}),
    (b"HTTP/100.1 200 OK\r\n", DONE, {"http_version": 100001}),
    (S + b"Content-Length: 12\r\n", DONE, {"content_length_n": 12, "chunked": False}),
    (
        S + b"Content-Length: x\r\n",
        INVALID,
        {"message": 'upstream sent invalid "Content-Length" header: "Content-Length: x"'},
    ),
    (S + b"Content-Length: -1\r\n", INVALID, {}),
    (S + b"Content-Length:\r\n", INVALID, {}),
    (S + b"Content-Length: 1\r\nContent-Length: 2\r\n", INVALID, {"message": duplicate("Content-Length", False)}),
    (S + b"Transfer-Encoding: Chunked\r\n", DONE, {"chunked": True, "content_length_n": -1}),
    (S + b"Transfer-Encoding: x\r\n", INVALID, {"message": 'upstream sent unknown "Transfer-Encoding": "x"'}),
    (S + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", INVALID, {}),
    (S + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", INVALID, {"message": SAME_TIME}),
    (S + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", INVALID, {"message": SAME_TIME}),
    (S + b"Connection: x, Close\r\n", DONE, {"connection_close": True}),
    (S + b"Connection: keep-alive\r\n", DONE, {"connection_close": False}),
    (S + b"X_Y: 1\r\n@Z: 2\r\n@@: 3\r\n", DONE, {"count": 3, "notes": None}),
    (S + b"HTTP/1.1 200 OK\r\nA: 1\r\n", DONE, {"count": 1}),
    (S + b"HTTP/1.1 200 OK\r\n", DONE, {"count": 0}),
    (S + b"X Y: 1\r\n", INVALID, {"message": 'upstream sent invalid header: "X\\x20..."'}),
    (S + b"X: 1\x00\r\n", INVALID, {"message": 'upstream sent invalid header: "X: 1\\x00..."'}),
    (S + b" fold\r\n", INVALID, {"message": 'upstream sent invalid header: "\\x20..."'}),
    (
        S + b"Set-Cookie: a\r\nSet-Cookie: b\r\nVary: x\r\nVary: y\r\nLink: 1\r\nLink: 2\r\n",
        DONE,
        {"set_cookie": b"a", "notes": None},
    ),
    (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        EARLY_HINTS,
        {"status": 103, "link": b"x", "content_length_n": -1},
    ),
    *[
        (S + b"%s: 1\r\n%s: 2\r\n" % (name, name), DONE, {"notes": [duplicate(name.decode())]})
        for name in (
            b"Status",
            b"Content-Type",
            b"Date",
            b"Last-Modified",
            b"ETag",
            b"Server",
            b"Location",
            b"Refresh",
            b"Expires",
            b"X-Accel-Expires",
            b"X-Accel-Redirect",
            b"X-Accel-Limit-Rate",
        )
    ],
]


def heads(http1: ModuleType, raw: bytes, kind: int = HTTP) -> list[Any]:
    found = [http1.parse_response(raw, kind=kind)]
    slow = http1.parse_response(b"", kind=kind)
    for size in range(1, len(raw) + 1):
        if slow.rc != MORE:
            break
        slow.feed(raw[:size])
    found.append(slow)
    if found[0].rc != MORE:
        found.append(http1.parse_response(raw + b"HTTP/1.1 body", kind=kind))
        head = http1.parse_response(b"12345" + raw, 5, kind=kind)
        assert (head.rc, head.end, head.start) == (found[0].rc, found[0].end + 5, 5)
    return found


@pytest.mark.parametrize(("lines", "rc", "says"), HEADS, ids=repr)
def test_heads(http1: ModuleType, lines: bytes, rc: int, says: dict[str, Any]) -> None:
    raw = lines + b"\r\n"
    for head in heads(http1, raw):
        assert head.rc == rc, head.message
        assert {name: getattr(head, name) for name in says} == says
        if rc != INVALID:
            assert (head.end, head.size) == (len(raw), len(raw))


NO_STATUS_LINE = [
    b"<html>",
    b"HTTP/x",
    b"HTTP/1.1 20x\r\n",
    b"HTTP/1.1 200x\r\n",
    b"HTTP/1 200 OK\r\n",
    b"HTTP/0.9 200 OK\r\n",
    b"http/1.1 200 OK\r\n",
    b"HTTP/1.1 200 O\rK\r\n",
    b"HTTP/1.1\r\n",
    b"\r\nHTTP/1.1 200 OK\r\n",
    b"HTTP/1.1000 200 OK\r\n",
]


@pytest.mark.parametrize("raw", NO_STATUS_LINE)
def test_no_status_line(http1: ModuleType, raw: bytes) -> None:
    for head in heads(http1, raw):
        assert (head.rc, head.http_version, head.status, head.end, head.connection_close) == (DONE, 9, 0, 0, True)
        assert head.message == "upstream sent no valid HTTP/1.0 header"


def test_early_hints_need_http_11(http1: ModuleType) -> None:
    head = http1.parse_response(b"HTTP/1.0 103 x\r\n\r\n")
    assert (head.rc, head.message) == (INVALID, "upstream sent HTTP/1.0 response with early hints")


def test_the_final_head_follows_the_hints(http1: ModuleType) -> None:
    raw = b"HTTP/1.1 103 x\r\nLink: a\r\n\r\n" + S + b"\r\n"
    hints = http1.parse_response(raw)
    assert (hints.rc, hints.items()) == (EARLY_HINTS, [(b"Link", b"a")])
    final = http1.parse_response(raw, hints.end)
    assert (final.rc, final.status, final.end) == (DONE, 200, len(raw))


CGI_HEADS: list[tuple[bytes, int, dict[str, Any]]] = [
    (b"Content-Type: x\r\n", DONE, {"status": 200, "status_line": b"200 OK", "content_type": b"x"}),
    (b"Status: 404 Nope\r\n", DONE, {"status": 404, "status_line": b"404 Nope", "reason": b"Nope"}),
    (b"Status: 404\r\n", DONE, {"status": 404, "status_line": b""}),
    (b"Status: 40\r\n", INVALID, {"message": 'upstream sent invalid status "40"'}),
    (b"Status: abc\r\n", INVALID, {"message": 'upstream sent invalid status "abc"'}),
    (b"Location: /x\r\n", DONE, {"status": 302, "status_line": b"302 Moved Temporarily"}),
    (b"Status: 201 x\r\nLocation: /x\r\n", DONE, {"status": 201}),
    (b"X : y\r\n", INVALID, {}),
]


@pytest.mark.parametrize(("lines", "rc", "says"), CGI_HEADS, ids=repr)
@pytest.mark.parametrize("kind", [CGI, EITHER])
def test_cgi(http1: ModuleType, lines: bytes, rc: int, says: dict[str, Any], kind: int) -> None:
    for head in heads(http1, lines + b"\r\n", kind):
        assert head.rc == rc
        assert {name: getattr(head, name) for name in says} == says


def test_either_takes_a_status_line(http1: ModuleType) -> None:
    for head in heads(http1, b"HTTP/1.1 404 No\r\nA: b\r\n\r\n", EITHER):
        assert (head.rc, head.status, head.status_line, head.items()) == (DONE, 404, b"404 No", [(b"A", b"b")])


def test_dropped_lines_are_not_there(http1: ModuleType) -> None:
    raw = S + b"Server: 1\r\nA: 1\r\nServer: 2\r\n@@: 3\r\nB: 4\r\n\r\n"
    head = http1.parse_response(raw)
    assert head.items() == [(b"Server", b"1"), (b"A", b"1"), (b"B", b"4")]
    assert head.getall(b"server") == [b"1"]
    assert head.variable(b"server") == b"1"
    assert head.get(b"@@") is None
    out: list[bytes] = []
    head.write_client(out, http1.NameSet([b"a"]))
    assert b"".join(out) == b"Server: 1\r\nB: 4\r\n"


def test_dropped_lines_beyond_those_that_the_head_holds_itself(http1: ModuleType) -> None:
    many = b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(50))
    head = http1.parse_response(S + b"Server: 1\r\n" + many + b"Server: 2\r\nEnd: 1\r\n\r\n")
    assert head.count == 53
    assert head.getall(b"server") == [b"1"]
    assert head.items()[-2:] == [(b"X-49", b"49"), (b"End", b"1")]


def test_repr(http1: ModuleType) -> None:
    assert repr(http1.parse_response(S + b"A: b\r\n\r\n")) == "<ResponseHead 1 b'200 OK' 1 headers>"


PIECES = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/",
    b"1",
    b".",
    b" ",
    b"\r",
    b"\n",
    b"\r\n",
    b"A: b\r\n",
    b":",
    b"\0",
    b"HTTP/x\r\n",
]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(raw=st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(PIECES), max_size=20).map(b"".join)))
def test_the_size_of_the_pieces_does_not_matter(http1: ModuleType, raw: bytes) -> None:
    whole, slow = heads(http1, raw)[:2]
    assert (slow.rc, slow.message, slow.notes) == (whole.rc, whole.message, whole.notes)
    if whole.rc in (DONE, EARLY_HINTS):
        assert (slow.end, slow.items(), slow.status) == (whole.end, whole.items(), whole.status)
