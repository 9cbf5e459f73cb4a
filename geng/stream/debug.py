"""`[debug]` lines of sessions, for `error_log … debug` and `debug_connection`; linked only where they are wanted.

nginx: ngx_log_debug() in ngx_event_accept.c, ngx_stream_core_module.c, ngx_stream_handler.c
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from geng.core.log import DEBUG, DEBUG_EVENT, DEBUG_STREAM
from geng.http.debug import Debugging
from geng.stream.module import DECLINED, Phase

if TYPE_CHECKING:
    from geng.core.cidr import Cidr
    from geng.stream.block import Stream
    from geng.stream.session import Session

Handler = Callable[[Any], int]


def link(stream: Stream, networks: Sequence[Cidr]) -> None:
    """Put debugging into a linked stream block where its logs want it."""
    debugging = Debugging(networks)
    for server in stream.main.servers:
        if not networks and server.log.level < DEBUG:
            continue
        phases: list[tuple[Handler, ...]] = []
        for phase, handlers in zip(Phase, server.handlers, strict=True):
            name = f"{phase.name.lower()} phase"
            phases.append(handlers if phase is Phase.LOG else tuple(_Step(debugging, name, step) for step in handlers))
        phases[Phase.POST_ACCEPT] = (_Begun(debugging), *phases[Phase.POST_ACCEPT])
        phases[Phase.LOG] = (_Finalized(debugging), *phases[Phase.LOG])
        server.handlers = tuple(phases)
        if server.handler is not None:
            server.handler = _Step(debugging, "content phase", server.handler)


class _Talker:
    """Something that says a line about a session."""

    def __init__(self, debugging: Debugging) -> None:
        self.debugging = debugging

    def say(self, s: Session, line: str, kind: int = DEBUG_STREAM) -> None:
        log = self.debugging.log_of(s.c, s.log)
        if log.level >= DEBUG:
            log.debug(line, kind=kind, ctx=s.c)


class _Begun(_Talker):
    def __call__(self, s: Session) -> int:
        address = s.c.addr_text.decode("latin-1")
        port = "" if address == "unix:" else f":{s.c.port}"
        self.say(s, f"accept: {address}{port} fd:{s.c.fd}", DEBUG_EVENT)
        return DECLINED


class _Finalized(_Talker):
    def __call__(self, s: Session) -> int:
        self.say(s, f"finalize stream session: {s.status}")
        self.say(s, "stream log handler")
        return DECLINED


class _Step(_Talker):
    def __init__(self, debugging: Debugging, phase: str, step: Handler) -> None:
        super().__init__(debugging)
        self.phase = phase
        self.step = step

    def __call__(self, s: Session) -> int:
        self.say(s, self.phase)
        rc = self.step(s)
        self.say(s, f"{self.phase}: {rc}")
        return rc
