"""What the servers of stream{} and of mail{} have in common: where they stand, where they log, who resolves names.

nginx: ngx_stream_core_module.c, ngx_mail_core_module.c (…_core_server)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import error_log, msec
from geng.conf.directive import Conf, Level, directive
from geng.conf.tables import SS
from geng.errors import ConfigError
from geng.http.ports import Ports
from geng.http.resolving import resolver
from geng.http.servertls import ServerTls

if TYPE_CHECKING:
    from geng.conf.compiler import Cf


class Server(Conf, level=Level.SERVER):
    """One server, or what the block says for all of them."""

    resolver_timeout: int = directive("resolver_timeout", SS, msec, default=30_000)
    resolver: Any = directive("resolver", SS, resolver, default=None)
    error_log: Any = directive("error_log", SS, error_log, default=None)

    def __init__(self) -> None:
        super().__init__()
        self.file, self.line = "", 0
        self.confs: Any = None
        self.main: Any = None
        self.listens = False
        self.log: Any = None
        self.tls = ServerTls()

    def __getitem__(self, cls: type[Any]) -> Any:
        return self.confs[cls]

    def check(self, cf: Cf) -> None:
        self.log = self.error_log if self.error_log is not None else cf.cycle.log


class Servers(Conf, level=Level.MAIN):
    """The servers of a block, and the addresses that they listen to."""

    def __init__(self) -> None:
        super().__init__()
        self.servers: list[Any] = []
        self.ports = Ports()
        self.worker: Any = None  # once there is one

    def open(self, cf: Cf, cls: type[Server], context: int) -> None:
        """Read `server { … }` into a new *cls*."""
        confs = cf.confs.nested(cf.scope.classes, Level.SERVER, Level.LOCATION)
        server = confs[cls]
        server.file, server.line, server.confs = cf.file, cf.line, confs
        server.main = self
        self.servers.append(server)
        cf.walk(cf.node.block or [], context, confs)
        if not server.listens:
            raise ConfigError(f'no "listen" is defined for server in {server.file}:{server.line}')

    def merge_servers(self, cf: Cf, cls: type[Conf], confs: Any) -> None:
        """Fill the confs of *cls* in all servers: first what is inherited, then defaults."""
        for server in self.servers:
            cf.confs = server.confs
            mine: Any = server.confs[cls]
            mine.merge(cf, confs[cls])
            cf.attempt(mine.resolve)
