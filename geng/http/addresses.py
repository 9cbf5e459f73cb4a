"""Addresses as the configuration writes them: `127.0.0.1:80`, `*:8080-8090`, `[::1]:80`, `unix:/path`, a host's name.

nginx: ngx_inet.c (ngx_parse_url)
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from typing import Any

from geng.conf.convert import to_bytes
from geng.core.cidr import ipv4
from geng.core.values import BadValue, atoi
from geng.errors import Invalid

_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


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
