"""`listen` in stream{} and mail{}: the address, and each parameter that nginx knows there.

nginx: ngx_stream_core_module.c (ngx_stream_core_listen), ngx_mail_core_module.c (ngx_mail_core_listen)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from geng.core.values import BadValue, atoi, parse_size
from geng.errors import Invalid, Refused
from geng.http.listen import parse_address
from geng.modules.foreign.table import seconds

if TYPE_CHECKING:
    from geng.conf.compiler import Cf


@dataclass(slots=True)
class Listen:
    """What one `listen` says. *set*: a parameter of the socket itself was given."""

    addresses: list[Any]
    words: set[str] = field(default_factory=set)
    set: bool = False

    def __contains__(self, word: str) -> bool:
        return word in self.words


def number(name: str, least: int = 0) -> Callable[[str, str], None]:
    """A number of at least *least*."""

    def check(word: str, text: str) -> None:
        try:
            if atoi(text) >= least:
                return
        except BadValue:
            pass
        raise Invalid(f'invalid {name} "{word}"')

    return check


def bytes_of(name: str) -> Callable[[str, str], None]:
    """A size."""

    def check(word: str, text: str) -> None:
        try:
            parse_size(text)
        except BadValue:
            raise Invalid(f'invalid {name} "{word}"') from None

    return check


def ipv6only(word: str, text: str) -> None:
    if text[:1] != "o":
        raise Invalid(f'invalid parameter "{word}"')
    if text not in ("on", "off"):
        raise Invalid(f'invalid ipv6only flags "{text}"')


def so_keepalive(word: str, text: str) -> None:
    """`on`, `off` or `[idle]:[interval]:[count]`"""
    if text in ("on", "off"):
        return
    idle, _, rest = text.partition(":")
    interval, _, count = rest.partition(":")
    values: list[int | None] = [seconds(part) if part else 0 for part in (idle, interval)]
    try:
        values.append(atoi(count) if count else 0)
    except BadValue:
        values.append(None)
    if None in values or not any(values):
        raise Invalid(f'invalid so_keepalive value: "{text}"')


#: parameter -> what checks its value; None where it has none
SOCKET: dict[str, Callable[[str, str], None] | None] = {
    "bind": None,
    "backlog=": number("backlog", 1),
    "rcvbuf=": bytes_of("rcvbuf"),
    "sndbuf=": bytes_of("sndbuf"),
    "ipv6only=": ipv6only,
    "multipath": None,
    "so_keepalive=": so_keepalive,
}
MORE_SOCKET = {"fastopen=": number("fastopen"), "deferred": None, "reuseport": None}
STREAM = {**SOCKET, **MORE_SOCKET}
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
            check = sockets[name + equals]
            if check is not None:
                check(word, value)
            found.words.add(name)
            found.set = True
        else:
            raise Invalid(f'invalid parameter "{word}"')
    if "udp" in found:
        for name in NOT_UDP:
            if name in found:
                raise Refused(f'"{name}" parameter is incompatible with "udp"')
    return found
