"""Where an upstream's response body ends, and what in the received bytes is body.

nginx: ngx_http_proxy_module.c (ngx_http_proxy_input_filter_init, …copy_filter, …chunked_filter)

A protocol with another framing brings its own class: `feed(data)` returns the parts that are body; afterwards
`left` is the least number of bytes that must still come (-1: the end of the connection ends the body), `done` says that
the body is complete, `over` that more came than belongs to it, `warning` and `error` hold what to log. *plain* means
that the next *left* bytes are body as they are, so that they may bypass Python. *failure*, with an error: "invalid", or
"error" where what came before it still passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from geng.hot.http1 import DONE, NEED_MORE, Chunked

TOO_MUCH = 'upstream sent more data than specified in "Content-Length" header'
AFTER_LAST = "upstream sent data after final chunk"
INVALID = "upstream sent invalid chunked response"

NOTHING: tuple[Any, ...] = ()


class Framing:
    """The base: a body that the end of the connection ends."""

    __slots__ = ("done", "error", "left", "over", "trailers", "warning")

    plain = True
    failure = "invalid"

    def __init__(self, left: int = -1) -> None:
        self.left = left
        self.done = left == 0
        self.over = False
        self.warning = ""
        self.error = ""
        self.trailers: Sequence[tuple[bytes, bytes]] = NOTHING

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'done' if self.done else self.left}>"

    def feed(self, data: bytes) -> Sequence[Any]:
        """The parts of *data* that are body."""
        return (data,)

    def skipped(self, n: int) -> None:
        """*n* bytes of body went past feed()."""


class Sized(Framing):
    """So many bytes."""

    __slots__ = ()

    def feed(self, data: bytes) -> Sequence[Any]:
        left = self.left
        size = len(data)
        if size < left:
            self.left = left - size
            return (data,)
        self.left = 0
        self.done = True
        if size == left:
            return (data,)
        self.over = True
        self.warning = TOO_MUCH
        return (data[:left],) if left else NOTHING

    def skipped(self, n: int) -> None:
        self.left -= n
        self.done = self.left == 0


class Chunks(Framing):
    """The chunked coding."""

    __slots__ = ("chunked",)

    plain = False

    def __init__(self, keep_trailers: bool = False, trailer_limit: int = 4096) -> None:
        Framing.__init__(self, 5)
        self.chunked = Chunked(keep_trailers, trailer_limit)

    def feed(self, data: bytes) -> Sequence[Any]:
        chunked = self.chunked
        if self.done:
            self.over = True
            self.warning = AFTER_LAST
            return NOTHING
        spans = chunked.feed(data)
        rc = chunked.rc
        if rc == DONE:
            self.done = True
            self.left = 0
            self.trailers = chunked.trailers
            if chunked.pos != len(data):
                self.over = True
                self.warning = AFTER_LAST
        elif rc == NEED_MORE:
            self.left = chunked.length
        else:
            self.error = chunked.message or INVALID
        if len(spans) == 1:
            start, stop = spans[0]
            return (data[start:stop],)
        view = memoryview(data)
        return [view[start:stop] for start, stop in spans]
