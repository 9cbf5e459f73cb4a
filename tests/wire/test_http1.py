"""What geng.wire.http1 adds to the parsers: status lines, the end of a chunked body."""

from __future__ import annotations

import pytest

from geng.wire import http1

LINES = {
    200: b"HTTP/1.1 200 OK\r\n",
    206: b"HTTP/1.1 206 Partial Content\r\n",
    302: b"HTTP/1.1 302 Moved Temporarily\r\n",
    405: b"HTTP/1.1 405 Not Allowed\r\n",
    408: b"HTTP/1.1 408 Request Time-out\r\n",
    503: b"HTTP/1.1 503 Service Temporarily Unavailable\r\n",
    203: b"HTTP/1.1 203 \r\n",
    418: b"HTTP/1.1 418 \r\n",
    599: b"HTTP/1.1 599 \r\n",
}


@pytest.mark.parametrize(("status", "line"), LINES.items())
def test_status_line(status: int, line: bytes) -> None:
    assert http1.status_line(status) == line


def test_an_upstreams_words_go_first() -> None:
    assert http1.status_line(200, b"200 Fine") == b"HTTP/1.1 200 Fine\r\n"


def test_last_chunk() -> None:
    assert http1.last_chunk([]) == http1.LAST_CHUNK == b"0\r\n\r\n"
    raw = b"1\r\nx\r\n" + http1.last_chunk([(b"A", b"b"), (b"C", b"d")])
    body = http1.Chunked(keep_trailers=True)
    body.feed(raw)
    assert (body.rc, body.pos, body.trailers) == (http1.DONE, len(raw), [(b"A", b"b"), (b"C", b"d")])


def test_what_is_offered_exists() -> None:
    assert [name for name in http1.__all__ if not hasattr(http1, name)] == []


COOKIES: list[tuple[list[bytes], bytes, bytes | None]] = [
    ([b"a=1; b=2"], b"b", b"2"),
    ([b"a=1;b = 2 ;c=3"], b"b", b"2 "),
    ([b"A=1"], b"a", b"1"),
    ([b"ab=1; a=2"], b"a", b"2"),
    ([b"xa=1"], b"a", None),
    ([b"a"], b"a", None),
    ([b"a=", b"a=2"], b"a", b""),
    ([b"b=1", b"a=2"], b"a", b"2"),
    ([b"a; a=1"], b"a", None),
    ([b"a; b=1; a=2"], b"a", b"2"),
    ([b"a=1=2"], b"a", b"1=2"),
    ([], b"a", None),
    ([b""], b"a", None),
]


@pytest.mark.parametrize(("lines", "name", "value"), COOKIES)
def test_find_value(lines: list[bytes], name: bytes, value: bytes | None) -> None:
    assert http1.find_value(lines, name) == value


def test_find_value_in_a_list() -> None:
    assert http1.find_value([b"x=1, max-age=5; y"], b"max-age", b",") == b"5; y"


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ([b"a=1; Path=/"], b"1"),
        ([b"b=1; a=2"], None),
        ([b"b=1", b"A = 2"], b"2"),
        ([b"a"], None),
    ],
)
def test_find_set_cookie(lines: list[bytes], value: bytes | None) -> None:
    assert http1.find_set_cookie(lines, b"a") == value
