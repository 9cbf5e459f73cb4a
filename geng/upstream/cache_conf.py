"""The directives of caches and of kept responses, for any protocol: proxy_cache…, fastcgi_cache…, proxy_store.

nginx: ngx_http_file_cache.c (…_set_slot, …_valid_set_slot), ngx_http_proxy_module.c (ngx_http_proxy_cache, …_store)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from geng.conf.convert import access, bitmask, complex_text, flag, msec, num, off, predicates
from geng.conf.directive import UNSET, Conf, Level, Merge, command, directive, inherit, value
from geng.conf.tables import HTTP, LOC, SRV
from geng.core.values import BadValue, atoi, parse_sec
from geng.errors import Invalid, Refused
from geng.hot.http1 import GET, HEAD, POST
from geng.upstream.cache_zone import NO_LIMIT, CacheZone, read_path

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

HSL = HTTP | SRV | LOC
METHODS = {"GET": GET, "HEAD": HEAD, "POST": POST}
ALWAYS_VALID = (200, 301, 302)
"""What proxy_cache_valid means without statuses."""


class _Valid:
    """`[code ...] time`, gathered over several directives: pairs of a status (0: any) and seconds."""

    takes_cf = True
    extends = True

    def __call__(self, cf: Cf, *words: str, have: tuple[tuple[int, int], ...] | None = None) -> tuple[tuple[int, int], ...]:
        *statuses, text = words
        try:
            seconds = parse_sec(text)
        except BadValue:
            raise Invalid(f'invalid time value "{text}"') from None
        wanted = [_status(word) for word in statuses] or ALWAYS_VALID
        return (have or ()) + tuple((status, seconds) for status in wanted)


def _status(word: str) -> int:
    if word == "any":
        return 0
    try:
        status = atoi(word)
    except BadValue:
        status = 0
    if not 100 <= status <= 599:
        raise Invalid(f'invalid status "{word}"')
    return status


#: attribute (and, behind the prefix, the directive's name) -> converter, default
TABLE: dict[str, tuple[Callable[..., Any], Any]] = {
    "cache_key": (complex_text, None),
    "cache_bypass": (predicates, ()),
    "no_cache": (predicates, ()),
    "cache_valid": (_Valid(), ()),
    "cache_min_uses": (num, 1),
    "cache_max_range_offset": (off, NO_LIMIT),
    "cache_methods": (bitmask(METHODS), 0),
    "cache_lock": (flag, False),
    "cache_lock_timeout": (msec, 5000),
    "cache_lock_age": (msec, 5000),
    "cache_revalidate": (flag, False),
    "cache_background_update": (flag, False),
    "store_access": (access, 0o600),
}

#: What a protocol without caches has in the place of all this.
WITHOUT: dict[str, Any] = {name: default for name, (_, default) in TABLE.items()} | {
    "cache": False,
    "cache_zone": None,
    "cache_value": None,
    "cache_use_stale": 0,
    "cache_convert_head": True,
    "store": False,
    "store_value": None,
}


def declare(cls: Any, prefix: str, use_stale: dict[str, int]) -> None:
    """Give a conf class the directives of *prefix*; called before Conf gathers them."""
    for attr, (convert, default) in TABLE.items():
        setattr(cls, attr, directive(f"{prefix}_{attr}", HSL, convert, default=default))
    cls.cache_use_stale = directive(f"{prefix}_cache_use_stale", HSL, bitmask(use_stale), default=0)
    cls.cache_convert_head = True
    if prefix == "proxy":
        cls.cache_convert_head = directive("proxy_cache_convert_head", HSL, flag, default=True)
    for attr in ("cache", "cache_zone", "cache_value"):
        setattr(cls, attr, value(None if attr != "cache" else False, _unless("cache", "store")))
    for attr in ("store", "store_value"):
        setattr(cls, attr, value(None if attr != "store" else False, _unless("store", "cache")))
    cls._set_cache = _command(f"{prefix}_cache", set_cache)
    cls._set_store = _command(f"{prefix}_store", set_store)


def _unless(this: str, other: str) -> Merge:
    """Inherited unless *this* was said here, or *other* is on here."""

    def rule(attr: str, child: Any, parent: Any) -> Any:
        if this in child.given or (other in child.given and getattr(child, other)):
            return getattr(child, attr)
        return inherit(attr, child, parent)

    return rule


def _command(name: str, function: Callable[[Any, Cf], None]) -> command:
    return command(name, HSL)(function)


def set_cache(conf: Any, cf: Cf) -> None:
    """`proxy_cache zone | off`"""
    if conf.cache is not UNSET:
        raise Refused("is duplicate")
    name = cf.args[0]
    conf.given.add("cache")
    conf.cache = name != "off"
    if not conf.cache:
        return
    if conf.store:
        raise Refused(f'is incompatible with "{conf.prefix}_store"')
    made = cf.scope.value(cf, name)
    if made.literal is None:
        conf.cache_value = made
    else:
        conf.cache_zone = cf.cycle.zones.add(name, 0, tag(conf))


def set_store(conf: Any, cf: Cf) -> None:
    """`proxy_store on | off | string`"""
    if conf.store is not UNSET:
        raise Refused("is duplicate")
    text = cf.args[0]
    conf.given.add("store")
    conf.store = text != "off"
    if not conf.store:
        return
    if not text:
        raise Invalid("empty path")
    if conf.cache:
        raise Refused(f'is incompatible with "{conf.prefix}_cache"')
    if text != "on":
        conf.store_value = cf.scope.value(cf, text)


def tag(conf: Any) -> str:
    """What zones of this protocol's caches are for."""
    return f"http_{conf.prefix}_cache"


def check(conf: Any, cf: Cf, off_bit: int, error_bit: int, nolive: int) -> None:
    """The rules that cross fields.   nginx: ngx_http_proxy_merge_loc_conf"""
    zone = conf.cache_zone
    if conf.cache and zone is not None and zone.data is None:
        raise Invalid(f'"{conf.prefix}_cache" zone "{zone.name}" is unknown')
    if conf.cache_use_stale & off_bit:
        conf.cache_use_stale = off_bit
    if conf.cache_use_stale & error_bit:
        conf.cache_use_stale |= nolive
    conf.cache_methods |= GET | HEAD


class CachePaths(Conf, level=Level.MAIN):
    """The base of the class that holds a protocol's caches; subclass it with `prefix=`."""

    prefix = ""

    def __init_subclass__(cls, prefix: str = "", **kwargs: Any) -> None:
        cls.prefix = prefix
        cls._add = command(f"{prefix}_cache_path", HTTP)(CachePaths.add)  # type: ignore[attr-defined]
        super().__init_subclass__(level=Level.MAIN, **kwargs)

    def __init__(self) -> None:
        super().__init__()
        self.caches: dict[str, CacheZone] = {}

    def add(self, cf: Cf) -> None:
        """`proxy_cache_path path [levels=levels] keys_zone=name:size …`"""
        made = read_path(cf, tag(self))
        self.caches[made.name] = made
        cf.cycle.caches.append(made)
