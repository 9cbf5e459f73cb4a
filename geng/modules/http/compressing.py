"""What `gzip`, `brotli` and `zstd` share: which answers are compressed, and the writer that compresses them.

nginx: ngx_http_gzip_filter_module.c
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from geng.conf.convert import flag, size, with_cf
from geng.errors import Invalid, Refused
from geng.http.files import in_memory
from geng.http.filters import Parts, Writer
from geng.http.types import ANY, KnownTypes

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.filters import Send
    from geng.http.module import Filter
    from geng.http.request import Request

STATUSES = frozenset((200, 403, 404))


class Deflate(Protocol):
    """What zlib.compressobj() gives, and what other libraries are made to look like."""

    def compress(self, data: Any, /) -> bytes: ...

    def flush(self, mode: int = ..., /) -> bytes: ...


def flag_needing(extra: str, library: str) -> Callable[[Cf, str], bool]:
    """`on` or `off`; on is refused where *library*, which the *extra* installs, is missing."""

    @with_cf
    def convert(cf: Cf, word: str) -> bool:
        wanted = flag(cf, word)
        if wanted and find_spec(library) is None:
            raise Invalid(
                f'"{cf.node.name}" needs the library {library}, which is not installed (pip install geng[{extra}])'
            )
        return wanted

    return convert


def power(least: int, most: int, words: str, shift: int = 0) -> Callable[[str], int]:
    """A size that is a power of two, as the library's exponent, between *least* and *most*: the power less *shift*."""

    def convert(word: str) -> int:
        wanted = size(word)
        for exponent in range(least, most + 1):
            if wanted == 1 << exponent + shift:
                return exponent
        raise Refused(f"must be {words}")

    return convert


class CompressingConf(Protocol):
    """What the conf of such a module has."""

    types: frozenset[bytes]
    min_length: int
    buffers: tuple[int, int]
    postpone: int


def compressing(
    conf: CompressingConf,
    encoding: bytes,
    ok: Callable[[Request], bool],
    start: Callable[[int], Deflate],
    sync: int,
) -> Filter:
    """The filter for *conf*. *ok(r)*: whether the client takes it; *start(n)*: what compresses a body of *n* bytes (-1:
    nobody knows); *sync*: what its flush() is given to have everything out and go on."""
    types = None if conf.types is ANY else KnownTypes(conf.types)
    least = conf.min_length
    key = type(conf)

    def compress(r: Request, next: Send) -> Writer:
        if not worthwhile(r, types, least):
            return next(r)
        out = r.out
        out.vary = True
        if not ok(r):
            return next(r)
        length = out.content_length
        out.content_encoding = encoding
        out.clear_validators(weak=True)
        inner = next(r)
        if r.header_only:
            return inner
        writer = r.ctx[key] = Compressor(inner, r, conf, lambda: start(length), sync)
        return writer

    return compress


def worthwhile(r: Request, types: KnownTypes | None, least: int) -> bool:
    """Whether the answer is one to compress, if the client wants that; *types* None: of any type."""
    out = r.out
    return (
        out.status in STATUSES
        and not out.content_encoding
        and not -1 < out.content_length < least
        and (types is None or types.has(out.content_type))
        and not r.header_only
    )


class Compressor(Writer):
    """Compresses what is written; total_in and total_out count bytes."""

    __slots__ = ("deflate", "kept", "made", "postpone", "r", "size", "start", "sync", "total_in", "total_out")

    def __init__(self, inner: Writer, r: Request, conf: CompressingConf, start: Callable[[], Deflate], sync: int) -> None:
        self.inner = inner
        self.r = r
        self.start = start
        self.sync = sync
        self.deflate: Deflate | None = None
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
        deflate = self.deflate or self.begin()
        for data in in_memory(self.r, parts):
            self.total_in += len(data)
            self.take(deflate.compress(data))
        if flush:
            self.take(deflate.flush(self.sync))
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
        self.take((self.deflate or self.begin()).flush())
        self.deflate = None  # it is large
        self.inner.write(self.made)
        self.inner.end()

    def begin(self) -> Deflate:
        self.deflate = made = self.start()
        return made

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


def ratio_of(key: Any) -> Callable[[Request], bytes | None]:
    """$gzip_ratio and its like: how many times smaller it has become, to the hundredth."""

    def ratio(r: Request) -> bytes | None:
        writer = r.ctx.get(key)
        if writer is None or not writer.total_out:
            return None
        hundredths, rest = divmod(writer.total_in * 1000 // writer.total_out, 10)
        hundredths += rest > 4
        return b"%d.%02d" % divmod(hundredths, 100)

    return ratio
