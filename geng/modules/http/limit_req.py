"""`limit_req`: how many requests per second a key may make (a leaky bucket).   nginx: ngx_http_limit_req_module.c"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import HSL, HTTP
from geng.core import clock
from geng.core.values import BadValue, atoi
from geng.core.zone import Zone
from geng.errors import Invalid, Refused
from geng.http.limits import LEVELS, STATUS, Counted, declare, key_of
from geng.http.module import DECLINED, NOCACHEABLE, Handler, Module, Phase, Variable

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.request import Request

TAG = "http_limit_req"
VERDICT = " limit_req"  # in r.vars, for an internal redirect empties r.ctx: a request counts once
NO_DELAY = 1 << 60
EXCESS, LAST, COUNT = range(3)  # words of an entry: thousandths of a request, ms, requests being looked at
OK, BUSY, AGAIN, NO_ROOM = range(4)
SOFTER = {"error": "warn", "warn": "notice", "notice": "info", "info": "debug"}

_RATE = re.compile(r"([0-9]+)(?:r/([sm]))?")


class LimitReqMain(Conf, level=Level.MAIN):
    """The zones."""

    @command("limit_req_zone", HTTP)
    def add_zone(self, cf: Cf) -> None:
        """`limit_req_zone key zone=name:size rate=rate`"""
        declare(cf, TAG, 3, _rate)


def _rate(word: str) -> int:
    match = _RATE.fullmatch(word[5:])
    if match is None or not int(match[1]):
        raise Invalid(f'invalid rate "{word}"')
    return int(match[1]) * 1000 // (60 if match[2] == "m" else 1)


class Limit:
    """One `limit_req`; burst and delay in thousandths of a request."""

    __slots__ = ("burst", "delay", "zone")

    def __init__(self, zone: Zone, burst: int, delay: int) -> None:
        self.zone = zone
        self.burst = burst
        self.delay = delay


class LimitReqConf(Conf, level=Level.LOCATION):
    """The limits of a location: all are inherited, or none."""

    log_level: str = directive("limit_req_log_level", HSL, LEVELS, default="error")
    status: int = directive("limit_req_status", HSL, STATUS, default=503)
    dry_run: bool = directive("limit_req_dry_run", HSL, flag, default=False)
    limits: Any = value(())

    @command("limit_req", HSL)
    def add(self, cf: Cf) -> None:
        """`limit_req zone=name [burst=number] [nodelay | delay=number]`"""
        zone = None
        burst = delay = 0
        for word in cf.args:
            name, _, text = word.partition("=")
            if name == "zone" and text:
                zone = cf.cycle.zones.add(text, 0, TAG)
            elif name == "burst":
                burst = _number(text, f'invalid burst value "{word}"')
            elif name == "delay":
                delay = _number(text, f'invalid delay value "{word}"') * 1000
            elif word == "nodelay":
                delay = NO_DELAY
            else:
                raise Invalid(f'invalid parameter "{word}"')
        if zone is None:
            raise Invalid(f'"{cf.node.name}" must have "zone" parameter')
        limits = () if self.limits is UNSET else self.limits
        if any(limit.zone is zone for limit in limits):
            raise Refused("is duplicate")
        self.limits = (*limits, Limit(zone, burst * 1000, delay))


def _number(text: str, message: str) -> int:
    try:
        number = atoi(text)
    except BadValue:
        number = 0
    if number <= 0:
        raise Invalid(message)
    return number


# ---- counting


def _now_excess(slots: Any, at: int, rate: int, now: int) -> tuple[int, int]:
    """(the excess with one request more, ms since the last)."""
    ms = now - slots[at + LAST]
    if ms < -60000:
        ms = 1
    elif ms < 0:
        ms = 0
    return max(slots[at + EXCESS] - rate * ms // 1000 + 1000, 0), ms


def _look(limit: Limit, counted: Counted, key: bytes, now: int, account: bool) -> tuple[int, int, int]:
    """(OK, BUSY, AGAIN or NO_ROOM; excess; the entry, for AGAIN)   nginx: ngx_http_limit_req_lookup"""
    table = counted.table
    slots = table.slots
    with limit.zone.lock:
        at, new = table.find(key, lambda at: -1 if slots[at + COUNT] else slots[at + LAST])
        if not at:
            return NO_ROOM, 0, 0
        if new:
            slots[at + LAST] = now
            if account:
                return OK, 0, 0
            slots[at + COUNT] = 1
            return AGAIN, 0, at
        excess, ms = _now_excess(slots, at, counted.rate, now)
        if excess > limit.burst:
            return BUSY, excess, 0
        if account:
            slots[at + EXCESS] = excess
            if ms:
                slots[at + LAST] = now
            return OK, excess, 0
        slots[at + COUNT] += 1
        return AGAIN, excess, at


def _account(held: list[tuple[Limit, Counted, int]], now: int) -> list[tuple[Limit, Counted, int]]:
    """Count the request in the limits that had let it pass; (limit, its counter, excess) of each."""
    found = []
    for limit, counted, at in held:
        slots = counted.table.slots
        with limit.zone.lock:
            excess, ms = _now_excess(slots, at, counted.rate, now)
            if ms:
                slots[at + LAST] = now
            slots[at + EXCESS] = excess
            slots[at + COUNT] -= 1
        found.append((limit, counted, excess))
    return found


def _let_go(held: list[tuple[Limit, Counted, int]]) -> None:
    for limit, counted, at in held:
        with limit.zone.lock:
            counted.table.slots[at + COUNT] -= 1


def link(loc: CoreLoc) -> Handler | None:
    """The check of one location; nothing where it has no limits."""
    conf: LimitReqConf = loc[LimitReqConf]
    limits = conf.limits
    if not limits:
        return None
    dry = ", dry run" if conf.dry_run else ""

    def check(r: Request) -> int:
        main = r.main
        if VERDICT in main.vars:
            return DECLINED
        now = clock.msec()
        held: list[tuple[Limit, Counted, int]] = []
        delays: list[tuple[Limit, Counted, int]] = []
        asked = False
        for limit in limits:
            counted = limit.zone.data
            key = key_of(r, counted, 65535)
            if not key:
                continue
            asked = True
            rc, excess, at = _look(limit, counted, key, now, limit is limits[-1])
            if rc in (BUSY, NO_ROOM):
                _let_go(held)
                if rc == BUSY:
                    shown = f"excess: {excess // 1000}.{excess % 1000:03d}"
                    r.log.log(conf.log_level, f'limiting requests{dry}, {shown} by zone "{limit.zone.name}"', ctx=r.c)
                else:
                    r.log.alert(f'could not allocate node in limit_req zone "{limit.zone.name}"')
                main.vars[VERDICT] = b"REJECTED_DRY_RUN" if dry else b"REJECTED"
                return DECLINED if dry else conf.status
            if rc == AGAIN:
                held.append((limit, counted, at))
            else:
                delays.append((limit, counted, excess))
        if not asked:
            return DECLINED
        delays += _account(held, now)
        return _wait(r, conf, delays, dry)

    return check


def _wait(r: Request, conf: LimitReqConf, delays: list[tuple[Limit, Counted, int]], dry: str) -> int:
    """Hold the request back as long as the slowest of its limits asks."""
    longest = 0
    slowest = None
    for limit, counted, excess in delays:
        if excess > limit.delay:
            ms = (excess - limit.delay) * 1000 // counted.rate
            if ms > longest:
                longest, slowest = ms, (limit, excess)
    kept = r.main.vars
    if slowest is None:
        kept[VERDICT] = b"PASSED"
        return DECLINED
    limit, excess = slowest
    r.log.log(
        SOFTER[conf.log_level],
        f'delaying request{dry}, excess: {excess // 1000}.{excess % 1000:03d}, by zone "{limit.zone.name}"',
        ctx=r.c,
    )
    if dry:
        kept[VERDICT] = b"DELAYED_DRY_RUN"
        return DECLINED
    kept[VERDICT] = b"DELAYED"
    r.pause(longest)
    return DECLINED


module = Module(
    name="http_limit_req",
    confs=(LimitReqMain, LimitReqConf),
    variables=(Variable("limit_req_status", lambda r: r.main.vars.get(VERDICT), NOCACHEABLE),),
    handlers={Phase.PREACCESS: link},
)
