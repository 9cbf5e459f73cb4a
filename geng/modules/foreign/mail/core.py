"""What mail{} and its servers say.

nginx: ngx_mail_core_module.c, ngx_mail_auth_http_module.c, ngx_mail_proxy_module.c, ngx_mail_{pop3,imap,smtp}_module.c
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import bitmask, enum, flag, keyval, msec, num, size, string
from geng.conf.directive import UNSET, Level, command, value
from geng.conf.tables import MAIL, MAIL_SRV
from geng.errors import ConfigError, Invalid, Refused
from geng.http.resolving import ResolverSettings
from geng.modules.foreign.borrowed import Part
from geng.modules.foreign.table import Foreign, many, words
from geng.modules.foreign.tls import MailSsl
from geng.modules.http.realip import RealIpConf
from geng.modules.http.upstream import resolver_of
from geng.net import sockaddr as sa
from geng.stream import listen
from geng.upstream.address import BadAddress, parse_url

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

MS = MAIL | MAIL_SRV

#: what is spoken on which port, unless `protocol` says it
PORTS = {110: "pop3", 995: "pop3", 143: "imap", 993: "imap", 25: "smtp", 465: "smtp", 587: "smtp"}
PROTOCOLS = ("pop3", "imap", "smtp")

METHODS = {"plain": 1, "login": 2, "apop": 4, "cram-md5": 8, "external": 16, "none": 32}


def methods(*names: str) -> Any:
    """Some of the ways to log in."""
    return bitmask({name: METHODS[name] for name in names})


class MailMain(Foreign, level=Level.MAIN):
    """mail{}: its servers and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.servers: list[MailServer] = []
        self.addresses: list[Any] = []

    @command("server", MAIL, block=True)
    def server(self, cf: Cf) -> None:
        """`server { … }`"""
        confs = cf.confs.nested(cf.scope.classes, Level.SERVER, Level.LOCATION)
        server = confs[MailServer]
        server.file, server.line, server.confs = cf.file, cf.line, confs
        confs[MailAuth].place = f"{cf.file}:{cf.line}"
        self.servers.append(server)
        cf.walk(cf.node.block or [], MAIL_SRV, confs)
        if not server.listens:
            raise ConfigError(f'no "listen" is defined for server in {server.file}:{server.line}')


class MailServer(
    Foreign,
    level=Level.SERVER,
    module="mail_core",
    rules={"timeout": msec, "server_name": string, "resolver_timeout": msec, "max_errors": num},
):
    """One server of mail{}, or what mail{} says for all of them."""

    resolver: Any = value(None)
    error_log: Any = value(None)

    def __init__(self) -> None:
        super().__init__()
        self.file, self.line = "", 0
        self.confs: Any = None
        self.listens = False
        self.protocol = ""

    @command("listen", MAIL_SRV)
    def listen(self, cf: Cf) -> None:
        """`listen address:port [parameters]`"""
        self.listens = True
        found = listen.read(cf, "mail")
        port = found.addresses[0][1] if isinstance(found.addresses[0], tuple) else 0
        self.protocol = self.protocol or PORTS.get(port, "")
        if "ssl" in found:
            tls = cf[MailSsl]
            tls.listens, tls.place = True, f"{cf.file}:{cf.line}"
        known = cf[MailMain].addresses
        for sockaddr in found.addresses:
            if sockaddr in known:
                raise Invalid(f'duplicate "{sa.text(sockaddr)}" address and port pair')
            known.append(sockaddr)

    @command("protocol", MAIL_SRV)
    def set_protocol(self, cf: Cf) -> None:
        """`protocol imap | pop3 | smtp`"""
        if cf.args[0] not in PROTOCOLS:
            raise Invalid(f'unknown protocol "{cf.args[0]}"')
        self.protocol = cf.args[0]

    @command("error_log", MS)
    def add_error_log(self, cf: Cf) -> None:
        """`error_log file [level]`"""
        self.error_log = cf.cycle.add_log(cf, None if self.error_log is UNSET else self.error_log)

    @command("resolver", MS)
    def set_resolver(self, cf: Cf) -> None:
        """`resolver address ... [parameters] | off`"""
        if self.resolver is not UNSET:
            raise Refused("is duplicate")
        self.resolver = None if cf.args[0] == "off" else ResolverSettings.read(cf)

    def check(self, cf: Cf) -> None:
        if not self.protocol:
            raise ConfigError(f"unknown mail protocol for server in {self.file}:{self.line}")


class MailPop3(
    Foreign,
    level=Level.SERVER,
    module="mail_pop3",
    rules={"pop3_capabilities": many(words), "pop3_auth": methods("plain", "apop", "cram-md5", "external")},
):
    """POP3"""


class MailImap(
    Foreign,
    level=Level.SERVER,
    module="mail_imap",
    rules={
        "imap_client_buffer": size,
        "imap_capabilities": many(words),
        "imap_auth": methods("plain", "login", "cram-md5", "external"),
    },
):
    """IMAP"""


class MailSmtp(
    Foreign,
    level=Level.SERVER,
    module="mail_smtp",
    rules={
        "smtp_client_buffer": size,
        "smtp_greeting_delay": msec,
        "smtp_capabilities": many(words),
        "smtp_auth": methods("plain", "login", "cram-md5", "external", "none"),
    },
):
    """SMTP"""


class MailAuth(
    Foreign,
    level=Level.SERVER,
    module="mail_auth_http",
    rules={"auth_http_timeout": msec, "auth_http_header": many(keyval), "auth_http_pass_client_cert": flag},
):
    """Whom to ask about a user; *place* is the server's."""

    url: Any = value(None)

    def __init__(self) -> None:
        super().__init__()
        self.place = ""

    @command("auth_http", MS)
    def set_url(self, cf: Cf) -> None:
        """`auth_http URL`"""
        text = cf.args[0].removeprefix("http://")
        try:
            self.url = parse_url(text, 80, uri_part=True, resolve=resolver_of(cf))
        except BadAddress as bad:
            raise Invalid(f'{bad} in auth_http "{text}"') from None

    def check(self, cf: Cf) -> None:
        if self.url is None:
            raise ConfigError(f'no "auth_http" is defined for server in {self.place}')


class MailProxy(
    Foreign,
    level=Level.SERVER,
    module="mail_proxy",
    rules={
        "proxy": flag,
        "proxy_buffer": size,
        "proxy_timeout": msec,
        "proxy_pass_error_message": flag,
        "xclient": flag,
        "proxy_smtp_auth": flag,
        "proxy_protocol": enum({"off": 0, "on": 1, "v2": 2}),
    },
):
    """What is passed on to the mail server."""


#: nginx's modules in the order in which their confs are merged
PARTS: tuple[Part, ...] = (
    ("mail_core", (MailMain, MailServer)),
    ("mail_ssl", (MailSsl,)),
    ("mail_pop3", (MailPop3,)),
    ("mail_imap", (MailImap,)),
    ("mail_smtp", (MailSmtp,)),
    ("mail_auth_http", (MailAuth,)),
    ("mail_proxy", (MailProxy,)),
    ("mail_realip", (RealIpConf,)),
)
