"""upstream{} blocks and their servers.   nginx: ngx_http_upstream.c (ngx_http_upstream, ngx_http_upstream_server)

Other modules get at them with `upstreams(cf)`: `.add(cf, "host:port/uri", 80)` for a proxy_pass.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from geng.conf.compiler import Cf, Confs
from geng.conf.convert import msec, sec
from geng.conf.directive import UNSET, Conf, Level, command, directive
from geng.conf.tables import HTTP, UPS
from geng.errors import Invalid, Refused
from geng.http.conf import CoreLoc
from geng.http.module import Module
from geng.http.resolving import ResolverSettings, resolver
from geng.net.address import BadAddress, Resolve, parse_url, resolve_host
from geng.upstream.peers import DOWN, DRAINING
from geng.upstream.upstream import Flag, Server, Upstream, Upstreams

ROUTE_MAX = 32

_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


def upstreams(cf: Cf) -> Upstreams:
    """All upstreams of the http block that is being read."""
    return cf[UpstreamMain].all


def resolver_of(cf: Cf) -> Resolve:
    """How names are resolved while the configuration is read."""
    return getattr(cf.cycle, "resolve_host", None) or resolve_host


class UpstreamBlocks(Conf, level=Level.MAIN):
    """The upstreams of http{} or stream{}."""

    def __init__(self) -> None:
        super().__init__()
        self.all = Upstreams()
        self.blocks: list[tuple[Upstream, Confs]] = []
        self.outer: Any = None  # what the block around them says of resolvers; until the first upstream{}

    def open(self, cf: Cf, outer: Any, context: int) -> None:
        """Read an `upstream name { … }`."""
        self.outer = outer
        made = self.all.create(cf, cf.args[0])
        classes = [*cf.confs.srv, *cf.confs.loc]
        confs = cf.confs.nested(classes, Level.SERVER, Level.LOCATION)
        confs[UpstreamServers].upstream = made
        made.servers = []
        self.blocks.append((made, confs))
        cf.walk(cf.node.block or [], context, confs)
        if not made.servers:
            raise cf.error("no servers are inside upstream")

    def check(self, cf: Cf) -> None:
        """All is read: make the peers.   nginx: ngx_http_upstream_init_main_conf"""
        for made, confs in self.blocks:
            confs[UpstreamServers].settle(made, self.outer)
        self.all.link(resolver_of(cf))
        for made, confs in self.blocks:
            for conf in confs.srv.values():
                settle = getattr(conf, "settle_upstream", None)
                if settle is not None:
                    settle(cf, made)


class UpstreamMain(UpstreamBlocks, level=Level.MAIN):
    """The upstreams of the http block."""

    @command("upstream", HTTP, block=True)
    def upstream(self, cf: Cf) -> None:
        """`upstream name { … }`"""
        self.open(cf, cf[CoreLoc], UPS)


class UpstreamServers(Conf, level=Level.SERVER):
    """What stands in one upstream{} about the servers themselves."""

    upstream: Upstream
    resolver: ResolverSettings = directive("resolver", UPS, resolver)
    resolver_timeout: int = directive("resolver_timeout", UPS, msec)

    @command("server", UPS)
    def server(self, cf: Cf) -> None:
        """`server address [parameters]`"""
        assert self.upstream.servers is not None
        self.upstream.servers.append(read_server(cf, self.upstream))

    def settle(self, upstream: Upstream, outer: Any) -> None:
        """All of the block around is read: who resolves names, here or else in *outer*."""
        upstream.resolver = self.resolver or outer.resolver or None
        for timeout in (outer.resolver_timeout, self.resolver_timeout):
            if timeout is not UNSET:
                upstream.resolver_timeout = timeout


Parameters = Mapping[str, tuple[str, int, Any]]


class Reader:
    """The parameters of one `server` directive, in order."""

    def __init__(self, flags: int, known: Parameters) -> None:
        self.flags = flags
        self.known = known
        self.resolve = False
        self.values: dict[str, Any] = {}

    def read(self, word: str) -> None:
        """Take one parameter; raises Invalid."""
        name, equals, text = word.partition("=")
        entry = self.known.get(name + equals)
        if entry is None or (not equals and text):
            raise Invalid(f'invalid parameter "{word}"')
        field, flag, convert = entry
        if flag and not self.flags & flag:
            raise Invalid(f'balancing method does not support parameter "{word}"')
        try:
            self.values[field] = convert(text)
        except Refused:
            raise Invalid(f'invalid parameter "{word}"') from None


def number(text: str) -> int:
    """A number without sign; raises Refused.   nginx: ngx_atoi"""
    if not _NUMBER.fullmatch(text):
        raise Refused("invalid number")
    return int(text)


def weight(text: str) -> int:
    """A number from 1."""
    value = number(text)
    if not value:
        raise Refused("invalid value")
    return value


def route(text: str) -> str:
    """What a sticky session names a server by."""
    if not text:
        raise Invalid("route is empty")
    if len(text.encode("utf-8", "surrogateescape")) > ROUTE_MAX:
        raise Invalid(f"route is longer than {ROUTE_MAX}")
    return text


def service(text: str) -> str:
    """The name of an SRV record."""
    if not text:
        raise Invalid("service is empty")
    return text


#: parameter -> (field of Server, what the method must support, converter)
PARAMETERS: Parameters = {
    "weight=": ("weight", Flag.WEIGHT, weight),
    "max_conns=": ("max_conns", Flag.MAX_CONNS, number),
    "max_fails=": ("max_fails", Flag.MAX_FAILS, number),
    "fail_timeout=": ("fail_timeout", Flag.FAIL_TIMEOUT, sec),
    "backup": ("backup", Flag.BACKUP, lambda text: True),
    "down": ("down", Flag.DOWN, lambda text: DOWN),
    "drain": ("down", Flag.DOWN, lambda text: DRAINING),
    "route=": ("route", 0, route),
    "resolve": ("resolve", 0, lambda text: True),
    "service=": ("service", 0, service),
}


def read_server(cf: Cf, upstream: Upstream, *, port: int = 80, known: Parameters = PARAMETERS) -> Server:
    """A `server` directive; raises Invalid in nginx's words. *port*: where it says none; 0: it must."""
    address, *words = cf.args
    reader = Reader(upstream.flags, known)
    for word in words:
        reader.read(word)
    values = reader.values
    resolve, service = values.pop("resolve", False), values.get("service")
    if service and not resolve:
        raise Invalid(f'service upstream "{address}" requires "resolve" parameter')
    try:
        url = parse_url(address, port, resolve=None if resolve else resolver_of(cf))
    except BadAddress as bad:
        raise Invalid(f'{bad} in upstream "{address}"') from None
    if not port and url.no_port and not service and not url.unix:
        raise Invalid(f'no port in upstream "{address}"')
    if service and not url.no_port:
        raise Invalid(f'service upstream "{address}" may not have port')
    if service and url.addresses:
        raise Invalid(f'service upstream "{address}" requires domain name')
    host = url.host if resolve and not url.addresses else ""
    return Server(address, url.addresses, url.port, host=host, **values)


module = Module(name="http_upstream", confs=(UpstreamMain, UpstreamServers))
