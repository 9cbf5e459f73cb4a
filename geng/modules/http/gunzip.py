"""`gunzip`: compressed answers, expanded for clients that cannot do it.   nginx: ngx_http_gunzip_filter_module.c"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from geng.conf.convert import bufs, flag
from geng.conf.directive import Conf, Level, directive
from geng.conf.tables import HSL
from geng.http.encoding import gzip_ok
from geng.http.files import in_memory
from geng.http.filters import ClientGone, Parts, Writer
from geng.http.module import Module

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.filters import Send
    from geng.http.module import Filter
    from geng.http.request import Request

PAGE = 4096
GZIP_WBITS = 15 + 16


class GunzipConf(Conf, level=Level.LOCATION):
    """Whether a location expands, and into how much memory at a time."""

    enable: bool = directive("gunzip", HSL, flag, default=False)
    buffers: tuple[int, int] = directive("gunzip_buffers", HSL, bufs, default=((128 << 10) // PAGE, PAGE))


def link(loc: CoreLoc) -> Filter | None:
    """The filter of *loc*, if gunzip is on."""
    conf = loc[GunzipConf]
    if not conf.enable:
        return None
    accepts = gzip_ok(loc)
    number, size = conf.buffers

    def gunzip(r: Request, next: Send) -> Writer:
        out = r.out
        if out.content_encoding.lower() != b"gzip":
            return next(r)
        out.vary = True
        if accepts(r):
            return next(r)
        out.content_encoding = b""
        out.clear_validators(weak=True)
        inner = next(r)
        return inner if r.header_only else Expander(inner, r, number * size)

    return gunzip


class Expander(Writer):
    """Expands what is written, *most* bytes at a time."""

    __slots__ = ("inflate", "most", "r", "total_out")

    def __init__(self, inner: Writer, r: Request, most: int) -> None:
        self.inner = inner
        self.r = r
        self.most = most
        self.inflate = zlib.decompressobj(GZIP_WBITS)

    def write(self, parts: Parts, flush: bool = False) -> None:
        for data in in_memory(self.r, parts):
            self.expand(data)
        if flush:
            self.inner.write((), True)

    def end(self) -> None:
        if not self.inflate.eof:
            self.fail("inflate() returned -5 on response end")
        self.inner.end()

    def expand(self, data: bytes) -> None:
        """Members may follow each other (RFC 1952 2.2)."""
        while data:
            inflate = self.inflate
            if inflate.eof:
                inflate = self.inflate = zlib.decompressobj(GZIP_WBITS)
            try:
                made = inflate.decompress(data, self.most)
            except zlib.error:
                self.fail("inflate() failed: 0, -3")
            if made:
                self.inner.write((made,))
            data = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            if not data and len(made) == self.most and not inflate.eof:
                self.drain()

    def drain(self) -> None:
        """What zlib still holds though it has taken all of its input."""
        while True:
            made = self.inflate.decompress(b"", self.most)
            if not made:
                return
            self.inner.write((made,))

    def fail(self, message: str) -> None:
        """The answer cannot be completed: say so, and close."""
        r = self.r
        r.log.error(message, ctx=r.c)
        r.keepalive = False
        r.hc.broken = True
        raise ClientGone


module = Module(
    name="http_gunzip_filter",
    configure_flag="--with-http_gunzip_module",
    confs=(GunzipConf,),
    header_filter=link,
)
