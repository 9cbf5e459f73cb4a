"""`listen`: addresses, their sockets and the virtual servers behind each.

nginx: ngx_http_core_module.c (ngx_http_core_listen), ngx_http.c (ngx_http_add_listen, ngx_http_init_listening),
ngx_inet.c (ngx_parse_url)
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from geng.conf.convert import to_bytes
from geng.core.cidr import ipv4
from geng.core.hostnames import HostTable
from geng.core.values import BadValue, atoi, parse_sec, parse_size
from geng.errors import Invalid, Refused
from geng.net import sockaddr as sa
from geng.net.listen import Listening, ListenOptions

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreSrv
    from geng.http.script import Regex

_NUMBER = re.compile(r"\d{1,18}", re.ASCII)

A = TypeVar("A", bound=Any)  # http's Address, or stream's


PROXY_PROTOCOL, TLS, HTTP2 = 1, 2, 4
PROTOCOLS = {"proxy_protocol": PROXY_PROTOCOL, "ssl": TLS, "http2": HTTP2}


#: what cannot stand beside `quic`, in the order nginx looks
NOT_QUIC = ("fastopen", "backlog", "deferred", "multipath", "ssl", "http2", "so_keepalive", "proxy_protocol")


@dataclass(slots=True)
class ListenParameters:
    """What one `listen` says."""

    options: ListenOptions = field(default_factory=ListenOptions)
    set: bool = False  # a parameter of the socket itself was given
    bind: bool = False
    default_server: bool = False
    quic: bool = False
    protocols: int = 0  # PROXY_PROTOCOL, TLS, HTTP2


class Address:
    """One address:port with its servers by name.   nginx: ngx_http_conf_addr_t, ngx_http_virtual_names_t"""

    __slots__ = ("bind", "default", "has_default", "hosts", "names", "parameters", "protocols", "protocols_changed",
                 "protocols_seen", "protocols_set", "quic", "regexes", "request_options", "servers", "set", "sockaddr",
                 "start_http2", "text")  # fmt: skip

    def __init__(self, sockaddr: Any, parameters: ListenParameters, server: CoreSrv) -> None:
        self.sockaddr = sockaddr
        self.text = sa.text(sockaddr)
        self.parameters = parameters
        self.set = parameters.set
        self.bind = parameters.bind
        self.default = server
        self.has_default = parameters.default_server
        self.protocols = parameters.protocols
        self.protocols_seen = 0
        self.protocols_set = self.protocols_changed = False
        self.servers = [server]
        self.names = False  # whether a server must be looked for at all
        self.hosts: HostTable[CoreSrv] = HostTable()
        self.regexes: list[tuple[Regex, CoreSrv]] = []
        self.request_options: Any = None
        self.quic: Any = None  # the transport's settings (geng.quic.conf), where it is spoken here
        self.start_http2: Any = None  # where the first bytes may be HTTP/2's: takes the connection that it begins on

    def __repr__(self) -> str:
        return f"<Address {self.text} {len(self.servers)} servers>"

    @property
    def wildcard(self) -> bool:
        return sa.is_wildcard(self.sockaddr)

    @property
    def proxy_protocol(self) -> bool:
        return bool(self.protocols & PROXY_PROTOCOL)

    @property
    def ssl(self) -> bool:
        return bool(self.protocols & TLS) or self.parameters.quic

    @property
    def http2(self) -> bool:
        return bool(self.protocols & HTTP2)

    def find(self, host: bytes, r: Any) -> CoreSrv | None:
        """The server that has the name *host* (lower case), None for none.   nginx: ngx_http_find_virtual_server"""
        server = self.hosts.find(host)
        if server is not None:
            return server
        for regex, server in self.regexes:
            if regex.exec(r, host):
                return server
        return None


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


def parse_address(text: str, default_port: int = 80, listen: bool = True) -> list[Any]:
    """The sockaddrs that `listen TEXT` means; raises Invalid with nginx's words for what is wrong.

    Without *listen*, *text* names a server to talk to: no `*`, no ranges, and a number is a host.
    """
    if text[:5].lower() == "unix:":
        path = text[5:]
        if not path:
            raise Invalid("no path in the unix domain socket")
        if len(to_bytes(path)) >= 108:
            raise Invalid("too long path in the unix domain socket")
        return [path]
    if text.startswith("["):
        return _ipv6(text, default_port)
    if "/" in text or "?" in text:
        raise Invalid("invalid host")
    host, colon, port = text.partition(":")
    if listen and not colon and _are_ports(text):
        return [("0.0.0.0", number) for number in _ports(text)]
    numbers: Sequence[int] = [default_port]
    if colon:
        numbers = _ports(port) if listen else [_port(port)]
    if host == "*" and listen:
        return [("0.0.0.0", number) for number in numbers]
    if not host:
        raise Invalid("no host")
    found = _resolve(host, numbers[0])
    return [(address[0], number, *address[2:]) for address in found for number in numbers]


def _port(text: str) -> int:
    number = int(text) if _NUMBER.fullmatch(text) else 0
    if not 1 <= number <= 65535:
        raise Invalid("invalid port")
    return number


def _are_ports(text: str) -> bool:
    """Whether nginx takes *text* for ports, which may be wrong, and not for a host."""
    try:
        return all(atoi(part) >= 0 for part in text.split("-", 1))
    except BadValue:
        return False


def _ports(text: str) -> range:
    """The ports of `80` or `8080-8090`."""
    first, dash, last = text.partition("-")
    end = _port(last) if dash else 0
    start = _port(first)
    if dash and start > end:
        raise Invalid("invalid port range")
    return range(start, (end or start) + 1)


def _ipv6(text: str, default_port: int) -> list[Any]:
    host, closing, rest = text[1:].partition("]")
    if not closing:
        raise Invalid("invalid host")
    if rest and rest[0] != ":":
        raise Invalid("invalid host")
    ports = _ports(rest[1:]) if rest else [default_port]
    if not host:
        raise Invalid("no host")
    try:
        address = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, host))
    except (OSError, ValueError):
        raise Invalid("invalid IPv6 address") from None
    return [(address, port, 0, 0) for port in ports]


def _resolve(host: str, port: int) -> list[Any]:
    plain = ipv4(host)
    if plain:
        return [(plain, port)]
    try:
        found = socket.getaddrinfo(to_bytes(host), None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except (OSError, UnicodeError):
        raise Invalid("host not found") from None
    return [
        (address[0], port, *address[2:]) for family, _, _, _, address in found if family in (socket.AF_INET, socket.AF_INET6)
    ]


def _integer(name: str, text: str, word: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise Invalid(f'invalid {name} "{word}"')
    return int(text)


def read_listen(cf: Cf) -> tuple[list[Any], ListenParameters]:
    """A `listen` directive: its addresses and parameters; raises Invalid."""
    address, *words = cf.args
    try:
        addresses = parse_address(address)
    except Invalid as invalid:
        raise Invalid(f'{invalid} in "{address}" of the "listen" directive') from None
    found = ListenParameters()
    for word in words:
        _parameter(cf, found, word)
    found.quic = "quic" in words
    if found.quic:
        given = {word.partition("=")[0] for word in words}
        for name in NOT_QUIC:
            if name in given:
                raise Refused(f'"{name}" parameter is incompatible with "quic"')
    return list(dict.fromkeys(addresses)), found


def _parameter(cf: Cf, found: ListenParameters, word: str) -> None:
    name, equals, text = word.partition("=")
    changes: dict[str, Any] = {}
    if word in ("default_server", "default"):
        found.default_server = True
        return
    if word in PROTOCOLS:
        if word == "http2":
            cf.warn('the "listen ... http2" directive is deprecated, use the "http2" directive instead')
        found.protocols |= PROTOCOLS[word]
        return
    if word == "quic":
        return
    if name == "accept_filter" and equals:
        cf.warn(f'accept filters "{word}" are not supported on this platform, ignored', level="emerg")
        return
    if word == "bind":
        pass
    elif name in ("backlog", "fastopen") and equals:
        number = _integer(name, text, word)
        if name == "backlog" and number == 0:
            raise Invalid(f'invalid backlog "{word}"')
        changes[name] = number
    elif name in ("rcvbuf", "sndbuf") and equals:
        try:
            changes[name] = parse_size(text)
        except BadValue:
            raise Invalid(f'invalid {name} "{word}"') from None
    elif word == "deferred":
        changes["deferred"] = True
    elif name == "ipv6only" and equals and text[:1] == "o":
        if text not in ("on", "off"):
            raise Invalid(f'invalid ipv6only flags "{text}"')
        changes["ipv6only"] = text == "on"
    elif word == "reuseport":
        changes["reuseport"] = True
    elif word == "multipath":
        changes["protocol"] = 262  # IPPROTO_MPTCP
    elif name == "so_keepalive" and equals:
        changes = _so_keepalive(text)
    else:
        raise Invalid(f'invalid parameter "{word}"')
    found.set = found.bind = True
    found.options = replace(found.options, **changes)


def _so_keepalive(text: str) -> dict[str, Any]:
    if text in ("on", "off"):
        return {"keepalive": text == "on"}
    idle, _, rest = text.partition(":")
    interval, _, count = rest.partition(":")
    try:
        values = (
            parse_sec(idle) if idle else 0,
            parse_sec(interval) if interval else 0,
            _integer("so_keepalive", count, text) if count else 0,
        )
    except (BadValue, Invalid):
        values = (0, 0, 0)
    if not any(values):
        raise Invalid(f'invalid so_keepalive value: "{text}"')
    return {"keepalive": True, "keepidle": values[0], "keepintvl": values[1], "keepcnt": values[2]}


def default_listen() -> tuple[list[Any], ListenParameters]:
    """What a server without `listen` listens to."""
    return [("0.0.0.0", 80 if os.getuid() == 0 else 8000)], ListenParameters()


class Ports:
    """All addresses of the http block, by family and port, in order of the configuration."""

    def __init__(self) -> None:
        self.ports: dict[tuple[int, int], list[Address]] = {}

    def add(self, cf: Cf, server: CoreSrv, sockaddr: Any, parameters: ListenParameters) -> None:
        """nginx: ngx_http_add_listen; raises Invalid."""
        port = sockaddr[1] if isinstance(sockaddr, tuple) else 0
        addresses = self.ports.setdefault((sa.family(sockaddr), port), [])
        for address in addresses:
            if address.sockaddr == sockaddr:
                _join(cf, address, server, parameters)
                return
        addresses.append(Address(sockaddr, parameters, server))

    def all(self) -> list[Address]:
        return [address for addresses in self.ports.values() for address in addresses]

    def listenings(self, handler: Any, receiver: Any = None) -> list[Listening]:
        """The sockets to open: with *:port bound, other addresses of that port need none unless they say `bind`.

        *receiver*: what takes datagrams from them, None for sockets of TCP.
        """
        kind = socket.SOCK_STREAM if receiver is None else socket.SOCK_DGRAM
        made = []
        for addresses in self.ports.values():
            for address, others in sockets(addresses):
                listening = Listening(address.sockaddr, address.parameters.options, handler, kind)
                listening.data = Port(address, others)
                listening.receiver = receiver
                made.append(listening)
        return made


def sockets(addresses: Sequence[A]) -> list[tuple[A, list[A]]]:
    """Of the addresses of one port: which are bound, each with those that need no socket of their own beside it."""
    ordered = sorted(addresses, key=lambda a: (a.wildcard, not a.bind))
    by_wildcard = ordered[-1].wildcard
    if by_wildcard:
        ordered[-1].bind = True
    joined = [a for a in ordered if by_wildcard and not a.bind]
    return [(a, joined if a.wildcard else []) for a in ordered if a.bind or not by_wildcard]


def _join(cf: Cf, address: Address, server: CoreSrv, parameters: ListenParameters) -> None:
    """One more server on an address (nginx: ngx_http_add_addresses)."""
    if server in address.servers:
        raise Invalid(f"a duplicate listen {address.text}")
    address.servers.append(server)
    if parameters.set:
        if address.set:
            raise Invalid(f"duplicate listen options for {address.text}")
        address.parameters, address.set, address.bind = parameters, True, parameters.bind
    if parameters.default_server:
        if address.has_default:
            raise Invalid(f"a duplicate default server for {address.text}")
        address.has_default = True
        address.default = server
    _join_protocols(cf, address, parameters)


def _join_protocols(cf: Cf, address: Address, parameters: ListenParameters) -> None:
    """Protocols given by some servers only: they hold for all, with a warning where the servers contradict."""
    before, now = address.protocols, parameters.protocols
    seen = address.protocols_seen
    redefined = False
    if now | before != before:
        redefined = (address.set and not parameters.set) or address.protocols_changed or now | before != now
        address.protocols_seen, address.protocols_changed = before, True
    elif before | now != now:
        redefined = parameters.set or (address.protocols_set and now != seen)
        address.protocols_seen, address.protocols_changed = now, True
    else:
        redefined = (parameters.set and address.protocols_changed) or (address.protocols_set and now != seen)
        address.protocols_seen = now
    address.protocols_set = True
    if redefined:
        cf.warn(f"protocol options redefined for {address.text}")
    address.protocols = now | before
