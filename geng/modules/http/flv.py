"""`flv`: Flash video from a byte on, by `?start=`.   nginx: ngx_http_flv_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.directive import Conf, Level, command
from geng.conf.tables import LOC
from geng.core.values import BadValue, atoi
from geng.hot.http1 import GET, HEAD
from geng.hot.uri import arg
from geng.http.conf import CoreLoc
from geng.http.files import OpenFile, mapper, opener
from geng.http.filters import FileSlice
from geng.http.module import DECLINED, DONE, OK, Module
from geng.modules.http.static import failed

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.module import Handler
    from geng.http.request import Request

HEADER = b"FLV\x01\x05\0\0\0\x09\0\0\0\0"


class FlvConf(Conf, level=Level.LOCATION):
    """Nothing but the directive."""

    @command("flv", LOC)
    def flv(self, cf: Cf) -> None:
        """`flv`"""
        cf[CoreLoc].content = link


def link(loc: CoreLoc) -> Handler:
    """The handler of one location."""
    path_of = mapper(loc)
    open_file = opener(loc)
    etag = loc.etag

    def flv(r: Request) -> int:
        if not r.method_id & (GET | HEAD):
            return 405
        if r.uri[-1:] == b"/":
            return DECLINED
        rc = r.discard_body()
        if rc != OK:
            return rc
        path = path_of(r)
        of = open_file(r, path)
        if of.err:
            return failed(r, loc, of, path)
        if not of.is_file:
            return DECLINED
        r.root_tested = not r.error_page
        start = _start(r, of.size)
        parts: list[Any] = [HEADER] if start else []
        if of.size:
            parts.append(FileSlice(of.fd, start, of.size - start))
        return send(r, of, etag, parts)

    return flv


def _start(r: Request, size: int) -> int:
    told = arg(r.args, b"start") if r.args else None
    if told is None:
        return 0
    try:
        start = atoi(told)
    except BadValue:
        return 0
    return start if start < size else 0


def send(r: Request, of: OpenFile, etag: bool, parts: list[Any]) -> int:
    """*parts* of a file as the answer."""
    out = r.out
    out.status = 200
    out.content_length = sum(map(len, parts))
    out.last_modified = of.mtime
    if etag:
        out.etag = b'"%x-%x"' % (of.mtime, of.size)
    r.set_content_type()
    r.allow_ranges = True
    writer = r.send_head()
    if not r.header_only and parts:
        writer.write(parts)
    writer.end()
    return DONE


module = Module(name="http_flv", configure_flag="--with-http_flv_module", confs=(FlvConf,))
