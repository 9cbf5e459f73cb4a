"""Unknown directives: nginx's words, then where the directive comes from and what geng has in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from geng.conf import tables, thirdparty
from geng.conf.syntax import parse
from geng.errors import ConfigError
from geng.process.cycle import Cycle, Options

PYTHON = "a module written in Python (load_module)"


class Log:
    def log(self, level: str, message: str, **_: object) -> None:
        """Warnings are of no interest here."""


def refused(folder: Path, text: str) -> ConfigError:
    (folder / "nginx.conf").write_text(text)
    with pytest.raises(ConfigError) as caught:
        Cycle(Options(prefix=str(folder), conf="nginx.conf", test=True), Log()).read()  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize(
    ("name", "note"),
    [
        (
            "content_by_lua_block",
            '"content_by_lua_block" is a directive of ngx_http_lua_module (openresty/lua-nginx-module), which geng does not'
            f" have; geng offers {PYTHON} instead",
        ),
        (
            "more_set_headers",
            '"more_set_headers" is a directive of headers-more-nginx-module (openresty/headers-more-nginx-module), which'
            " geng does not have; geng offers add_header, proxy_set_header and proxy_hide_header instead",
        ),
        ("rtmp", '"rtmp" is a directive of nginx-rtmp-module (arut/nginx-rtmp-module), which geng does not have'),
        (
            "brotli",
            '"brotli" is a directive of ngx_brotli (google/ngx_brotli), which geng has and nginx does not',
        ),
        ("no_such_thing", ""),
    ],
)
def test_note(name: str, note: str) -> None:
    assert thirdparty.explain(name) == note


def test_nothing_that_nginx_knows_is_listed() -> None:
    names = [word for line in thirdparty.KNOWN.splitlines() if line.startswith(" ") for word in line.split()]
    assert len(names) == len(set(names))
    assert not [name for name in names if tables.entries(name)]


def test_first_nginx_then_the_note(tmp_path: Path) -> None:
    error = refused(tmp_path, "events {}\nhttp {\n  more_set_headers a;\n}\n")
    assert str(error) == f'unknown directive "more_set_headers" in {tmp_path}/nginx.conf:3'
    assert error.note.startswith('"more_set_headers" is a directive of headers-more-nginx-module (openresty/')


def test_other_faults_have_no_note(tmp_path: Path) -> None:
    assert refused(tmp_path, "events {}\nhttp {\n  more_set_headers\n}\n").note == ""
    assert refused(tmp_path, "events {}\nhttp {\n  gzip maybe;\n}\n").note == ""


LUA = b"""http {
    init_by_lua_block {
        local text = "}" .. '{' -- } { ' "
        --[[ } ]] if text then return [==[ } ]==] end
    }
    server {
        location / { content_by_lua_block { ngx.say("it's; { fine") } }
        location /b { return 204; }
    }
}
"""


def test_lua_is_one_raw_block_and_what_follows_is_read_as_ever() -> None:
    http = parse(LUA, "nginx.conf")[0]
    init, server = http.block  # type: ignore[union-attr]
    assert (init.name, init.line, init.end_line) == ("init_by_lua_block", 2, 5)
    first, second = server.block
    assert first.block[0].raw == b""" ngx.say("it's; { fine") """
    assert (second.args, second.block[0].name, second.line) == (("/b",), "return", 8)


def test_lua_is_refused_where_its_block_begins(tmp_path: Path) -> None:
    error = refused(tmp_path, "events {}\n" + LUA.decode())
    assert str(error) == f'unknown directive "init_by_lua_block" in {tmp_path}/nginx.conf:3'
