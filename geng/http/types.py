"""The MIME types that a filter handles: `gzip_types`, `sub_filter_types` and their like.

nginx: ngx_http.c (ngx_http_types_slot, ngx_http_merge_types), ngx_http_core_module.c (ngx_http_test_content_type),
ngx_http_upstream.c (ngx_http_upstream_copy_content_type)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from geng.conf.convert import to_bytes

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.response import ResponseOut

HTML = frozenset((b"text/html",))
MOST_KNOWN = 200


class Any(frozenset[bytes]):
    """What `*` means: every type, and an answer without one as well."""


ANY = Any()


class mime_types:  # noqa: N801 - stands among converters
    """`text/css application/json` or `*`, in addition to *default*: a frozenset, or ANY."""

    takes_cf = True
    extends = True

    def __init__(self, default: frozenset[bytes] = HTML) -> None:
        self.default = default

    def __call__(self, cf: Cf, *words: str, have: frozenset[bytes] | None = None) -> frozenset[bytes]:
        if have is ANY:
            return ANY
        types = set(self.default if have is None else have)
        for word in words:
            if word == "*":
                return ANY
            kind = to_bytes(word).lower()
            if kind in types:
                cf.warn(f'duplicate MIME type "{kind.decode("utf-8", "surrogateescape")}"')
            types.add(kind)
            cf.scope.mime_types.append(kind)
        return frozenset(types)


def split_charset(content_type: bytes) -> tuple[bytes, bytes]:
    """A Content-Type without its charset parameter, and that: b"text/html", b"utf-8". Other parameters stay."""
    at = content_type.find(b";")
    while at >= 0:
        start = at + 1
        while content_type[start : start + 1] == b" ":
            start += 1
        if content_type[start : start + 8].lower() == b"charset=":
            charset = content_type[start + 8 :]
            return content_type[:at], charset.removeprefix(b'"').removesuffix(b'"')
        at = content_type.find(b";", start)
    return content_type, b""


def tester(types: frozenset[bytes]) -> Callable[[ResponseOut], bool]:
    """Whether an answer is of one of *types*, whatever the case of its letters and its charset."""
    if types is ANY:
        return lambda out: True

    known = KnownTypes(types)
    return lambda out: known.has(out.content_type)


class KnownTypes:
    """Which Content-Types are among *types*, whatever the case of their letters and their charset.

    What was found is kept as it came, for the few that a site has.
    """

    __slots__ = ("found", "types")

    def __init__(self, types: frozenset[bytes]) -> None:
        self.types = types
        self.found: dict[bytes, bool] = {}

    def __repr__(self) -> str:
        return f"<KnownTypes {len(self.types)}, asked for {len(self.found)}>"

    def has(self, content_type: bytes) -> bool:
        found = self.found.get(content_type)
        if found is None:
            found = split_charset(content_type)[0].lower() in self.types
            if len(self.found) < MOST_KNOWN:  # a backend may make up parameters
                self.found[content_type] = found
        return found
