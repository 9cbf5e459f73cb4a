"""add_header, add_trailer, expires."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from geng.errors import Refused
from geng.modules.http.headers import ACCESS, DAILY, EPOCH, MAX, MODIFIED, OFF, expires_lines, next_time, read_expires

CONF = """
events {}
http {
    add_header X-Outer outer;
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%;
        location / { }
        location /own/ { alias %DIR%/; add_header X-Own own; }
        location /merge/ { alias %DIR%/; add_header X-Own own; add_header_inherit merge; }
        location /off/ {
            alias %DIR%/; add_header_inherit off;
            location /off/in/ { alias %DIR%/; }
        }
        location /var/ { alias %DIR%/; add_header X-Arg $arg_a; add_header X-Empty ""; }
        location /always/ { alias %DIR%/; add_header X-Safe safe; add_header X-Always always always; }
        location /known/ {
            alias %DIR%/;
            add_header Last-Modified "Sun, 06 Nov 1994 08:49:37 GMT";
            add_header ETag '"mine"';
            add_header Cache-Control private;
            add_header Cache-Control no-transform;
        }
        location /unset/ { alias %DIR%/; add_header Last-Modified ""; add_header ETag ""; }
        location /trailer/ { alias %DIR%/; add_trailer X-Sum $arg_a; add_trailer X-Fixed 1; }
        location /hour/ { alias %DIR%/; expires 1h; }
        location /epoch/ { alias %DIR%/; expires epoch; }
        location /max/ { alias %DIR%/; expires max; }
        location /past/ { alias %DIR%/; expires -1; }
        location /modified/ { alias %DIR%/; expires modified 1d; }
        location /byvar/ { alias %DIR%/; expires $arg_e; }
        location /proxy/ { proxy_pass http://127.0.0.1:%PORT%/max/; expires 1h; }
    }
}
"""


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("epoch", ACCESS, (EPOCH, 0)),
        ("max", ACCESS, (MAX, 0)),
        ("off", ACCESS, (OFF, 0)),
        ("1h", ACCESS, (ACCESS, 3600)),
        ("+1h", MODIFIED, (MODIFIED, 3600)),
        ("-1d", ACCESS, (ACCESS, -86400)),
        ("@15h30m", ACCESS, (DAILY, 55800)),
    ],
)
def test_read_expires(text: str, kind: int, expected: tuple[int, int]) -> None:
    assert read_expires(text, kind) == expected


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("soon", ACCESS, "invalid value"),
        ("max", MODIFIED, "invalid value"),
        ("@1h", MODIFIED, 'daily time cannot be used with "modified" parameter'),
        ("@25h", ACCESS, "daily time value must be less than 24 hours"),
    ],
)
def test_what_expires_refuses(text: str, kind: int, message: str) -> None:
    with pytest.raises(Refused, match=message):
        read_expires(text, kind)


def test_next_time() -> None:
    midnight = int(time.mktime((2026, 11, 20, 0, 0, 0, 0, 0, -1)))
    assert next_time(3600, midnight) == midnight + 3600
    assert next_time(3600, midnight + 3600) == midnight + 3600 + 86400
    assert next_time(0, midnight) == midnight + 86400


def test_expires_after_a_change_long_ago() -> None:
    assert expires_lines(MODIFIED, 3600, 0) == (b"Thu, 01 Jan 1970 01:00:00 GMT", b"no-cache")


@pytest.fixture
def s(server: Any) -> Any:
    return server(CONF, files={"t.html": "text"})


@pytest.mark.live
def test_inheritance(s: Any) -> None:
    assert s.get("/t.html")["X-Outer"] == "outer"
    answer = s.get("/own/t.html")
    assert (answer["X-Own"], answer.get("X-Outer")) == ("own", None)
    answer = s.get("/merge/t.html")
    assert (answer["X-Own"], answer.get("X-Outer")) == ("own", "outer")
    assert "X-Outer" not in s.get("/off/t.html")
    assert "X-Outer" not in s.get("/off/in/t.html")


@pytest.mark.live
def test_values_and_statuses(s: Any) -> None:
    answer = s.get("/var/t.html?a=b")
    assert answer["X-Arg"] == "b"
    assert "X-Empty" not in answer
    assert "X-Arg" not in s.get("/var/t.html")
    answer = s.get("/always/nope")
    assert (answer.status, answer["X-Always"], answer.get("X-Safe")) == (404, "always", None)


@pytest.mark.live
def test_lines_that_have_a_meaning(s: Any) -> None:
    answer = s.get("/known/t.html")
    assert answer.all("Last-Modified") == ["Sun, 06 Nov 1994 08:49:37 GMT"]
    assert answer.all("ETag") == ['"mine"']
    assert answer.all("Cache-Control") == ["private", "no-transform"]
    answer = s.get("/unset/t.html")
    assert "Last-Modified" not in answer
    assert "ETag" not in answer


@pytest.mark.live
def test_trailers(s: Any) -> None:
    answer = s.get("/trailer/t.html?a=b")
    assert answer["Transfer-Encoding"] == "chunked"
    assert (answer.text, answer.trailers) == ("text", [("X-Sum", "b"), ("X-Fixed", "1")])
    answer = s.get("/trailer/t.html")
    assert answer.trailers == [("X-Fixed", "1")]
    answer = s.raw(b"GET /trailer/t.html?a=b HTTP/1.0\r\n\r\n")[0]
    assert (answer.text, answer["Content-Length"]) == ("text", "4")


@pytest.mark.live
def test_expires(s: Any) -> None:
    answer = s.get("/hour/t.html")
    assert answer["Cache-Control"] == "max-age=3600"
    later = parsedate_to_datetime(answer["Expires"]) - parsedate_to_datetime(answer["Date"])
    assert 3599 <= later.total_seconds() <= 3601
    answer = s.get("/epoch/t.html")
    assert (answer["Expires"], answer["Cache-Control"]) == ("Thu, 01 Jan 1970 00:00:01 GMT", "no-cache")
    answer = s.get("/max/t.html")
    assert (answer["Expires"], answer["Cache-Control"]) == ("Thu, 31 Dec 2037 23:55:55 GMT", "max-age=315360000")
    assert s.get("/past/t.html")["Cache-Control"] == "no-cache"
    answer = s.get("/modified/t.html")
    later = parsedate_to_datetime(answer["Expires"]) - parsedate_to_datetime(answer["Last-Modified"])
    assert later.total_seconds() == 86400
    assert s.get("/byvar/t.html?e=2h")["Cache-Control"] == "max-age=7200"
    assert "Expires" not in s.get("/byvar/t.html?e=soon")
    assert "Expires" not in s.get("/byvar/t.html?e=off")
    assert "Expires" not in s.get("/hour/nope")


@pytest.mark.live
def test_expires_in_place_of_the_upstreams(s: Any) -> None:
    answer = s.get("/proxy/t.html")
    assert answer.all("Cache-Control") == ["max-age=3600"]
    assert len(answer.all("Expires")) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("add_header A b c;", 'invalid parameter "c" in'),
        ("expires since 1h;", '"expires" directive invalid value in'),
        ("expires 1h; expires 2h;", '"expires" directive is duplicate in'),
        ("add_header_inherit maybe;", 'invalid value "maybe" in'),
    ],
)
def test_mistakes(configtest: Any, text: str, message: str) -> None:
    result = configtest(f"events {{}} http {{ {text} }}")
    assert message in result.stderr
