"""uwsgi_pass and what surrounds it: requests passed on to uwsgi applications.   nginx: ngx_http_uwsgi_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.compiler import Cf
from geng.conf.convert import bounded, octets
from geng.conf.directive import directive
from geng.http.module import Module
from geng.modules.http.cgi import ACCELERATION, CgiConf, serve
from geng.upstream.cache_conf import CachePaths
from geng.upstream.conf import HSL
from geng.upstream.uwsgi import SCHEMA, SECURE, UwsgiAdapter
from geng.wire.uwsgi import pair

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.module import Handler
    from geng.upstream.upstream import Upstream


class UwsgiCaches(CachePaths, prefix="uwsgi"):
    """What uwsgi_cache_path declares."""


def link(loc: CoreLoc) -> Handler:
    """The content handler of a location with uwsgi_pass."""
    conf = loc[UwsgiConf]
    target = conf.target
    assert target is not None
    modifiers = (conf.modifier1, conf.modifier2)
    adapter = UwsgiAdapter(loc, conf, conf.make_params(), target.value, modifiers, conf.string)
    return serve(adapter, conf, target)


class UwsgiConf(CgiConf, prefix="uwsgi", without=("pass_trailers", "send_lowat")):
    """What one location says about its uwsgi application."""

    default_hide = ACCELERATION
    caches_class = UwsgiCaches
    pair = staticmethod(pair)
    link = staticmethod(link)

    modifier1: int = directive("uwsgi_modifier1", HSL, bounded(0, 255), default=0)
    modifier2: int = directive("uwsgi_modifier2", HSL, bounded(0, 255), default=0)
    string: bytes = directive("uwsgi_string", HSL, octets, default=b"")

    def upstream_of(self, cf: Cf, text: str) -> Upstream:
        """nginx: ngx_http_uwsgi_pass"""
        if text[: len(SECURE)].lower() == SECURE:
            cf.cannot('"uwsgi_pass" to suwsgi://')
            text = text[len(SECURE) :]
        elif text[: len(SCHEMA)].lower() == SCHEMA:
            text = text[len(SCHEMA) :]
        return super().upstream_of(cf, text)


module = Module(name="http_uwsgi", confs=(UwsgiCaches, UwsgiConf))
