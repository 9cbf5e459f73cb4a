"""Who listens where: the addresses of a block, the sockets that they need, and the servers behind each.

nginx: ngx_http.c (ngx_http_add_listen, ngx_http_add_addresses, ngx_http_init_listening), and ngx_stream.c, ngx_mail.c
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geng.core import hashes
from geng.core.hostnames import BadName, Conflict, HostTable
from geng.errors import ConfigError, Invalid
from geng.http.listen import PROXY_PROTOCOL, TLS
from geng.net import sockaddr as sa
from geng.net.listen import Listening

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.listen import Listen
    from geng.http.script import Regex


class Address:
    """One address:port with its servers by name.   nginx: ngx_http_conf_addr_t, ngx_http_virtual_names_t"""

    __slots__ = ("bind", "default", "has_default", "hosts", "names", "options", "protocols", "protocols_changed",
                 "protocols_seen", "protocols_set", "regexes", "servers", "set", "sockaddr", "text", "udp")  # fmt: skip

    def __init__(self, sockaddr: Any, found: Listen, server: Any) -> None:
        self.sockaddr = sockaddr
        self.text = sa.text(sockaddr)
        self.udp = found.udp
        self.options = found.options
        self.set = self.bind = found.set
        self.default = server
        self.has_default = "default_server" in found
        self.protocols = found.protocols
        self.protocols_seen = 0
        self.protocols_set = self.protocols_changed = False
        self.servers = [server]
        self.names = False  # whether a server must be looked for at all
        self.hosts: HostTable[Any] = HostTable()
        self.regexes: list[tuple[Regex, Any]] = []

    def __repr__(self) -> str:
        return f"<Address {self.text}{' udp' if self.udp else ''} {len(self.servers)} servers>"

    @property
    def wildcard(self) -> bool:
        return sa.is_wildcard(self.sockaddr)

    @property
    def proxy_protocol(self) -> bool:
        return bool(self.protocols & PROXY_PROTOCOL)

    @property
    def ssl(self) -> bool:
        return bool(self.protocols & TLS)

    def find(self, host: bytes, r: Any) -> Any:
        """The server that has the name *host* (lower case), None for none.   nginx: ngx_http_find_virtual_server"""
        server = self.hosts.find(host)
        if server is not None:
            return server
        for regex, server in self.regexes:
            if regex.exec(r, host):
                return server
        return None

    # ---- while the configuration is read

    def join(self, cf: Cf, found: Listen, server: Any) -> None:
        """One more server; raises Invalid.   nginx: ngx_http_add_addresses"""
        if server in self.servers:
            raise Invalid(f"a duplicate listen {self.text}")
        self.servers.append(server)
        if found.set:
            if self.set:
                raise Invalid(f"duplicate listen options for {self.text}")
            self.set = self.bind = True
            self.options = found.options
        if "default_server" in found:
            if self.has_default:
                raise Invalid(f"a duplicate default server for {self.text}")
            self.has_default, self.default = True, server
        self._join_protocols(cf, found)

    def _join_protocols(self, cf: Cf, found: Listen) -> None:
        """Protocols given by some servers only: they hold for all, with a warning where the servers contradict."""
        before, now, seen = self.protocols, found.protocols, self.protocols_seen
        if now | before != before:
            redefined = (self.set and not found.set) or self.protocols_changed or now | before != now
            self.protocols_seen, self.protocols_changed = before, True
        elif before | now != now:
            redefined = found.set or (self.protocols_set and now != seen)
            self.protocols_seen, self.protocols_changed = now, True
        else:
            redefined = (found.set and self.protocols_changed) or (self.protocols_set and now != seen)
            self.protocols_seen = now
        self.protocols_set = True
        if redefined:
            cf.warn(f"protocol options redefined for {self.text}")
        self.protocols = now | before

    def sort_names(self, cf: Cf, table: hashes.Hash) -> None:
        """Find out which server has which name; *table* is nginx's for them.   nginx: ngx_http_server_names"""
        if len(self.servers) == 1 and not self.default.captures:
            return
        self.names = True
        known = []
        for server in self.servers:
            for name, regex in server.names:
                if regex is not None:
                    self.regexes.append((regex, server))
                elif self.add_name(cf, name, server):
                    known.append(name)
        hashes.build_names(table, known)

    def add_name(self, cf: Cf, name: bytes, server: Any) -> bool:
        """Whether *server* got the *name*: the first one has it."""
        shown = name.decode("utf-8", "surrogateescape")
        try:
            self.hosts.add(name, server)
            return True
        except BadName:
            raise ConfigError(f'invalid server name or wildcard "{shown}" on {self.text}') from None
        except Conflict:
            cf.log("warn", f'conflicting server name "{shown}" on {self.text}, ignored')
            return False


class Port:
    """What a listening socket keeps: which address a connection came to decides on its servers."""

    __slots__ = ("addresses", "default")

    def __init__(self, default: Any, others: list[Any]) -> None:
        self.default = default
        self.addresses = {address.sockaddr[0]: address for address in others}

    def address(self, c: Any) -> Any:
        """The Address that connection *c* came to."""
        if not self.addresses:
            return self.default
        return self.addresses.get(c.local_addr()[0], self.default)


class Ports:
    """The addresses of a block, of class *kind*, by family, port and transport, in order of the configuration."""

    def __init__(self, kind: type[Address] = Address) -> None:
        self.kind = kind
        self.ports: dict[tuple[int, int, bool], list[Any]] = {}

    def __repr__(self) -> str:
        return f"<Ports {self.all()}>"

    def add(self, cf: Cf, server: Any, sockaddr: Any, found: Listen) -> None:
        """A `listen` of *server*; raises Invalid."""
        address = self.find(sockaddr, found.udp)
        if address is not None:
            address.join(cf, found, server)
        else:
            self._of(sockaddr, found.udp).append(self.kind(sockaddr, found, server))

    def find(self, sockaddr: Any, udp: bool = False) -> Address | None:
        return next((address for address in self._of(sockaddr, udp) if address.sockaddr == sockaddr), None)

    def _of(self, sockaddr: Any, udp: bool) -> list[Any]:
        port = sockaddr[1] if isinstance(sockaddr, tuple) else 0
        return self.ports.setdefault((sa.family(sockaddr), port, udp), [])

    def all(self) -> list[Any]:
        return [address for addresses in self.ports.values() for address in addresses]

    def listenings(self, handler: Any, receiver: Any = None) -> list[Listening]:
        """The sockets to open: with *:port bound, other addresses of that port need none unless they say `bind`.

        *receiver*: what takes QUIC's datagrams from them.
        """
        made = []
        for addresses in self.ports.values():
            for address, others in sockets(addresses):
                kind = socket.SOCK_DGRAM if address.udp else socket.SOCK_STREAM
                listening = Listening(address.sockaddr, address.options, handler, kind)
                listening.data = Port(address, others)
                listening.receiver = receiver
                made.append(listening)
        return made


def sockets(addresses: Sequence[Any]) -> list[tuple[Any, list[Any]]]:
    """Of the addresses of one port: which are bound, each with those that need no socket of their own beside it."""
    ordered = sorted(addresses, key=lambda a: (a.wildcard, not a.bind))
    by_wildcard = ordered[-1].wildcard
    if by_wildcard:
        ordered[-1].bind = True
    joined = [a for a in ordered if by_wildcard and not a.bind]
    return [(a, joined if a.wildcard else []) for a in ordered if a.bind or not by_wildcard]
