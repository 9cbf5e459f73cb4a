"""autoindex, random_index; and the small handlers: stub_status, empty_gif."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

CONF = """
events {}
http {
    server {
        listen 127.0.0.1:%PORT%;
        server_name localhost;
        root %DIR%;
        location /h/ { alias %DIR%/f/; autoindex on; }
        location /u/ { alias %DIR%/f/; autoindex on; charset utf-8; autoindex_exact_size off; }
        location /j/ { alias %DIR%/f/; autoindex on; autoindex_format json; }
        location /p/ { alias %DIR%/f/; autoindex on; autoindex_format jsonp; }
        location /x/ { alias %DIR%/f/; autoindex on; autoindex_format xml; }
        location /r/ { alias %DIR%/one/; random_index on; }
        location /rn/ { alias %DIR%/none/; random_index on; }
        location /g { empty_gif; }
        location /s { stub_status; add_header X-Active $connections_active; }
    }
}
"""

LONG = "n" * 60
UMLAUTS = "\u00fc" * 40


@pytest.fixture
def s(server: Any) -> Any:
    files: dict[str, bytes | str] = {
        "f/plain.txt": "12345",
        "f/a<b>&.txt": "",
        f"f/{LONG}": "x" * 20000,
        f"f/{UMLAUTS}": "x" * 9999,
        "f/d/x": "",
        "f/.hidden": "",
        "one/only": "the only one",
        "one/d/x": "",
        "none/d/x": "",
    }
    started = server(CONF, files=files)
    for name in ("plain.txt", "d"):
        os.utime(started.folder / "f" / name, (784111777, 784111777))
    (started.folder / "f/dangling").symlink_to("nowhere")
    return started


pytestmark = pytest.mark.live


def test_html(s: Any) -> None:
    answer = s.get("/h/")
    assert answer["Content-Type"] == "text/html"
    lines = answer.text.split("\r\n")
    assert lines[:4] == [
        "<html>",
        "<head><title>Index of /h/</title></head>",
        "<body>",
        '<h1>Index of /h/</h1><hr><pre><a href="../">../</a>',
    ]
    date = "06-Nov-1994 08:49"
    assert lines[4] == f'<a href="d/">d/</a>{" " * 48} {date} {"-":>19}'
    assert f'<a href="plain.txt">plain.txt</a>{" " * 41} {date} {5:>19}' in lines
    assert any(line.startswith('<a href="a%3Cb%3E%26.txt">a&lt;b&gt;&amp;.txt</a>') for line in lines)
    assert any(line.startswith(f'<a href="{LONG}">{LONG[:47]}..&gt;</a> ') for line in lines)
    assert any(line.startswith('<a href="dangling">dangling</a>') for line in lines)
    assert ".hidden" not in answer.text
    assert lines[-3:] == ["</pre><hr></body>", "</html>", ""]


def test_html_in_utf8_with_rounded_sizes(s: Any) -> None:
    lines = s.get("/u/").text.split("\r\n")
    assert any(f">{UMLAUTS}</a>{' ' * 10} " in line and line.endswith("    9999") for line in lines)
    assert any(line.endswith("    20K") for line in lines)
    assert any(line.endswith(" 06-Nov-1994 08:49       -") for line in lines)


def test_json(s: Any) -> None:
    answer = s.get("/j/")
    assert answer["Content-Type"] == "application/json"
    found = json.loads(answer.text)
    assert found[0] == {"name": "d", "type": "directory", "mtime": "Sun, 06 Nov 1994 08:49:37 GMT"}
    plain = next(entry for entry in found if entry["name"] == "plain.txt")
    assert (plain["type"], plain["size"]) == ("file", 5)
    assert next(entry for entry in found if entry["name"] == "dangling")["type"] == "other"
    assert s.get("/p/").text == answer.text
    answer = s.get("/p/?callback=a.b_1")
    assert answer["Content-Type"] == "application/javascript"
    assert answer.text.startswith("/* callback */\r\na.b_1([\r\n{ ")
    assert answer.text.endswith(" }\r\n]);")
    assert s.get("/p/?callback=a(").status == 400
    assert s.get(f"/p/?callback={'a' * 129}").status == 400


def test_xml(s: Any) -> None:
    answer = s.get("/x/")
    assert answer["Content-Type"] == "text/xml; charset=utf-8"
    assert answer.text.startswith('<?xml version="1.0"?>\r\n<list>\r\n<directory mtime="1994-11-06T08:49:37Z">d<')
    assert '<file mtime="1994-11-06T08:49:37Z" size="5">plain.txt</file>\r\n' in answer.text
    assert answer.text.endswith("</list>\r\n")


def test_what_is_no_directory(s: Any) -> None:
    assert s.get("/h/plain.txt/").status == 404
    assert s.get("/h/nope/").status == 404
    assert s.get("/h/", method="POST", body=b"").status == 403
    with s.connect() as c:
        assert c.ask("/h/", method="HEAD").status == 200
        assert c.ask("/h/plain.txt").text == "12345"


def test_random_index(s: Any) -> None:
    assert s.get("/r/").text == "the only one"
    assert s.get("/rn/").status == 403
    assert s.get("/r/nope/").status == 404


def test_empty_gif(s: Any) -> None:
    answer = s.get("/g")
    assert (answer["Content-Type"], len(answer.body), answer.body[:6]) == ("image/gif", 43, b"GIF89a")
    assert answer["Last-Modified"] == "Mon, 28 Sep 1970 06:00:00 GMT"
    assert s.get("/g", method="POST", body=b"x").status == 405


def test_stub_status(s: Any) -> None:
    with s.connect() as idle:
        idle.ask("/g")
        answer = s.get("/s")
        first, second, third, fourth, last = answer.text.split("\n")
        assert first == "Active connections: 2 "
        assert second == "server accepts handled requests"
        accepted, handled, requests = map(int, third.split())
        assert accepted == handled >= 2
        assert requests >= 2
        assert fourth == "Reading: 0 Writing: 1 Waiting: 1 "
        assert last == ""
        assert answer["Content-Type"] == "text/plain"
        assert answer["X-Active"] == "2"
    assert s.get("/s", method="POST", body=b"x").status == 405
