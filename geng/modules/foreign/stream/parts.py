"""Modules of stream{} that read their directives as http's do: limits, access, logs, maps.

nginx: ngx_stream_limit_conn_module.c, ngx_stream_log_module.c, ngx_stream_access_module.c, ngx_stream_realip_module.c,
ngx_stream_geo_module.c, ngx_stream_map_module.c, ngx_stream_split_clients_module.c
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.directive import Level, command
from geng.conf.tables import STREAM, STREAM_SRV
from geng.errors import Invalid
from geng.http.script import compile_value
from geng.modules.foreign.borrowed import Part
from geng.modules.foreign.stream.core import StreamMain, StreamServer
from geng.modules.foreign.stream.proxy import SslPreread, StreamPass, StreamProxy, StreamReturn, StreamSet
from geng.modules.foreign.stream.upstream import CLASSES, LeastTime, UpstreamZone
from geng.modules.foreign.tls import StreamSsl
from geng.modules.http.access import AccessConf
from geng.modules.http.geo import GeoConf
from geng.modules.http.limit_conn import LimitConnConf, LimitConnMain
from geng.modules.http.log import LogConf, LogMain
from geng.modules.http.map import MapConf
from geng.modules.http.realip import RealIpConf
from geng.modules.http.split_clients import SplitClientsConf
from geng.modules.http.upstream_hash import UpstreamHash
from geng.modules.http.upstream_least_conn import UpstreamLeastConn
from geng.modules.http.upstream_random import UpstreamRandom

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

TAG = "stream_limit_conn"


class StreamLimitConnMain(LimitConnMain, level=Level.MAIN):
    """The zones; http's have other counters."""

    tag = TAG


class StreamLimitConn(LimitConnConf, level=Level.LOCATION):
    """The limits of a server."""

    tag = TAG


class StreamFormats(LogMain, level=Level.MAIN):
    """The formats: none is there from the start."""

    combined = False


class StreamLogs(LogConf, level=Level.LOCATION):
    """The logs of a server: none by default, and each says its format."""

    @command("access_log", STREAM | STREAM_SRV)
    def add_stream_log(self, cf: Cf) -> None:
        """`access_log path format [parameters] | off`"""
        if len(cf.args) == 1 and cf.args[0] != "off":
            compile_value(cf, cf.args[0])
            raise Invalid("log format is not specified")
        LogConf.commands["access_log"].set(self, cf)

    def check(self, cf: Cf) -> None:
        """There is no log to be made for those who have none."""


#: nginx's modules in the order in which their confs are merged, and what holds what they say
PARTS: tuple[Part, ...] = (
    ("stream_core", (StreamMain, StreamServer)),
    ("stream_log", (LogMain, StreamLogs)),
    ("stream_proxy", (StreamProxy,)),
    ("stream_upstream", CLASSES),
    ("stream_ssl", (StreamSsl,)),
    ("stream_realip", (RealIpConf,)),
    ("stream_limit_conn", (StreamLimitConnMain, StreamLimitConn)),
    ("stream_access", (AccessConf,)),
    ("stream_geo", (GeoConf,)),
    ("stream_map", (MapConf,)),
    ("stream_split_clients", (SplitClientsConf,)),
    ("stream_return", (StreamReturn,)),
    ("stream_pass", (StreamPass,)),
    ("stream_set", (StreamSet,)),
    ("stream_upstream_hash", (UpstreamHash,)),
    ("stream_upstream_least_conn", (UpstreamLeastConn,)),
    ("stream_upstream_least_time", (LeastTime,)),
    ("stream_upstream_random", (UpstreamRandom,)),
    ("stream_upstream_zone", (UpstreamZone,)),
    ("stream_ssl_preread", (SslPreread,)),
)
