"""One upstream{} block, or the one that a proxy_pass without a block implies; and all of them.

nginx: ngx_http_upstream.c (ngx_http_upstream_add, ngx_http_upstream_init_main_conf),
ngx_http_upstream_round_robin.c (ngx_http_upstream_init_round_robin)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntFlag
from hashlib import md5
from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_bytes
from geng.errors import ConfigError, Invalid
from geng.net.address import Address, BadAddress, Resolve, Url, lookup, parse_url, resolve_host
from geng.upstream.keepalive import KeepaliveCache
from geng.upstream.peers import Peer, Peers, Picker
from geng.upstream.round_robin import RoundRobin
from geng.upstream.sticky import sticky

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.core.zone import Zone
    from geng.upstream.sticky import Stickiness


class Flag(IntFlag):
    """What a balancing method supports (NGX_HTTP_UPSTREAM_…); CREATE: an upstream{} block."""

    CREATE = 0x0001
    WEIGHT = 0x0002
    MAX_FAILS = 0x0004
    FAIL_TIMEOUT = 0x0008
    DOWN = 0x0010
    BACKUP = 0x0020
    MODIFY = 0x0040
    MAX_CONNS = 0x0100


ALL_BUT_BACKUP = Flag.CREATE | Flag.MODIFY | Flag.WEIGHT | Flag.MAX_CONNS | Flag.MAX_FAILS | Flag.FAIL_TIMEOUT | Flag.DOWN
ALL = ALL_BUT_BACKUP | Flag.BACKUP


@dataclass(slots=True)
class Server:
    """One `server` directive. *host*: the name to resolve while the server runs (`resolve`), else ""."""

    name: str
    addresses: list[Address]
    port: int = 0
    weight: int = 1
    max_conns: int = 0
    max_fails: int = 1
    fail_timeout: int = 10
    down: int = 0
    backup: bool = False
    host: str = ""
    service: str = ""
    route: str = ""

    def peer(self, address: Address, weight: int = 0, server: bytes = b"") -> Peer:
        """A peer at *address*; *weight* and *server* where an SRV record has its own."""
        peer = Peer(
            address.sockaddr,
            address.name,
            server or to_bytes(self.name),
            weight or self.weight,
            self.max_conns,
            self.max_fails,
            self.fail_timeout,
            self.down,
        )
        peer.sid = to_bytes(self.route) or md5(address.name).hexdigest().encode()
        return peer


class Method:
    """A balancing method as configured (`least_conn;`): what its pickers have in common."""

    flags = ALL_BUT_BACKUP
    picker: type[Picker] = RoundRobin

    def link(self, peers: Peers) -> None:
        """The peers are known, and will not change; make of them what takes time."""


class Upstream:
    """What requests get their peers from: `picker = upstream.start(r, tag)`. *file* and *line*: where it was named first.

    *servers* is None for an implied one whose host is to be resolved; *peers*, *keepalive* are there once linked.
    """

    __slots__ = ("file", "flags", "host", "keepalive", "line", "method", "no_port", "peers", "picker", "port",
                 "resolver", "resolver_timeout", "servers", "sticky", "zone")  # fmt: skip

    def __init__(self, host: str, port: int = 0, flags: int = 0, no_port: bool = True) -> None:
        self.host = host
        self.port = port
        self.no_port = no_port
        self.flags = flags
        self.file = ""
        self.line = 0
        self.servers: list[Server] | None = None
        self.method: Method | None = None
        self.peers: Peers = None  # type: ignore[assignment]  # until link()
        self.picker: type[Picker] = RoundRobin
        self.keepalive: KeepaliveCache | None = None
        self.zone: Zone | None = None
        self.sticky: Stickiness | None = None
        self.resolver: Any = None  # ResolverSettings, for servers with `resolve`
        self.resolver_timeout = 30_000

    def __repr__(self) -> str:
        kind = "upstream" if self.flags & Flag.CREATE else "implied"
        cache = f", {self.keepalive!r}" if self.keepalive else ""
        return f"<Upstream {self.host} {kind}, {self.peers!r}{cache}>"

    def start(self, r: Any, tag: object = None) -> Picker:
        """What request *r* shall ask for its peers. *tag*: see KeepaliveCache's *local*; the location's conf."""
        return self.picker(self, r, tag)

    def refuse(self, message: str) -> ConfigError:
        """*message* and where the upstream was named."""
        return ConfigError(message, self.file, self.line)

    @property
    def resolves(self) -> bool:
        """Whether any server's name is to be resolved while the server runs."""
        return any(server.host for server in self.servers or ())

    def link(self, resolve: Resolve = resolve_host) -> None:
        """Make the peers; raises ConfigError.   nginx: ngx_http_upstream_init_round_robin"""
        self.peers = self._implied_peers(resolve) if self.servers is None else self._peers(self.servers)
        if self.method is not None:
            self.picker = self.method.picker
            if self.zone is None:
                self.method.link(self.peers)
        if self.sticky is not None:
            self.picker = sticky(self.picker)

    def _peers(self, servers: list[Server]) -> Peers:
        self._check_resolve()
        main = [server for server in servers if not server.backup]
        backup = [server for server in servers if server.backup]
        if not main:
            raise self.refuse(f'no servers in upstream "{self.host}"')
        name = to_bytes(self.host)
        second = None
        if any(not server.host for server in backup) or (self.resolves and (backup or self.flags & Flag.BACKUP)):
            second = Peers(name, _expand(backup), backup=True)
        return Peers(name, _expand(main), second)

    def _check_resolve(self) -> None:
        if not self.resolves:
            return
        if self.zone is None:
            raise ConfigError(
                f'resolving names at run time requires upstream "{self.host}" in {self.file}:{self.line}'
                " to be in shared memory"
            )
        if not self.flags & Flag.MODIFY:
            raise self.refuse(
                f'load balancing method does not support resolving names at run time in upstream "{self.host}"'
            )
        if self.resolver is None:
            raise self.refuse(f'no resolver defined to resolve names at run time in upstream "{self.host}"')

    def _implied_peers(self, resolve: Resolve) -> Peers:
        if not self.port:
            raise self.refuse(f'no port in upstream "{self.host}"')
        try:
            addresses = lookup(self.host, self.port, resolve)
        except BadAddress as bad:
            raise self.refuse(f'{bad} in upstream "{self.host}"') from None
        return Peers(to_bytes(self.host), [Peer(address.sockaddr, address.name) for address in addresses])


