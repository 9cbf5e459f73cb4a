"""fastcgi_pass and what surrounds it: requests passed on to FastCGI applications.   nginx: ngx_http_fastcgi_module.c"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from geng.conf.compiler import Cf
from geng.conf.convert import flag, octets
from geng.conf.directive import command, directive, value
from geng.conf.tables import HTTP, LOC, SRV
from geng.core.regex import Pattern
from geng.errors import Invalid
from geng.http.module import NOCACHEABLE, Module, Variable
from geng.http.script import plain_regex
from geng.modules.http.cgi import ACCELERATION, CgiConf, serve
from geng.upstream.cache_conf import CachePaths
from geng.upstream.conf import HSL
from geng.upstream.fastcgi import FastcgiAdapter
from geng.wire.fastcgi import pair

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.module import Handler
    from geng.http.request import Request


class FastcgiCaches(CachePaths, prefix="fastcgi"):
    """What fastcgi_cache_path declares."""


def link(loc: CoreLoc) -> Handler:
    """The content handler of a location with fastcgi_pass."""
    conf = loc[FastcgiConf]
    target = conf.target
    assert target is not None
    adapter = FastcgiAdapter(loc, conf, conf.make_params(), target.value, conf.keep_conn, tuple(conf.catch_stderr))
    return serve(adapter, conf, target)


class FastcgiConf(CgiConf, prefix="fastcgi", without=("pass_trailers",)):
    """What one location says about its FastCGI application."""

    default_hide = (b"Status", *ACCELERATION)
    caches_class = FastcgiCaches
    pair = staticmethod(pair)
    link = staticmethod(link)

    index: bytes = directive("fastcgi_index", HSL, octets, default=b"")
    catch_stderr: Sequence[bytes] = directive("fastcgi_catch_stderr", HSL, octets, default=(), repeat=True)
    keep_conn: bool = directive("fastcgi_keep_conn", HSL, flag, default=False)
    split_path: Pattern | None = value(None)

    @command("fastcgi_split_path_info", HTTP | SRV | LOC)
    def set_split_path_info(self, cf: Cf) -> None:
        """`fastcgi_split_path_info regex`"""
        text = cf.args[0]
        pattern = plain_regex(text)
        if pattern.groups != 2:
            raise Invalid(f'pattern "{text}" must have 2 captures')
        self.split_path = pattern


# ---- variables


def split(r: Request) -> tuple[bytes, bytes]:
    """The URI as script name and path info.   nginx: ngx_http_fastcgi_split"""
    pattern = r.loc[FastcgiConf].split_path
    match = None if pattern is None else pattern.search(r.uri)
    if match is None:
        return r.uri, b""
    return match.group(1) or b"", match.group(2) or b""


def script_name(r: Request) -> bytes:
    """$fastcgi_script_name"""
    name, _ = split(r)
    return name + r.loc[FastcgiConf].index if name[-1:] == b"/" else name


def path_info(r: Request) -> bytes:
    """$fastcgi_path_info"""
    return split(r)[1]


module = Module(
    name="http_fastcgi",
    confs=(FastcgiCaches, FastcgiConf),
    variables=(
        Variable("fastcgi_script_name", script_name, NOCACHEABLE),
        Variable("fastcgi_path_info", path_info, NOCACHEABLE),
    ),
)
