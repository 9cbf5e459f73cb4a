"""Subrequests: another URI served as a part of a request, its body into the request's own, into memory or nowhere.

nginx: ngx_http_core_module.c (ngx_http_subrequest)
They run at once, in the greenlet of their parent; background ones in another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenlet import getcurrent

from geng.errors import GengError
from geng.http import phases
from geng.http.module import OK
from geng.http.request import MAX_SUBREQUESTS, MAX_URI_CHANGES, Request

if TYPE_CHECKING:
    from geng.http.module import Handler


class SubrequestsCycle(GengError):
    """Too many subrequests of one request (already logged)."""


def make(
    r: Request, uri: bytes, args: bytes = b"", *, memory: bool = False, background: bool = False, clone: bool = False
) -> Request:
    """A subrequest of *r*, not started. *clone*: r once more, in its location; run it with that one's content handler.

    Raises SubrequestsCycle.
    """
    main = r.main
    if r.depth > MAX_SUBREQUESTS or main.subrequests <= 0:
        shown = uri.decode("utf-8", "surrogateescape")
        if r.depth > MAX_SUBREQUESTS:
            r.log.error(f'subrequests cycle while processing "{shown}"', ctx=r.c)
        else:
            r.log.crit(f'request reference counter overflow while processing "{shown}"', ctx=r.c)
        raise SubrequestsCycle
    main.subrequests -= 1
    sub = Request(r.c, r.hc, r.head, r.srv.default.hot, r.start_msec)
    sub.main = main
    sub.parent = r
    sub.depth = r.depth + 1
    sub.vars = r.vars
    sub.uri = uri
    sub.args = args
    sub.internal = True
    sub.valid_unparsed_uri = False
    sub.expect_tested = True
    sub.body = r.body
    sub.discarded = r.discarded
    sub.uri_changes = MAX_URI_CHANGES + 1
    sub.content_length_n = r.content_length_n
    sub.chunked_body = r.chunked_body
    if clone:
        sub.set_method(r.method)
        sub.loc, sub.hot, sub.log = r.loc, r.hot, r.log
        sub.valid_location = r.valid_location
        sub.captures = r.captures
        sub.valid_unparsed_uri = r.valid_unparsed_uri
    else:
        sub.set_method(b"GET")
    sub.memory = [] if memory else None
    sub.background = background
    return sub


def run(sub: Request, handler: Handler | None = None) -> Request:
    """Serve *sub* to its end, by its location or by *handler*."""
    main = sub.main
    before, main.current = main.current, sub
    try:
        if handler is None:
            phases.use_location(sub, sub.loc)
            phases.run(sub)
            if sub.on_result is not None and sub.header_sent:
                sub.on_result(sub, OK)
        else:
            phases.finalize(sub, handler(sub))
    finally:
        main.current = before
        end(sub)
    return sub


def end(sub: Request) -> None:
    """*sub* is over: log it where the location wants that; its cleanups go to the main request."""
    if sub.loc.log_subrequest and not sub.logged:
        for log in sub.loc.log_handlers:
            log(sub)
    sub.logged = True
    if sub.cleanups is not None:
        for cleanup in sub.cleanups:
            sub.main.on_end(cleanup)
        sub.cleanups = None


def start_background(sub: Request, handler: Handler | None = None) -> None:
    """Serve *sub* in a greenlet of its own, as run() does; the main request does not end before it."""
    main = sub.main
    main.backgrounds += 1

    def work() -> None:
        try:
            run(sub, handler)
        finally:
            main.backgrounds -= 1
            waiting = main.waits_for_backgrounds
            if main.backgrounds == 0 and waiting is not None:
                main.waits_for_backgrounds = None
                sub.c.hub.call_soon(waiting.switch)

    sub.c.hub.spawn(work)


def wait_for_backgrounds(r: Request) -> None:
    """Park until the background subrequests of *r* are over."""
    if r.backgrounds:
        r.waits_for_backgrounds = getcurrent()
        r.c.hub.park()
