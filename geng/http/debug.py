"""`[debug]` lines of client connections and requests, for `error_log … debug` and `debug_connection`.

nginx: ngx_log_debug() in ngx_event_accept.c, ngx_http_request.c, ngx_http_core_module.c, ngx_http_header_filter_module.c

A configuration that wants none pays nothing: the functions here are put between the phases of a location, in its Linked,
only where its log is at level debug, and everywhere when there is a debug_connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from geng.core import cidr
from geng.core.cidr import Cidr
from geng.core.log import DEBUG, DEBUG_EVENT, DEBUG_HTTP, Log
from geng.http.module import DECLINED, Handler

if TYPE_CHECKING:
    from geng.http.block import Http
    from geng.http.conf import CoreLoc
    from geng.http.request import Request
    from geng.net.connection import Connection
    from geng.net.listen import Listening

Content = Callable[[Handler, "Debugging"], Handler]

PHASES = {"_generic": "generic phase", "_all_of": "access phase", "_any_of": "access phase"}


class Debugging:
    """Which connections are debugged whatever the log's level is; all methods take a request or a connection."""

    def __init__(self, networks: Sequence[Cidr]) -> None:
        self.networks = networks
        self.matches = lru_cache(maxsize=1024)(self._matches)
        self.logs: dict[int, Log] = {}

    def _matches(self, text: bytes) -> bool:
        """Whether an address is among those of debug_connection."""
        address = cidr.parse(text)
        return any(address in network for network in self.networks)

    def verbose(self, log: Log) -> Log:
        """*log* with every message of every level."""
        made = self.logs.get(id(log))
        if made is None:
            made = self.logs[id(log)] = log.verbose()
        return made

    def log_of(self, c: Connection, log: Log) -> Log:
        return self.verbose(log) if self.networks and self.matches(c.addr_text) else log

    def log(self, r: Request) -> Log:
        """Where lines about *r* go; what it logs itself goes there as well from here on."""
        r.log = log = self.log_of(r.c, r.hot.log)
        return log


def link(http: Http, networks: Sequence[Cidr], content: Content) -> None:
    """Put debugging into a linked http block where its logs want it. *content* makes a content handler talk."""
    debugging = Debugging(networks)
    for srv in http.main.servers:
        wanted = [loc for loc in _all(srv.default) if networks or loc.log.level >= DEBUG]
        for loc in wanted:
            _link_location(loc, debugging, content)
        if srv.default in wanted:
            for listening in http.listenings:
                if listening.handler is not None and not isinstance(listening.handler, Accepting):
                    listening.handler = Accepting(listening, debugging)


def _all(parent: CoreLoc) -> Iterator[CoreLoc]:
    yield parent
    for loc in parent.children:
        yield from _all(loc)


def _link_location(loc: CoreLoc, debugging: Debugging, content: Content) -> None:
    hot = loc.hot
    hot.post_read = (_Begun(debugging), *hot.post_read)
    hot.server_rewrite = (_Says(debugging, "rewrite phase"), *hot.server_rewrite)
    hot.rewrite = (_Located(debugging), *hot.rewrite)
    hot.steps = tuple(_Step(debugging, step) for step in hot.steps)
    if hot.content_handler is not None:
        hot.content_handler = _Step(debugging, content(hot.content_handler, debugging), "content phase")
    hot.handlers = tuple(_Step(debugging, handler, "content phase") for handler in hot.handlers)
    hot.send_head = _Head(debugging, hot.send_head)
    hot.log_handlers = (_Finalized(debugging), *hot.log_handlers, _Closed(debugging))


class Accepting:
    """A listening socket's handler that says who came."""

    def __init__(self, listening: Listening, debugging: Debugging) -> None:
        assert listening.handler is not None
        self.handler = listening.handler
        self.debugging = debugging

    def __call__(self, c: Connection) -> None:
        self.handler(c)
        hc: Any = c.data
        if hc is None:
            return
        log = self.debugging.log_of(c, hc.srv.default.log)
        if log.level >= DEBUG:
            address = c.addr_text.decode("latin-1")
            port = "" if address == "unix:" else f":{c.port}"
            log.debug(f"accept: {address}{port} fd:{c.fd}", kind=DEBUG_EVENT, ctx=c)


