"""The eleven phases: linked per server and location to tuples of functions, and walked by requests.

nginx: ngx_http_core_module.c (ngx_http_core_run_phases and the checkers), ngx_http.c (ngx_http_init_phase_handlers),
ngx_http_request.c (ngx_http_finalize_request)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from geng.hot.http1 import CONNECT, MSIE6, POST, SAFARI
from geng.hot.uri import escape_uri
from geng.http import special, tls
from geng.http.filters import below_postpone, chain, subrequest_sink
from geng.http.linked import Linked
from geng.http.location import REDIRECT, find
from geng.http.module import CLOSE, DECLINED, DONE, ERROR, OK, Filter, Handler, Module, Phase
from geng.http.output import output
from geng.http.request import bind

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc, CoreSrv
    from geng.http.request import Request

# as C integers
_OK = OK
_DONE = DONE
_DECLINED = DECLINED
_REDIRECT = REDIRECT

Step = Callable[["Request"], int]
"""OK: go on; anything else ends the walk."""

# ---- linking


class Links:
    """What *modules* offer locations: links by phase, and filters. Those registered last come first, as in nginx."""

    __slots__ = ("filters", "phases")

    def __init__(self, modules: Sequence[Module]) -> None:
        self.phases = {
            phase: tuple(module.handlers[phase] for module in reversed(modules) if phase in module.handlers)
            for phase in Phase
        }
        self.filters = [
            (module.header_filter, module.below_postpone) for module in reversed(modules) if module.header_filter is not None
        ]


def link_server(srv: CoreSrv, links: Links) -> None:
    """Fill what a server and its locations do in each phase."""
    srv.post_read = _linked(srv.default, links, Phase.POST_READ)
    if srv.behind_tls:
        srv.post_read = (tls.check, *srv.post_read)
    srv.rewrite = _linked(srv.default, links, Phase.SERVER_REWRITE)
    for loc in _locations(srv.default):
        _link_location(loc, links)


def _locations(parent: CoreLoc) -> Iterator[CoreLoc]:
    yield parent
    for loc in parent.children:
        yield from _locations(loc)


def _linked(loc: CoreLoc, links: Links, phase: Phase) -> tuple[Handler, ...]:
    handlers = [link(loc) for link in links.phases[phase]]
    return tuple([handler for handler in handlers if handler is not None])


def _link_location(loc: CoreLoc, links: Links) -> None:
    loc.rewrite = _linked(loc, links, Phase.REWRITE)
    steps = [
        _generic(_linked(loc, links, Phase.PREACCESS)),
        _access(loc, _linked(loc, links, Phase.ACCESS)),
        _generic(_linked(loc, links, Phase.PRECONTENT)),
    ]
    loc.steps = tuple(step for step in steps if step is not None)
    loc.handlers = _linked(loc, links, Phase.CONTENT)
    loc.content_handler = loc.content(loc) if loc.content is not None else None
    if loc.nameless and loc.content_handler is None:
        loc.handlers = (_left_behind, *loc.handlers)
    loc.log_handlers = _linked(loc, links, Phase.LOG)
    tail = b"<hr><center>%s</center>\r\n</body>\r\n</html>\r\n"
    loc.page_tail = tail % loc.product
    upper: list[Filter] = []
    lower: list[Filter] = []
    for link, below in links.filters:
        linked = link(loc)
        if linked is not None:
            (lower if below else upper).append(linked)
    loc.send_head = chain(upper, below_postpone(chain(lower, output)) if upper or lower else output)
    loc.send_subhead = chain(upper, subrequest_sink)
    loc.hot = Linked(loc)


def _left_behind(r: Request) -> int:
    """In an `if` without a content handler, after another `if` that had one: nginx calls that one, with this `if`'s words.

    A handler that needs an upstream then finds none.
    """
    handler = r.left_handler
    if handler is None:
        return DECLINED
    if not hasattr(handler, "adapter"):
        return handler(r)
    r.log.alert("no upstream configuration", ctx=r.c)
    return 500


def _generic(handlers: tuple[Handler, ...]) -> Step | None:
    """The checker of preaccess and precontent: OK ends the phase, DECLINED asks the next."""
    if not handlers:
        return None

    def step(r: Request) -> int:
        for handler in handlers:
            rc = handler(r)
            if rc == OK:
                return OK
            if rc != DECLINED:
                return rc
        return OK

    return step


def _access(loc: CoreLoc, handlers: tuple[Handler, ...]) -> Step | None:
    """The access and post-access phases, by `satisfy`."""
    if not handlers:
        return None
    return _any_of(handlers, loc.auth_delay) if loc.satisfy else _all_of(handlers, loc.auth_delay)


def _all_of(handlers: tuple[Handler, ...], delay: int) -> Step:
    def step(r: Request) -> int:
        if r.main is not r:
            return OK
        for handler in handlers:
            rc = handler(r)
            if rc != OK and rc != DECLINED:
                if rc in (401, 407) and delay:
                    _delay(r, delay)
                return rc
        return OK

    return step


def _any_of(handlers: tuple[Handler, ...], delay: int) -> Step:
    def step(r: Request) -> int:
        if r.main is not r:
            return OK
        refused = 0
        for handler in handlers:
            rc = handler(r)
            if rc == DECLINED:
                continue
            if rc == OK:
                r.out.remove(b"Proxy-Authenticate" if r.method_id == CONNECT else b"WWW-Authenticate")
                return OK
            if rc not in (401, 403, 407):
                return rc
            if refused not in (401, 407):
                refused = rc
        if refused == 403:
            r.log.error("access forbidden by rule", ctx=r.c)
        if refused in (401, 407) and delay:
            _delay(r, delay)
        return refused

    return step


def _delay(r: Request, ms: int) -> None:
    """auth_delay: who guesses passwords has to wait for each answer; raises Abandoned when the client does not."""
    r.log.info("delaying unauthorized request", ctx=r.c)
    r.pause(ms)


# ---- walking


def run(r: Request) -> None:
    """Serve *r* from the server's rewrite phase to its end."""
    rc = DECLINED
    for handler in r.hot.server_rewrite:
        rc = handler(r)
        if rc != _DECLINED:
            break
    else:
        rc = find_config(r)
    if rc != _DONE:
        finalize(r, rc)


