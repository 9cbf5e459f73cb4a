"""`degradation`: a worker that has grown too large turns requests away.   nginx: ngx_http_degradation_module.c

What nginx measures, the end of its heap (sbrk), says nothing about a Python process, which gets its memory otherwise: here
it is the memory that the worker has to itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from geng.conf.convert import enum
from geng.conf.directive import Conf, Level, command, directive, value
from geng.conf.tables import HSL, HTTP
from geng.core import clock
from geng.core.values import BadValue, parse_size
from geng.errors import Invalid
from geng.http.module import DECLINED, Module, Phase

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.module import Handler
    from geng.http.request import Request

PAGE = os.sysconf("SC_PAGE_SIZE")


class DegradationMain(Conf, level=Level.MAIN):
    """From how many bytes on a worker is degraded; 0: never."""

    size: int = value(0)

    @command("degradation", HTTP)
    def set_size(self, cf: Cf) -> None:
        """`degradation sbrk=size`"""
        word = cf.args[0]
        if not word.startswith("sbrk="):
            raise Invalid(f'invalid parameter "{word}"')
        try:
            self.size = parse_size(word[5:])
        except BadValue:
            raise Invalid(f'invalid sbrk size "{word}"') from None


class DegradationConf(Conf, level=Level.LOCATION):
    """What a degraded worker answers with here; 0: with what it always does."""

    degrade: int = directive("degrade", HSL, enum({"204": 204, "444": 444}), default=0)


class Measured:
    """The worker's memory, looked at once a second."""

    def __init__(self) -> None:
        self.second = 0
        self.bytes = 0

    def exceeds(self, r: Request, limit: int) -> bool:
        now = clock.seconds()
        fresh = now != self.second
        if fresh:
            self.second, self.bytes = now, own_memory()
        if self.bytes < limit:
            return False
        if fresh:
            r.log.notice(f"degradation sbrk:{self.bytes // (1024 * 1024)}M", ctx=r.c)
        return True


def own_memory() -> int:
    """Bytes of this process that are in memory and not shared with others."""
    with open("/proc/self/statm", "rb") as file:
        _, resident, shared, *_ = map(int, file.read().split())
    return (resident - shared) * PAGE


measured = Measured()


def degraded(loc: CoreLoc) -> Callable[[Request], bool]:
    """Whether the worker is degraded, by the limit that is set for it."""
    limit = loc.main.confs[DegradationMain].size
    return lambda r: bool(limit) and measured.exceeds(r, limit)


def link(loc: CoreLoc) -> Handler | None:
    """The check of one location, where it says what to answer."""
    status = loc[DegradationConf].degrade
    if not status or not loc.main.confs[DegradationMain].size:
        return None
    test = degraded(loc)
    return lambda r: status if test(r) else DECLINED


module = Module(
    name="http_degradation",
    configure_flag="--with-http_degradation_module",
    confs=(DegradationMain, DegradationConf),
    handlers={Phase.PREACCESS: link},
)
