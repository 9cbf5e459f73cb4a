"""`gzip`: answers compressed on their way out.   nginx: ngx_http_gzip_filter_module.c.   RFC 1952"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from geng.conf.convert import bounded, bufs, flag, size
from geng.conf.directive import Conf, Level, directive
from geng.conf.tables import HSL, HSLL
from geng.errors import Refused
from geng.http.encoding import gzip_ok
from geng.http.files import in_memory
from geng.http.filters import Parts, Writer
from geng.http.module import Module, Variable
from geng.http.types import HTML, mime_types, tester

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.filters import Send
    from geng.http.module import Filter
    from geng.http.request import Request

STATUSES = frozenset((200, 403, 404))
PAGE = 4096
MAX_WBITS = 15
MAX_MEM_LEVEL = 9
WINDOW_SPARE = 262  # bytes by which zlib's window is smaller than its name says


def _power(largest: int, most: int, words: str) -> Callable[[str], int]:
    """A size that is a power of two, as the exponent that zlib wants: *largest* is *most*."""

    def convert(word: str) -> int:
        wanted = size(word)
        power, exponent = largest, most
        while power > 256:
            if power == wanted:
                return exponent
            power >>= 1
            exponent -= 1
        raise Refused(f"must be {words}")

    return convert


window = _power(32 << 10, MAX_WBITS, "512, 1k, 2k, 4k, 8k, 16k, or 32k")
hashes = _power(128 << 10, MAX_MEM_LEVEL, "512, 1k, 2k, 4k, 8k, 16k, 32k, 64k, or 128k")


class GzipConf(Conf, level=Level.LOCATION):
    """How a location compresses. gzip_buffers and gzip_no_buffer say how nginx hands pieces on; here each piece that
    zlib gives goes on at once, in a buffer of its own size."""

    enable: bool = directive("gzip", HSLL, flag, default=False)
    buffers: tuple[int, int] = directive("gzip_buffers", HSL, bufs, default=((128 << 10) // PAGE, PAGE))
    types: frozenset[bytes] = directive("gzip_types", HSL, mime_types(HTML), default=HTML)
    comp_level: int = directive("gzip_comp_level", HSL, bounded(1, 9), default=1)
    window: int = directive("gzip_window", HSL, window, default=MAX_WBITS)
    hash: int = directive("gzip_hash", HSL, hashes, default=MAX_MEM_LEVEL - 1)
    postpone: int = directive("postpone_gzipping", HSL, size, default=0)
    no_buffer: bool = directive("gzip_no_buffer", HSL, flag, default=False)
    min_length: int = directive("gzip_min_length", HSL, size, default=20)


def link(loc: CoreLoc) -> Filter | None:
    """The filter of *loc*, if gzip is on."""
    conf = loc[GzipConf]
    if not conf.enable:
        return None
    of_type = tester(conf.types)
    ok = gzip_ok(loc)
    least = conf.min_length

    def gzip(r: Request, next: Send) -> Writer:
        out = r.out
        if (
            out.status not in STATUSES
            or out.content_encoding
            or -1 < out.content_length < least
            or not of_type(out)
            or r.header_only
        ):
            return next(r)
        out.vary = True
        if not ok(r):
            return next(r)
        length = out.content_length
        out.content_encoding = b"gzip"
        out.clear_validators(weak=True)
        inner = next(r)
        if r.header_only:
            return inner
        writer = r.ctx[GzipConf] = Compressor(inner, r, conf, length)
        return writer

    return gzip


def sizes(conf: GzipConf, length: int) -> tuple[int, int]:
    """(window bits, memory level): no more than a body of *length* bytes can use."""
    wbits, level = conf.window, conf.hash
    if length > 0:
        while length < (1 << (wbits - 1)) - WINDOW_SPARE:
            wbits -= 1
            level -= 1
    return wbits, max(level, 1)


class Compressor(Writer):
    """Compresses what is written; total_in and total_out count bytes."""

    __slots__ = ("deflate", "kept", "made", "make", "postpone", "r", "size", "total_in", "total_out")

    def __init__(self, inner: Writer, r: Request, conf: GzipConf, length: int) -> None:
        self.inner = inner
        self.r = r
        self.make = (conf.comp_level, *sizes(conf, length))
        self.deflate: Any = None
        self.postpone = conf.postpone
        self.kept: list[bytes] | None = [] if conf.postpone else None
        self.total_in = self.total_out = 0
        self.size = conf.buffers[1]
        self.made: list[bytes] = []  # compressed, less than a buffer

    def __repr__(self) -> str:
        return f"<Compressor {self.total_in} bytes in, {self.total_out} out>"

    def write(self, parts: Parts, flush: bool = False) -> None:
        if self.kept is not None:
            parts = self.buffer(parts, flush)
        deflate = self.deflate or self.start()
        for data in in_memory(self.r, parts):
            self.total_in += len(data)
            self.take(deflate.compress(data))
        if flush:
            self.take(deflate.flush(zlib.Z_SYNC_FLUSH))
        if flush or sum(map(len, self.made)) >= self.size:
            made, self.made = self.made, []
            self.inner.write(made, flush)

    def take(self, data: bytes) -> None:
        """Compressed bytes, which wait for more of them."""
        if data:
            self.total_out += len(data)
            self.made.append(data)

    def end(self) -> None:
        if self.kept:
            self.write((), False)
        self.take((self.deflate or self.start()).flush())
        self.inner.write(self.made)
        self.inner.end()

    def start(self) -> Any:
        level, wbits, memory = self.make
        self.deflate = zlib.compressobj(level, zlib.DEFLATED, wbits + 16, memory)
        return self.deflate

    def buffer(self, parts: Parts, flush: bool) -> Parts:
        """postpone_gzipping: keep the first bytes; what is to be compressed now."""
        kept = self.kept
        assert kept is not None
        if not parts and not flush:  # the end
            self.kept = None
            return kept
        kept.extend(in_memory(self.r, parts))
        if flush or sum(map(len, kept)) > self.postpone:
            self.kept = None
            return kept
        return ()


def ratio(r: Request) -> bytes | None:
    """$gzip_ratio: how many times smaller it has become, to the hundredth."""
    writer = r.ctx.get(GzipConf)
    if writer is None or not writer.total_out:
        return None
    hundredths, rest = divmod(writer.total_in * 1000 // writer.total_out, 10)
    hundredths += rest > 4
    return b"%d.%02d" % divmod(hundredths, 100)


module = Module(
    name="http_gzip_filter",
    confs=(GzipConf,),
    variables=(Variable("gzip_ratio", ratio),),
    header_filter=link,
    below_postpone=True,
)
