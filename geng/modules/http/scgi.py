"""scgi_pass and what surrounds it: requests passed on to SCGI applications.   nginx: ngx_http_scgi_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.http.module import Module
from geng.modules.http.cgi import ACCELERATION, CgiConf, serve
from geng.upstream.cache_conf import CachePaths
from geng.upstream.scgi import ScgiAdapter
from geng.wire.scgi import pair

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.module import Handler


class ScgiCaches(CachePaths, prefix="scgi"):
    """What scgi_cache_path declares."""


def link(loc: CoreLoc) -> Handler:
    """The content handler of a location with scgi_pass."""
    conf = loc[ScgiConf]
    target = conf.target
    assert target is not None
    return serve(ScgiAdapter(loc, conf, b"scgi://", conf.make_params(), target.value), conf, target)


class ScgiConf(CgiConf, prefix="scgi", without=("pass_trailers", "send_lowat")):
    """What one location says about its SCGI application."""

    default_hide = (b"Status", *ACCELERATION)
    caches_class = ScgiCaches
    pair = staticmethod(pair)
    link = staticmethod(link)


module = Module(name="http_scgi", confs=(ScgiCaches, ScgiConf))