def _expand(servers: list[Server]) -> Iterator[Peer]:
    """A peer for every address of those that have theirs."""
    return (server.peer(address) for server in servers if not server.host for address in server.addresses)


@dataclass
class Upstreams:
    """All upstreams of one http or stream block, by the order they were named in."""

    all: list[Upstream] = field(default_factory=list)
    by_host: dict[str, list[Upstream]] = field(default_factory=dict)  # once linked; names in lower case

    def __iter__(self) -> Iterator[Upstream]:
        return iter(self.all)

    def create(self, cf: Cf, host: str, flags: int = ALL) -> Upstream:
        """For an upstream{} block; raises `duplicate upstream "x"`."""
        return self._add(cf, Url(host, host=host, no_port=True), flags)

    def add(self, cf: Cf, text: str, default_port: int = 0, *, uri_part: bool = True) -> tuple[Upstream, Url]:
        """For a proxy_pass and its like: the upstream{} of that name, or an implied one, shared by host and port.

        Names that no block has are resolved by link(), after all blocks are known.
        """
        return self.add_url(cf, parse_named(text, default_port, uri_part))

    def add_url(self, cf: Cf, url: Url) -> tuple[Upstream, Url]:
        return self._add(cf, url, 0), url

    def find(self, host: str, port: int, no_port: bool = False) -> Upstream | None:
        """What a host found while a request runs means: an upstream{} by its name, or an implied one by its port too.

        nginx: ngx_http_upstream_init_request
        """
        for upstream in self.by_host.get(host.lower(), ()):
            if upstream.port == port or (no_port and not upstream.port):
                return upstream
        return None

    def _add(self, cf: Cf, url: Url, flags: int) -> Upstream:
        creating = flags & Flag.CREATE
        for known in self.all:
            if known.host.lower() != url.host.lower():
                continue
            if creating and known.flags & Flag.CREATE:
                raise Invalid(f'duplicate upstream "{url.host}"')
            if known.flags & Flag.CREATE and not url.no_port:
                raise Invalid(f'upstream "{url.host}" may not have port {url.port}')
            if creating and not known.no_port:
                raise known.refuse(f'upstream "{url.host}" may not have port {known.port}')
            if known.port and url.port and known.port != url.port:
                continue
            if creating:
                known.flags, known.port = flags, 0
            return known
        return self._new(cf, url, flags)

    def _new(self, cf: Cf, url: Url, flags: int) -> Upstream:
        upstream = Upstream(url.host, url.port, flags, url.no_port)
        upstream.file, upstream.line = cf.file, cf.line
        if len(url.addresses) == 1 and (url.port or url.unix):
            upstream.servers = [Server("", url.addresses)]
        self.all.append(upstream)
        return upstream

    def link(self, resolve: Resolve = resolve_host) -> None:
        """Make every upstream's peers, once all of the block is read; raises ConfigError."""
        for upstream in self.all:
            upstream.link(resolve)
            self.by_host.setdefault(upstream.host.lower(), []).append(upstream)


def parse_named(text: str, default_port: int, uri_part: bool) -> Url:
    """The URL of a proxy_pass and its like, its host not resolved yet; raises Invalid with nginx's words."""
    try:
        return parse_url(text, default_port, uri_part=uri_part)
    except BadAddress as bad:
        raise Invalid(f'{bad} in upstream "{text}"') from None


def balancing(cf: Cf, upstream: Upstream, method: Method) -> None:
    """Make *method* the upstream's."""
    if upstream.method is not None:
        cf.warn("load balancing method redefined")
    upstream.method = method
    upstream.sticky = None
    upstream.flags = method.flags