class _Says:
    """A handler that says its line and declines."""

    def __init__(self, debugging: Debugging, line: str = "") -> None:
        self.debugging = debugging
        self.line = line

    def __call__(self, r: Request) -> int:
        log = self.debugging.log(r)
        if log.level >= DEBUG:
            for line in self.lines(r):
                log.debug(line, kind=DEBUG_HTTP, ctx=r.c)
        return DECLINED

    def lines(self, r: Request) -> Iterator[str]:
        yield self.line


class _Begun(_Says):
    """The head is complete."""

    def lines(self, r: Request) -> Iterator[str]:
        head = r.head
        yield f'http request line: "{_text(head.request_line)}"'
        yield f'http uri: "{_text(r.uri)}"'
        yield f'http args: "{_text(r.args)}"'
        for name, value in head.items():
            yield f'http header: "{_text(name)}: {_text(value)}"'
        yield "http header done"


class _Located(_Says):
    """A location is found."""

    def lines(self, r: Request) -> Iterator[str]:
        yield f'using configuration "{"=" if r.loc.exact else ""}{r.loc.name}"'
        yield f"http cl:{r.content_length_n} max:{r.hot.client_max_body_size}"
        yield "rewrite phase"


class _Finalized(_Says):
    """The request is over, its log handlers are about to run."""

    def lines(self, r: Request) -> Iterator[str]:
        yield f'http finalize request: {r.out.status}, "{_text(r.uri)}?{_text(r.args)}" sent:{r.c.sent}'
        yield "http log handler"


class _Closed(_Says):
    """All log handlers have run."""

    def lines(self, r: Request) -> Iterator[str]:
        yield "http close request"


class _Step:
    """Another step of a phase, its name before and its verdict behind it."""

    def __init__(self, debugging: Debugging, step: Handler, phase: str = "") -> None:
        self.debugging = debugging
        self.step = step
        name = getattr(step, "__qualname__", type(step).__name__)
        self.phase = phase or PHASES.get(name.partition(".")[0], "phase")

    def __call__(self, r: Request) -> int:
        log = self.debugging.log(r)
        if log.level < DEBUG:
            return self.step(r)
        log.debug(f'{self.phase}, "{_text(r.uri)}?{_text(r.args)}"', kind=DEBUG_HTTP, ctx=r.c)
        rc = self.step(r)
        self.debugging.log(r).debug(f"{self.phase}: {rc}", kind=DEBUG_HTTP, ctx=r.c)
        return rc


class _Head:
    """The response's head goes out."""

    def __init__(self, debugging: Debugging, send_head: Callable[[Request], Any]) -> None:
        self.debugging = debugging
        self.send_head = send_head

    def __call__(self, r: Request) -> Any:
        writer = self.send_head(r)
        log = self.debugging.log(r)
        if log.level >= DEBUG:
            log.debug(_shown_head(r), kind=DEBUG_HTTP, ctx=r.c)
            log.debug(f'http output filter "{_text(r.uri)}?{_text(r.args)}"', kind=DEBUG_HTTP, ctx=r.c)
        return writer


def _shown_head(r: Request) -> str:
    out = r.out
    lines = [f"HTTP/1.1 {_text(out.line) or out.status}"]
    if out.content_type:
        charset = f"; charset={_text(out.charset)}" if out.charset else ""
        lines.append(f"Content-Type: {_text(out.content_type)}{charset}")
    if out.content_length >= 0:
        lines.append(f"Content-Length: {out.content_length}")
    if out.location:
        lines.append(f"Location: {_text(out.location)}")
    passed = out.passed.items() if out.passed is not None else []
    lines += [f"{_text(name)}: {_text(value)}" for name, value in passed if name.lower() not in out.hidden]
    lines += [f"{_text(name)}: {_text(value)}" for name, value in out.headers]
    return "\n".join(lines)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
