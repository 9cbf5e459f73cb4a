"""geng dump beside crossplane itself: the same JSON for what nginx accepts, and the differences that docs/lint.md states."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from geng.tools.crossplane import Dump

crossplane = pytest.importorskip("crossplane")
ROOT = Path(__file__).parents[2]

SAME = {
    "simple": "events {\n    worker_connections 512;\n}\nhttp {\n    server {\n        listen 127.0.0.1:80;\n"
    '        location / { return 200 "a b c"; }\n    }\n}\n',
    "one line": "user www;events{}http{server{listen 80;location=/a{return 204;}}}",
    "empty blocks": "events {}\nhttp { server { location / { } types { } } }\n",
    "comments": "# one\nevents { # two\n}\n# three\nhttp { # four\n    # five\n    server { listen 80; # six\n"
    "    }\n}\n# last\n",
    "words in quotes": "http { log_format m '$a \"b\"' \" 'c' \"; add_header X-A \"\"; add_header 'X B' 'c;{}#d'; }\n",
    "a brace in quotes": 'events {}\nhttp { log_format m "a } b { c"; }\n',
    "a hash inside a word": "http { server { return 302 /a#b; rewrite ^/x#y$ /z; } }\n",
    "map": 'http { map $a $b { default 0; "" 1; \'\' 2; ~^x(.*)$ $1; *.example.com "a b"; } }\n',
    "map to nothing": 'http { map $uri $to { default ""; /a ""; } }\n',
    "types": "http { types { text/html html htm; image/svg+xml svg; } }\n",
    "other alphabets": "env 'Мурзик';\nevents {}\nhttp { add_header X \"дом é 漢\"; }\n",
    "a word with a space": "http { map $http_user_agent $m { default 0; '~MSIE [1-9]\\.' 1; \"a b\" 2; } }\n",
    "variables in braces": "http { server { root /a/${host}/b; set $x ${y}z; } }\n",
    "if": 'http { server { if ($a) { return 403; } if ($a ~* "x y") { set $b 1; } if ( -f $c ) { break; }\n'
    "        if ($d = '') { return 204; } if ($e !~ ^(GET|POST)$) { return 405; } } }\n",
    "line ends of Windows": "events {\r\n}\r\nhttp {\r\n    gzip on;\r\n}\r\n",
    "a directive over lines": "http { log_format m '$a'\n        '$b'\n        '$c'; gzip\non; }\n",
    "several levels": "http { server { location /a { location /a/b { limit_except GET { deny all; } } } } }\n"
    "stream { server { } }\n",
    "a misspelt name": "http { server { location / { proxy_passs http://a; } } }\n",
    "directives nginx does not have": "http { brotli on; more_set_headers 'A: b'; vhost_traffic_status_zone; }\n",
    "Lua": 'http { init_by_lua_block { a = { 1, "}" } -- }\n    }\n    server { set_by_lua_block $r { return { 1 } }\n'
    "        content_by_lua_block { ngx.say('{') } } }\n",
    "names that look like Lua": "http { server { server_name content_by_lua_block; } upstream content_by_lua_block { } }\n",
    "two directives of one name": "http { server { listen 80; listen 443; error_page 404 /a; error_page 500 502 /b; } }\n",
}


def plain(payload: dict[str, Any]) -> Any:
    return json.loads(json.dumps(payload))


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("comments", [False, True], ids=["bare", "comments"])
def test_the_same(name: str, comments: bool, tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_bytes(SAME[name].encode())
    assert plain(Dump(str(path), comments=comments).payload()) == plain(crossplane.parse(str(path), comments=comments))


INCLUDED = {
    "nginx.conf": "events {}\nhttp { include conf.d/http.conf; include servers/*.conf; }\n",
    "conf.d/http.conf": "gzip on;\ninclude none/*.conf;\n",
    "servers/a.conf": "server { include locations/*.conf; listen 8080; }\n",
    "servers/b.conf": "server { listen 8081; include locations/*.conf; include conf.d/more.conf; }\n",
    "locations/one.conf": "location /one { return 200 'one'; }\n",
    "locations/two.conf": "# two\nlocation /two { return 200 'two'; }\n",
    "conf.d/more.conf": "location /more { return 204; }\n",
}


@pytest.mark.parametrize("relative", [False, True])
def test_included_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relative: bool) -> None:
    for name, text in INCLUDED.items():
        path = tmp_path / "etc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    main = "etc/nginx.conf" if relative else str(tmp_path / "etc" / "nginx.conf")
    payload = plain(Dump(main).payload())
    assert payload == plain(crossplane.parse(main))
    assert [os.path.basename(each["file"]) for each in payload["config"]] == [
        *("nginx.conf", "http.conf", "a.conf", "b.conf", "one.conf", "two.conf", "more.conf")
    ]
    assert plain(Dump(main, single=True).payload()) == plain(crossplane.parse(main, single=True))


def test_single_file_does_not_miss_what_it_does_not_open(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text("events {}\nhttp { include nowhere.conf; }\n")
    assert plain(Dump(str(path), single=True).payload()) == plain(crossplane.parse(str(path), single=True))


def test_strict(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text("events {}\nhttp { proxy_passs a; }\n")
    ours, theirs = Dump(str(path), strict=True).payload(), crossplane.parse(str(path), strict=True)
    assert ours["errors"] == theirs["errors"]
    assert ours["config"][0]["parsed"][1]["block"][0]["directive"] == "proxy_passs"  # a fault takes nothing away


DIFFERENT = {
    "escapes": ('http { log_format m "a\\n\\\\b"; }', "a\n\\b", "a\\n\\\\b"),
    "a variable in braces ends no word": ("http { server { try_files /a/${uri} /b =404; } }", "/a/${uri}", "/a/${uri} /b"),
}
"""nginx's reading of a word, and crossplane's."""


@pytest.mark.parametrize("name", DIFFERENT)
def test_words_are_nginx_s(name: str, tmp_path: Path) -> None:
    text, ours, theirs = DIFFERENT[name]
    path = tmp_path / "nginx.conf"
    path.write_text(text)

    def words(payload: dict[str, Any]) -> list[str]:
        block = payload["config"][0]["parsed"][0]["block"][0]
        args: list[str] = (block["block"][0] if "block" in block else block)["args"]
        return args

    assert ours in words(Dump(str(path)).payload())
    assert theirs in words(crossplane.parse(str(path)))


FAULTS = {
    "a wrong number of arguments": ("user;\nevents {}\n", 'invalid number of arguments in "user" directive'),
    "no semicolon": ("http { server { location / { proxy_pass http://a } } }\n", 'unexpected "}"'),
    "a wrong level": ("events {}\nlisten 80;\n", '"listen" directive is not allowed here'),
    "no end": ("events {\n", 'unexpected end of file, expecting "}"'),
    "quotes that end inside a word": ("http { add_header 'a'b c; }\n", 'unexpected "b"'),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_have_nginx_s_words_and_take_nothing_away(name: str, tmp_path: Path) -> None:
    text, message = FAULTS[name]
    path = tmp_path / "nginx.conf"
    path.write_text(text)
    payload = Dump(str(path)).payload()
    assert payload["status"] == "failed" and payload["errors"][0]["error"].startswith(message)
    assert payload["config"][0]["parsed"][0]["directive"] == text.split()[0].rstrip(";")


def test_comments_between_words(tmp_path: Path) -> None:
    """They come behind their directive, each with its own line; crossplane gives them the directive's."""
    path = tmp_path / "nginx.conf"
    path.write_text("http {\n    log_format # one\n        m # two\n        '$a';\n}\n")
    block = Dump(str(path), comments=True).payload()["config"][0]["parsed"][0]["block"]
    assert [(each["directive"], each["line"]) for each in block] == [("log_format", 2), ("#", 2), ("#", 3)]
    theirs = crossplane.parse(str(path), comments=True)["config"][0]["parsed"][0]["block"]
    assert [(each["directive"], each["line"]) for each in theirs] == [("log_format", 2), ("#", 2), ("#", 2)]


