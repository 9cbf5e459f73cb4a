"""`gzip`: answers compressed on their way out.   nginx: ngx_http_gzip_filter_module.c.   RFC 1952"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from geng.conf.convert import bounded, bufs, flag, size
from geng.conf.directive import Conf, Level, directive
from geng.conf.tables import HSL, HSLL
from geng.http.encoding import gzip_ok
from geng.http.module import Module, Variable
from geng.http.types import HTML, mime_types
from geng.modules.http import degradation
from geng.modules.http.compressing import Deflate, compressing, power, ratio_of

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.module import Filter
    from geng.http.request import Request


def optional(name: str) -> Any:
    """A module that may be missing: None then."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


isal_zlib = optional("isal.isal_zlib")
zlib_ng = optional("zlib_ng.zlib_ng")

PAGE = 4096
MAX_WBITS = 15
MAX_MEM_LEVEL = 9
WINDOW_SPARE = 262  # bytes by which zlib's window is smaller than its name says


window = power(9, MAX_WBITS, "512, 1k, 2k, 4k, 8k, 16k, or 32k")
hashes = power(1, MAX_MEM_LEVEL, "512, 1k, 2k, 4k, 8k, 16k, 32k, 64k, or 128k", shift=8)


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
    start = compressor(conf.comp_level)

    def deflate(length: int) -> Deflate:
        wbits, memory = sizes(conf, length)
        return start(wbits + 16, memory)

    return compressing(conf, b"gzip", _accepted(loc), deflate, zlib.Z_SYNC_FLUSH)


def _accepted(loc: CoreLoc) -> Callable[[Request], bool]:
    """gzip_ok(), and `gzip_disable degradation`."""
    ok = gzip_ok(loc)
    if "degradation" not in (loc.gzip_disable or ()):
        return ok
    degraded = degradation.degraded(loc)
    return lambda r: ok(r) and not degraded(r)


def compressor(level: int) -> Callable[[int, int], Deflate]:
    """What makes a compressor for gzip_comp_level *level*, given zlib's window bits and memory level.

    The extra `deflate` brings two libraries that are as good and faster; docs/benchmarks.md has the figures.
    """
    if level == 1 and isal_zlib is not None:
        # its own level 1 is zlib's in what it saves; it knows no memory level
        return lambda wbits, memory: isal_zlib.compressobj(1, zlib.DEFLATED, wbits)
    library: Any = zlib if level == 1 or zlib_ng is None else zlib_ng
    return lambda wbits, memory: library.compressobj(level, zlib.DEFLATED, wbits, memory)


def sizes(conf: GzipConf, length: int) -> tuple[int, int]:
    """(window bits, memory level): no more than a body of *length* bytes can use."""
    wbits, level = conf.window, conf.hash
    if length > 0:
        while length < (1 << (wbits - 1)) - WINDOW_SPARE:
            wbits -= 1
            level -= 1
    return wbits, max(level, 1)


module = Module(
    name="http_gzip_filter",
    confs=(GzipConf,),
    variables=(Variable("gzip_ratio", ratio_of(GzipConf)),),
    header_filter=link,
    below_postpone=True,
)
