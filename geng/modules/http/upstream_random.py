"""`random [two [least_conn]]`.   nginx: ngx_http_upstream_random_module.c"""

from __future__ import annotations

from geng.conf.compiler import Cf
from geng.conf.directive import Conf, Level, command
from geng.conf.tables import UPS
from geng.errors import Invalid
from geng.http.module import Module
from geng.modules.http.upstream import UpstreamServers
from geng.upstream.random import RandomMethod
from geng.upstream.upstream import balancing

WORDS = ("two", "least_conn")


class UpstreamRandom(Conf, level=Level.SERVER):
    """The directive; what it says is kept by the upstream."""

    @command("random", UPS)
    def random(self, cf: Cf) -> None:
        balancing(cf, cf[UpstreamServers].upstream, RandomMethod(two=bool(cf.args)))
        for given, known in zip(cf.args, WORDS, strict=False):
            if given != known:
                raise Invalid(f'invalid parameter "{given}"')


module = Module(name="http_upstream_random", confs=(UpstreamRandom,))
