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
MODES = {"off": OFF, "on": ON, "always": ALWAYS}


class GzipStaticConf(Conf, level=Level.LOCATION):
    """Whether a location looks for them."""

    enable: int = directive("gzip_static", HSL, enum(MODES), default=OFF)


def link(loc: CoreLoc) -> Handler | None:
    """The handler of *loc*, where it looks for them; it declines what static serves as it is."""
    mode = loc[GzipStaticConf].enable
    return None if mode == OFF else serving(loc, mode == ALWAYS, b"gzip", b".gz", gzip_ok(loc))


def serving(loc: CoreLoc, always: bool, encoding: bytes, suffix: bytes, accepts: Callable[[Request], bool]) -> Handler:
    """A handler that serves the file with *suffix* to clients that take *encoding* (*accepts*), or to all."""
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


module = Module(
    name="http_gzip_static",
    configure_flag="--with-http_gzip_static_module",
    confs=(GzipStaticConf,),
    handlers={Phase.CONTENT: link},
)
