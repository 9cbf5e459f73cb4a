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
