"""Logging in to the mail server in the client's name, and passing bytes on.   nginx: ngx_mail_proxy_module.c"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

from geng.conf.convert import enum, flag, msec, size
from geng.conf.directive import Conf, Level, directive
from geng.core import base64
from geng.errors import ConnectionClosed, GengError, TimedOut
from geng.hot.uri import MAIL_XTEXT, escape_uri
from geng.mail.conf import MS, MailServer
from geng.mail.relay import relay
from geng.mail.session import Session, shown
from geng.net.connect import NoConnections, connect
from geng.wire import proxy_protocol

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.net.address import Address
    from geng.net.connection import Connection

PAGE = 4096
DAY = 24 * 60 * 60 * 1000
ETIMEDOUT = 110
V2 = 2

#: Whether a response is what was hoped for; None: there is more of it to come.
Check = Callable[[bytes], "bool | None"]
Step = tuple[str, bytes, Check]
"""What is being done, what is sent ("" for nothing), and what must be answered."""


class MailProxy(Conf, level=Level.SERVER):
    """What one server says."""

    enable: bool = directive("proxy", MS, flag, default=False)
    buffer_size: int = directive("proxy_buffer", MS, size, default=PAGE)
    timeout: int = directive("proxy_timeout", MS, msec, default=DAY)
    pass_error_message: bool = directive("proxy_pass_error_message", MS, flag, default=False)
    xclient: bool = directive("xclient", MS, flag, default=True)
    smtp_auth: bool = directive("proxy_smtp_auth", MS, flag, default=False)
    proxy_protocol: int = directive("proxy_protocol", MS, enum({"off": 0, "on": 1, "v2": V2}), default=0)

    def check(self, cf: Cf) -> None:
        server = cf[MailServer]

        def pass_on(s: Session, peer: Address) -> None:
            Login(s, self).run(peer)

        server.pass_on = pass_on


class Failed(GengError):
    """The mail server did not do as it should. What the client is told instead: the response, or nothing of it."""

    def __init__(self, response: bytes = b"") -> None:
        super().__init__(response)
        self.response = response


class Login:
    """One login to a mail server."""

    def __init__(self, s: Session, conf: MailProxy) -> None:
        self.s = s
        self.conf = conf
        self.until = monotonic() + s.server.timeout / 1000

    def __repr__(self) -> str:
        return f"<Login {self.s!r}>"

    def run(self, peer: Address) -> None:
        """Log in, and join the two; where that fails the session ends."""
        s = self.s
        s.action = "connecting to upstream"
        s.upstream = peer.name
        c: Connection | None = None
        try:
            c = self._connect(peer)
            response = self._log_in(c)
        except (Failed, TimedOut, ConnectionClosed) as error:
            if c is not None:
                c.close()
            self._give_up(error)
            return
        except BaseException:
            if c is not None:
                c.close()
            raise
        s.action = ""
        s.info("client logged in")
        s.action = "proxying"
        rest = s.buffer[s.pos :]
        s.buffer = b""
        s.pos = 0
        relay(s, c, self.conf.timeout, self.conf.buffer_size, rest, response)

    def _give_up(self, error: Exception) -> None:
        s = self.s
        if isinstance(error, TimedOut):
            s.info("upstream timed out", ETIMEDOUT)
        elif isinstance(error, ConnectionClosed):
            s.log.log(error.level("error"), error.message, err=error.error or None, ctx=s)
        elif isinstance(error, Failed) and error.response:
            s.finish(error.response)
        s.fail()

    def _connect(self, peer: Address) -> Connection:
        s, conf = self.s, self.conf
        try:
            c = connect(s.c.hub, s.c.pool, peer.sockaddr, ms=s.server.timeout)
        except NoConnections:
            raise Failed from None
        if conf.proxy_protocol:
            s.action = "sending PROXY protocol header to upstream"
            client = s.c
            write = proxy_protocol.write_v2 if conf.proxy_protocol == V2 else proxy_protocol.write
            try:
                c.send((write(client.sockaddr, client.local_addr()),), s.server.timeout)
            except BaseException:
                c.close()
                raise
        return c

    def _log_in(self, c: Connection) -> bytes:
        """The last response, or what the client is told in its place."""
        s = self.s
        response = b""
        for action, line, check in STEPS[s.server.speaks.name](s, self.conf):
            if line:
                s.action = action
                c.send((line,), s.server.timeout)
            s.action = "reading response from upstream"
            response = self._read(c, check)
        if s.server.speaks.name == b"smtp" and s.auth_method != b"none":
            return b"235 2.0.0 OK\r\n"
        return response

    def _read(self, c: Connection, check: Check) -> bytes:
        """nginx: ngx_mail_proxy_read_response"""
        s = self.s
        most = self.conf.buffer_size
        data = b""
        while True:
            more = c.read(most - len(data), max((self.until - monotonic()) * 1000, 0))
            if not more:
                raise Failed
            data += more
            if len(data) < 4:
                continue
            if data[-2:] != b"\r\n":
                if len(data) >= most:
                    s.log.error(f'upstream sent too long response line: "{shown(data[:-1])}"', ctx=s)
                    raise Failed
                continue
            good = check(data)
            if good:
                return data
            if good is None and len(data) < most:
                continue
            message = f'upstream sent invalid response: "{shown(data[:-2])}"'
            if not self.conf.pass_error_message:
                s.log.error(message, ctx=s)
                raise Failed
            s.info(message)
            raise Failed(data)


# ---- what each protocol says


def starts(*beginnings: bytes) -> Check:
    """A response that begins with one of these."""
    return lambda data: data.startswith(beginnings)


def pop3(s: Session, conf: MailProxy) -> Iterator[Step]:
    """USER and PASS."""
    good = starts(b"+OK")
    yield "", b"", good
    yield "sending user name to upstream", b"USER %b\r\n" % s.login, good
    yield "sending password to upstream", b"PASS %b\r\n" % (s.password or b""), good


def imap(s: Session, conf: MailProxy) -> Iterator[Step]:
    """LOGIN, with literals."""
    password = s.password or b""
    tag = s.tag
    yield "", b"", starts(b"* OK")
    yield "sending LOGIN command to upstream", b"%bLOGIN {%d}\r\n" % (tag, len(s.login)), starts(b"+")
    yield "sending user name to upstream", b"%b {%d}\r\n" % (s.login, len(password)), starts(b"+")

    def logged_in(data: bytes) -> bool | None:
        """An untagged CAPABILITY may come first."""
        if data.startswith(b"* "):
            data = data[data.find(b"\r\n") + 2 :]
            if len(data) < 4:
                return None
        return data.startswith(tag + b"OK")

    yield "sending password to upstream", password + b"\r\n", logged_in


def codes(*wanted: bytes) -> Check:
    """SMTP's response, whose last line has a space behind the code; b"": any."""

    def check(data: bytes) -> bool | None:
        if data[3:4] == b"-":
            last = data[:-2].rpartition(b"\r\n")[2]
            if last is data[:-2] or last == data[:-2] or last[3:4] == b"-":
                return None
        return data.startswith(wanted)

    return check


