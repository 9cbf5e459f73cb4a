"""`zone name [size]`: the state of an upstream's peers is shared by all workers.

nginx: ngx_http_upstream_zone_module.c
"""

from __future__ import annotations

from typing import Any

from geng.conf.compiler import Cf
from geng.conf.convert import size
from geng.conf.directive import Conf, Level, command
from geng.conf.tables import UPS
from geng.core.zone import PAGE, Zone
from geng.errors import Invalid, Refused
from geng.http.module import Module
from geng.modules.http.upstream import UpstreamMain, UpstreamServers, upstreams
from geng.upstream import resolving
from geng.upstream.shared import lay_out
from geng.upstream.upstream import Upstreams

PAGES_MIN = 8


class UpstreamZone(Conf, level=Level.SERVER):
    """The directive; the zone itself is kept by the upstream, and laid out before the workers are forked."""

    tag = "http_upstream"
    all_of = staticmethod(upstreams)

    @command("zone", UPS)
    def zone(self, cf: Cf) -> None:
        name, *rest = cf.args
        if not name:
            raise Invalid(f'invalid zone name "{name}"')
        zone = cf.cycle.zones.add(name, zone_size(name, rest[0]) if rest else 0, self.tag, reuse=False)
        zone.data = self.all_of(cf)
        zone.init = init_zone
        cf[UpstreamServers].upstream.zone = zone


def zone_size(name: str, text: str) -> int:
    """At least eight pages."""
    try:
        value = size(text)
    except Refused:
        raise Invalid(f'invalid zone size "{text}"') from None
    if value < PAGES_MIN * PAGE:
        raise Invalid(f'zone "{name}" is too small')
    return int(value)


def init_zone(zone: Zone, before: Zone | None) -> None:
    """Share the peers of the upstreams that are in *zone*."""
    old: Upstreams | None = before.data if before is not None else None
    lay_out(
        zone,
        [upstream for upstream in zone.data if upstream.zone is zone],
        [upstream for upstream in old or () if upstream.zone is before],
    )


def init_worker(worker: Any) -> None:
    """Keep the addresses of servers with `resolve` up to date."""
    upstreams_here = worker.cycle.http.main.confs[UpstreamMain].all
    resolving.start((upstream for upstream in upstreams_here if upstream.resolves), worker)


module = Module(name="http_upstream_zone", confs=(UpstreamZone,), init_worker=init_worker)
