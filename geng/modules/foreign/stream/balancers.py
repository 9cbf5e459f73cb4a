"""`least_time` in stream{}.   nginx: ngx_stream_upstream_least_time_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.convert import to_bytes
from geng.conf.directive import UNSET, Level, command, value
from geng.conf.tables import STREAM_UPS
from geng.errors import Invalid, Refused
from geng.modules.foreign.balancers import LeastTimeMethod
from geng.modules.foreign.table import Foreign
from geng.modules.http.upstream import UpstreamServers
from geng.stream.module import Module
from geng.upstream.upstream import balancing

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

MODES = (b"connect", b"first_byte", b"last_byte")


class LeastTime(Foreign, level=Level.SERVER):
    """least_time"""

    mode: str = value()

    @command("least_time", STREAM_UPS)
    def least_time(self, cf: Cf) -> None:
        """`least_time connect | first_byte | last_byte [inflight]`"""
        balancing(cf, cf[UpstreamServers].upstream, LeastTimeMethod())
        mode, *words = cf.args
        if words and words[0] != "inflight":
            raise Invalid(f'invalid parameter "{words[0]}"')
        if self.mode is not UNSET:
            raise Refused("is duplicate")
        if to_bytes(mode).lower() not in MODES:
            raise Invalid(f'invalid value "{mode}"')
        self.mode = mode


module = Module(name="stream_upstream_least_time", confs=(LeastTime,))
