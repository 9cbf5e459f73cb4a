"""Addresses as the configuration writes them: what follows `proxy_pass http://` and `server`, and what `listen` says.

nginx: ngx_inet.c (ngx_parse_url, ngx_inet_resolve_host)
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from geng.conf.convert import to_bytes
from geng.core.cidr import ipv4
from geng.core.values import BadValue, atoi
from geng.errors import Invalid

#: host -> sockaddrs, all addresses of it in the order to use them; raises OSError.
Resolve = Callable[[str, int], list[Any]]

UNIX_PATH_MAX = 108  # sizeof(sun_path)

_PORT = re.compile(r"\d+", re.ASCII)


class BadAddress(Invalid):
    """nginx's u.err: "invalid port", "host not found" …; where it is used, ` in upstream "x"` is added."""


@dataclass(slots=True)
class Address:
    """One address and its text: `127.0.0.1:80`, `[::1]:80`, `unix:/path`."""

    sockaddr: Any
    name: bytes


@dataclass(slots=True)
class Url:
    """nginx: ngx_url_t. *host* is as written (with the brackets of an IPv6 address, without the `unix:` of a path).

    *addresses* is empty for a name that was not to be resolved. *port* is the default one where *no_port*.
    """

    url: str
    host: str = ""
    port: int = 0
    no_port: bool = False
    unix: bool = False
    uri: str = ""
    addresses: list[Address] = field(default_factory=list)


def parse_url(text: str, default_port: int = 0, *, uri_part: bool = False, resolve: Resolve | None = None) -> Url:
    """Take *text* apart; names are resolved where *resolve* is given. Raises BadAddress."""
    url = Url(text)
    if text[:5].lower() == "unix:":
        _parse_unix(url, uri_part)
    elif text[:1] == "[":
        _parse_ipv6(url, default_port, uri_part)
    else:
        _parse_inet(url, default_port, uri_part, resolve)
    return url


def parse_listen(text: str, default_port: int) -> list[Any]:
    """The sockaddrs that `listen TEXT` means: ports alone, `*` and ranges of ports are good there. Raises BadAddress."""
    ports: Sequence[int] = [default_port]
    if text[:5].lower() == "unix:":
        return [address.sockaddr for address in parse_url(text).addresses]
    if text[:1] == "[":
        host, closing, rest = text.partition("]")
        if closing and rest[:1] == ":":
            text, ports = host + closing, _ports(rest[1:])
    elif "/" in text or "?" in text:
        raise BadAddress("invalid host")
    else:
        host, colon, port = text.partition(":")
        if colon:
            text, ports = host, _ports(port)
        elif _are_ports(text):
            text, ports = "*", _ports(text)
        if text == "*":
            return [("0.0.0.0", number) for number in ports]
    found = parse_url(text, default_port, resolve=resolve_host).addresses
    return [(address.sockaddr[0], number, *address.sockaddr[2:]) for address in found for number in ports]


def resolve_host(host: str, port: int) -> list[Any]:
    """The addresses of *host* by the system's resolver (it waits); raises OSError."""
    try:
        found = socket.getaddrinfo(to_bytes(host), None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, str(error)) from None
    addresses = [addr for family, _, _, _, addr in found if family in (socket.AF_INET, socket.AF_INET6)]
    return [(addr[0], port, *addr[2:]) for addr in addresses]


def lookup(host: str, port: int, resolve: Resolve) -> list[Address]:
    """Every address of *host*; raises BadAddress `host not found`."""
    try:
        found = resolve(host, port)
    except OSError:
        found = []
    if not found:
        raise BadAddress("host not found")
    return [address_of(sockaddr) for sockaddr in found]


def address_of(sockaddr: Any) -> Address:
    """*sockaddr* with its text."""
    if not isinstance(sockaddr, tuple):
        return Address(sockaddr, b"unix:" + to_bytes(sockaddr))
    host, port = sockaddr[0], sockaddr[1]
    return Address(sockaddr, (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode())


def _parse_unix(url: Url, uri_part: bool) -> None:
    path = url.url[5:]
    if uri_part:
        path, _, url.uri = path.partition(":")
    if not path:
        raise BadAddress("no path in the unix domain socket")
    if len(to_bytes(path)) >= UNIX_PATH_MAX:
        raise BadAddress("too long path in the unix domain socket")
    url.host = path
    url.unix = True
    url.addresses = [Address(path, to_bytes(url.url[:5] + path))]


def _parse_inet(url: Url, default_port: int, uri_part: bool, resolve: Resolve | None) -> None:
    text = url.url
    uri = min((i for i in (text.find("/"), text.find("?")) if i >= 0), default=-1)
    if uri >= 0:
        text = _cut_uri(url, uri, uri_part)
    host, colon, port = text.partition(":")
    if colon:
        url.port = _port(port)
    else:
        url.no_port, url.port = True, default_port
    if not host:
        raise BadAddress("no host")
    url.host = host
    literal = ipv4(host)
    if literal:
        url.addresses = [address_of((literal, url.port))]
    elif resolve is not None:
        url.addresses = lookup(host, url.port, resolve)


def _parse_ipv6(url: Url, default_port: int, uri_part: bool) -> None:
    end = url.url.find("]", 1)
    if end < 0:
        raise BadAddress("invalid host")
    uri = url.url.find("/", end)
    text = url.url if uri < 0 else _cut_uri(url, uri, uri_part)
    rest = text[end + 1 :]
    if rest:
        if rest[0] != ":":
            raise BadAddress("invalid host")
        url.port = _port(rest[1:])
    else:
        url.no_port, url.port = True, default_port
    if end == 1:
        raise BadAddress("no host")
    url.host = url.url[: end + 1]
    try:
        packed = socket.inet_pton(socket.AF_INET6, url.url[1:end])
    except (OSError, ValueError):
        raise BadAddress("invalid IPv6 address") from None
    url.addresses = [address_of((socket.inet_ntop(socket.AF_INET6, packed), url.port, 0, 0))]


def _cut_uri(url: Url, at: int, uri_part: bool) -> str:
    """What stands before the URI."""
    if not uri_part:
        raise BadAddress("invalid host")
    url.uri = url.url[at:]
    return url.url[:at]


def _port(text: str) -> int:
    port = int(text) if _PORT.fullmatch(text) and len(text) < 10 else 0
    if not 1 <= port <= 65535:
        raise BadAddress("invalid port")
    return port


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
        raise BadAddress("invalid port range")
    return range(start, (end or start) + 1)
