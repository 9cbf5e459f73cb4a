"""What limit_req and limit_conn have in common: `…_zone key zone=name:size`, and the levels they log at.

nginx: ngx_http_limit_req_module.c, ngx_http_limit_conn_module.c
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from geng.conf.convert import bounded, enum
from geng.core.table import SharedTable
from geng.core.values import BadValue, parse_size
from geng.core.zone import PAGE, Zone
from geng.errors import ConfigError, Invalid
from geng.http.script import Value, compile_value

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.request import Request

LEVELS = enum({"info": "info", "notice": "notice", "warn": "warn", "error": "error"})
STATUS = bounded(400, 599)
LEAST = 8 * PAGE


class Counted:
    """What a zone counts by; `zone.data`. *rate*: thousandths of a request per second, for limit_req."""

    __slots__ = ("key", "rate", "table", "words")

    def __init__(self, key: Value, words: int, rate: int = 0) -> None:
        self.key = key
        self.words = words
        self.rate = rate
        self.table: SharedTable = None  # type: ignore[assignment]  # until the zone is mapped

    def __repr__(self) -> str:
        return f"<Counted {self.key.text} {self.table!r}>"


def declare(cf: Cf, tag: str, size: int, rate: Callable[[str], int] | None = None) -> tuple[Zone, Counted]:
    """The zone of `key zone=name:size [rate=rate]`, the rate where *rate* reads one; raises Invalid in nginx's words."""
    key, *words = cf.args
    counted = Counted(compile_value(cf, key), size)
    name, zone_size = "", 0
    for word in words:
        if word.startswith("zone="):
            name, zone_size = _zone(word)
        elif word.startswith("rate=") and rate is not None:
            counted.rate = rate(word)
        else:
            raise Invalid(f'invalid parameter "{word}"')
    if not name:
        raise Invalid(f'"{cf.node.name}" must have "zone" parameter')
    zone = cf.cycle.zones.add(name, zone_size, tag)
    if isinstance(zone.data, Counted):
        raise Invalid(f'{cf.node.name} "{name}" is already bound to key "{zone.data.key.text}"')
    zone.data = counted
    zone.init = _mapped(counted, "limit_req" if rate is not None else cf.node.name)
    return zone, counted


def _zone(word: str) -> tuple[str, int]:
    name, colon, text = word[5:].partition(":")
    try:
        if not colon:
            raise BadValue
        size = parse_size(text)
    except BadValue:
        raise Invalid(f'invalid zone size "{word}"') from None
    if size < LEAST:
        raise Invalid(f'zone "{word}" is too small')
    return name, size


def _mapped(counted: Counted, directive: str) -> Any:
    def init(zone: Zone, before: Zone | None) -> None:
        if before is not None and before.data.key.text != counted.key.text:
            raise ConfigError(
                f'{directive} "{zone.name}" uses the "{counted.key.text}" key while previously it used the '
                f'"{before.data.key.text}" key'
            )
        zone.data = counted  # of this configuration, whatever the memory held before
        counted.table = SharedTable(zone, counted.words)

    return init


def key_of(r: Request, counted: Counted, most: int) -> bytes:
    """What *r* is counted by; b"" for not at all."""
    key = counted.key(r)
    if len(key) > most:
        shown = key.decode("utf-8", "surrogateescape")
        r.log.error(f'the value of the "{counted.key.text}" key is more than {most} bytes: "{shown}"', ctx=r.c)
        return b""
    return key
