"""`least_time`.   nginx: ngx_http_upstream_least_time_module.c"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from geng.conf.compiler import Cf
from geng.conf.directive import UNSET, Conf, Level, command, value
from geng.conf.tables import UPS
from geng.errors import Invalid, Refused
from geng.http.module import Module
from geng.modules.http.upstream import UpstreamServers
from geng.upstream.least_time import LeastTimeMethod
from geng.upstream.upstream import balancing


class UpstreamLeastTime(Conf, level=Level.SERVER):
    """The directive; what it says is kept by the upstream. *modes*: its first word -> the time that it is about."""

    modes: ClassVar[Mapping[str, str]] = {"header": "header_time", "last_byte": "response_time"}
    metrics: ClassVar[tuple[str, ...]] = ("response_time", "header_time")
    needs_head: ClassVar[bool] = True

    mode: str = value()

    @command("least_time", UPS)
    def least_time(self, cf: Cf) -> None:
        """`least_time header | last_byte [inflight]`"""
        mode, *words = cf.args
        metric = self.modes.get(mode.lower(), "")
        made = LeastTimeMethod(metric, self.metrics, bool(words), self.needs_head)
        balancing(cf, cf[UpstreamServers].upstream, made)
        if words and words[0] != "inflight":
            raise Invalid(f'invalid parameter "{words[0]}"')
        if self.mode is not UNSET:
            raise Refused("is duplicate")
        if not metric:
            raise Invalid(f'invalid value "{mode}"')
        self.mode = mode


module = Module(name="http_upstream_least_time", confs=(UpstreamLeastTime,))
