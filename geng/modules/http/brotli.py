"""`brotli`, `brotli_static`: answers compressed by Brotli, with the directives of google/ngx_brotli.   RFC 7932

Not one of nginx's own modules: `geng -t --as-nginx` knows it only where the configuration loads it. Compressing needs
the library brotli: `pip install geng[brotli]`. As there, gzip's conditions (gzip_proxied …) do not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import bounded, bufs, size
from geng.conf.directive import Conf, Level, directive, value
from geng.conf.tables import HSL, HSLL
from geng.http.encoding import takes
from geng.http.module import Module, Variable
from geng.http.types import HTML, mime_types
from geng.modules.http.compressing import Deflate, compressing, flag_needing, power, ratio_of
from geng.modules.http.gzip_static import precompressed

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.module import Filter

WINDOWS = "1k, 2k, 4k, 8k, 16k, 32k, 64k, 128k, 256k, 512k, 1m, 2m, 4m, 8m or 16m"


class BrotliConf(Conf, level=Level.LOCATION):
    """How a location compresses; brotli_buffers says how nginx hands pieces on, see gzip_buffers."""

    enable: bool = directive("brotli", HSLL, flag_needing("brotli", "brotli"), default=False, args="flag")
    buffers: tuple[int, int] = directive("brotli_buffers", HSL, bufs, default=(32, 4096), args="2")
    types: frozenset[bytes] = directive("brotli_types", HSL, mime_types(HTML), default=HTML, args="1+")
    comp_level: int = directive("brotli_comp_level", HSL, bounded(0, 11), default=6)
    window: int = directive("brotli_window", HSL, power(10, 24, WINDOWS), default=19)
    min_length: int = directive("brotli_min_length", HSL, size, default=20)
    postpone: int = value(0)


class Stream:
    """A brotli.Compressor that looks like zlib's."""

    __slots__ = ("brotli", "compress")

    def __init__(self, brotli: Any) -> None:
        self.brotli = brotli
        self.compress = brotli.process

    def flush(self, more: int = 0, /) -> bytes:
        """With *more*, everything so far is out; else it is the end."""
        made: bytes = self.brotli.flush() if more else self.brotli.finish()
        return made


def link(loc: CoreLoc) -> Filter | None:
    conf = loc[BrotliConf]
    if not conf.enable:
        return None
    import brotli

    def start(length: int) -> Deflate:
        return Stream(brotli.Compressor(quality=conf.comp_level, lgwin=conf.window))

    return compressing(conf, b"br", takes(b"br"), start, 1)


filter_module = Module(
    name="http_brotli_filter",
    confs=(BrotliConf,),
    variables=(Variable("brotli_ratio", ratio_of(BrotliConf)),),
    header_filter=link,
    below_postpone=True,
)
static_module = precompressed("brotli", b"br", b".br", lambda loc: takes(b"br"))
