"""Range, If-Range and max_ranges."""

from __future__ import annotations

from typing import Any

import pytest

from geng.modules.http.range import UNLIMITED_RANGES, NotSatisfiable, parse

CONF = """
events {}
http {
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%;
        location / { sendfile %SENDFILE%; }
        location /none/ { max_ranges 0; alias %DIR%/; }
        location /one/ { max_ranges 1; alias %DIR%/; }
    }
}
"""
BODY = b"".join(b"%03d" % i for i in range(1000))


@pytest.mark.parametrize(
    ("value", "length", "expected"),
    [
        (b"bytes=0-8", 1000, [(0, 9)]),
        (b"bytes=-10", 1000, [(990, 1000)]),
        (b"bytes=-2000", 1000, [(0, 1000)]),
        (b"bytes=990-", 1000, [(990, 1000)]),
        (b"bytes= 1 - 2 , 4 - 5 ", 1000, [(1, 3), (4, 6)]),
        (b"bytes=0-9999", 1000, [(0, 1000)]),
        (b"BYTES=1-2,2000-", 1000, [(1, 3)]),
        (b"bytes=0-0,-1", 1000, [(0, 1), (999, 1000)]),
        (b"bytes=0-999,0-999", 1000, []),  # more than there is
        (b"bytes=0-", 0, []),
    ],
)
def test_parse(value: bytes, length: int, expected: list[tuple[int, int]]) -> None:
    assert parse(value, length, UNLIMITED_RANGES) == expected


@pytest.mark.parametrize("value", [b"1000-", b"a-", b"1", b"1-2x", b"-", b"1--2", b"99999999999999999999-", b"1-2;3-4"])
def test_not_satisfiable(value: bytes) -> None:
    with pytest.raises(NotSatisfiable):
        parse(b"bytes=" + value, 1000, UNLIMITED_RANGES)


def test_more_ranges_than_allowed() -> None:
    assert parse(b"bytes=0-1,3-4", 1000, 1) == []
    assert parse(b"bytes=0-1", 1000, 1) == [(0, 2)]


@pytest.mark.live
@pytest.mark.parametrize("sendfile", ["on", "off"])
def test_ranges(server: Any, sendfile: str) -> None:
    s = server(CONF, files={"t.bin": BODY}, SENDFILE=sendfile)
    answer = s.get("/t.bin", headers={"Range": "bytes=3-8"})
    assert (answer.status, answer.body) == (206, BODY[3:9])
    assert answer["Content-Range"] == "bytes 3-8/3000"
    assert "Accept-Ranges" not in answer
    answer = s.get("/t.bin", headers={"Range": "bytes=-9"})
    assert (answer.status, answer.body) == (206, BODY[-9:])
    answer = s.get("/t.bin", headers={"Range": "bytes=0-2,30-32"})
    kind, _, boundary = answer["Content-Type"].partition("boundary=")
    assert kind == "multipart/byteranges; "
    parts = answer.body.split(b"\r\n--" + boundary.encode())
    assert parts[1] == b"\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-2/3000\r\n\r\n000"
    assert parts[2] == b"\r\nContent-Type: text/plain\r\nContent-Range: bytes 30-32/3000\r\n\r\n010"
    assert parts[3] == b"--\r\n"


@pytest.mark.live
def test_refused_and_ignored_ranges(server: Any) -> None:
    s = server(CONF, files={"t.bin": BODY}, SENDFILE="on")
    answer = s.get("/t.bin", headers={"Range": "bytes=3000-"})
    assert (answer.status, answer["Content-Range"]) == (416, "bytes */3000")
    assert answer["Content-Type"] == "text/html"
    assert s.get("/t.bin", headers={"Range": "lines=1-2"}).status == 200
    assert s.get("/none/t.bin", headers={"Range": "bytes=1-2"}).status == 200
    assert "Accept-Ranges" not in s.get("/none/t.bin")
    assert s.get("/one/t.bin", headers={"Range": "bytes=1-2"}).status == 206
    assert s.get("/one/t.bin", headers={"Range": "bytes=1-2,4-5"}).status == 200


@pytest.mark.live
def test_if_range(server: Any) -> None:
    s = server(CONF, files={"t.bin": BODY}, SENDFILE="on")
    whole = s.get("/t.bin")
    for value, status in [
        (whole["ETag"], 206),
        (whole["Last-Modified"], 206),
        ('"other"', 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
        ("nonsense", 200),
    ]:
        answer = s.get("/t.bin", headers={"Range": "bytes=0-0", "If-Range": value})
        assert answer.status == status, value


@pytest.mark.live
def test_a_range_on_a_connection_that_stays(server: Any) -> None:
    s = server(CONF, files={"t.bin": BODY}, SENDFILE="on")
    with s.connect() as c:
        assert c.ask("/t.bin", headers={"Range": "bytes=0-2"}).body == b"000"
        assert c.ask("/t.bin", headers={"Range": "bytes=9000-"}).status == 416
        assert c.ask("/t.bin", method="HEAD", headers={"Range": "bytes=0-2"})["Content-Length"] == "3"
        assert c.ask("/t.bin").body == BODY
