"""uwsgi_pass and what surrounds it: requests passed on to uwsgi applications.   nginx: ngx_http_uwsgi_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.compiler import Cf
from geng.conf.convert import bounded, octets, to_bytes
from geng.conf.directive import directive
from geng.http.module import Module
from geng.modules.http.cgi import ACCELERATION, CgiConf, Target, serve
from geng.upstream import tls_conf
from geng.upstream.cache_conf import CachePaths
from geng.upstream.conf import HSL
from geng.upstream.uwsgi import SCHEMA, SECURE, UwsgiAdapter
from geng.wire.uwsgi import pair

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.module import Handler


class UwsgiCaches(CachePaths, prefix="uwsgi"):
    """What uwsgi_cache_path declares."""


def link(loc: CoreLoc) -> Handler:
    """The content handler of a location with uwsgi_pass."""
    conf = loc[UwsgiConf]
    target = conf.target
    assert target is not None
    modifiers = (conf.modifier1, conf.modifier2)
    adapter = UwsgiAdapter(loc, conf, conf.make_params(), target.value, modifiers, conf.string)
    if target.secure:
        adapter.schema, adapter.tls, adapter.host = to_bytes(SECURE), conf.tls, target.host
    return serve(adapter, conf, target)


class UwsgiConf(CgiConf, prefix="uwsgi", tls=True, without=("pass_trailers", "send_lowat")):
    """What one location says about its uwsgi application."""

    default_hide = ACCELERATION
    caches_class = UwsgiCaches
    pair = staticmethod(pair)
    link = staticmethod(link)

    modifier1: int = directive("uwsgi_modifier1", HSL, bounded(0, 255), default=0)
    modifier2: int = directive("uwsgi_modifier2", HSL, bounded(0, 255), default=0)
    string: bytes = directive("uwsgi_string", HSL, octets, default=b"")

    def target_of(self, cf: Cf, text: str) -> Target:
        """nginx: ngx_http_uwsgi_pass"""
        secure = text[: len(SECURE)].lower() == SECURE
        if secure or text[: len(SCHEMA)].lower() == SCHEMA:
            text = text[len(SECURE if secure else SCHEMA) :]
        target = super().target_of(cf, text)
        target.secure = secure
        return target

    def check(self, cf: Cf) -> None:
        super().check(cf)
        if self.target and (self.target.secure or self.target.value is not None):
            self.tls = tls_conf.make(self, cf)


module = Module(name="http_uwsgi", confs=(UwsgiCaches, UwsgiConf))
