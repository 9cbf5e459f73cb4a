"""304 and 412."""

from __future__ import annotations

from typing import Any

import pytest

from geng.modules.http.not_modified import BEFORE, EXACT, OFF, matches, modified, unmodified

NOV = b"Sun, 06 Nov 1994 08:49:37 GMT"
NOV_SECONDS = 784111777


@pytest.mark.parametrize(
    ("tags", "etag", "weak", "expected"),
    [
        (b"*", b"", False, True),
        (b'"a"', b'"a"', False, True),
        (b'"a"', b"", False, False),
        (b'"b", "a"', b'"a"', False, True),
        (b'"b" ,\t"a" ', b'"a"', False, True),
        (b'"b","a"x', b'"a"', False, False),
        (b'"aa"', b'"a"', False, False),
        (b'W/"a"', b'"a"', False, False),
        (b'W/"a"', b'"a"', True, True),
        (b'"a"', b'W/"a"', True, True),
        (b'"b", W/"a"', b'W/"a"', True, True),
        (b"", b'"a"', True, False),
        (b",,,", b'"a"', True, False),
    ],
)
def test_matches(tags: bytes, etag: bytes, weak: bool, expected: bool) -> None:
    assert matches(tags, etag, weak) is expected


@pytest.mark.parametrize(
    ("last_modified", "mode", "expected"),
    [
        (NOV_SECONDS, EXACT, False),
        (NOV_SECONDS - 1, EXACT, True),
        (NOV_SECONDS - 1, BEFORE, False),
        (NOV_SECONDS + 1, BEFORE, True),
        (NOV_SECONDS, OFF, True),
        (-1, EXACT, True),
    ],
)
def test_modified(last_modified: int, mode: int, expected: bool) -> None:
    assert modified(NOV, last_modified, mode) is expected


def test_unmodified() -> None:
    assert unmodified(NOV, NOV_SECONDS)
    assert unmodified(NOV, NOV_SECONDS - 1)
    assert not unmodified(NOV, NOV_SECONDS + 1)
    assert not unmodified(NOV, -1)
    assert not unmodified(b"nonsense", NOV_SECONDS)


CONF = """
events {}
http {
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%;
        location /page/ { alias %DIR%/; error_page 412 /sorry.html; add_header X-Here yes; }
    }
}
"""


@pytest.mark.live
def test_answers(server: Any) -> None:
    s = server(CONF, files={"t.html": "text", "sorry.html": "sorry"})
    whole = s.get("/t.html")
    answer = s.get("/t.html", headers={"If-Modified-Since": whole["Last-Modified"]})
    assert answer.status == 304
    assert answer["ETag"] == whole["ETag"]
    assert answer["Last-Modified"] == whole["Last-Modified"]
    assert "Content-Length" not in answer
    assert "Content-Type" not in answer
    assert "Accept-Ranges" not in answer
    assert s.get("/t.html", headers={"If-None-Match": f'"x", W/{whole["ETag"]}'}).status == 304
    assert s.get("/t.html", headers={"If-None-Match": '"x"'}).text == "text"
    both = {"If-None-Match": '"x"', "If-Modified-Since": whole["Last-Modified"]}
    assert s.get("/t.html", headers=both).status == 200
    assert s.get("/t.html", headers={"If-Match": whole["ETag"]}).status == 200
    answer = s.get("/t.html", headers={"If-Match": '"x"'})
    assert (answer.status, "412 Precondition Failed" in answer.text) == (412, True)
    assert "Last-Modified" not in answer
    assert s.get("/t.html", headers={"If-Unmodified-Since": NOV.decode()}).status == 412
    assert s.get("/t.html", headers={"If-Unmodified-Since": whole["Last-Modified"]}).status == 200
    answer = s.get("/page/t.html", headers={"If-Match": '"x"'})
    assert (answer.status, answer.text) == (412, "sorry")
    assert s.get("/t.html", method="HEAD", headers={"If-None-Match": "*"}).status == 304


@pytest.mark.live
def test_a_connection_stays_after_304(server: Any) -> None:
    s = server(CONF, files={"t.html": "text"})
    with s.connect() as c:
        assert c.ask("/t.html", headers={"If-None-Match": "*"}).status == 304
        assert c.ask("/t.html").text == "text"
