"""Responses from the cache, and into it: what an exchange does where its location has a cache.

nginx: ngx_http_upstream.c (ngx_http_upstream_cache, …_cache_send, …_test_next, …_send_response)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import holds, to_text
from geng.core import clock
from geng.hot.http1 import DONE as HEAD_DONE
from geng.hot.http1 import HEAD
from geng.http import subrequest
from geng.http.filters import DISCARD, FileSlice, send_head
from geng.http.module import DONE
from geng.upstream.cache_access import FOUND, NO_ROOM, SCARCE, STALE, UPDATED_BY_OTHER, WAIT, CacheAccess
from geng.upstream.cache_file import header_start
from geng.upstream.cache_rules import judge
from geng.upstream.cache_zone import NO_LIMIT
from geng.upstream.conf import UPDATING
from geng.upstream.storing import CacheKeeper, Storing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geng.hot.http1 import ResponseHead
    from geng.http.filters import Writer
    from geng.http.request import Request
    from geng.net.connection import Connection
    from geng.upstream.cache_zone import CacheZone
    from geng.upstream.engine import Exchange
    from geng.upstream.framing import Framing

# $upstream_cache_status
MISS, BYPASS, EXPIRED, IS_STALE, IS_UPDATING, REVALIDATED, HIT = (
    b"MISS", b"BYPASS", b"EXPIRED", b"STALE", b"UPDATING", b"REVALIDATED", b"HIT",
)  # fmt: skip

GO_ON = -2  # the upstream is to be asked
INVALID = -3  # the stored response is broken
ROOM = 256  # what a buffer must have left for the head, beyond the key

WITH_VALIDATORS = (200, 206)


def begin(u: Exchange) -> int:
    """Before the upstream is asked: GO_ON, or the request's verdict."""
    r = u.r
    conf = u.conf
    if not r.method_id & conf.cache_methods:
        return GO_ON
    cache = _zone(u)
    if cache is None:
        return GO_ON
    if isinstance(cache, int):
        return cache
    if r.method_id == HEAD and conf.cache_convert_head:
        u.as_get = True
    key: bytes = conf.cache_key(r) if conf.cache_key is not None else u.adapter.cache_key(u)
    start = header_start(key)
    if start + ROOM > conf.buffer_size:
        least = -(-(start + ROOM) // 1024) * 1024
        r.log.error(
            f"{conf.prefix}_buffer_size {conf.buffer_size} is not enough for cache key,"
            f" it should be increased to at least {least}",
            ctx=r.c,
        )
        return GO_ON
    u.access = access = CacheAccess(r, cache, key, conf.cache_min_uses, conf.buffer_size)
    r.on_end(access.close)
    if conf.cache_bypass and holds(conf.cache_bypass, r):
        u.cache_status = BYPASS
        return GO_ON
    access.lock = conf.cache_lock
    access.lock_timeout = conf.cache_lock_timeout
    access.lock_age = conf.cache_lock_age
    u.cache_status = MISS
    return _look(u, access)


def _zone(u: Exchange) -> CacheZone | int | None:
    """The cache; None for `off`; a status where a variable names one that is not there."""
    conf = u.conf
    if conf.cache_zone is not None:
        found: CacheZone = conf.cache_zone.data
        return found
    r = u.r
    name: bytes = conf.cache_value(r)
    if name in (b"", b"off"):
        return None
    named = u.adapter.caches.get(to_text(name))
    if named is None:
        r.log.error(f'cache "{to_text(name)}" not found', ctx=r.c)
        return 500
    return named


def _look(u: Exchange, access: CacheAccess) -> int:
    r = u.r
    conf = u.conf
    outcome = access.look()
    while outcome == WAIT:
        access.wait()
        outcome = access.look()
    if outcome == NO_ROOM:
        return 500
    if outcome >= 300:
        u.cache_status = HIT
        return outcome
    may_update = bool(conf.cache_use_stale & UPDATING) or access.stale_updating
    if outcome == STALE and may_update and not r.background and conf.cache_background_update:
        u.cache_status = IS_STALE
        rc = send(u)
        if rc != INVALID:
            update_in_background(r, access)
            return rc
    elif outcome == UPDATED_BY_OTHER:
        if may_update and not r.background:
            u.cache_status = IS_UPDATING
            rc = send(u)
            if rc != INVALID:
                return rc
        outcome = STALE
    elif outcome == FOUND:
        u.cache_status = HIT
        rc = send(u)
        if rc != INVALID:
            return rc
        u.cache_status = MISS
    if outcome == STALE:
        header = access.header
        header.valid = header.updating = header.error = 0
        u.cache_status = EXPIRED
    elif outcome == SCARCE:
        access.cacheable = False
    if access.cacheable and not _range_fits(r, conf.cache_max_range_offset):
        access.cacheable = False
    return GO_ON


def _range_fits(r: Request, most: int) -> bool:
    """Whether a response to this Range may be fetched whole (proxy_cache_max_range_offset)."""
    value = r.head.range
    if value is None or most == NO_LIMIT:
        return True
    if most == 0:
        return False
    if len(value) < 7 or value[:6].lower() != b"bytes=":
        return True
    text = value[6:].lstrip(b" ")
    if text[:1] == b"-":
        return False
    digits = text[: len(text) - len(text.lstrip(b"0123456789"))]
    return bool(digits) and int(digits) < most


def update_in_background(r: Request, access: CacheAccess) -> None:
    """Have another request fetch what the client just got too old a copy of."""
    access.release()
    if r.main is r:
        r.preserve_body = True
    try:
        sub = subrequest.make(r, r.uri, r.args, background=True, clone=True)
    except subrequest.SubrequestsCycle:
        return
    sub.header_only = True
    subrequest.start_background(sub, r.hot.content_handler)


# ---- from the cache


def send(u: Exchange) -> int:
    """Answer with the stored response: the verdict, or INVALID."""
    r = u.r
    access = u.access
    assert access is not None
    header = access.header
    u.cached = True
    if header.header_start == header.body_start:
        r.out.status = 200
        r.out.headless = True
        r.keepalive = False
    else:
        data = access.data[header.header_start : header.body_start]
        head = u.adapter.parse_stored(u, data)
        if head.rc != HEAD_DONE:
            u.cached = False
            r.log.crit(f'cache file "{access.name}" contains invalid header', ctx=r.c)
            return INVALID
        u.head = head
        judge(access, head, u.conf.ignore_headers)
        to = u.adapter.rules.redirected_to(head)
        if to is not None:
            u.adapter.rules.accelerate(u, head)
            u.adapter.rules.take_along(r, head)
            u.redirect = to
            return DONE
        u.adapter.rules.apply(u, head)
    w = send_head(r)
    u.header_sent = True
    if not r.header_only:
        length = access.length - header.body_start
        if length > 0:
            w.write((FileSlice(access.fd, header.body_start, length),))
    w.end()
    return DONE


def send_stale(u: Exchange, status: bytes = IS_STALE) -> int:
    """The stored response instead of the one that failed."""
    u.cache_status = status
    rc = send(u)
    return 500 if rc == INVALID else rc


def stale_for(u: Exchange, reason: int) -> bool:
    """Whether the stored response shall serve, since the upstream failed with *reason*."""
    access = u.access
    if access is None or u.cache_status != EXPIRED:
        return False
    return bool(u.conf.cache_use_stale & reason) or access.stale_error


def revalidated(u: Exchange) -> int:
    """The upstream says 304: what is stored is good, and gets the new times."""
    access = u.access
    assert access is not None
    header = access.header
    now = clock.seconds()
    valid, updating, error = header.valid, header.updating, header.error
    head304 = u.head
    rc = send_stale(u, REVALIDATED)
    if not valid:
        valid, updating, error = header.valid, header.updating, header.error
    if not valid:
        status = u.head.status if u.head is not None and u.head is not head304 else 200
        life = valid_for(u.conf.cache_valid, status)
        if life:
            valid = now + life
    if valid:
        header.valid, header.updating, header.error = valid, updating, error
        header.date = now
        access.renew_header()
    return rc


def valid_for(rules: Sequence[tuple[int, int]], status: int) -> int:
    """Seconds that a response of *status* is good for, by proxy_cache_valid; 0: not to be stored."""
    for which, seconds in rules:
        if which in (0, status):
            return seconds
    return 0


# ---- into the cache


def settle(u: Exchange, access: CacheAccess, head: ResponseHead) -> None:
    """The response is about to be passed on: whether it is stored, and until when it is good."""
    r = u.r
    conf = u.conf
    if conf.no_cache and holds(conf.no_cache, r):
        access.cacheable = False
    elif u.cache_status == BYPASS:
        access.begin_bypassed()
    if not access.cacheable:
        return
    header = access.header
    now = clock.seconds()
    if not header.valid:
        life = valid_for(conf.cache_valid, head.status)
        if not life:
            access.cacheable = False
            return
        header.valid = now + life
    header.date = now
    header.last_modified, header.etag = -1, b""
    if head.status in WITH_VALIDATORS:
        header.last_modified = r.out.last_modified
        header.etag = head.etag or b""


def respond(u: Exchange, c: Connection, head: ResponseHead, data: bytes, framing: Framing, w: Writer) -> int:
    """Pass the response on, and store it where that is allowed."""
    access = u.access
    assert access is not None
    r = u.r
    if u.buffering and not u.upgrade and not r.post_action:
        access.close()  # of the response before
        settle(u, access, head)
        if access.cacheable:
            keeper = CacheKeeper.begin(u, access, data[u.adapter.head_start(u) : head.end])
            if keeper is not None:
                return Storing(u, c, DISCARD if r.header_only else w, framing, keeper).take(head, data)
    access.cacheable = False
    access.release()
    return u.pass_response(c, head, data, framing, w)


def intercepted(u: Exchange, status: int) -> None:
    """An error page takes the place of the response: the status may be cached."""
    access = u.access
    if access is None:
        return
    if access.cacheable:
        header = access.header
        if not header.valid:
            life = valid_for(u.conf.cache_valid, status)
            if life:
                header.valid = clock.seconds() + life
        if header.valid:
            access.error = status
    access.release()


def finish(u: Exchange, rc: int) -> None:
    """The exchange is over with *rc*."""
    access = u.access
    assert access is not None
    if access.cacheable and rc in (502, 504) and not u.header_sent:
        life = valid_for(u.conf.cache_valid, rc)
        if life:
            access.header.valid = clock.seconds() + life
            access.error = rc
    access.release()


# ---- variables


def status_of(r: Request) -> bytes | None:
    """$upstream_cache_status"""
    u = r.upstream
    return None if u is None else u.cache_status


def last_modified_of(r: Request) -> bytes | None:
    """$upstream_cache_last_modified: what a request that revalidates asks with."""
    access = _validating(r)
    if access is None or access.header.last_modified == -1:
        return None
    return clock.http_time_of(access.header.last_modified)


def etag_of(r: Request) -> bytes | None:
    """$upstream_cache_etag"""
    access = _validating(r)
    return None if access is None or not access.header.etag else access.header.etag


def _validating(r: Request) -> Any:
    u = r.upstream
    if u is None or u.access is None or not u.conf.cache_revalidate or u.cache_status != EXPIRED:
        return None
    return u.access
