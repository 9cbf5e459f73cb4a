"""What stream{} and its servers themselves say.   nginx: ngx_stream_core_module.c, ngx_stream.c (ngx_stream_add_listen)"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag, msec, num, size
from geng.conf.directive import Conf, Level, command, directive, own
from geng.conf.tables import STREAM, STREAM_SRV
from geng.core import hashes
from geng.http import listen
from geng.http.servernames import NAMELESS, Names, captures, first_name, server_names
from geng.stream.module import Handler, Module, Phase
from geng.stream.servers import Server, Servers

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

SS = STREAM | STREAM_SRV


class StreamMain(Servers, level=Level.MAIN):
    """What stream{} says, its servers and addresses. Sizes of hash tables are only checked."""

    variables_hash_max_size: int = directive("variables_hash_max_size", STREAM, num, default=1024)
    variables_hash_bucket_size: int = directive("variables_hash_bucket_size", STREAM, num, default=64)
    server_names_hash_max_size: int = directive("server_names_hash_max_size", STREAM, num, default=512)
    server_names_hash_bucket_size: int = directive("server_names_hash_bucket_size", STREAM, num, default=64)

    def __init__(self) -> None:
        super().__init__()
        self.confs: dict[type[Conf], Any] = {}

    def __getitem__(self, cls: type[Any]) -> Any:
        return self.confs[cls]

    @command("server", STREAM, block=True)
    def server(self, cf: Cf) -> None:
        """`server { … }`"""
        self.open(cf, StreamServer, STREAM_SRV)

    def sort_names(self, cf: Cf) -> None:
        """Find out which server has which name on each address.   nginx: ngx_stream_server_names"""
        table = hashes.sized(self, "server_names_hash", partial(cf.log, "warn"))
        for address in self.ports.all():
            address.sort_names(cf, table)


class StreamServer(Server, level=Level.SERVER):
    """One server of stream{}, or what stream{} says for all of them. *names*: with their regular expressions, if any.

    *content* links the handler of the content phase; *handlers* are the other phases', once linked.
    """

    proxy_protocol_timeout: int = directive("proxy_protocol_timeout", SS, msec, default=30_000)
    tcp_nodelay: bool = directive("tcp_nodelay", SS, flag, default=True)
    preread_buffer_size: int = directive("preread_buffer_size", SS, size, default=16384)
    preread_timeout: int = directive("preread_timeout", SS, msec, default=30_000)
    names: Names = directive("server_name", STREAM_SRV, server_names, merge=own)

    def __init__(self) -> None:
        super().__init__()
        self.main: StreamMain
        self.server_name = b""
        self.captures = False
        self.content: Any = None
        self.handlers: tuple[tuple[Handler, ...], ...] = ()
        self.handler: Handler | None = None

    def __repr__(self) -> str:
        return f"<StreamServer {self.server_name.decode('utf-8', 'replace')!r} {self.file}:{self.line}>"

    @command("listen", STREAM_SRV)
    def listen(self, cf: Cf) -> None:
        """`listen address:port [parameters]`"""
        self.listens = True
        found = listen.read(cf, listen.STREAM)
        for sockaddr in found.addresses:
            cf[StreamMain].ports.add(cf, self, sockaddr, found)

    def merge(self, cf: Cf, parent: Conf) -> None:
        super().merge(cf, parent)
        self.names = self.names or NAMELESS
        self.server_name, self.captures = first_name(self.names), captures(self.names)

    def link(self, modules: tuple[Module, ...]) -> None:
        """All is read: which handlers each phase has. nginx calls those of a phase in reverse order of the modules."""
        phases: list[tuple[Handler, ...]] = []
        for phase in Phase:
            links = [module.handlers[phase] for module in modules if phase in module.handlers]
            made = [link(self) for link in (links if phase is Phase.LOG else reversed(links))]
            phases.append(tuple(handler for handler in made if handler is not None))
        self.handlers = tuple(phases)
        self.handler = self.content(self) if self.content is not None else None
