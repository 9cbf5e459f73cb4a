"""`limit_conn`: how many sessions of a key there may be at the same time.   nginx: ngx_stream_limit_conn_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.directive import Level
from geng.http.module import Variable
from geng.modules.http.limit_conn import LimitConnConf, LimitConnMain, limiter, shown_status
from geng.stream.module import SERVICE_UNAVAILABLE, Handler, Module, Phase

if TYPE_CHECKING:
    from geng.stream.conf import StreamServer

TAG = "stream_limit_conn"


class StreamLimitConnMain(LimitConnMain, level=Level.MAIN):
    """The zones; http's have other counters."""

    tag = TAG


class StreamLimitConn(LimitConnConf, level=Level.LOCATION):
    """The limits of a server."""

    tag = TAG


def link(server: StreamServer) -> Handler | None:
    return limiter(server[StreamLimitConn], SERVICE_UNAVAILABLE)


module = Module(
    name="stream_limit_conn",
    confs=(StreamLimitConnMain, StreamLimitConn),
    variables=(Variable("limit_conn_status", shown_status),),
    handlers={Phase.PREACCESS: link},
)
