"""`hash key [consistent]`.   nginx: ngx_http_upstream_hash_module.c"""

from __future__ import annotations

from geng.conf.compiler import Cf
from geng.conf.directive import Conf, Level, command
from geng.conf.tables import UPS
from geng.errors import Invalid
from geng.http.module import Module
from geng.http.script import compile_value
from geng.modules.http.upstream import UpstreamServers
from geng.upstream.hash import ConsistentMethod, HashMethod
from geng.upstream.upstream import balancing


class UpstreamHash(Conf, level=Level.SERVER):
    """The directive; what it says is kept by the upstream."""

    @command("hash", UPS)
    def hash(self, cf: Cf) -> None:
        text, *rest = cf.args
        key = compile_value(cf, text)
        method = ConsistentMethod(key) if rest else HashMethod(key)
        balancing(cf, cf[UpstreamServers].upstream, method)
        if rest and rest[0] != "consistent":
            raise Invalid(f'invalid parameter "{rest[0]}"')


module = Module(name="http_upstream_hash", confs=(UpstreamHash,))
