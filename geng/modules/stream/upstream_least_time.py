"""`least_time` in stream{}.   nginx: ngx_stream_upstream_least_time_module.c"""

from __future__ import annotations

from geng.conf.directive import Level
from geng.modules.http.upstream_least_time import UpstreamLeastTime
from geng.stream.module import Module


class StreamLeastTime(UpstreamLeastTime, level=Level.SERVER):
    """`least_time connect | first_byte | last_byte [inflight]`"""

    modes = {"connect": "connect_time", "first_byte": "header_time", "last_byte": "response_time"}
    metrics = ("response_time", "connect_time", "header_time")
    needs_head = False


module = Module(name="stream_upstream_least_time", confs=(StreamLeastTime,))