def find_config(r: Request) -> int:
    """From the search for the location to the content; as often as rewrites change the URI."""
    while True:
        r.uri_changed = False
        hot = r.hot
        r.loc = hot.default
        found = find(r, hot.search)
        hot = r.loc.hot
        if hot.internal and not r.internal:
            return 404
        enter(r, hot)
        if (r.content_length_n >= 0 or r.body is not None) and body_too_large(r):
            return 413
        if found == _REDIRECT:
            location = escape_uri(r.loc.prefix, 0)
            r.out.location = location + b"?" + r.args if r.args else location
            return 301
        rc = rewrite_location(r)
        if rc is not None:
            return rc


def body_too_large(r: Request) -> bool:
    """Whether client_max_body_size forbids the announced body, which is then being read away, or the one that is here."""
    limit = r.hot.client_max_body_size
    length = r.body.length if r.chunked_body and r.body is not None else r.content_length_n
    if not limit or length <= limit or r.discarded:
        return False
    r.log.error(f"client intended to send too large body: {length} bytes", ctx=r.c)
    r.expect_tested = True
    r.discard_body()
    return True


def rewrite_location(r: Request) -> int | None:
    """The rewrite phase of r.loc and what follows it; None when the URI was changed and the search begins anew."""
    for handler in r.hot.rewrite:
        rc = handler(r)
        if rc != _DECLINED:
            return rc
    if not r.uri_changed:
        return after_rewrite(r)
    r.uri_changes -= 1
    if r.uri_changes == 0:
        uri = r.uri.decode("utf-8", "surrogateescape")
        r.log.error(f'rewrite or internal redirection cycle while processing "{uri}"', ctx=r.c)
        return 500
    return None


