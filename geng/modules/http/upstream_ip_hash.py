"""`ip_hash`.   nginx: ngx_http_upstream_ip_hash_module.c"""

from __future__ import annotations

from geng.conf.compiler import Cf
from geng.conf.directive import Conf, Level, command
from geng.conf.tables import UPS
from geng.http.module import Module
from geng.modules.http.upstream import UpstreamServers
from geng.upstream.ip_hash import IpHashMethod
from geng.upstream.upstream import balancing


class UpstreamIpHash(Conf, level=Level.SERVER):
    """The directive; what it says is kept by the upstream."""

    @command("ip_hash", UPS)
    def ip_hash(self, cf: Cf) -> None:
        balancing(cf, cf[UpstreamServers].upstream, IpHashMethod())


module = Module(name="http_upstream_ip_hash", confs=(UpstreamIpHash,))
