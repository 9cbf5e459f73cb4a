"""`add_header`, `add_trailer` and `expires`: lines of the configuration in the response's head and at its end.

nginx: ngx_http_headers_filter_module.c
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from geng.conf.convert import enum, to_bytes, to_text
from geng.conf.directive import UNSET, Conf, Level, command, directive, own, value
from geng.conf.tables import HSLL
from geng.core import clock
from geng.core.values import BadValue, parse_sec
from geng.errors import Invalid, Refused
from geng.hot.dates import http_time, parse_http_time
from geng.http.filters import Parts, Writer
from geng.http.module import Module
from geng.http.script import Value, compile_value

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.filters import Send
    from geng.http.module import Filter
    from geng.http.request import Request
    from geng.http.response import ResponseOut

SAFE = frozenset((200, 201, 204, 206, 301, 302, 303, 304, 307, 308))
"""Where lines are added without `always`."""

WITH_DATE = frozenset((200, 206, 304))
DAY = 24 * 60 * 60

INHERIT_OFF, INHERIT_ON, INHERIT_MERGE = range(3)
INHERIT = {"off": INHERIT_OFF, "on": INHERIT_ON, "merge": INHERIT_MERGE}

OFF, EPOCH, MAX, ACCESS, MODIFIED, DAILY = range(6)
FIXED = {"epoch": EPOCH, "max": MAX, "off": OFF}

EPOCH_LINES = (b"Thu, 01 Jan 1970 00:00:01 GMT", b"no-cache")
MAX_LINES = (b"Thu, 31 Dec 2037 23:55:55 GMT", b"max-age=315360000")


class Added:
    """One add_header or add_trailer."""

    __slots__ = ("always", "name", "value")

    def __init__(self, name: bytes, value: Value, always: bool) -> None:
        self.name = name
        self.value = value
        self.always = always

    def __repr__(self) -> str:
        return f"<Added {self.name.decode('latin-1')}: {self.value.text}{' always' if self.always else ''}>"


class Expires:
    """One `expires`: its kind and seconds, or a text that will say them."""

    __slots__ = ("kind", "seconds", "value")

    def __init__(self, kind: int, seconds: int, value: Value | None = None) -> None:
        self.kind = kind
        self.seconds = seconds
        self.value = value

    def __repr__(self) -> str:
        return f"<Expires kind {self.kind}, {self.value.text if self.value else self.seconds}>"


def read_expires(text: str, kind: int) -> tuple[int, int]:
    """(kind, seconds) that `expires` *text* means; *kind*: ACCESS or MODIFIED. Raises Refused."""
    if kind != MODIFIED and text in FIXED:
        return FIXED[text], 0
    sign = text[:1]
    if sign == "@":
        if kind == MODIFIED:
            raise Refused('daily time cannot be used with "modified" parameter')
        kind = DAILY
    try:
        seconds = parse_sec(text[1:] if sign in ("@", "+", "-") else text)
    except BadValue:
        raise Refused("invalid value") from None
    if kind == DAILY and seconds > DAY:
        raise Refused("daily time value must be less than 24 hours")
    return kind, -seconds if sign == "-" else seconds


class HeadersConf(Conf, level=Level.LOCATION):
    """What a location adds."""

    headers: list[Added] = value(UNSET, own)
    trailers: list[Added] = value(UNSET, own)
    headers_inherit: int = directive("add_header_inherit", HSLL, enum(INHERIT), default=INHERIT_ON)
    trailers_inherit: int = directive("add_trailer_inherit", HSLL, enum(INHERIT), default=INHERIT_ON)
    expires: Expires | None = value(None)

    @command("add_header", HSLL)
    def add_header(self, cf: Cf) -> None:
        """`add_header name value [always]`"""
        self.headers = _added(cf, self.headers)

    @command("add_trailer", HSLL)
    def add_trailer(self, cf: Cf) -> None:
        """`add_trailer name value [always]`"""
        self.trailers = _added(cf, self.trailers)

    @command("expires", HSLL)
    def set_expires(self, cf: Cf) -> None:
        """`expires [modified] time | epoch | max | off`"""
        if self.expires is not UNSET:
            raise Refused("is duplicate")
        *first, text = cf.args
        if first and first[0] != "modified":
            raise Refused("invalid value")
        kind = MODIFIED if first else ACCESS
        compiled = compile_value(cf, text)
        if compiled.literal is None:
            self.expires = Expires(kind, 0, compiled)
        else:
            self.expires = Expires(*read_expires(text, kind))

    def merge(self, cf: Cf, parent: HeadersConf) -> None:
        super().merge(cf, parent)
        self.headers = _merged(self.headers, parent.headers, self.headers_inherit)
        self.trailers = _merged(self.trailers, parent.trailers, self.trailers_inherit)

    def check(self, cf: Cf) -> None:
        self.headers = self.headers or []
        self.trailers = self.trailers or []


def _added(cf: Cf, known: list[Added]) -> list[Added]:
    name, text, *more = cf.args
    made = compile_value(cf, text)
    if more and more[0] != "always":
        raise Invalid(f'invalid parameter "{more[0]}"')
    one = Added(to_bytes(name), made, bool(more))
    return [one] if known is UNSET else [*known, one]


def _merged(own_ones: list[Added], parents: list[Added], mode: int) -> list[Added]:
    if mode is not UNSET and mode == INHERIT_OFF:
        return own_ones
    if own_ones is UNSET:
        return parents
    return own_ones + parents if mode == INHERIT_MERGE and parents is not UNSET else own_ones


# ---- linking

Change = Callable[["Request", "ResponseOut"], None]

if TYPE_CHECKING:  # what is done to a head: lines that are always the same, one with a variable, something of its own
    Step = list[tuple[bytes, bytes]] | Added | Change


def link(loc: CoreLoc) -> Filter | None:
    """The filter, where the location adds anything."""
    conf = loc[HeadersConf]
    expires = conf.expires
    if expires is not None and expires.kind == OFF:
        expires = None
    if expires is None and not conf.headers and not conf.trailers:
        return None
    in_safe = changes(conf.headers)
    in_any = changes([one for one in conf.headers if one.always])
    set_expires = expires_setter(expires) if expires is not None else None
    if set_expires is not None:
        in_safe = (set_expires, *in_safe)
    trailers_safe = tuple((one.name, one.value.fn) for one in conf.trailers)
    trailers_any = tuple((one.name, one.value.fn) for one in conf.trailers if one.always)

    added = Lines(in_safe, in_any)
    if not conf.trailers:
        return added.send

    def headers(r: Request, next: Send) -> Writer:
        if r.main is not r:
            return next(r)
        trailers = trailers_safe if r.out.status in SAFE else trailers_any
        if not trailers:
            return added.send(r, next)
        r.out.expect_trailers = True
        inner = added.send(r, next)
        return inner if r.header_only else Trailers(inner, r, trailers)

    return headers


class Lines:
    """The filter of a location that adds to heads: *in_safe* to those of SAFE statuses, *in_any* to others."""

    __slots__ = ("in_any", "in_safe")

    def __init__(self, in_safe: tuple[Step, ...], in_any: tuple[Step, ...]) -> None:
        self.in_safe = in_safe
        self.in_any = in_any

    def __repr__(self) -> str:
        return f"<Lines {len(self.in_safe)} steps, {len(self.in_any)} for any status>"

    def send(self, r: Request, next: Send) -> Writer:
        if r.main is r:
            out = r.out
            for step in self.in_safe if out.status in SAFE else self.in_any:
                if isinstance(step, list):
                    out.headers += step
                elif isinstance(step, Added):
                    one = step
                    made = one.value.fn(r)
                    if made:
                        out.headers.append((one.name, made))
                else:
                    step(r, out)
        return next(r)


def changes(added: list[Added]) -> tuple[Step, ...]:
    """What to do to a head; neighbours that are always the same lines are added in one step."""
    steps: list[Step] = []
    lines: list[tuple[bytes, bytes]] = []
    for one in added:
        setter = SETTERS.get(one.name.lower())
        literal = one.value.literal
        if setter is None and literal is not None:
            if literal:
                lines.append((one.name, literal))
            continue
        if lines:
            steps.append(lines)
            lines = []
        steps.append(setter(one) if setter is not None else one)
    if lines:
        steps.append(lines)
    return tuple(steps)


def _set_last_modified(one: Added) -> Change:
    name, make = one.name, one.value.fn

    def change(r: Request, out: ResponseOut) -> None:
        made = make(r)
        out.last_modified = parse_http_time(made) if made else -1
        out.last_modified_text = made
        if made and out.status not in WITH_DATE:
            out.set(name, made)

    return change


def _set_etag(one: Added) -> Change:
    make = one.value.fn

    def change(r: Request, out: ResponseOut) -> None:
        out.etag = make(r)

    return change


SETTERS: dict[bytes, Callable[[Added], Change]] = {b"last-modified": _set_last_modified, b"etag": _set_etag}


# ---- expires


def expires_setter(expires: Expires) -> Change:
    """What sets Expires and Cache-Control."""
    value = expires.value
    if value is None:
        return _constant_expires(expires)

    def change(r: Request, out: ResponseOut) -> None:
        try:
            kind, seconds = read_expires(to_text(value.fn(r)), expires.kind)
        except Refused:
            return
        if kind != OFF:
            _put(out, *expires_lines(kind, seconds, out.last_modified))

    return change


def _constant_expires(expires: Expires) -> Change:
    kind, seconds = expires.kind, expires.seconds
    known_second = -1
    known = (b"", b"")

    def change(r: Request, out: ResponseOut) -> None:
        nonlocal known_second, known
        if kind == MODIFIED and out.last_modified != -1:
            _put(out, *expires_lines(kind, seconds, out.last_modified))
            return
        now = clock.seconds()
        if now != known_second:
            known_second, known = now, expires_lines(kind, seconds, -1)
        _put(out, *known)

    return change


def expires_lines(kind: int, seconds: int, last_modified: int) -> tuple[bytes, bytes]:
    """The values of Expires and Cache-Control."""
    if kind == EPOCH:
        return EPOCH_LINES
    if kind == MAX:
        return MAX_LINES
    if seconds == 0 and kind != DAILY:
        return clock.http_time(), b"max-age=0"
    now = clock.seconds()
    if kind == DAILY:
        at = next_time(seconds, now)
        age = at - now
    elif kind == ACCESS or last_modified == -1:
        age = seconds
        at = now + seconds
    else:
        at = last_modified + seconds
        age = at - now
    return http_time(at), b"no-cache" if (seconds < 0 and kind != DAILY) or age < 0 else b"max-age=%d" % age


def next_time(when: int, now: int) -> int:
    """The next time that the local clock shows *when* seconds after midnight (ngx_next_time)."""
    today = time.localtime(now)
    hour, minute, second = when // 3600, when // 60 % 60, when % 60
    at = int(time.mktime((today.tm_year, today.tm_mon, today.tm_mday, hour, minute, second, 0, 0, -1)))
    if at > now:
        return at
    return int(time.mktime((today.tm_year, today.tm_mon, today.tm_mday + 1, hour, minute, second, 0, 0, -1)))


def _put(out: ResponseOut, expires: bytes, cache_control: bytes) -> None:
    """Set both lines, in place of an upstream's."""
    passed = out.passed
    if passed is not None and (passed.get(b"expires") is not None or passed.get(b"cache-control") is not None):
        out.unfold()
    if out.headers:
        out.headers = [line for line in out.headers if line[0].lower() not in (b"expires", b"cache-control")]
    out.headers += ((b"Expires", expires), (b"Cache-Control", cache_control))


class Trailers(Writer):
    """Knows the trailers when the body is complete."""

    __slots__ = ("r", "trailers")

    def __init__(self, inner: Writer, r: Request, trailers: tuple[tuple[bytes, Callable[[Request], bytes]], ...]) -> None:
        self.inner = inner
        self.r = r
        self.trailers = trailers

    def write(self, parts: Parts, flush: bool = False) -> None:
        self.inner.write(parts, flush)

    def end(self) -> None:
        r = self.r
        for name, make in self.trailers:
            made = make(r)
            if made:
                r.out.trailers.append((name, made))
        self.inner.end()


module = Module(name="http_headers_filter", confs=(HeadersConf,), header_filter=link)
