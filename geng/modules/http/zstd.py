"""`zstd`, `zstd_static`: answers compressed by Zstandard, with the directives of tokers/zstd-nginx-module.   RFC 8878

Not one of nginx's own modules: `geng -t --as-nginx` knows it only where the configuration loads it. Compressing needs
the library zstandard: `pip install geng[zstd]`. As there, gzip's conditions (gzip_proxied …) do not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.convert import bounded, bufs, size
from geng.conf.directive import Conf, Level, directive, value
from geng.conf.tables import HSL, HSLL
from geng.http.encoding import takes
from geng.http.module import Module, Variable
from geng.http.types import HTML, mime_types
from geng.modules.http.compressing import Deflate, compressing, flag_needing, ratio_of
from geng.modules.http.gzip_static import precompressed

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.module import Filter

BEST = 22  # ZSTD_maxCLevel()


class ZstdConf(Conf, level=Level.LOCATION):
    """How a location compresses; zstd_buffers says how nginx hands pieces on, see gzip_buffers."""

    enable: bool = directive("zstd", HSLL, flag_needing("zstd", "zstandard"), default=False, args="flag")
    buffers: tuple[int, int] = directive("zstd_buffers", HSL, bufs, default=(32, 4096), args="2")
    types: frozenset[bytes] = directive("zstd_types", HSL, mime_types(HTML), default=HTML, args="1+")
    comp_level: int = directive("zstd_comp_level", HSL, bounded(1, BEST), default=1)
    min_length: int = directive("zstd_min_length", HSL, size, default=20)
    postpone: int = value(0)


def link(loc: CoreLoc) -> Filter | None:
    conf = loc[ZstdConf]
    if not conf.enable:
        return None
    import zstandard

    library = zstandard.ZstdCompressor(level=conf.comp_level)
    sized = zstandard.ZstdCompressor(level=conf.comp_level, write_content_size=True)

    def start(length: int) -> Deflate:
        made: Deflate = sized.compressobj(size=length) if length > 0 else library.compressobj()
        return made

    return compressing(conf, b"zstd", takes(b"zstd"), start, zstandard.COMPRESSOBJ_FLUSH_BLOCK)


filter_module = Module(
    name="http_zstd_filter",
    confs=(ZstdConf,),
    variables=(Variable("zstd_ratio", ratio_of(ZstdConf)),),
    header_filter=link,
    below_postpone=True,
)
static_module = precompressed("zstd", b"zstd", b".zst", lambda loc: takes(b"zstd"))
