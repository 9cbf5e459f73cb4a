"""A client's session with the mail proxy: from the greeting until somebody is logged in, or has had enough.

nginx: ngx_mail_handler.c

A session runs in a pooled greenlet while the client logs in; then a relay passes bytes in the hub (geng.mail.relay).
"""

from __future__ import annotations

import random
import socket
from time import monotonic
from typing import TYPE_CHECKING, Any

from geng.core import clock
from geng.core.log import DEBUG, DEBUG_EVENT, DEBUG_MAIL, INFO
from geng.errors import ConnectionClosed, GengError, TimedOut
from geng.http.forwarded import trusted
from geng.net import sockaddr as sa
from geng.net.hub import describe
from geng.net.tls import connect_tls, secure, take_raised
from geng.stream.session import PROXY_HEADER, Number
from geng.tls.verification import objection
from geng.wire import proxy_protocol

if TYPE_CHECKING:
    from geng.http.ports import Address
    from geng.mail.conf import MailServer
    from geng.net.connection import Connection

ETIMEDOUT = 110

#: where a login stands
START, USER, USERNAME, PASSWORD, PLAIN, CRAM_MD5, EXTERNAL = range(7)


class Over(GengError):
    """The session has ended."""


class TooLong(GengError):
    """A command is longer than the buffer."""


