"""Who a request really comes from, by what trusted proxies in front have noted.

nginx: ngx_http_core_module.c (ngx_http_get_forwarded_addr)
"""

from __future__ import annotations

import re
import socket

from geng.core.cidr import BadCidr, Cidr, parse

_LAST = re.compile(rb"([^ ,]+)[ ,]*$")


def forwarded_address(peer: bytes, values: list[bytes], networks: list[Cidr], recursive: bool) -> tuple[bytes, int] | None:
    """The address that *values* tell of *peer*, from the right, and its port ; None when *peer* is not trusted."""
    found = None
    for text in reversed(values):
        rest = text
        while True:
            if not trusted(peer, networks):
                return found
            match = _LAST.search(rest)
            if match is None:
                return found
            parsed = _parse(match[1])
            if parsed is None:
                return found
            found = parsed
            peer = parsed[0]
            rest = rest[: match.start()]
            if not recursive:
                return found
            if not rest.strip(b" ,"):
                break
    return found


def trusted(address: bytes, networks: list[Cidr]) -> bool:
    """Whether *address* is in one of *networks*."""
    try:
        number = parse(address)
    except BadCidr:
        return False
    return any(number in cidr for cidr in networks)


def _parse(text: bytes) -> tuple[bytes, int] | None:
    """An address with or without port (ngx_parse_addr_port); None when it is none."""
    address, port = text, b""
    if text[:1] == b"[":
        address, _, rest = text[1:].partition(b"]")
        port = rest[1:] if rest[:1] == b":" else b""
    elif text.count(b":") == 1:
        address, _, port = text.partition(b":")
    try:
        parse(address)
    except BadCidr:
        return None
    if port and not (port.isdigit() and 0 < int(port) <= 65535):
        return None
    if b":" in address:
        address = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, address.decode())).encode()
    return address, int(port or 0)
