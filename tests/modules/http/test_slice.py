"""slice: an answer in pieces, the part of it that is wanted, and what goes wrong between two pieces."""

from __future__ import annotations

import gzip
import re
from typing import Any

import pytest

from tests.harness.backend import Answer
from tests.harness.client import Truncated

CONF = """
events {}
http {
    proxy_cache_path %DIR%/cache keys_zone=pieces:1m;
    server {
        listen 127.0.0.1:%PORT%;
        location / {
            slice 10;
            proxy_set_header Range $slice_range;
            proxy_pass http://127.0.0.1:%UP%;
            proxy_read_timeout 2s;
        }
        location /cached/ {
            slice 10;
            proxy_cache pieces;
            proxy_cache_key $uri$slice_range;
            proxy_cache_valid 200 206 1h;
            proxy_set_header Range $slice_range;
            proxy_pass http://127.0.0.1:%UP%/;
            add_header X-Cache $upstream_cache_status;
        }
        location /gzip/ {
            slice 10;
            gzip on;
            gzip_types *;
            gzip_min_length 1;
            proxy_set_header Range $slice_range;
            proxy_pass http://127.0.0.1:%UP%/;
        }
        location /sub/ {
            slice 10;
            sub_filter 5 five;
            sub_filter_once off;
            sub_filter_types *;
            proxy_set_header Range $slice_range;
            proxy_pass http://127.0.0.1:%UP%/;
        }
        location /off { slice 0; return 200 "[$slice_range]"; }
    }
}
"""

BODY = "".join(chr(48 + n % 10) if n % 2 else chr(97 + n % 26) for n in range(95))

pytestmark = pytest.mark.live


def piece(request: Any) -> Any:
    """The part of BODY that was asked for; `/whole` knows no ranges, `/x` breaks in its third piece."""
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", request.get("Range") or "")
    if match is None or request.target.startswith("/whole"):
        return Answer(BODY, headers={"ETag": '"a"'})
    start, stop = int(match[1]), min(int(match[2]) + 1, len(BODY))
    headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(BODY)}", "ETag": '"a"', "Accept-Ranges": "bytes"}
    if start >= len(BODY):
        return Answer("", 416)
    if start >= 20 and request.target != "/":
        return FAULTS[request.target](headers, BODY[start:stop])
    return Answer(BODY[start:stop], 206, headers, "Partial Content")


FAULTS: dict[str, Any] = {
    "/dies": lambda headers, body: None,
    "/half": lambda headers, body: Answer(body[:5], 206, headers | {"Content-Length": str(len(body))}),
    "/etag": lambda headers, body: Answer(body, 206, headers | {"ETag": '"b"'}),
    "/status": lambda headers, body: Answer(body, 200, headers),
    "/range": lambda headers, body: Answer(body, 206, headers | {"Content-Range": "bytes 0-9/95"}),
    "/length": lambda headers, body: Answer(body, 206, headers | {"Content-Range": "bytes 20-29/*"}),
    "/words": lambda headers, body: Answer(body, 206, headers | {"Content-Range": "bytes all"}),
}


@pytest.fixture
def run(server: Any, backend: Any) -> Any:
    up = backend(piece)
    return server(CONF, UP=up.port), up


def test_the_whole(run: Any) -> None:
    s, up = run
    answer = s.get("/")
    assert (answer.status, answer.text, answer["Content-Length"]) == (200, BODY, "95")
    assert "Content-Range" not in answer
    assert [one["Range"] for one in up.requests] == [f"bytes={n}-{n + 9}" for n in range(0, 95, 10)]
    assert s.get("/whole").text == BODY
    assert s.get("/off").text == "[]"
    with s.connect() as c:
        assert c.ask("/", "HEAD")["Content-Length"] == "95"
        assert c.ask("/").text == BODY


RANGES = [
    ("bytes=0-0", 0, 1, "0-9"),
    ("bytes=13-15", 13, 16, "10-19"),
    ("bytes=13-35", 13, 36, "10-19 20-29 30-39"),
    ("bytes=30-39", 30, 40, "30-39"),
    ("bytes=88-", 88, 95, "80-89 90-99"),
    ("bytes=90-200", 90, 95, "90-99"),
    ("bytes=-3", 92, 95, "0-9 90-99"),
]


def test_a_part_of_it(run: Any) -> None:
    s, up = run
    for value, start, stop, asked in RANGES:
        up.requests.clear()
        answer = s.get("/", {"Range": value})
        assert (answer.status, answer.text) == (206, BODY[start:stop]), value
        assert answer["Content-Range"] == f"bytes {start}-{stop - 1}/95"
        assert [one["Range"][6:] for one in up.requests] == asked.split(), value
    assert s.get("/", {"Range": "bytes=1-2,5-6"}).text == BODY
    assert s.get("/", {"Range": "bytes=200-"}).status == 416
    assert s.get("/", {"Range": "bytes=5-2"}).status == 416
    assert s.get("/", {"Range": "bytes=33-34", "If-Range": '"a"'}).text == BODY[33:35]
    assert s.get("/", {"Range": "bytes=33-34", "If-Range": '"b"'}).text == BODY


def test_pieces_are_cached(run: Any) -> None:
    s, up = run
    assert s.get("/cached/", {"Range": "bytes=15-25"})["X-Cache"] == "MISS"
    assert len(up.requests) == 2
    answer = s.get("/cached/", {"Range": "bytes=11-29"})
    assert (answer.text, answer["X-Cache"], len(up.requests)) == (BODY[11:30], "HIT", 2)
    assert s.get("/cached/").text == BODY
    assert len(up.requests) == 10
    assert s.get("/cached/", {"If-None-Match": '"a"'}).status == 304
    assert s.get("/cached/", {"If-Match": '"b"'}).status == 412
    assert s.get("/cached/").text == BODY
    assert len(up.requests) == 10


def test_with_other_filters(run: Any) -> None:
    s, up = run
    assert s.get("/sub/").text == BODY.replace("5", "five")
    assert gzip.decompress(s.get("/gzip/", {"Accept-Encoding": "gzip"}).body).decode() == BODY


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("dies", "unexpected status code 502 in slice response"),
        ("half", "upstream timed out (110: Connection timed out) while reading upstream"),
        ("etag", "etag mismatch in slice response"),
        ("status", "unexpected status code 200 in slice response"),
        ("range", "unexpected range in slice response: 0-10, expected: 20-10"),
        ("length", "no complete length in slice response"),
        ("words", "invalid range in slice response"),
    ],
)
def test_a_piece_that_does_not_fit(run: Any, fault: str, message: str) -> None:
    s, up = run
    with s.connect() as c:
        with pytest.raises(Truncated):
            c.ask(f"/{fault}")
        assert c.closed() or c.buffer
    assert message in s.log()
    assert s.get("/").text == BODY