def unescaped(value: Any) -> Any:
    """What crossplane read, with nginx's escapes."""
    if isinstance(value, dict):
        return {key: unescaped(each) for key, each in value.items()}
    if isinstance(value, list):
        return [unescaped(each) for each in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"\\([\"'\\trn])", lambda found: {"t": "\t", "r": "\r", "n": "\n"}.get(found[1], found[1]), value)


def test_real_configurations() -> None:
    """Whatever nginx can read, crossplane reads in the same way."""
    beside = Path(os.environ.get("GENG_CORPUS", ROOT.parent / "shared" / "corpus")) / "files"
    files = [path for path in sorted(beside.glob("*/*")) if path.is_file()]
    files += sorted((ROOT / "examples").glob("*/*.conf"))
    compared = 0
    for path in files:
        ours = plain(Dump(str(path), single=True).payload())
        if any("unexpected" in each["error"] or "terminated" in each["error"] for each in ours["errors"]):
            continue
        if not path.read_bytes().isascii() or "comments-between-args" in path.name:
            continue
        theirs = plain(crossplane.parse(str(path), single=True, check_ctx=False, check_args=False))
        parsed = [each["parsed"] for each in theirs["config"]]
        assert [each["parsed"] for each in ours["config"]] in (parsed, unescaped(parsed)), path
        compared += 1
    assert compared >= 5
