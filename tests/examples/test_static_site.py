"""examples/static-site: clean addresses, caching, compression, an error page, a folder to browse."""

from __future__ import annotations

import gzip


def test_pages(example):
    s = example("static-site")
    assert "<h1>Home</h1>" in s.get("/").text
    about = s.get("/about")
    assert "<h1>About</h1>" in about.text
    assert about["Content-Type"] == "text/html; charset=utf-8"


def test_error_page_keeps_the_status(example):
    s = example("static-site")
    missing = s.get("/nothing")
    assert missing.status == 404
    assert "There is nothing here" in missing.text
    assert s.get("/404.html").status == 404
    assert s.get("/.git/config").status == 403


def test_caching(example):
    s = example("static-site")
    style = s.get("/style.css")
    assert style.all("Cache-Control") == ["max-age=2592000", "public"]
    again = s.get("/style.css", headers={"If-None-Match": style["ETag"]})
    assert (again.status, again.body) == (304, b"")
    part = s.get("/downloads/numbers.txt", headers={"Range": "bytes=2-5"})
    assert (part.status, part.body) == (206, b"2\n3\n")


def test_compression(example):
    s = example("static-site")
    plain = s.get("/style.css")
    small = s.get("/style.css", headers={"Accept-Encoding": "gzip"})
    assert (small["Content-Encoding"], small["Vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(small.body) == plain.body
    assert "Content-Encoding" not in plain


def test_folder(example):
    s = example("static-site")
    assert '<a href="notes.txt">notes.txt</a>' in s.get("/downloads/").text
    moved = s.get("/downloads")
    assert moved.status == 301
    assert moved["Location"] == f"http://localhost:{s.ports['PORT']}/downloads/"
