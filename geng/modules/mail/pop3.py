"""POP3.   RFC 1939, 2449, 2595, 5034; nginx: ngx_mail_pop3_module.c, ngx_mail_pop3_handler.c"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from geng.conf.convert import to_bytes
from geng.conf.directive import Conf, Level, directive
from geng.mail.conf import MS, MailServer
from geng.mail.protocol import M_APOP, M_CRAM_MD5, M_LOGIN, M_PLAIN, STARTTLS_ON, Protocol, Refused, names_of
from geng.mail.session import START, USER, Session
from geng.modules.mail.words import methods, words
from geng.wire.mail import POP3_COMMANDS, Command, read_line

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

BUFFER = 128
CAPABILITIES = (("TOP", "USER", "UIDL"),)


class MailPop3(Conf, level=Level.SERVER):
    """What one server says."""

    capabilities: Sequence[tuple[str, ...]] = directive("pop3_capabilities", MS, words, default=CAPABILITIES, repeat=True)
    auth: int = directive("pop3_auth", MS, methods("plain", "apop", "cram-md5", "external"), default=M_PLAIN)

    def check(self, cf: Cf) -> None:
        server = cf[MailServer]
        if server.protocol == "pop3":
            allowed = self.auth | M_LOGIN if self.auth & M_PLAIN else self.auth
            server.speaks = Pop3(allowed, [to_bytes(word) for line in self.capabilities for word in line])


def listed(lines: Sequence[bytes]) -> bytes:
    """A list as POP3 has it."""
    return b"".join([line + b"\r\n" for line in (*lines, b".")])


class Pop3(Protocol):
    """One server's POP3."""

    name = b"pop3"
    internal_error = b"-ERR internal server error\r\n"
    cert_error = b"-ERR SSL certificate error\r\n"
    no_cert = b"-ERR No required SSL certificate\r\n"

    def __init__(self, allowed: int, capabilities: Sequence[bytes]) -> None:
        super().__init__(allowed, BUFFER)
        names = names_of(allowed)
        head = b"+OK Capability list follows"
        sasl = b" ".join([b"SASL", *names])
        self.mechanisms = listed([b"+OK methods supported:", *names])
        self.capability = listed([head, *capabilities, sasl])
        self.with_starttls = listed([head, *capabilities, sasl, b"STLS"])
        self.starttls_only = listed([head, *(word for word in capabilities if word.upper() != b"USER"), b"STLS"])

    def greet(self, s: Session) -> None:
        if self.methods & (M_APOP | M_CRAM_MD5):
            s.send(b"+OK POP3 ready %b\r\n" % s.make_salt())
        else:
            s.send(b"+OK POP3 ready\r\n")

    def read(self, s: Session) -> Command | None:
        return read_line(s.buffer, s.pos, POP3_COMMANDS, self.most)

    def answer(self, s: Session, command: Command) -> bytes | None:
        """nginx: ngx_mail_pop3_auth_state"""
        name = command.name
        if name == b"NOOP":
            return b"+OK\r\n"
        if name == b"QUIT":
            s.quit = True
            return b"+OK\r\n"
        if name == b"CAPA":
            return self._capa(s)
        if s.state == USER:
            self._pass(s, command)
            return None
        if name == b"STLS":
            self.begin_tls(s)
            return b"+OK\r\n"
        if name == b"PASS":
            raise Refused
        self.only_starttls(s)
        if name == b"AUTH":
            return self.authenticate(s, command.args) if command.args else self.mechanisms
        if name == b"APOP":
            self._apop(s, command)
            return None
        if len(command.args) != 1:
            raise Refused
        s.login = command.args[0]
        s.state = USER
        return b"+OK\r\n"

    def _pass(self, s: Session, command: Command) -> None:
        if command.name != b"PASS" or len(command.args) != 1:
            raise Refused
        s.password = command.args[0]

    def _apop(self, s: Session, command: Command) -> None:
        if len(command.args) != 2 or not self.methods & M_APOP:
            raise Refused
        s.login, s.password = command.args
        s.auth_method = b"apop"

    def _capa(self, s: Session) -> bytes:
        if s.c.ssl is not None or not s.server.starttls or s.state != START:
            return self.capability
        return self.with_starttls if s.server.starttls == STARTTLS_ON else self.starttls_only

    def invalid(self, s: Session) -> bytes:
        return b"-ERR invalid command\r\n"

    def refusal(self, s: Session, message: bytes, code: bytes) -> bytes:
        return b"-ERR %b\r\n" % message
