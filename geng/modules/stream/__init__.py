"""The modules of stream{}, in the order in which nginx merges their confs (auto/modules).

Many say what one of http says, with the same words: its conf class reads them, under the contexts of stream's copy.
"""

from __future__ import annotations

from geng.conf.compiler import Registry
from geng.conf.directive import Level
from geng.modules.foreign.borrowed import registry_of
from geng.modules.http import geoip as http_geoip
from geng.modules.http.geo import GeoConf
from geng.modules.http.map import MapConf
from geng.modules.http.split_clients import SplitClientsConf
from geng.modules.http.upstream import UpstreamServers
from geng.modules.http.upstream_hash import UpstreamHash
from geng.modules.http.upstream_least_conn import UpstreamLeastConn
from geng.modules.http.upstream_random import UpstreamRandom
from geng.modules.stream import (
    access,
    limit_conn,
    log,
    pass_,
    proxy,
    realip,
    return_,
    set,
    ssl,
    ssl_preread,
    upstream,
    upstream_least_time,
    upstream_zone,
)
from geng.modules.stream.variables import VARIABLES
from geng.stream.conf import StreamMain, StreamServer
from geng.stream.module import Module

core = Module(name="stream_core", confs=(StreamMain, StreamServer), variables=VARIABLES)


class StreamGeo(GeoConf, level=Level.MAIN):
    """The blocks; a session has no headers in which proxies tell of others."""

    knows_proxies = False


#: modules whose confs http has
geo = Module(name="stream_geo", confs=(StreamGeo,))
geoip = Module(name="stream_geoip", confs=http_geoip.module.confs, variables=http_geoip.module.variables)
map_ = Module(name="stream_map", confs=(MapConf,))
split_clients = Module(name="stream_split_clients", confs=(SplitClientsConf,))
upstream_hash = Module(name="stream_upstream_hash", confs=(UpstreamHash,))
upstream_least_conn = Module(name="stream_upstream_least_conn", confs=(UpstreamLeastConn,))
upstream_random = Module(name="stream_upstream_random", confs=(UpstreamRandom,))

STREAM_MODULES: tuple[Module, ...] = (
    core,
    log.module,
    proxy.module,
    upstream.module,
    ssl.module,
    realip.module,
    limit_conn.module,
    access.module,
    geo,
    geoip,
    map_,
    split_clients,
    return_.module,
    pass_.module,
    set.module,
    upstream_hash,
    upstream_least_conn,
    upstream_least_time.module,
    upstream_random,
    upstream_zone.module,
    ssl_preread.module,
)


def registry(modules: tuple[Module, ...]) -> Registry:
    """The command table of *modules*."""
    found = registry_of((module.name, module.confs) for module in modules)
    found["server"] = [(cls, upstream.SERVER if cls is UpstreamServers else entry) for cls, entry in found["server"]]
    return found
