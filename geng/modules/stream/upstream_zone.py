"""`zone name [size]`: the state of an upstream's peers is shared by all workers.

nginx: ngx_stream_upstream_zone_module.c
"""

from __future__ import annotations

from typing import Any

from geng.conf.directive import Level
from geng.modules.http.upstream_zone import UpstreamZone
from geng.modules.stream.upstream import StreamUpstreams, upstreams
from geng.stream.module import Module
from geng.upstream import resolving


class StreamZone(UpstreamZone, level=Level.SERVER):
    """The zone of an upstream in stream{}: not one that http has."""

    tag = "stream_upstream"
    all_of = staticmethod(upstreams)


def start_worker(worker: Any) -> None:
    """Keep the addresses of servers with `resolve` up to date."""
    every = worker.cycle.stream.main[StreamUpstreams].all
    resolving.start((upstream for upstream in every if upstream.resolves), worker)


module = Module(name="stream_upstream_zone", confs=(StreamZone,), start_worker=start_worker)
