"""`[debug]` lines of exchanges with upstreams; linked by geng.http.debug, and only where they are wanted.

nginx: ngx_log_debug() in ngx_http_upstream.c, ngx_http_upstream_round_robin.c, ngx_event_connect.c
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.core.log import DEBUG, DEBUG_CORE, DEBUG_HTTP
from geng.upstream.engine import AGAIN, Adapter, Exchange, serve

if TYPE_CHECKING:
    from geng.hot.http1 import ResponseHead
    from geng.http.debug import Debugging
    from geng.http.module import Handler
    from geng.http.request import Request
    from geng.net.connection import Connection
    from geng.upstream.peers import Picker
    from geng.upstream.state import UpstreamState


class DebugExchange(Exchange):
    """An exchange that says what it does."""

    def say(self, line: str, kind: int = DEBUG_HTTP) -> None:
        log = self.r.log
        if log.level >= DEBUG:
            log.debug(line, kind=kind, ctx=self.r.c)

    def run(self) -> int:
        self.say("http init upstream, client timer: 0")
        rc = super().run()
        self.say(f"finalize http upstream request: {rc}")
        return rc

    def start(self) -> int:
        rc = super().start()
        for part in self.request:
            if isinstance(part, bytes):
                self.say(f'http upstream request:\n"{_text(part)}"')
            else:
                self.say(f"http upstream request body: {part!r}")
        return rc

    def attempt(self) -> int:
        self.say(f"get peer, try: {self.picker.tries}")
        rc = super().attempt()
        if rc == AGAIN:
            self.say("http next upstream")
        return rc

    def connect(self, picker: Picker, state: UpstreamState) -> int:
        self.say(f"connect to {_text(picker.name)}, #{self.r.c.number}", DEBUG_CORE)
        rc = super().connect(picker, state)
        self.say(f"http upstream connect: {rc}")
        return rc

    def next(self, reason: int) -> int:
        self.say(f"http next upstream, {reason:x}")
        return super().next(reason)

    def answered(self, c: Connection, head: ResponseHead, data: bytes) -> int:
        self.say(f'http upstream status {head.status}, "{_text(self.name)}"')
        for name, value in head.items():
            self.say(f'http upstream header: "{_text(name)}: {_text(value)}"')
        self.say("http upstream header done")
        return super().answered(c, head, data)

    def release(self, keepalive: bool) -> None:
        c = self.connection
        if c is not None:
            self.say(f"free peer, keepalive {int(keepalive)}, fd:{c.fd}")
        super().release(keepalive)


def content(handler: Handler, debugging: Debugging) -> Handler:
    """*handler*, if it is the engine's, with exchanges that talk."""
    adapter: Adapter | None = getattr(handler, "adapter", None)
    if adapter is None:
        return handler
    begin = None if type(adapter).begin is Adapter.begin else adapter.begin

    def handle(r: Request) -> int:
        if r.log.level < DEBUG:
            return handler(r)
        return serve(DebugExchange.__new__(DebugExchange), r, adapter, begin)

    return handle


def _text(data: Any) -> str:
    return bytes(data).decode("utf-8", "surrogateescape")
