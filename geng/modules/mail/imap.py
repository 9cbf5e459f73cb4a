"""IMAP.   RFC 3501; nginx: ngx_mail_imap_module.c, ngx_mail_imap_handler.c"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from geng.conf.convert import size, to_bytes
from geng.conf.directive import Conf, Level, directive
from geng.mail.conf import MS, MailServer
from geng.mail.protocol import M_PLAIN, STARTTLS_ON, Protocol, Refused, names_of
from geng.mail.session import Session
from geng.modules.mail.words import methods, words
from geng.wire.mail import Command, ImapReader, Literal

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

PAGE = 4096
CAPABILITIES = (("IMAP4", "IMAP4rev1", "UIDPLUS"),)
OK = b"OK completed\r\n"


class MailImap(Conf, level=Level.SERVER):
    """What one server says."""

    buffer: int = directive("imap_client_buffer", MS, size, default=PAGE)
    capabilities: Sequence[tuple[str, ...]] = directive("imap_capabilities", MS, words, default=CAPABILITIES, repeat=True)
    auth: int = directive("imap_auth", MS, methods("plain", "login", "cram-md5", "external"), default=M_PLAIN)

    def check(self, cf: Cf) -> None:
        server = cf[MailServer]
        if server.protocol == "imap":
            given = [to_bytes(word) for line in self.capabilities for word in line]
            server.speaks = Imap(self.auth, self.buffer, given)


class Imap(Protocol):
    """One server's IMAP."""

    name = b"imap"
    internal_error = b"* BAD internal server error\r\n"
    cert_error = b"* BYE SSL certificate error\r\n"
    no_cert = b"* BYE No required SSL certificate\r\n"

    def __init__(self, allowed: int, room: int, capabilities: Sequence[bytes]) -> None:
        super().__init__(allowed, room)
        plain = b" ".join([b"* CAPABILITY", *capabilities])
        full = b" ".join([plain, *(b"AUTH=" + name for name in names_of(allowed))])
        self.capability = full + b"\r\n"
        self.with_starttls = full + b" STARTTLS\r\n"
        self.starttls_only = plain + b" STARTTLS LOGINDISABLED\r\n"

    def greet(self, s: Session) -> None:
        s.send(b"* OK IMAP4 ready\r\n")

    def read(self, s: Session) -> Command | None:
        while True:
            found = ImapReader(s.buffer, s.pos).read(s.told)
            if not isinstance(found, Literal):
                if found is not None:
                    s.told = 0
                    s.tag = found.tag
                return found
            s.told = found.count
            s.send(b"+ OK\r\n")

    def answer(self, s: Session, command: Command) -> bytes | None:
        """nginx: ngx_mail_imap_auth_state"""
        name = command.name
        text = b""
        if name == b"LOGIN":
            self.only_starttls(s)
            if len(command.args) != 2 or not command.args[0]:
                raise Refused
            s.login, s.password = command.args
            return None
        if name == b"AUTHENTICATE":
            self.only_starttls(s)
            return self.authenticate(s, command.args)
        if name == b"CAPABILITY":
            text = self._capability(s)
        elif name == b"LOGOUT":
            s.quit = True
            text = b"* BYE\r\n"
        elif name == b"STARTTLS":
            self.begin_tls(s)
        return text + self.tagged(s, OK)

    def tagged(self, s: Session, line: bytes) -> bytes:
        """*line* behind the tag of the command, which is done with."""
        tag, s.tag = s.tag or b"* ", b""
        return tag + line

    def _capability(self, s: Session) -> bytes:
        if s.c.ssl is not None or not s.server.starttls:
            return self.capability
        return self.with_starttls if s.server.starttls == STARTTLS_ON else self.starttls_only

    def invalid(self, s: Session) -> bytes:
        s.told = 0
        return self.tagged(s, b"BAD invalid command\r\n")

    def refusal(self, s: Session, message: bytes, code: bytes) -> bytes:
        return b"%bNO %b\r\n" % (s.tag, message)
