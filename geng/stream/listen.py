"""`listen` in stream{} and mail{}: the address, and each parameter that nginx knows there.

nginx: ngx_stream_core_module.c (ngx_stream_core_listen), ngx_mail_core_module.c (ngx_mail_core_listen)
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from geng.core.values import BadValue, atoi, parse_sec, parse_size
from geng.errors import Invalid, Refused
from geng.http.listen import Port, parse_address, sockets
from geng.net import sockaddr as sa
from geng.net.listen import Listening, ListenOptions

if TYPE_CHECKING:
    from geng.conf.compiler import Cf


@dataclass(slots=True)
class Listen:
    """What one `listen` says. *set*: a parameter of the socket itself was given."""

    addresses: list[Any]
    words: set[str] = field(default_factory=set)
    set: bool = False
    options: ListenOptions = field(default_factory=ListenOptions)

    def __contains__(self, word: str) -> bool:
        return word in self.words


Changes = dict[str, Any]
Reader = Callable[[str, str], Changes]


def number(name: str, least: int = 0) -> Reader:
    """A number of at least *least*."""

    def read(word: str, text: str) -> Changes:
        try:
            value = atoi(text)
            if value >= least:
                return {name: value}
        except BadValue:
            pass
        raise Invalid(f'invalid {name} "{word}"')

    return read


def bytes_of(name: str) -> Reader:
    """A size."""

    def read(word: str, text: str) -> Changes:
        try:
            return {name: parse_size(text)}
        except BadValue:
            raise Invalid(f'invalid {name} "{word}"') from None

    return read


def says(**changes: Any) -> Reader:
    """A parameter without value."""

    def read(word: str, text: str) -> Changes:
        return changes

    return read


def ipv6only(word: str, text: str) -> Changes:
    if text[:1] != "o":
        raise Invalid(f'invalid parameter "{word}"')
    if text not in ("on", "off"):
        raise Invalid(f'invalid ipv6only flags "{text}"')
    return {"ipv6only": text == "on"}


def so_keepalive(word: str, text: str) -> Changes:
    """`on`, `off` or `[idle]:[interval]:[count]`"""
    if text in ("on", "off"):
        return {"keepalive": text == "on"}
    idle, _, rest = text.partition(":")
    interval, _, count = rest.partition(":")
    try:
        values = [parse_sec(part) if part else 0 for part in (idle, interval)]
        values.append(atoi(count) if count else 0)
    except BadValue:
        values = []
    if not any(values):
        raise Invalid(f'invalid so_keepalive value: "{text}"')
    return {"keepalive": True, "keepidle": values[0], "keepintvl": values[1], "keepcnt": values[2]}


#: parameter -> what reads its value
SOCKET: dict[str, Reader] = {
    "bind": says(),
    "backlog=": number("backlog", 1),
    "rcvbuf=": bytes_of("rcvbuf"),
    "sndbuf=": bytes_of("sndbuf"),
    "ipv6only=": ipv6only,
    "multipath": says(protocol=262),  # IPPROTO_MPTCP
    "so_keepalive=": so_keepalive,
}
STREAM: dict[str, Reader] = {
    **SOCKET,
    "fastopen=": number("fastopen"),
    "deferred": says(deferred=True),
    "reuseport": says(reuseport=True),
}
PLAIN = {"mail": ("ssl", "proxy_protocol"), "stream": ("ssl", "proxy_protocol", "default_server", "udp")}

#: what cannot stand beside `udp`, in the order nginx looks
NOT_UDP = ("fastopen", "backlog", "deferred", "multipath", "ssl", "so_keepalive", "proxy_protocol")


def read(cf: Cf, kind: str) -> Listen:
    """A `listen` of a server in *kind*, stream or mail; raises Invalid."""
    text, *words = cf.args
    try:
        found = Listen(list(dict.fromkeys(parse_address(text, 0))))
    except Invalid as invalid:
        raise Invalid(f'{invalid} in "{text}" of the "listen" directive') from None
    sockets = STREAM if kind == "stream" else SOCKET
    for word in words:
        name, equals, value = word.partition("=")
        if word in PLAIN[kind]:
            found.words.add(word)
        elif name + equals in sockets:
            found.options = replace(found.options, **sockets[name + equals](word, value))
            found.words.add(name)
            found.set = True
        else:
            raise Invalid(f'invalid parameter "{word}"')
    if "udp" in found:
        for name in NOT_UDP:
            if name in found:
                raise Refused(f'"{name}" parameter is incompatible with "udp"')
    return found


def listenings(addresses: Sequence[Any], handler: Any) -> list[Listening]:
    """The sockets to open for *addresses* (each with sockaddr, options, bind, wildcard and udp)."""
    ports: dict[tuple[int, int, bool], list[Any]] = {}
    for address in addresses:
        port = address.sockaddr[1] if isinstance(address.sockaddr, tuple) else 0
        ports.setdefault((sa.family(address.sockaddr), port, address.udp), []).append(address)
    made = []
    for found in ports.values():
        for address, others in sockets(found):
            kind = socket.SOCK_DGRAM if address.udp else socket.SOCK_STREAM
            listening = Listening(address.sockaddr, address.options, handler, kind)
            listening.data = Port(address, others)
            made.append(listening)
    return made