def smtp(s: Session, conf: MailProxy) -> Iterator[Step]:
    """HELO, what is known of the client, and a login or the envelope."""
    yield "", b"", codes(b"220")
    hello = b"EHLO" if s.esmtp or conf.xclient else b"HELO"
    yield "sending HELO/EHLO to upstream", b"%b %b\r\n" % (hello, s.server.name), codes(b"250")
    if conf.xclient:
        yield "sending XCLIENT to upstream", xclient(s, conf), codes(b"220", b"250")
        if s.helo:
            hello = b"EHLO" if s.esmtp else b"HELO"
            yield "sending client HELO/EHLO to upstream", b"%b %b\r\n" % (hello, s.helo), codes(b"250")
    if s.auth_method == b"none":
        yield "sending MAIL FROM to upstream", s.mail_from + b"\r\n", codes(b"250")
        yield "sending RCPT TO to upstream", s.mail_to + b"\r\n", codes(b"")
    elif conf.smtp_auth:
        if s.password is None:
            s.log.error("no password available", ctx=s)
            raise Failed
        plain = base64.encode(b"\0%b\0%b" % (s.login, s.password))
        yield "sending AUTH to upstream", b"AUTH PLAIN %b\r\n" % plain, codes(b"235")


def xclient(s: Session, conf: MailProxy) -> bytes:
    """Who the client is."""
    out = [b"XCLIENT ADDR="]
    sockaddr: Any = s.c.sockaddr
    if isinstance(sockaddr, tuple) and len(sockaddr) == 4:
        out.append(b"IPV6:")
    out.append(s.c.addr_text)
    if s.login and not conf.smtp_auth:
        out += [b" LOGIN=", escape_uri(s.login, MAIL_XTEXT)]
    out += [b" NAME=", s.host, b"\r\n"]
    return b"".join(out)


STEPS: dict[bytes, Callable[[Session, MailProxy], Iterator[Step]]] = {b"pop3": pop3, b"imap": imap, b"smtp": smtp}
