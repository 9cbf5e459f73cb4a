"""What fastcgi_, uwsgi_ and scgi_ say alike: where to, with which parameters, and the checks of both.

nginx: ngx_http_fastcgi_module.c, ngx_http_uwsgi_module.c, ngx_http_scgi_module.c
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geng.conf.compiler import Cf
from geng.conf.convert import to_bytes
from geng.conf.directive import UNSET, Level, command, directive, own_or_nameless, value
from geng.conf.tables import LIF, LOC
from geng.errors import Refused
from geng.http.conf import CoreLoc
from geng.http.script import Value, compile_value, count_variables
from geng.modules.http.upstream import upstreams
from geng.upstream import conf as ft
from geng.upstream import params
from geng.upstream.cache_conf import CachePaths
from geng.upstream.cgi import CgiAdapter
from geng.upstream.conf import HSL, UpstreamConf
from geng.upstream.engine import handler
from geng.upstream.params import Given, Pair, Param, Params

if TYPE_CHECKING:
    from geng.http.module import Handler
    from geng.upstream.upstream import Upstream

#: What lets the next peer be tried, or a stale response serve: not all of what proxying knows.
NEXT_UPSTREAM = {
    "error": ft.ERROR,
    "timeout": ft.TIMEOUT,
    "invalid_header": ft.INVALID_HEADER,
    "non_idempotent": ft.NON_IDEMPOTENT,
    "http_500": ft.HTTP_500,
    "http_503": ft.HTTP_503,
    "http_403": ft.HTTP_403,
    "http_404": ft.HTTP_404,
    "http_429": ft.HTTP_429,
    "updating": ft.UPDATING,
    "off": ft.OFF,
}

ACCELERATION = (b"X-Accel-Expires", b"X-Accel-Redirect", b"X-Accel-Limit-Rate", b"X-Accel-Buffering", b"X-Accel-Charset")
"""Response headers that are for the server itself."""


class Target:
    """What one fastcgi_pass says: a fixed *upstream*, or the *value* to ask for each request.

    secure: over TLS, to the *host* whose certificate it should be.
    """

    __slots__ = ("host", "secure", "upstream", "value")

    def __init__(self, upstream: Upstream | None = None, value: Value | None = None, host: bytes = b"") -> None:
        self.upstream = upstream
        self.value = value
        self.host = host
        self.secure = False

    def __repr__(self) -> str:
        return f"<Target {self.upstream or self.value!r}>"


def take_over(cf: Cf, link: Any) -> None:
    """Make *link* what serves the location that is being read."""
    core = cf[CoreLoc]
    core.content = link
    if core.name.endswith("/"):
        core.auto_redirect = True


class CgiConf(UpstreamConf):
    """What one location says about its application. Subclass it with `prefix=` and, if there is more to an address,
    a target_of() of its own.
    """

    caches_class: type[CachePaths]
    pair: Pair  # how the protocol writes a parameter
    link: Any  # (loc) -> the location's content handler

    target: Target | None
    param: Sequence[Given]
    params: Sequence[Param]
    defaults: Sequence[Param]

    def __init_subclass__(cls, prefix: str = "", **kwargs: Any) -> None:
        fixed = {"cache_convert_head": False}
        cls.target = value(None, own_or_nameless)
        cls.param = directive(f"{prefix}_param", HSL, params.param, default=(), repeat=True)
        cls._set_pass = command(f"{prefix}_pass", LOC | LIF)(CgiConf.set_pass)  # type: ignore[attr-defined]
        super().__init_subclass__(
            prefix=prefix, level=Level.LOCATION, caches=True, next_upstream=NEXT_UPSTREAM, fixed=fixed, **kwargs
        )

    def set_pass(self, cf: Cf) -> None:
        """`fastcgi_pass address`"""
        if self.target is not UNSET:
            raise Refused("is duplicate")
        take_over(cf, type(self).link)
        text = cf.args[0]
        if count_variables(text):
            self.target = Target(value=compile_value(cf, text))
        else:
            self.target = self.target_of(cf, text)

    def target_of(self, cf: Cf, text: str) -> Target:
        """What *text*, an address without variables, means."""
        upstream, url = upstreams(cf).add(cf, text, uri_part=False)
        return Target(upstream, host=to_bytes(url.host))

    def check(self, cf: Cf) -> None:
        super().check(cf)
        if self.cache and self.cache_key is None:
            cf.warn(f'no "{self.prefix}_cache_key" for "{self.prefix}_cache"')
        self.all_upstreams = upstreams(cf)
        self.all_caches = cf.confs[self.caches_class].caches
        self.params = params.compiled(cf, self.param)
        self.defaults = params.defaults(cf)

    def make_params(self) -> tuple[Params, Params]:
        """Once linked: the parameters of a request, and of one whose response shall be cached."""
        pair, headers = type(self).pair, self.pass_request_headers
        plain = Params(pair, self.params, self.defaults, headers)
        if not self.cache:
            return plain, plain
        return plain, Params(pair, self.params, [*self.defaults, *params.CACHE_DEFAULTS], headers)


def serve(adapter: CgiAdapter, conf: CgiConf, target: Target) -> Handler:
    """The content handler of a location whose adapter is made."""
    adapter.upstream = target.upstream
    adapter.upstreams = conf.all_upstreams
    adapter.caches = conf.all_caches
    return handler(adapter)
