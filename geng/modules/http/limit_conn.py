"""`limit_conn`: how many requests of a key may be served at the same time.   nginx: ngx_http_limit_conn_module.c"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import HSL, HTTP
from geng.core.values import BadValue, atoi
from geng.core.zone import Zone
from geng.errors import Invalid, Refused
from geng.http.limits import LEVELS, STATUS, Counted, declare, key_of
from geng.http.module import DECLINED, NOCACHEABLE, Handler, Module, Phase, Variable

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.request import Request

TAG = "http_limit_conn"
VERDICT = " limit_conn"  # in r.vars, for an internal redirect empties r.ctx: a request counts once
MOST = 65535


class LimitConnMain(Conf, level=Level.MAIN):
    """The zones."""

    tag = TAG

    @command("limit_conn_zone", HTTP)
    def add_zone(self, cf: Cf) -> None:
        """`limit_conn_zone key zone=name:size`"""
        declare(cf, self.tag, 1)


class LimitConnConf(Conf, level=Level.LOCATION):
    """The limits of a location, (zone, most): all are inherited, or none."""

    log_level: str = directive("limit_conn_log_level", HSL, LEVELS, default="error")
    status: int = directive("limit_conn_status", HSL, STATUS, default=503)
    dry_run: bool = directive("limit_conn_dry_run", HSL, flag, default=False)
    limits: Any = value(())
    tag = TAG

    @command("limit_conn", HSL)
    def add(self, cf: Cf) -> None:
        """`limit_conn zone number`"""
        name, text = cf.args
        zone = cf.cycle.zones.add(name, 0, self.tag)
        limits = () if self.limits is UNSET else self.limits
        if any(limit[0] is zone for limit in limits):
            raise Refused("is duplicate")
        try:
            most = atoi(text)
        except BadValue:
            most = 0
        if most <= 0:
            raise Invalid(f'invalid number of connections "{text}"')
        if most > MOST:
            raise Invalid("connection limit must be less 65536")
        self.limits = (*limits, (zone, most))


ENTERED, TOO_MANY, NO_ROOM = range(3)


def _enter(zone: Zone, counted: Counted, key: bytes, most: int) -> int:
    """Count one more of *key*: TOO_MANY when there are *most* already, NO_ROOM when the zone is full of others."""
    table = counted.table
    slots = table.slots
    with zone.lock:
        at, _ = table.find(key, lambda at: -1 if slots[at] else 0)
        if not at:
            return NO_ROOM
        if slots[at] >= most:
            return TOO_MANY
        slots[at] += 1
        return ENTERED


def _leave(zone: Zone, counted: Counted, key: bytes) -> None:
    table = counted.table
    with zone.lock:
        at, _ = table.find(key, lambda at: -1, create=False)
        if at:
            table.slots[at] -= 1
            if table.slots[at] <= 0:
                table.drop(at)


def _leave_all(held: list[tuple[Zone, Counted, bytes]]) -> None:
    for one in held:
        _leave(*one)


def link(loc: CoreLoc) -> Handler | None:
    """The check of one location; nothing where it has no limits."""
    return limiter(loc[LimitConnConf])


def limiter(conf: LimitConnConf, status: int = 0) -> Handler | None:
    """The check of *conf*'s limits, also of sessions; *status*: what refuses, in place of limit_conn_status."""
    limits = conf.limits
    refused = status or conf.status
    if not limits:
        return None
    dry = ", dry run," if conf.dry_run else ""

    def check(r: Request) -> int:
        main = r.main
        if VERDICT in main.vars:
            return DECLINED
        held: list[tuple[Zone, Counted, bytes]] = []
        for zone, most in limits:
            counted = zone.data
            key = key_of(r, counted, 255)
            if not key:
                continue
            main.vars[VERDICT] = b"PASSED"
            entered = _enter(zone, counted, key, most)
            if entered == ENTERED:
                held.append((zone, counted, key))
                continue
            _leave_all(held)
            if entered == NO_ROOM:
                r.log.crit(f'ngx_slab_alloc() failed: no memory in limit_conn_zone "{zone.name}"')
            else:
                r.log.log(conf.log_level, f'limiting connections{dry} by zone "{zone.name}"', ctx=r.c)
            main.vars[VERDICT] = b"REJECTED_DRY_RUN" if dry else b"REJECTED"
            return DECLINED if dry else refused
        if held:
            main.on_end(partial(_leave_all, held))
        return DECLINED

    return check


def shown_status(r: Request) -> bytes | None:
    """$limit_conn_status"""
    status: bytes | None = r.main.vars.get(VERDICT)
    return status


module = Module(
    name="http_limit_conn",
    confs=(LimitConnMain, LimitConnConf),
    variables=(Variable("limit_conn_status", shown_status, NOCACHEABLE),),
    handlers={Phase.PREACCESS: link},
)
