"""What mail{} and its servers themselves say.   nginx: ngx_mail_core_module.c, ngx_mail.c"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from geng.conf.convert import msec, num, string, to_bytes, with_cf
from geng.conf.directive import Level, command, directive
from geng.conf.tables import MAIL, MAIL_SRV, MS
from geng.errors import ConfigError, Invalid
from geng.http import listen
from geng.http.resolving import ResolverSettings, resolver
from geng.net import sockaddr as sa
from geng.stream.servers import Server, Servers

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.mail.protocol import Protocol

#: what is spoken on which port, unless `protocol` says it
PORTS = {110: "pop3", 995: "pop3", 143: "imap", 993: "imap", 25: "smtp", 465: "smtp", 587: "smtp"}
PROTOCOLS = ("pop3", "imap", "smtp")


@with_cf
def resolver_or_off(cf: Cf, *words: str) -> ResolverSettings | None:
    """`resolver address ... [parameters] | off`"""
    return None if words[0] == "off" else resolver(cf, *words)


class MailMain(Servers, level=Level.MAIN):
    """mail{}: its servers and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.debugging: Any = None  # what debug_connection says

    @command("server", MAIL, block=True)
    def server(self, cf: Cf) -> None:
        """`server { … }`"""
        self.open(cf, MailServer, MAIL_SRV)


class MailServer(Server, level=Level.SERVER):
    """One server of mail{}, or what mail{} says for all of them.

    speaks: its protocol; authorize(s), pass_on(s, peer): whether a client may come in, and where to; networks: of
    balancers that may say who the client is; tls, starttls: what ssl says. The modules fill these in.
    """

    timeout: int = directive("timeout", MS, msec, default=60_000)
    server_name: str = directive("server_name", MS, string, default="")
    max_errors: int = directive("max_errors", MS, num, default=5)
    resolver: Any = directive("resolver", MS, resolver_or_off, default=None)

    def __init__(self) -> None:
        super().__init__()
        self.main: MailMain
        self.protocol = ""
        self.name = b""
        self.starttls = 0
        self.networks: Any = ()
        self.speaks: Protocol = None  # type: ignore[assignment]
        self.authorize: Callable[[Any], Any] = None  # type: ignore[assignment]
        self.pass_on: Callable[[Any, Any], None] = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<MailServer {self.protocol} {self.file}:{self.line}>"

    @command("listen", MAIL_SRV)
    def listen(self, cf: Cf) -> None:
        """`listen address:port [parameters]`"""
        self.listens = True
        found = listen.read(cf, listen.MAIL)
        port = found.addresses[0][1] if isinstance(found.addresses[0], tuple) else 0
        self.protocol = self.protocol or PORTS.get(port, "")
        if "ssl" in found:
            cf.scope.listens_ssl(cf)
        ports = cf[MailMain].ports
        for sockaddr in found.addresses:
            if ports.find(sockaddr) is not None:
                raise Invalid(f'duplicate "{sa.text(sockaddr)}" address and port pair')
            ports.add(cf, self, sockaddr, found)

    @command("protocol", MAIL_SRV)
    def set_protocol(self, cf: Cf) -> None:
        """`protocol imap | pop3 | smtp`"""
        if cf.args[0] not in PROTOCOLS:
            raise Invalid(f'unknown protocol "{cf.args[0]}"')
        self.protocol = cf.args[0]

    def check(self, cf: Cf) -> None:
        super().check(cf)
        if not self.protocol:
            raise ConfigError(f"unknown mail protocol for server in {self.file}:{self.line}")
        self.name = to_bytes(self.server_name or cf.cycle.hostname)
