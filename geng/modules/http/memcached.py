"""memcached_pass and what surrounds it: responses that are a key's value.   nginx: ngx_http_memcached_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.compiler import Cf
from geng.conf.convert import num
from geng.conf.directive import UNSET, command, directive, inherit, value
from geng.conf.tables import LIF, LOC
from geng.errors import Refused
from geng.hot.http1 import GET, HEAD
from geng.http.module import OK, Module
from geng.modules.http.cgi import take_over
from geng.modules.http.upstream import upstreams
from geng.upstream import conf as ft
from geng.upstream.conf import HSL, UpstreamConf
from geng.upstream.engine import Exchange
from geng.upstream.memcached import MemcachedAdapter

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.module import Handler
    from geng.http.request import Request
    from geng.http.script import VariableRef
    from geng.upstream.upstream import Upstream

DIRECTIVES = (
    "bind", "socket_keepalive", "connect_timeout", "send_timeout", "buffer_size", "read_timeout", "next_upstream",
    "next_upstream_tries", "next_upstream_timeout",
)  # fmt: skip

NEXT_UPSTREAM = {
    "error": ft.ERROR,
    "timeout": ft.TIMEOUT,
    "invalid_response": ft.INVALID_HEADER,
    "not_found": ft.HTTP_404,
    "off": ft.OFF,
}

#: What nginx calls the hardcoded values.
FIXED = {
    "buffering": False,
    "buffers": (0, 0),
    "intercept_errors": True,
    "pass_request_headers": False,
    "pass_request_body": False,
    "force_ranges": True,
}


def link(loc: CoreLoc) -> Handler:
    """The content handler of a location with memcached_pass."""
    conf = loc[MemcachedConf]
    upstream, key = conf.upstream, conf.key
    assert upstream is not None and key is not None
    adapter = MemcachedAdapter(loc, conf, key.get, conf.gzip_flag)
    adapter.upstream = upstream

    def handle(r: Request) -> int:
        if not r.method_id & (GET | HEAD):
            return 405
        rc = r.discard_body()
        if rc != OK:
            return rc
        r.out.content_type = r.type_of_uri()
        u = r.upstream = Exchange(r, adapter)
        return u.run()

    return handle


class MemcachedConf(UpstreamConf, prefix="memcached", only=DIRECTIVES, next_upstream=NEXT_UPSTREAM, fixed=FIXED):
    """What one location says about memcached."""

    intercept_404 = True

    upstream: Upstream | None = value(None, inherit)
    key: VariableRef | None = value(None, inherit)
    gzip_flag: int = directive("memcached_gzip_flag", HSL, num, default=0)

    @command("memcached_pass", LOC | LIF)
    def set_pass(self, cf: Cf) -> None:
        """`memcached_pass address`"""
        if self.upstream is not UNSET:
            raise Refused("is duplicate")
        self.upstream = upstreams(cf).add(cf, cf.args[0], uri_part=False)[0]
        take_over(cf, link)
        self.key = cf.scope.variables.ref("memcached_key")


module = Module(name="http_memcached", confs=(MemcachedConf,))
