"""Servers whose names are resolved again and again while the server runs: `server name resolve [service=name];`.

nginx: ngx_http_upstream_zone_module.c (ngx_http_upstream_zone_resolve_timer, ngx_http_upstream_zone_resolve_handler)

One worker asks for all; the others find the addresses in the zone. An answer holds as long as the resolver says; when
the name is gone, so are the peers, and on any other failure they stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import time
from typing import TYPE_CHECKING, Any, cast

from geng.conf.convert import to_bytes
from geng.core.zone import ZoneFull
from geng.net.answers import NXDOMAIN, Address, ResolveFailed
from geng.upstream.shared import Found, SharedPeers

if TYPE_CHECKING:
    from geng.upstream.upstream import Server, Upstream

RETRY = 1000  # ms; at least so long after a failure


class ResolvedServer:
    """One server of an upstream whose name this worker keeps resolving. *template*: its number among such servers."""

    __slots__ = ("group", "hub", "log", "peers", "resolver", "server", "template", "timeout")

    def __init__(self, upstream: Upstream, server: Server, template: int, worker: Any) -> None:
        self.server = server
        self.template = template
        self.peers = cast(SharedPeers, upstream.peers)
        self.group = cast(SharedPeers, self.peers.next) if server.backup else self.peers
        self.resolver = upstream.resolver.get(worker)
        self.timeout = upstream.resolver_timeout
        self.hub = worker.hub
        self.log = worker.log

    def __repr__(self) -> str:
        return f"<ResolvedServer {self.server.name} until {self.peers.valid(self.template)}>"

    def start(self) -> None:
        """Ask when what another worker, or the last configuration, has found expires."""
        left = self.peers.valid(self.template) - int(time())
        self.hub.after(left * 1000 if left > 0 else 1, self.hub.spawn, self.refresh)

    def refresh(self) -> None:
        """Ask, in a greenlet, and take what is found; then plan the next time."""
        now = int(time())
        try:
            addresses, valid = self.ask()
        except ResolveFailed as failed:
            self.tell(failed)
            if failed.code != NXDOMAIN:
                self.hub.after(max(self.timeout, RETRY), self.hub.spawn, self.refresh)
                return
            addresses, valid = (), int(failed.valid)
        self.take(addresses, valid)
        self.hub.after((valid - now + 1 if valid > now else 1) * 1000, self.hub.spawn, self.refresh)

    def ask(self) -> tuple[Iterable[Address], int]:
        """The addresses and until when they hold; raises ResolveFailed."""
        server = self.server
        if not server.service:
            answer = self.resolver.lookup(server.host, self.timeout)
            return answer.addresses, int(answer.valid)
        failed: list[ResolveFailed] = []
        try:
            answer = self.resolver.lookup_service(server.host, server.service, self.timeout, failed)
        finally:
            for target in failed:
                self.log.error(f"{target} while resolving service {server.service} of {server.host}")
        return answer.addresses, int(answer.valid)

    def tell(self, failed: ResolveFailed) -> None:
        server = self.server
        what = f"service {server.service} of {server.host}" if server.service else server.host
        self.log.error(f"{what} could not be resolved ({failed.code}: {failed.reason})")

    def take(self, addresses: Iterable[Address], valid: int) -> None:
        """Make *addresses* the server's peers in shared memory."""
        main, backup = self.sort(addresses)
        group = self.group
        with self.peers.records.zone.lock:
            try:
                group.update(self.template, main)
                if self.server.service and group.next is not None:
                    cast(SharedPeers, group.next).update(self.template, backup)
            except ZoneFull:
                name = self.peers.name.decode("utf-8", "surrogateescape")
                self.log.error(f'cannot add new server to upstream "{name}", memory exhausted')
            self.peers.valid(self.template, valid)

    def sort(self, addresses: Iterable[Address]) -> tuple[list[Found], list[Found]]:
        """Those of the best priority, and the others, which are backups."""
        server = self.server
        found = list(addresses)
        best = min((address.priority for address in found), default=0)
        groups: tuple[list[Found], list[Found]] = ([], [])
        for address in found:
            sockaddr, weight, name = address.sockaddr, server.weight, b""
            if server.service:
                name = to_bytes(address.name)
                if server.weight == 1:
                    weight = address.weight
            else:
                sockaddr = (sockaddr[0], server.port, *sockaddr[2:])
            groups[address.priority != best].append((sockaddr, weight, name))
        return groups


def start(upstreams: Iterable[Upstream], worker: Any) -> None:
    """Begin to resolve, in the one worker that does so."""
    if worker.id != 0:
        return
    for upstream in upstreams:
        servers = [server for server in upstream.servers or () if server.host]
        for template, server in enumerate(servers):
            ResolvedServer(upstream, server, template, worker).start()
