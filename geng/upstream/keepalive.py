"""Idle connections to the peers of one upstream, kept for the next request.

nginx: ngx_http_upstream_keepalive_module.c

On for every upstream{} block since nginx 1.29.7: 32 connections per worker, `local`, which means that a connection is
used again only by the location that made it (its TLS settings and bound address may be its own). Upstreams that exist
only in a proxy_pass have no cache.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from geng.core.clock import msec

DEFAULT_SIZE = 32


class KeepaliveCache:
    """The cache of one upstream in one worker: newest first out, oldest closed when it is full.

    *size*: most connections; *requests*: after how many exchanges one is let go; *lifetime*, *timeout*: ms it may live,
    and stay idle; *local*: only who stored a connection gets it back.
    """

    __slots__ = ("_close", "_stirred", "exiting", "idle", "lifetime", "local", "requests", "size", "stacks", "timeout")

    def __init__(
        self,
        size: int = DEFAULT_SIZE,
        requests: int = 1000,
        lifetime: int = 3_600_000,
        timeout: int = 60_000,
        local: bool = True,
    ) -> None:
        self.size = size
        self.requests = requests
        self.lifetime = lifetime
        self.timeout = timeout
        self.local = local
        self.exiting = False  # the worker shuts down: nothing is stored any more
        self._close = self.close  # bound once
        self._stirred = self.stirred
        self.idle: dict[Any, Hashable] = {}  # connection -> its key, oldest first
        self.stacks: dict[Hashable, list[Any]] = {}  # key -> its connections, oldest first

    def __repr__(self) -> str:
        return f"<KeepaliveCache {len(self.idle)} of {self.size} idle{', local' if self.local else ''}>"

    def take(self, sockaddr: Hashable, tag: Hashable) -> Any:
        """The connection to *sockaddr* that became idle last, or None. The caller owns it then."""
        stack = self.stacks.get((tag, sockaddr) if self.local else sockaddr)
        if not stack:
            return None
        c = stack.pop()
        del self.idle[c]
        c.on_timeout = c.on_drain = None
        c.listen(None)
        c.set_timeout(None)
        c.idle = False
        c.sent = 0
        return c

    def store(self, c: Any, sockaddr: Hashable, tag: Hashable) -> bool:
        """Keep *c*, whose exchange ended clean, unless it is used up or broken: then False and it stays the caller's."""
        if c.closed or c.eof or c.error or c.timedout or self.exiting:
            return False
        if c.requests >= self.requests or msec() - c.start_msec > self.lifetime:
            return False
        if len(self.idle) >= self.size:
            self.close(next(iter(self.idle)))
        key = (tag, sockaddr) if self.local else sockaddr
        self.idle[c] = key
        stack = self.stacks.get(key)
        if stack is None:
            if len(self.stacks) > 2 * self.size:  # addresses that a resolver has found come and go
                self.stacks = {key: stack for key, stack in self.stacks.items() if stack}
            stack = self.stacks[key] = []
        stack.append(c)
        c.data = c.context = None
        c.idle = True
        c.on_drain = c.on_timeout = self._close
        c.set_timeout(self.timeout)
        c.listen(self._stirred)
        if c.ready:
            self.stirred(c)
        return True

    def stirred(self, c: Any) -> None:
        """An idle connection became readable: it was closed, or says what nobody asked for. Away with it."""
        if c.peek_closed() or c.ready:
            self.close(c)

    def close(self, c: Any) -> None:
        """Drop and close *c*."""
        key = self.idle.pop(c, None)
        if key is not None:
            stack = self.stacks[key]
            stack.remove(c)
            if not stack:
                del self.stacks[key]
        c.close()

    def clear(self) -> None:
        """Close what is idle and store nothing more: the worker shuts down."""
        self.exiting = True
        for c in list(self.idle):
            self.close(c)
