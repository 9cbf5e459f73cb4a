"""Bytes between a client that is logged in and its mail server.   nginx: ngx_mail_proxy_module.c (ngx_mail_proxy_handler)"""

from __future__ import annotations

from typing import Any

from geng.net.connection import Connection
from geng.stream.relay import Flow, Relay

ETIMEDOUT = 110


class MailRelay(Relay):
    """stream's relay, with mail's words in the log."""

    __slots__ = ()

    def begin(self, to_server: bytes, to_client: bytes) -> None:
        """Start with what each side is to get first."""
        if to_client:
            self.down.pending = [to_client]
        self.start([to_server] if to_server else [])

    def received(self, flow: Flow, n: int) -> None:
        flow.count += n

    def _tell(self, what: str, received: int, sent: int, taken: int, given: int) -> None:
        self.session.action = ""
        self.session.log.info("proxied session done", ctx=self.session)
        self.session.action = "proxying"

    def _timed_out(self, c: Connection) -> None:
        self.session.action = "proxying"
        self.session.log.info("client timed out", err=ETIMEDOUT, ctx=self.session)
        self.end(0)

    def shut_down(self) -> None:
        """worker_shutdown_timeout has passed."""
        self.session.action = "proxying"
        super().shut_down()


def relay(s: Any, c: Connection, timeout: int, size: int, to_server: bytes, to_client: bytes) -> None:
    """Join the session's client and *c*; both are closed when either has gone."""

    def over(status: int) -> None:
        c.close()
        s.close()
        s.relay = None

    s.passed_on = True
    s.relay = made = MailRelay(s, c, timeout=timeout, size=size, start_sec=0, on_end=over)
    made.begin(to_server, to_client)
