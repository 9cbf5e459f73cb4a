"""What a location tells its application about each request: fastcgi_param and its like, and the client's header lines.

nginx: ngx_http_upstream.c (ngx_http_upstream_param_set_slot), ngx_http_fastcgi_module.c (ngx_http_fastcgi_init_params,
…create_request), which the other protocols repeat
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_bytes
from geng.errors import Invalid
from geng.upstream import caching

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.request import Request

Pair = Callable[[bytes, bytes], bytes]
"""How a protocol writes a name and its value."""

Getter = Callable[["Request"], "bytes | None"]

PREFIX = b"HTTP_"


class Param:
    """One parameter. *value*: a text with variables, *literal* where it has none; or a getter."""

    __slots__ = ("if_not_empty", "literal", "name", "value")

    def __init__(self, name: bytes, value: Any, if_not_empty: bool) -> None:
        self.name = name
        self.value = value
        self.if_not_empty = if_not_empty
        self.literal: bytes | None = getattr(value, "literal", None)

    def __repr__(self) -> str:
        return f"<Param {self.name!r}>"

    def getter(self) -> Getter:
        """What gives its value; final once the configuration has been linked."""
        get: Getter = getattr(self.value, "fn", self.value)
        return get


Given = tuple[str, str, bool]
"""As in the configuration: name, text, if not empty."""


def param(name: str, text: str, *words: str) -> Given:
    """`name value [if_not_empty]`   nginx: ngx_http_upstream_param_set_slot"""
    if words and words[0] != "if_not_empty":
        raise Invalid(f'invalid parameter "{words[0]}"')
    return name, text, bool(words)


def compiled(cf: Cf, given: Sequence[Given]) -> Sequence[Param]:
    """The values compiled: as late as nginx does it, and once for all that inherit them.

    nginx: ngx_http_fastcgi_init_params
    """
    known: dict[int, Any] = cf.scope.header_lines
    found = known.get(id(given))
    if found is None:
        made = [Param(to_bytes(name), cf.scope.value(cf, text), if_not_empty) for name, text, if_not_empty in given]
        found = known[id(given)] = (given, made)
    params: Sequence[Param] = found[1]
    return params


def _nothing(r: Request) -> bytes:
    return b""


def defaults(cf: Cf) -> list[Param]:
    """What every application is told, unless the configuration says otherwise."""
    return [Param(b"HTTP_HOST", cf.scope.value(cf, "$host$is_request_port$request_port"), True)]


#: The same where the response shall be cached: the whole of it is asked for, or whether the stored one is good.
CACHE_DEFAULTS = (
    Param(b"HTTP_IF_MODIFIED_SINCE", caching.last_modified_of, True),
    Param(b"HTTP_IF_UNMODIFIED_SINCE", _nothing, True),
    Param(b"HTTP_IF_NONE_MATCH", caching.etag_of, True),
    Param(b"HTTP_IF_MATCH", _nothing, True),
    Param(b"HTTP_RANGE", _nothing, True),
    Param(b"HTTP_IF_RANGE", _nothing, True),
)


@lru_cache(maxsize=1024)
def http_name(lower: bytes) -> bytes:
    """b"HTTP_USER_AGENT" for b"user-agent"."""
    return PREFIX + lower.upper().replace(b"-", b"_")


class Params:
    """All parameters of one location: `make(r)` gives their pairs, joined."""

    __slots__ = ("items", "pair", "pass_headers", "skipped")

    def __init__(self, pair: Pair, given: Sequence[Param], more: Iterable[Param], pass_headers: bool) -> None:
        self.pair = pair
        self.pass_headers = pass_headers
        known = {param.name.lower() for param in given}
        all_of_them = [*given, *(param for param in more if param.name.lower() not in known)]
        #: header lines that a parameter takes the place of, as their names are in b"HTTP_…", in lower case
        self.skipped = frozenset(
            param.name[len(PREFIX) :].lower()
            for param in all_of_them
            if param.name.startswith(PREFIX) and len(param.name) > len(PREFIX)
        )
        self.items = self._items(all_of_them)

    def __repr__(self) -> str:
        return f"<Params {len(self.items)}{'' if self.pass_headers else ', no headers'}>"

    def _items(self, params: Iterable[Param]) -> list[Any]:
        """What make() goes through: bytes that are ready, and (name, getter, if not empty)."""
        items: list[Any] = []
        for param in params:
            if param.literal is None:
                items.append((param.name, param.getter(), param.if_not_empty))
                continue
            if not param.literal and (param.if_not_empty or self._only_skips(param)):
                continue
            ready = self.pair(param.name, param.literal)
            if items and isinstance(items[-1], bytes):
                items[-1] += ready
            else:
                items.append(ready)
        return items

    @staticmethod
    def _only_skips(param: Param) -> bool:
        """`fastcgi_param HTTP_X "";` keeps a header line away and sends nothing."""
        return param.name.startswith(PREFIX) and len(param.name) > len(PREFIX)

    def make(self, r: Request) -> bytes:
        """The pairs for *r*."""
        pair = self.pair
        out: list[bytes] = []
        for item in self.items:
            if type(item) is bytes:
                out.append(item)
                continue
            name, get, if_not_empty = item
            value = get(r) or b""
            if value or not if_not_empty:
                out.append(pair(name, value))
        if self.pass_headers:
            self._headers(r, out)
        return b"".join(out)

    def _headers(self, r: Request, out: list[bytes]) -> None:
        """The client's header lines, those of one name in one."""
        lines: dict[bytes, bytes] = {}
        for name, value in r.head.items():
            lower = name.lower()
            if lower in lines:
                value = lines[lower] + (b"; " if lower == b"cookie" else b", ") + value
            lines[lower] = value
        pair = self.pair
        skipped = self.skipped
        for lower, value in lines.items():
            if lower.replace(b"-", b"_") not in skipped:
                out.append(pair(http_name(lower), value))
