"""Networks as `allow`, `set_real_ip_from` and `geo` name them, and whether an address is in one.

nginx: ngx_inet.c (ngx_ptocidr, ngx_cidr_match)
"""

from __future__ import annotations

import socket
from functools import lru_cache

UNIX = "unix:"


class BadCidr(ValueError):
    """Not an address, nor a network."""


class Cidr:
    """One network: *bits* of *net* count. version 4, 6, or 0 for `unix:`.

    *loose*: address bits beyond the prefix were set, which nginx warns of ("low address bits of … are meaningless").
    """

    __slots__ = ("loose", "mask", "net", "version")

    def __init__(self, text: str) -> None:
        """Raises BadCidr."""
        self.loose = False
        if text == UNIX:
            self.version, self.net, self.mask = 0, 0, 0
            return
        address, slash, prefix = text.partition("/")
        self.version, number = _number(address)
        width = 32 if self.version == 4 else 128
        bits = width
        if slash:
            if not prefix.isascii() or not prefix.isdigit() or int(prefix) > width:
                raise BadCidr(text)
            bits = int(prefix)
        self.mask = ((1 << bits) - 1) << (width - bits)
        self.net = number & self.mask
        self.loose = self.net != number

    def __repr__(self) -> str:
        return f"<Cidr v{self.version} {self.net:x}/{self.mask:x}>"

    def __contains__(self, address: tuple[int, int]) -> bool:
        """Whether *address*, from parse(), lies in it."""
        return address[0] == self.version and address[1] & self.mask == self.net


def _number(text: str) -> tuple[int, int]:
    try:
        if ":" in text:
            return 6, int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")
    except (OSError, ValueError):
        raise BadCidr(text) from None
    return 4, ipv4_number(text)


def ipv4_number(text: str) -> int:
    """Four numbers; as nginx reads them: zeros in front or none at all, and 255.255.255.255 is no address (INADDR_NONE).

    Raises BadCidr.   nginx: ngx_inet_addr
    """
    octets = text.split(".")
    if len(octets) != 4 or any(octet and not (octet.isascii() and octet.isdigit()) for octet in octets):
        raise BadCidr(text)
    numbers = [int(octet or 0) for octet in octets]
    if max(numbers) > 255 or min(numbers) == 255:
        raise BadCidr(text)
    return int.from_bytes(bytes(numbers), "big")


@lru_cache(4096)
def parse(text: bytes, mapped: bool = True) -> tuple[int, int]:
    """The (version, number) of a peer's address; if *mapped*, an IPv4 one inside IPv6 counts as IPv4.

    Raises BadCidr.
    """
    if text[:5] == b"unix:":
        return 0, 0
    version, number = _number(text.decode("latin-1"))
    if mapped and version == 6 and number >> 32 == 0xFFFF:
        return 4, number & 0xFFFFFFFF
    return version, number


def ipv4(text: str) -> str:
    """*text* in the plain form if it is an address as nginx reads it, else ""."""
    try:
        return socket.inet_ntoa(ipv4_number(text).to_bytes(4, "big"))
    except BadCidr:
        return ""
