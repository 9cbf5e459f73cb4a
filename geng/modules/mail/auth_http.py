"""Whom to ask about a user: an HTTP server, which says in header lines who may come in and where to.

nginx: ngx_mail_auth_http_module.c
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag, keyval, msec, to_bytes
from geng.conf.directive import Conf, Level, command, directive, value
from geng.errors import ConfigError, ConnectionClosed, GengError, Invalid, TimedOut
from geng.hot.uri import MAIL_AUTH, escape_uri
from geng.mail.conf import MS, MailServer
from geng.mail.session import Session, shown
from geng.modules.http.ssl_variables import client_verify
from geng.modules.http.upstream import resolver_of
from geng.net import sockaddr as sa
from geng.net.address import Address, BadAddress, Url, parse_url
from geng.net.connect import NoConnections, connect
from geng.tls import certificate as of

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.net.connection import Connection

LONGEST = 1024  # bytes of the response's head
ETIMEDOUT = 110

_STATUS_LINE = re.compile(rb"HTTP/[^\n]*\n")
_LINE = re.compile(rb"([A-Za-z0-9][A-Za-z0-9-]*)(?:: *([^\r\n]*?) *)?\r?\n")
_END = re.compile(rb"\r?\n")

#: what a client's certificate says, if it was asked for one
CERTIFICATE: tuple[tuple[bytes, Callable[[Any], bytes]], ...] = (
    (b"Auth-SSL-Verify", client_verify),
    (b"Auth-SSL-Subject", of.subject),
    (b"Auth-SSL-Issuer", of.issuer),
    (b"Auth-SSL-Serial", of.serial),
    (b"Auth-SSL-Fingerprint", of.fingerprint),
)


class MailAuth(Conf, level=Level.SERVER):
    """What one server says; *place* is the server's."""

    url: Url | None = value(None)
    timeout: int = directive("auth_http_timeout", MS, msec, default=60_000)
    headers: Sequence[tuple[str, str]] = directive("auth_http_header", MS, keyval, default=(), repeat=True)
    pass_client_cert: bool = directive("auth_http_pass_client_cert", MS, flag, default=False)

    @command("auth_http", MS)
    def set_url(self, cf: Cf) -> None:
        """`auth_http URL`"""
        text = cf.args[0].removeprefix("http://")
        try:
            self.url = parse_url(text, 80, uri_part=True, resolve=resolver_of(cf))
        except BadAddress as bad:
            raise Invalid(f'{bad} in auth_http "{text}"') from None

    def check(self, cf: Cf) -> None:
        server = cf[MailServer]
        if self.url is None:
            raise ConfigError(f'no "auth_http" is defined for server in {server.file}:{server.line}')
        server.authorize = Asker(self, self.url).ask


@dataclass(slots=True)
class Verdict:
    """Where the client is passed on to; or why it may not come in, with seconds to *wait* before it is told (0: it is
    told, and that is the end). *again*: ask once more after that."""

    peer: Address | None = None
    message: bytes = b""
    code: bytes = b""
    wait: int = 0
    again: bool = False


class NoVerdict(GengError):
    """The answer is of no use; the text is for the log ("": it has been told)."""