def after_rewrite(r: Request) -> int:
    """Preaccess, access, precontent and content of r.loc."""
    for step in r.hot.steps:
        rc = step(r)
        if rc != _OK:
            return rc
    hot = r.hot
    handler = hot.content_handler
    if handler is not None:
        rc = handler(r)
        if rc != _DECLINED:
            return rc
    for handler in hot.handlers:
        rc = handler(r)
        if rc != _DECLINED:
            return rc
    if r.uri[-1:] == b"/":
        path = r.loc.path_of(r).decode("utf-8", "surrogateescape")
        r.log.error(f'directory index of "{path}" is forbidden', ctx=r.c)
        return 403
    r.log.error("no handler found", ctx=r.c)
    return 404


def use_location(r: Request, loc: CoreLoc) -> None:
    """Make *loc* the one that holds for *r* (ngx_http_update_location_config)."""
    enter(r, loc.hot)


def enter(r: Request, hot: Linked) -> None:
    """use_location(), with the location's Linked."""
    limit = hot.limit_except
    if limit is not None and not r.method_id & limit[0]:
        hot = limit[1].hot
    r.loc = hot.loc
    r.hot = hot
    r.log = hot.log
    if r.keepalive:
        _limit_keepalive(r, hot)


def _limit_keepalive(r: Request, hot: Linked) -> None:
    c = r.c
    disabled = hot.keepalive_disable
    if (
        hot.keepalive_timeout == 0
        or c.requests >= hot.keepalive_requests
        or r.start_msec - c.start_msec > hot.keepalive_time
    ):
        r.keepalive = False
    elif disabled & 6:
        browser = r.head.browser
        if (disabled & 2 and browser & MSIE6 and r.method_id == POST) or (disabled & 4 and browser & SAFARI):
            r.keepalive = False


# ---- ending


def finalize(r: Request, rc: int) -> None:
    """What a verdict means for the request (ngx_http_finalize_request)."""
    if r.main is not r and r.on_result is not None:
        rc = r.on_result(r, rc)
    while rc != DONE and rc != OK:
        if r.hc.broken or rc in (ERROR, 408, 499, CLOSE):
            terminate(r, rc)
            return
        if rc < 300 and rc not in (201, 204):
            return
        if r.header_sent:
            r.log.alert("header already sent", ctx=r.c)
            terminate(r, ERROR)
            return
        rc = special.respond(r, rc)


def terminate(r: Request, rc: int) -> None:
    """No answer any more: the connection will be closed (ngx_http_terminate_request)."""
    main = r.main
    main.keepalive = False
    main.hc.broken = True
    if rc == CLOSE:
        main.hc.timed_out = True
    if rc > 0 and (main.out.status == 0 or main.c.sent == 0):
        main.out.status = rc


def internal_redirect(r: Request, uri: bytes, args: bytes | None) -> int:
    """Serve another URI in r's place (ngx_http_internal_redirect)."""
    r.uri_changes -= 1
    if r.uri_changes == 0:
        shown = uri.decode("utf-8", "surrogateescape")
        r.log.error(f'rewrite or internal redirection cycle while internally redirecting to "{shown}"', ctx=r.c)
        finalize(r, 500)
        return DONE
    r.uri = uri
    r.args = args or b""
    r.ctx = {}
    r.internal = True
    r.valid_unparsed_uri = False
    r.valid_location = True
    r.loc = r.srv.default
    use_location(r, r.loc)
    run(r)
    return DONE


def named_location(r: Request, name: bytes) -> int:
    """Serve by location @name (ngx_http_named_location)."""
    r.uri_changes -= 1
    shown = name.decode("utf-8", "surrogateescape")
    if r.uri_changes == 0:
        r.log.error(f'rewrite or internal redirection cycle while redirect to named location "{shown}"', ctx=r.c)
        finalize(r, 500)
        return DONE
    if not r.uri:
        r.log.error(f'empty URI in redirect to named location "{shown}"', ctx=r.c)
        finalize(r, 500)
        return DONE
    loc = r.srv.named.get(name)
    if loc is None:
        r.log.error(f'could not find named location "{shown}"', ctx=r.c)
        finalize(r, 500)
        return DONE
    r.internal = True
    r.uri_changed = False
    r.ctx = {}
    use_location(r, loc)
    rc = rewrite_location(r)
    if rc is None:
        rc = find_config(r)
    if rc != DONE:
        finalize(r, rc)
    return DONE


bind(internal_redirect=internal_redirect, named_location=named_location)
