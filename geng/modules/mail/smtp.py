"""SMTP.   RFC 5321, 3207, 4954; nginx: ngx_mail_smtp_module.c, ngx_mail_smtp_handler.c"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from geng.conf.convert import msec, size, to_bytes
from geng.conf.directive import Conf, Level, directive
from geng.mail.conf import MS, MailServer
from geng.mail.protocol import M_LOGIN, M_NONE, M_PLAIN, STARTTLS_ON, Protocol, Refused, names_of
from geng.mail.session import Session, shown
from geng.modules.mail.words import methods, words
from geng.net.answers import ResolveFailed
from geng.wire.mail import SMTP_COMMANDS, Command, read_line

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

PAGE = 4096
NXDOMAIN = 3
ALL_METHODS = ("plain", "login", "cram-md5", "external", "none")

OK = b"250 2.0.0 OK\r\n"
INVALID_ARGUMENT = b"501 5.5.4 Invalid argument\r\n"
BAD_SEQUENCE = b"503 5.5.1 Bad sequence of commands\r\n"
AUTH_REQUIRED = b"530 5.7.1 Authentication required\r\n"
BAD_PIPELINING = b"503 5.5.0 Improper use of SMTP command pipelining\r\n"

# what stands in place of the client's name
UNAVAILABLE, TEMPUNAVAIL = b"[UNAVAILABLE]", b"[TEMPUNAVAIL]"

HOST = re.compile(r"[A-Za-z0-9.-]+")


class MailSmtp(Conf, level=Level.SERVER):
    """What one server says."""

    buffer: int = directive("smtp_client_buffer", MS, size, default=PAGE)
    greeting_delay: int = directive("smtp_greeting_delay", MS, msec, default=0)
    capabilities: Sequence[tuple[str, ...]] = directive("smtp_capabilities", MS, words, default=(), repeat=True)
    auth: int = directive("smtp_auth", MS, methods(*ALL_METHODS), default=M_PLAIN | M_LOGIN)

    def check(self, cf: Cf) -> None:
        server = cf[MailServer]
        if server.protocol == "smtp":
            given = [to_bytes(word) for line in self.capabilities for word in line]
            server.speaks = Smtp(self.auth, self.buffer, server.name, given, self.greeting_delay)


def lines(code: bytes, texts: Sequence[bytes]) -> bytes:
    """An answer of one or more lines."""
    last = len(texts) - 1
    return b"".join([b"%b%b%b\r\n" % (code, b"-" if n < last else b" ", text) for n, text in enumerate(texts)])


class Smtp(Protocol):
    """One server's SMTP."""

    name = b"smtp"
    internal_error = b"451 4.3.2 Internal server error\r\n"
    cert_error = b"421 4.7.1 SSL certificate error\r\n"
    no_cert = b"421 4.7.1 No required SSL certificate\r\n"
    prompt = b"334 "
    most = 11

    def __init__(self, allowed: int, room: int, name: bytes, capabilities: Sequence[bytes], delay: int) -> None:
        super().__init__(allowed, room)
        self.delay = delay
        self.greeting = b"220 %b ESMTP ready\r\n" % name
        self.helo = b"250 %b\r\n" % name
        mechanisms = names_of(allowed)
        auth = [b" ".join([b"AUTH", *mechanisms])] if mechanisms else []
        self.capability = lines(b"250", [name, *capabilities, *auth])
        self.with_starttls = lines(b"250", [name, *capabilities, *auth, b"STARTTLS"])
        self.starttls_only = lines(b"250", [name, *capabilities, b"STARTTLS"])

    # ---- before the first command

    def greet(self, s: Session) -> None:
        self._find_name(s)
        s.wind()
        if self.delay:
            self._wait(s)
        s.action = "sending client greeting line"
        s.send(self.greeting)

    def _wait(self, s: Session) -> None:
        """Who speaks first is none who knows how to.   nginx: ngx_mail_smtp_invalid_pipelining"""
        s.action = "in delay pipelining state"
        if not s.c.wait_read(self.delay):
            s.c.timedout = False
            s.wind()
            return
        s.more(self.size)
        self._log_rejected(s, "client was rejected before greeting")
        s.finish(BAD_PIPELINING)

    def _log_rejected(self, s: Session, message: str) -> None:
        text = shown(s.buffer).replace("\r", "_").replace("\n", "_")
        s.info(f'{message}: "{text}"')

    def _find_name(self, s: Session) -> None:
        """The client's name, which must lead back to its address.   nginx: ngx_mail_smtp_resolve_…"""
        server, c = s.server, s.c
        if server.resolver is None:
            s.host = UNAVAILABLE
            return
        if not isinstance(c.sockaddr, tuple):
            s.host = TEMPUNAVAIL
            return
        resolver = server.resolver.get(s.worker)
        address = c.addr_text.decode()
        s.action = "in resolving client address"
        try:
            name = resolver.reverse(address, server.resolver_timeout)
        except ResolveFailed as failed:
            self._unresolved(s, address, failed)
            return
        if HOST.fullmatch(name) is None:
            s.log.error(f'{address} resolved to invalid host name "{name}"', ctx=s)
            s.host = TEMPUNAVAIL
            return
        s.action = "in resolving client hostname"
        try:
            found = resolver.resolve(name, server.resolver_timeout)
        except ResolveFailed as failed:
            self._unresolved(s, f'"{name}"', failed)
            return
        s.host = name.encode() if any(sockaddr[0] == address for sockaddr in found) else UNAVAILABLE

    def _unresolved(self, s: Session, what: str, failed: ResolveFailed) -> None:
        s.log.error(f"{what} could not be resolved ({failed.code}: {failed.reason})", ctx=s)
        s.host = UNAVAILABLE if failed.code == NXDOMAIN else TEMPUNAVAIL

    # ---- commands

    def read(self, s: Session) -> Command | None:
        return read_line(s.buffer, s.pos, SMTP_COMMANDS, self.most)

    def answer(self, s: Session, command: Command) -> bytes | None:
        """nginx: ngx_mail_smtp_auth_state"""
        name = command.name
        if name in (b"HELO", b"EHLO"):
            return self._helo(s, command)
        if name == b"AUTH":
            self.only_starttls(s)
            return self.authenticate(s, command.args) if command.args else INVALID_ARGUMENT
        if name == b"QUIT":
            s.quit = True
            return b"221 2.0.0 Bye\r\n"
        if name == b"MAIL":
            return self._mail(s, command)
        if name == b"RCPT":
            return self._rcpt(s, command)
        if name == b"STARTTLS":
            self.begin_tls(s)
            s.helo = s.mail_from = s.mail_to = b""
            return b"220 2.0.0 Start TLS\r\n"
        if name == b"RSET":
            s.mail_from = s.mail_to = b""
            return OK
        if name == b"NOOP":
            return OK
        raise Refused

    def _helo(self, s: Session, command: Command) -> bytes:
        if len(command.args) != 1:
            return INVALID_ARGUMENT
        s.helo = command.args[0]
        s.mail_from = s.mail_to = b""
        if command.name == b"HELO":
            return self.helo
        s.esmtp = True
        if s.c.ssl is not None or not s.server.starttls:
            return self.capability
        return self.with_starttls if s.server.starttls == STARTTLS_ON else self.starttls_only

    def _mail(self, s: Session, command: Command) -> bytes:
        if not self.methods & M_NONE:
            self._log_rejected(s, "client was rejected")
            return AUTH_REQUIRED
        if s.mail_from:
            return BAD_SEQUENCE
        if not command.args:
            return INVALID_ARGUMENT
        s.mail_from = command.text
        s.login, s.password = b"", None
        return OK

    def _rcpt(self, s: Session, command: Command) -> bytes | None:
        if not s.mail_from:
            return BAD_SEQUENCE
        if not command.args:
            return INVALID_ARGUMENT
        s.mail_to = command.text
        s.auth_method = b"none"
        return None

    def invalid(self, s: Session) -> bytes:
        return b"500 5.5.1 Invalid command\r\n"

    def refusal(self, s: Session, message: bytes, code: bytes) -> bytes:
        return b"%b %b\r\n" % (code or b"535 5.7.0", message)
