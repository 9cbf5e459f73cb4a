"""`least_conn`.   nginx: ngx_http_upstream_least_conn_module.c"""

from __future__ import annotations

from geng.conf.compiler import Cf
from geng.conf.directive import Conf, Level, command
from geng.conf.tables import UPS
from geng.http.module import Module
from geng.modules.http.upstream import UpstreamServers
from geng.upstream.least_conn import LeastConnMethod
from geng.upstream.upstream import balancing


class UpstreamLeastConn(Conf, level=Level.SERVER):
    """The directive; what it says is kept by the upstream."""

    @command("least_conn", UPS)
    def least_conn(self, cf: Cf) -> None:
        balancing(cf, cf[UpstreamServers].upstream, LeastConnMethod())


module = Module(name="http_upstream_least_conn", confs=(UpstreamLeastConn,))
