"""What mail{} and its servers themselves say.   nginx: ngx_mail_core_module.c, ngx_mail.c"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from geng.conf.convert import msec, num, string, to_bytes
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import MAIL, MAIL_SRV
from geng.errors import ConfigError, Invalid, Refused
from geng.http.resolving import ResolverSettings
from geng.http.servertls import ServerTls
from geng.net import sockaddr as sa
from geng.stream import listen

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.mail.protocol import Protocol

MS = MAIL | MAIL_SRV

#: what is spoken on which port, unless `protocol` says it
PORTS = {110: "pop3", 995: "pop3", 143: "imap", 993: "imap", 25: "smtp", 465: "smtp", 587: "smtp"}
PROTOCOLS = ("pop3", "imap", "smtp")


class Address:
    """One address and port, which belong to one server.   nginx: ngx_mail_conf_addr_t"""

    udp = False

    def __init__(self, sockaddr: Any, found: listen.Listen, server: MailServer) -> None:
        self.sockaddr = sockaddr
        self.options = found.options
        self.bind = found.set
        self.text = sa.text(sockaddr)
        self.server = server
        self.ssl = "ssl" in found
        self.proxy_protocol = "proxy_protocol" in found

    def __repr__(self) -> str:
        return f"<Address {self.text}>"

    @property
    def wildcard(self) -> bool:
        return sa.is_wildcard(self.sockaddr)


class MailMain(Conf, level=Level.MAIN):
    """mail{}: its servers and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.servers: list[MailServer] = []
        self.addresses: list[Address] = []
        self.worker: Any = None  # once there is one
        self.debugging: Any = None  # what debug_connection says

    @command("server", MAIL, block=True)
    def server(self, cf: Cf) -> None:
        """`server { … }`"""
        confs = cf.confs.nested(cf.scope.classes, Level.SERVER, Level.LOCATION)
        server = confs[MailServer]
        server.file, server.line, server.confs = cf.file, cf.line, confs
        server.main = self
        self.servers.append(server)
        cf.walk(cf.node.block or [], MAIL_SRV, confs)
        if not server.listens:
            raise ConfigError(f'no "listen" is defined for server in {server.file}:{server.line}')


class MailServer(Conf, level=Level.SERVER):
    """One server of mail{}, or what mail{} says for all of them.

    speaks: its protocol; authorize(s), pass_on(s, peer): whether a client may come in, and where to; networks: of
    balancers that may say who the client is; tls, starttls: what ssl says. The modules fill these in.
    """

    timeout: int = directive("timeout", MS, msec, default=60_000)
    server_name: str = directive("server_name", MS, string, default="")
    resolver_timeout: int = directive("resolver_timeout", MS, msec, default=30_000)
    max_errors: int = directive("max_errors", MS, num, default=5)
    resolver: Any = value(None)
    error_log: Any = value(None)

    def __init__(self) -> None:
        super().__init__()
        self.file, self.line = "", 0
        self.confs: Any = None
        self.main: MailMain = None  # type: ignore[assignment]
        self.listens = False
        self.protocol = ""
        self.name = b""
        self.log: Any = None
        self.tls = ServerTls()
        self.starttls = 0
        self.networks: Any = ()
        self.speaks: Protocol = None  # type: ignore[assignment]
        self.authorize: Callable[[Any], Any] = None  # type: ignore[assignment]
        self.pass_on: Callable[[Any, Any], None] = None  # type: ignore[assignment]

    def __getitem__(self, cls: type[Any]) -> Any:
        return self.confs[cls]

    def __repr__(self) -> str:
        return f"<MailServer {self.protocol} {self.file}:{self.line}>"

    @command("listen", MAIL_SRV)
    def listen(self, cf: Cf) -> None:
        """`listen address:port [parameters]`"""
        self.listens = True
        found = listen.read(cf, "mail")
        port = found.addresses[0][1] if isinstance(found.addresses[0], tuple) else 0
        self.protocol = self.protocol or PORTS.get(port, "")
        if "ssl" in found:
            cf.scope.listens_ssl(cf)
        known = cf[MailMain].addresses
        for sockaddr in found.addresses:
            if any(address.sockaddr == sockaddr for address in known):
                raise Invalid(f'duplicate "{sa.text(sockaddr)}" address and port pair')
            known.append(Address(sockaddr, found, self))

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
        self.name = to_bytes(self.server_name or cf.cycle.hostname)
        self.log = self.error_log if self.error_log is not None else cf.cycle.log