class Session:
    """One session; `s`.

    buffer, pos: received, and how much of it is done with; state: of the login; told: how often IMAP's client was told
    to go on; out: what was last sent; helo, esmtp, mail_from, mail_to: of SMTP; upstream: the mail server's name.
    """

    __slots__ = (
        "action", "address", "auth_method", "buffer", "c", "deadline", "errors", "esmtp", "helo", "host", "login",
        "login_attempt", "mail_from", "mail_to", "passed_on", "password", "pos", "proxy_protocol", "quit", "received",
        "relay", "salt", "server", "starttls", "state", "tag", "told", "upstream", "upstream_states",
    )  # fmt: skip

    udp = False  # what a relay asks

    def __init__(self, c: Connection, address: Address) -> None:
        self.c = c
        self.address = address
        self.server: MailServer = address.default
        self.action = "sending client greeting line"
        self.buffer = b""
        self.pos = 0
        self.state = START
        self.told = 0
        self.tag = b""
        self.login = b""
        self.password: bytes | None = None
        self.salt = b""
        self.auth_method = b"plain"
        self.login_attempt = 0
        self.errors = 0
        self.quit = self.starttls = self.esmtp = self.passed_on = False
        self.host = self.helo = self.mail_from = self.mail_to = b""
        self.proxy_protocol: Any = None
        self.upstream = b""
        self.upstream_states: list[Any] = []
        self.received = 0
        self.relay: Any = None
        self.deadline = 0.0

    def __repr__(self) -> str:
        return f"<Session {self.c!r} {self.action}>"

    @property
    def log(self) -> Any:
        debugging = self.server.main.debugging
        return self.server.log if debugging is None else debugging.log_of(self.c, self.server.log)

    @property
    def worker(self) -> Any:
        return self.server.main.worker

    # ---- the log

    def log_text(self) -> str:
        """What a log line says after its message.   nginx: ngx_mail_log_error"""
        text = f" while {self.action}" if self.action else ""
        text += f", client: {self.c.addr_text.decode()}{' using starttls' if self.starttls else ''}"
        text += f", server: {self.address.text}"
        if self.login:
            text += f', login: "{shown(self.login)}"'
        return text + f", upstream: {shown(self.upstream)}" if self.upstream else text

    @property
    def number(self) -> int:
        return int(self.c.number)

    def log_context(self) -> str:
        """A session is a context for the log, as its connection is."""
        return self.log_text()

    def info(self, message: str, err: int | None = None) -> None:
        self.log.info(message, err=err, ctx=self)

    def debug(self, message: str) -> None:
        """A line for `error_log … debug`."""
        if self.log.level >= DEBUG:
            self.log.debug(message, kind=DEBUG_MAIL, ctx=self)

    def tell(self, message: str) -> None:
        """Log *message* at level info, with nothing behind it but whose it is."""
        if self.log.enabled(INFO):
            self.log.info(message, ctx=Number(self.c.number))

    # ---- the whole

    def run(self) -> None:
        """In a greenlet: until the client has gone or a relay takes over."""
        try:
            self._serve()
        except TimedOut:
            self.info("client timed out", ETIMEDOUT)
        except ConnectionClosed as error:
            self.log.log(error.level("info"), error.message, err=error.error or None, ctx=self)
        except Over:
            pass
        except Exception as error:
            self.log.alert(describe(error), ctx=self)
        if not self.passed_on:
            self.close()

    def _serve(self) -> None:
        server = self.server
        self.wind()
        if self.address.proxy_protocol:
            self._read_proxy_protocol()
        if self.address.ssl:
            self.action = "SSL handshaking"
            self.handshake()
        self.action = "sending client greeting line"
        server.speaks.greet(self)
        self.action = "in auth state"
        server.speaks.talk(self)

    def close(self) -> None:
        """The end."""
        self.debug(f"close mail connection: {self.c.fd}")
        self.c.close()

    def shut_down(self) -> None:
        """worker_shutdown_timeout has passed."""
        if self.relay is not None:
            self.relay.shut_down()
        else:
            self.c.close()

    # ---- beginnings

    def _read_proxy_protocol(self) -> None:
        """nginx: ngx_mail_proxy_protocol_handler, ngx_mail_realip_handler"""
        c = self.c
        self.action = "reading PROXY protocol"
        if not c.wait_read(self.left):
            raise TimedOut
        try:
            data = c.sock.recv(PROXY_HEADER, socket.MSG_PEEK)
            found, size = proxy_protocol.read(data)
        except OSError as error:
            raise c.broken(error, "recv()") from None
        except proxy_protocol.BrokenHeader as broken:
            self.log.error(broken.message, ctx=self)
            raise Over from None
        c.recv(size)
        c.ready = len(data) > size
        self.proxy_protocol = found
        if found is not None and self.server.networks and trusted(c.addr_text, self.server.networks):
            try:
                address = sa.plain(found.src_addr.decode("latin-1"), found.src_port)
            except ValueError:
                return
            c.addr_text, c.port, c.sockaddr = address[0].encode(), found.src_port, address

    def start_tls(self) -> None:
        """What was received before is forgotten."""
        self.buffer = b""
        self.pos = 0
        self.starttls = True
        self.action = "in starttls state"
        self.handshake()
        self.action = "in auth state"

    def handshake(self) -> None:
        """nginx: ngx_mail_ssl_init_connection, ngx_mail_verify_cert"""
        c: Any = self.c
        tls = self.server.tls
        if tls.context is None:
            raise Over
        try:
            secure(c, tls.context)
            c.ssl.data = self
            connect_tls(c, self.left)
        except TimedOut:
            raise Over from None
        finally:
            for raised in take_raised():
                c.hub.report(raised)
        why = objection(c.ssl, tls.verify) if tls.verify else None
        if why is not None:
            self.info(why.message)
            self.finish(self.server.speaks.no_cert if why.missing else self.server.speaks.cert_error)

    # ---- talking

    def wind(self) -> None:
        """The time in which the client must be logged in begins."""
        self.deadline = monotonic() + self.server.timeout / 1000

    @property
    def left(self) -> float:
        """Of that time, in ms."""
        return max((self.deadline - monotonic()) * 1000, 0)

    def more(self, size: int) -> None:
        """Receive more of a command, into a buffer of *size*. Raises TooLong, Over, TimedOut, ConnectionClosed."""
        if self.pos == len(self.buffer):
            self.buffer = b""
            self.pos = 0
        room = size - len(self.buffer)
        if room <= 0:
            raise TooLong
        data = self.c.read(room, self.left)
        if not data:
            raise Over
        self.buffer += data

    def send(self, data: bytes) -> None:
        if data:
            self.c.send((data,), self.server.timeout)

    def finish(self, data: bytes) -> None:
        """The last words."""
        self.send(data)
        raise Over

    def fail(self) -> None:
        """nginx: ngx_mail_session_internal_server_error"""
        self.finish(self.server.speaks.internal_error)

    def make_salt(self) -> bytes:
        """What a client that hides its password mixes with it."""
        if not self.salt:
            self.salt = b"<%d.%d@%b>" % (random.getrandbits(31), clock.seconds(), self.server.name)
        return self.salt


def shown(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def accepted(c: Connection) -> None:
    """A connection has come; in the hub.   nginx: ngx_mail_init_connection"""
    listening: Any = c.listening
    s = Session(c, listening.data.address(c))
    c.data = s
    c.context = s.log_text
    if s.log.level >= DEBUG:
        s.log.debug(f"accept: {sa.text(c.sockaddr)} fd:{c.fd}", kind=DEBUG_EVENT, ctx=s)
    s.tell(f"client {sa.text(c.sockaddr)} connected to {s.address.text}")
    c.hub.spawn(s.run)
