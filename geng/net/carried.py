"""A stream that another connection carries (HTTP/2's, QUIC's): to handlers a connection like any other.

nginx: the fake connections of ngx_http_v2.c and ngx_event_quic_streams.c
"""

from __future__ import annotations

from errno import ECONNABORTED
from typing import Any

from geng.errors import ConnectionClosed
from geng.net.connection import Connection


class CarriedStream(Connection):
    """What a connection without a descriptor of its own does with the options and the waits of a socket."""

    __slots__ = ()

    @property
    def unwritable(self) -> bool:
        """Whether nothing more can be sent: reset, or what carries the stream is gone."""
        raise NotImplementedError

    def end(self) -> None:
        """Nothing more is sent."""
        raise NotImplementedError

    def expect_write(self, waiter: Any) -> None:
        if self.unwritable or self.closed:
            raise ConnectionClosed(ECONNABORTED, "send()")
        self._write_waiter = waiter

    def forget_write(self) -> None:
        self._write_waiter = None

    def set_nodelay(self) -> None:
        """The business of what carries the stream."""

    def set_cork(self, flag: bool) -> None:
        """Frames are gathered by what carries the stream."""

    def shutdown_write(self) -> None:
        self.end()
