"""upstream{} in stream{} and its servers, and what sessions had to do with them.   nginx: ngx_stream_upstream.c"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.directive import Command, Conf, Level, command
from geng.conf.tables import STREAM, STREAM_UPS
from geng.errors import Invalid
from geng.http.module import NOCACHEABLE, Variable
from geng.modules.http.upstream import PARAMETERS, Reader, UpstreamServers, resolver_of
from geng.modules.http.upstream_variables import milliseconds, over_states, shown_addr
from geng.stream.conf import StreamServer
from geng.stream.module import Module
from geng.upstream.address import BadAddress, parse_url
from geng.upstream.upstream import Server, Upstreams

if TYPE_CHECKING:
    from geng.conf.compiler import Cf, Confs
    from geng.upstream.upstream import Upstream

HTTP_ONLY = ("route=", "drain")


class StreamUpstreams(Conf, level=Level.MAIN):
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


def upstreams(cf: Cf) -> Upstreams:
    """All upstreams of the stream block that is being read."""
    return cf[StreamUpstreams].all


VARIABLES = (
    Variable("upstream_addr", over_states(shown_addr), NOCACHEABLE),
    Variable("upstream_bytes_sent", over_states(lambda state: b"%d" % state.bytes_sent), NOCACHEABLE),
    Variable("upstream_connect_time", over_states(lambda state: milliseconds(state.connect_time)), NOCACHEABLE),
    Variable("upstream_first_byte_time", over_states(lambda state: milliseconds(state.header_time)), NOCACHEABLE),
    Variable("upstream_session_time", over_states(lambda state: milliseconds(state.response_time)), NOCACHEABLE),
    Variable("upstream_bytes_received", over_states(lambda state: b"%d" % state.bytes_received), NOCACHEABLE),
)

module = Module(name="stream_upstream", confs=(StreamUpstreams, UpstreamServers), variables=VARIABLES)
