"""`flv`: Flash video from a byte on, by `?start=`.   nginx: ngx_http_flv_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.directive import Conf, Level, command
from geng.conf.tables import LOC
from geng.core.values import BadValue, atoi
from geng.hot.uri import arg
from geng.http.conf import CoreLoc
from geng.http.files import OpenFile
from geng.http.filters import FileSlice
from geng.http.module import Module
from geng.modules.http.static import serving_parts

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

    def flv(r: Request, of: OpenFile, path: bytes) -> list[Any]:
        start = _start(r, of.size)
        parts: list[Any] = [HEADER] if start else []
        if of.size:
            parts.append(FileSlice(of.fd, start, of.size - start))
        return parts

    return serving_parts(loc, flv)


def _start(r: Request, size: int) -> int:
    told = arg(r.args, b"start") if r.args else None
    if told is None:
        return 0
    try:
        start = atoi(told)
    except BadValue:
        return 0
    return start if start < size else 0


module = Module(name="http_flv", configure_flag="--with-http_flv_module", confs=(FlvConf,))
