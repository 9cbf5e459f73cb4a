"""Idle connections to upstreams.   nginx: ngx_http_upstream_keepalive_module.c"""

from __future__ import annotations

from typing import Any

from geng.conf.compiler import Cf
from geng.conf.convert import msec, num
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import UPS
from geng.errors import Invalid, Refused
from geng.http.module import Module
from geng.modules.http.upstream import UpstreamMain, number
from geng.upstream.keepalive import DEFAULT_SIZE, KeepaliveCache
from geng.upstream.upstream import Upstream


class UpstreamKeepalive(Conf, level=Level.SERVER):
    """What one upstream{} says about idle connections; on unless `keepalive 0`."""

    size: int = value()
    local: bool = value(default=False)
    time: int = directive("keepalive_time", UPS, msec, default=3_600_000)
    timeout: int = directive("keepalive_timeout", UPS, msec, default=60_000)
    requests: int = directive("keepalive_requests", UPS, num, default=1000)

    @command("keepalive", UPS)
    def keepalive(self, cf: Cf) -> None:
        """`keepalive connections [local]`"""
        if self.size is not UNSET:
            raise Refused("is duplicate")
        size, *rest = cf.args
        try:
            self.size = number(size)
        except Refused:
            raise Invalid(f'invalid value "{size}" in "{cf.node.name}" directive') from None
        if rest and rest[0] != "local":
            raise Invalid(f'invalid parameter "{rest[0]}"')
        self.local = bool(rest)

    def settle_upstream(self, cf: Cf, upstream: Upstream) -> None:
        """Put the cache before the upstream's peers.   nginx: ngx_http_upstream_keepalive_init_main_conf"""
        if self.size is UNSET:
            self.size, self.local = DEFAULT_SIZE, True
        self.resolve(cf)
        if self.size:
            upstream.keepalive = KeepaliveCache(self.size, self.requests, self.time, self.timeout, self.local)


def init_worker(worker: Any) -> None:
    """Have the caches emptied when the worker shuts down."""
    for upstream in worker.cycle.http.main.confs[UpstreamMain].all:
        if upstream.keepalive is not None:
            worker.on_quit.append(upstream.keepalive.clear)


module = Module(name="http_upstream_keepalive", confs=(UpstreamKeepalive,), init_worker=init_worker)
