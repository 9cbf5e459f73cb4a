"""One QUIC connection: the Connection that its streams belong to.

nginx: ngx_event_quic.c, ngx_event_quic_streams.c; RFC 9000

The handler of a `quic` listening socket gets a new QuicConnection with `c.listening`, `c.sockaddr`, `c.addr_text`, sets
`c.data` (what TLS callbacks find as `ssl.data`) and `c.context`, and calls `c.run(conf)`. Everything runs in the hub.
"""

from __future__ import annotations

from typing import Any

from geng.net.connection import Connection
from geng.quic.conf import QuicConf
from geng.quic.stream import QuicStream


class QuicConnection(Connection):
    """A client's connection.

    conf: what the server says; ssl: its Tls (SNI, ALPN, certificates: as over TCP), None before run(); streams: by id;
    closing: CONNECTION_CLOSE has been sent or got; shutting_down: no new streams.
    """

    __slots__ = (
        "client_params", "closing", "conf", "params", "recv_last", "recv_max_data", "send_max_data", "send_offset",
        "sent_in_streams", "shutting_down", "streams",
    )  # fmt: skip

    conf: QuicConf
    streams: dict[int, QuicStream]
    closing: bool
    shutting_down: bool
    params: Any
    client_params: Any
    sent_in_streams: int
    send_max_data: int
    send_offset: int
    recv_last: int
    recv_max_data: int

    def run(self, conf: QuicConf) -> None:
        """Begin, with the datagram that made this connection.   nginx: ngx_quic_run"""
        raise NotImplementedError

    def open_uni(self) -> QuicStream | None:
        """A new stream of ours, None when the client allows no more.   nginx: ngx_quic_open_stream"""
        raise NotImplementedError

    def finalize(self, code: int, reason: str) -> None:
        """Close with an application error at once.   nginx: ngx_quic_finalize_connection"""
        raise NotImplementedError

    def shutdown(self, code: int, reason: str) -> None:
        """Close so as soon as the streams that are open (but cancelable ones) have ended; no new ones.

        nginx: ngx_quic_shutdown_connection
        """
        raise NotImplementedError

    def queue_frame(self, frame: Any) -> None:
        """Send *frame* in one of the next packets."""
        raise NotImplementedError

    def stream_is_cancelable(self) -> None:
        """A stream has become one that the connection need not wait for."""
        raise NotImplementedError

    def stream_is_gone(self, stream: QuicStream) -> None:
        """Nothing more is to be said about *stream*."""
        raise NotImplementedError

    def stream_read(self, n: int) -> None:
        """*n* bytes of a stream were read: perhaps the client may send more."""
        raise NotImplementedError
