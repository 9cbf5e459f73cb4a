"""upstream{} in stream{}, its servers, methods and zones.

nginx: ngx_stream_upstream.c, ngx_stream_upstream_{hash,least_conn,least_time,random,zone}_module.c
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_bytes
from geng.conf.directive import UNSET, Command, Conf, Level, command, value
from geng.conf.tables import STREAM, STREAM_UPS
from geng.errors import Invalid, Refused
from geng.modules.foreign.balancers import LeastTimeMethod
from geng.modules.foreign.stream.core import StreamServer
from geng.modules.foreign.table import Foreign
from geng.modules.http.upstream import PARAMETERS, Reader, UpstreamServers, resolver_of
from geng.modules.http.upstream_zone import zone_size
from geng.upstream.address import BadAddress, parse_url
from geng.upstream.upstream import Server, Upstreams, balancing

if TYPE_CHECKING:
    from geng.conf.compiler import Cf, Confs
    from geng.upstream.upstream import Upstream

HTTP_ONLY = ("route=", "drain")
MODES = (b"connect", b"first_byte", b"last_byte")


class StreamUpstreams(Foreign, level=Level.MAIN):
    """All upstreams of stream{}."""

    def __init__(self) -> None:
        super().__init__()
        self.all = Upstreams()
        self.blocks: list[tuple[Upstream, Confs]] = []
        self.outer: StreamServer = None  # type: ignore[assignment]  # what stream{} says; until the first upstream{}

    @command("upstream", STREAM, block=True)
    def upstream(self, cf: Cf) -> None:
        """`upstream name { … }`"""
        self.outer = cf[StreamServer]
        made = self.all.create(cf, cf.args[0])
        confs = cf.confs.nested(cf.scope.classes, Level.SERVER, Level.LOCATION)
        confs[UpstreamServers].upstream = made
        made.servers = []
        self.blocks.append((made, confs))
        cf.walk(cf.node.block or [], STREAM_UPS, confs)
        if not made.servers:
            raise cf.error("no servers are inside upstream")

    def check(self, cf: Cf) -> None:
        outer: Any = self.outer
        for made, confs in self.blocks:
            confs[UpstreamServers].settle(made, outer)
        self.all.link(resolver_of(cf))


def add_server(conf: UpstreamServers, cf: Cf) -> None:
    """`server address [parameters]`: a port must be said."""
    address, *words = cf.args
    upstream = conf.upstream
    reader = Reader(upstream.flags)
    for word in words:
        if any(word.startswith(name) for name in HTTP_ONLY) or word.partition("=")[0] + "=" not in PARAMETERS | BARE:
            raise Invalid(f'invalid parameter "{word}"')
        reader.read(word)
    values = reader.values
    resolve, service = values.pop("resolve", False), values.get("service")
    if service and not resolve:
        raise Invalid(f'service upstream "{address}" requires "resolve" parameter')
    try:
        url = parse_url(address, 0, resolve=None if resolve else resolver_of(cf))
    except BadAddress as bad:
        raise Invalid(f'{bad} in upstream "{address}"') from None
    if url.no_port and not service and not url.unix:
        raise Invalid(f'no port in upstream "{address}"')
    if service and not url.no_port:
        raise Invalid(f'service upstream "{address}" may not have port')
    if service and url.addresses:
        raise Invalid(f'service upstream "{address}" requires domain name')
    host = url.host if resolve and not url.addresses else ""
    assert upstream.servers is not None
    upstream.servers.append(Server(address, url.addresses, url.port, host=host, **values))


BARE: dict[str, Any] = {f"{name}=": None for name in PARAMETERS if not name.endswith("=")}

#: how `server` is read in place of http's
SERVER = Command("server", STREAM_UPS, add_server)


class LeastTime(Foreign, level=Level.SERVER):
    """least_time"""

    mode: str = value()

    @command("least_time", STREAM_UPS)
    def least_time(self, cf: Cf) -> None:
        """`least_time connect | first_byte | last_byte [inflight]`"""
        balancing(cf, cf[UpstreamServers].upstream, LeastTimeMethod())
        mode, *words = cf.args
        if words and words[0] != "inflight":
            raise Invalid(f'invalid parameter "{words[0]}"')
        if self.mode is not UNSET:
            raise Refused("is duplicate")
        if to_bytes(mode).lower() not in MODES:
            raise Invalid(f'invalid value "{mode}"')
        self.mode = mode


class UpstreamZone(Foreign, level=Level.SERVER):
    """zone"""

    @command("zone", STREAM_UPS)
    def zone(self, cf: Cf) -> None:
        """`zone name [size]`"""
        name, *rest = cf.args
        if not name:
            raise Invalid(f'invalid zone name "{name}"')
        size = zone_size(name, rest[0]) if rest else 0
        cf[UpstreamServers].upstream.zone = cf.cycle.zones.add(name, size, "stream_upstream", reuse=False)


def upstreams(cf: Cf) -> Upstreams:
    """All upstreams of the stream block that is being read."""
    return cf[StreamUpstreams].all


CLASSES: tuple[type[Conf], ...] = (StreamUpstreams, UpstreamServers)
