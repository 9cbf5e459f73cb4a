"""`gzip_static`: a file that lies there compressed already.   nginx: ngx_http_gzip_static_module.c"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from geng.conf.convert import enum
from geng.conf.directive import Conf, Level, directive
from geng.conf.tables import HSL
from geng.hot.http1 import GET, HEAD
from geng.http.encoding import gzip_ok
from geng.http.files import FORBIDDEN, MISSING, mapper, opener, shown
from geng.http.module import DECLINED, DONE, OK, Handler, Module, Phase
from geng.modules.http.static import send_file

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.request import Request

OFF, ON, ALWAYS = range(3)
Accepts = Callable[["CoreLoc"], Callable[["Request"], bool]]
MODES = {"off": OFF, "on": ON, "always": ALWAYS}


def precompressed(name: str, encoding: bytes, suffix: bytes, accepts: Accepts, flag: str = "") -> Module:
    """The module of `NAME_static`: serves the file with *suffix* to clients that take *encoding*, as *accepts(loc)* knows.

    *flag*: nginx's configure option for it.
    """

    class StaticConf(Conf, level=Level.LOCATION):
        """Whether a location looks for them."""

        enable: int = directive(f"{name}_static", HSL, enum(MODES), default=OFF)

    def link(loc: CoreLoc) -> Handler | None:
        mode = loc[StaticConf].enable
        return None if mode == OFF else serving(loc, mode == ALWAYS, encoding, suffix, accepts(loc))

    return Module(name=f"http_{name}_static", configure_flag=flag, confs=(StaticConf,), handlers={Phase.CONTENT: link})


def serving(loc: CoreLoc, always: bool, encoding: bytes, suffix: bytes, accepts: Callable[[Request], bool]) -> Handler:
    """A handler that serves the file with *suffix* to clients that *accepts(r)*, or to all, and declines the rest."""
    vary = loc.gzip_vary
    etag = loc.etag
    path_of = mapper(loc)
    open_file = opener(loc)

    def static(r: Request) -> int:
        if not r.method_id & (GET | HEAD) or r.uri[-1:] == b"/":
            return DECLINED
        wanted = always or accepts(r)
        if not wanted and not vary:
            return DECLINED
        path = path_of(r) + suffix
        of = open_file(r, path)
        if of.err:
            if of.err not in MISSING:
                level = "error" if of.err in FORBIDDEN else "crit"
                r.log.log(level, f'{of.failed} "{shown(path)}" failed', err=of.err, ctx=r.c)
            return DECLINED
        if not always:
            r.out.vary = True
            if not wanted:
                return DECLINED
        if of.is_dir:
            return DECLINED
        if not of.is_file:
            r.log.crit(f'"{shown(path)}" is not a regular file', ctx=r.c)
            return 404
        r.root_tested = not r.error_page
        rc = r.discard_body()
        if rc != OK:
            return rc
        r.out.content_type = r.type_of_uri()
        r.out.content_encoding = encoding
        send_file(r, of, etag)
        return DONE

    return static


module = precompressed("gzip", b"gzip", b".gz", gzip_ok, "--with-http_gzip_static_module")