class Asker:
    """What asks for one server."""

    def __init__(self, conf: MailAuth, url: Url) -> None:
        self.conf = conf
        self.address = url.addresses[0]
        self.uri = to_bytes(url.uri) or b"/"
        self.host = b"localhost" if url.unix else to_bytes(url.host)
        self.headers = b"".join([b"%b: %b\r\n" % (to_bytes(name), to_bytes(text)) for name, text in conf.headers])

    def __repr__(self) -> str:
        return f"<Asker of {shown(self.address.name)}>"

    def ask(self, s: Session) -> Verdict:
        """The verdict about *s*; where there is none, the session ends."""
        s.login_attempt += 1
        while True:
            s.action = "in http auth state"
            try:
                verdict = self._verdict(s, self._exchange(s))
            except NoVerdict as no:
                if no.args[0]:
                    s.log.error(f"auth http server {shown(self.address.name)} {no.args[0]}", ctx=s)
                s.fail()
                raise AssertionError("fail() raises") from None
            if not verdict.again:
                return verdict
            if verdict.wait:
                s.c.hub.sleep(verdict.wait * 1000)

    # ---- the request

    def request(self, s: Session) -> bytes:
        """What is sent."""
        password = s.password or b""
        lines = [
            (b"Host", self.host),
            (b"Auth-Method", s.auth_method),
            (b"Auth-User", escape_uri(s.login, MAIL_AUTH)),
            (b"Auth-Pass", escape_uri(password, MAIL_AUTH)),
        ]
        if s.auth_method in (b"apop", b"cram-md5") and s.salt:
            lines.append((b"Auth-Salt", s.salt))
            s.password = None  # a hash is none
        lines += [
            (b"Auth-Protocol", s.server.speaks.name),
            (b"Auth-Login-Attempt", b"%d" % s.login_attempt),
            (b"Client-IP", s.c.addr_text),
        ]
        if s.host:
            lines.append((b"Client-Host", s.host))
        told = s.proxy_protocol
        if told is not None:
            lines += [
                (b"Proxy-Protocol-Addr", told.src_addr),
                (b"Proxy-Protocol-Port", b"%d" % told.src_port),
                (b"Proxy-Protocol-Server-Addr", told.dst_addr),
                (b"Proxy-Protocol-Server-Port", b"%d" % told.dst_port),
            ]
        if s.auth_method == b"none":
            lines += [(b"Auth-SMTP-Helo", s.helo), (b"Auth-SMTP-From", s.mail_from), (b"Auth-SMTP-To", s.mail_to)]
        if s.c.ssl is not None:
            lines += self._tls(s)
        text = b"".join([b"%b: %b\r\n" % line for line in lines])
        return b"GET %b HTTP/1.0\r\n%b%b\r\n" % (self.uri, text, self.headers)

    def _tls(self, s: Session) -> list[tuple[bytes, bytes]]:
        ssl = s.c.ssl
        lines = [(b"Auth-SSL", b"on"), (b"Auth-SSL-Protocol", of.protocol(ssl)), (b"Auth-SSL-Cipher", of.cipher(ssl))]
        if s.server.tls.verify:
            lines += [(name, get(ssl)) for name, get in CERTIFICATE]
            if self.conf.pass_client_cert:
                lines.append((b"Auth-SSL-Cert", escape_uri(of.raw_cert(ssl), MAIL_AUTH)))
        return [line for line in lines if line[1]]

    # ---- the exchange

    def _exchange(self, s: Session) -> bytes:
        """The head of the answer. Raises NoVerdict."""
        conf = self.conf
        try:
            c = connect(s.c.hub, s.c.pool, self.address.sockaddr, ms=conf.timeout)
        except TimedOut:
            raise self._late(s) from None
        except NoConnections:
            raise NoVerdict("") from None
        except ConnectionClosed as error:
            raise self._broken(s, error) from None
        try:
            c.send((self.request(s),), conf.timeout)
            return self._read(c)
        except TimedOut:
            raise self._late(s) from None
        except ConnectionClosed as error:
            raise self._broken(s, error) from None
        finally:
            c.close()

    def _read(self, c: Connection) -> bytes:
        data = b""
        while True:
            room = LONGEST - len(data)
            more = c.read(room, self.conf.timeout) if room else b""
            if not more:
                raise NoVerdict("")
            data += more
            if b"\n\r\n" in data or b"\n\n" in data:
                return data

    def _late(self, s: Session) -> NoVerdict:
        s.log.error(f"auth http server {shown(self.address.name)} timed out", err=ETIMEDOUT, ctx=s)
        return NoVerdict("")

    def _broken(self, s: Session, error: ConnectionClosed) -> NoVerdict:
        s.log.log(error.level("error"), error.message, err=error.error or None, ctx=s)
        return NoVerdict("")

    # ---- the answer

    def _verdict(self, s: Session, data: bytes) -> Verdict:
        """nginx: ngx_mail_auth_http_process_headers"""
        head = read_head(data)
        verdict = Verdict(wait=number(head.get(b"auth-wait", b"")), code=head.get(b"auth-error-code", b""))
        if b"auth-user" in head:
            s.login = head[b"auth-user"]
        if b"auth-pass" in head:
            s.password = head[b"auth-pass"]
        status = head.get(b"auth-status", b"OK")
        if status == b"WAIT":
            verdict.again = True
            return verdict
        if status != b"OK":
            s.info(f'client login failed: "{shown(status)}"')
            verdict.message = status
            return verdict
        verdict.peer = self._peer(s, head.get(b"auth-server", b""), head.get(b"auth-port", b""))
        return verdict

    def _peer(self, s: Session, host: bytes, port: bytes) -> Address:
        if not host or not port:
            raise NoVerdict("did not send server or port")
        if s.password is None and s.server.speaks.name != b"smtp":
            raise NoVerdict("did not send password")
        try:
            address = sa.plain(host.decode("latin-1"), 0)
        except ValueError:
            raise NoVerdict(f'sent invalid server address:"{shown(host)}"') from None
        if not (port.isdigit() and 1 <= int(port) <= 65535):
            raise NoVerdict(f'sent invalid server port:"{shown(port)}"')
        return Address((address[0], int(port), *address[2:]), host + b":" + port)


def number(text: bytes) -> int:
    """Seconds; 0 where it is no number."""
    return int(text) if text.isdigit() else 0


def read_head(data: bytes) -> dict[bytes, bytes]:
    """The header lines by their names in lower case, the last of each. Raises NoVerdict."""
    found = _STATUS_LINE.match(data)
    at = found.end() if found is not None else 0
    head: dict[bytes, bytes] = {}
    while _END.match(data, at) is None:
        line = _LINE.match(data, at)
        if line is None:
            raise NoVerdict("sent invalid header in response")
        head[line[1].lower()] = line[2] or b""
        at = line.end()
    return head
