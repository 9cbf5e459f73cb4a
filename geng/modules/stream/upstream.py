"""upstream{} in stream{} and its servers, and what sessions had to do with them.   nginx: ngx_stream_upstream.c"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.directive import Command, Level, command
from geng.conf.tables import STREAM, STREAM_UPS
from geng.http.module import NOCACHEABLE, Variable
from geng.modules.http import upstream as http
from geng.modules.http.upstream import UpstreamBlocks, UpstreamServers, read_server
from geng.modules.http.upstream_variables import milliseconds, over_states, shown_addr
from geng.stream.conf import StreamServer
from geng.stream.module import Module
from geng.upstream.upstream import Upstreams

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

#: http's but for two
PARAMETERS = {name: entry for name, entry in http.PARAMETERS.items() if name not in ("route=", "drain")}


class StreamUpstreams(UpstreamBlocks, level=Level.MAIN):
    """All upstreams of stream{}."""

    @command("upstream", STREAM, block=True)
    def upstream(self, cf: Cf) -> None:
        """`upstream name { … }`"""
        self.open(cf, cf[StreamServer], STREAM_UPS)


def add_server(conf: UpstreamServers, cf: Cf) -> None:
    """`server address [parameters]`: a port must be said."""
    assert conf.upstream.servers is not None
    conf.upstream.servers.append(read_server(cf, conf.upstream, port=0, known=PARAMETERS))


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
