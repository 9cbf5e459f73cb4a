"""`listen` in http{}, stream{} and mail{}: the addresses, and each parameter that nginx knows there.

nginx: ngx_http_core_module.c (ngx_http_core_listen), ngx_stream_core_module.c (ngx_stream_core_listen),
ngx_mail_core_module.c (ngx_mail_core_listen)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from geng.core.values import BadValue, atoi, parse_sec, parse_size
from geng.errors import Invalid, Refused
from geng.net.address import BadAddress, parse_listen
from geng.net.listen import ListenOptions

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

# what is spoken on an address, as bits
PROXY_PROTOCOL, TLS, HTTP2 = 1, 2, 4
PROTOCOLS = {"proxy_protocol": PROXY_PROTOCOL, "ssl": TLS, "http2": HTTP2}


@dataclass(slots=True)
class Listen:
    """What one `listen` says. *words*: the names of its parameters; *set*: one of the socket itself is among them."""

    addresses: list[Any]
    words: set[str] = field(default_factory=set)
    set: bool = False
    options: ListenOptions = field(default_factory=ListenOptions)

    def __contains__(self, word: str) -> bool:
        return word in self.words

    @property
    def udp(self) -> bool:
        return "udp" in self or "quic" in self

    @property
    def protocols(self) -> int:
        """PROXY_PROTOCOL, TLS, HTTP2."""
        return sum(bit for word, bit in PROTOCOLS.items() if word in self)


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
MORE: dict[str, Reader] = {
    **SOCKET,
    "fastopen=": number("fastopen"),
    "deferred": says(deferred=True),
    "reuseport": says(reuseport=True),
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """What `listen` may say in one of the blocks: of the *socket*, and in other *words* (`default` is `default_server`).

    *port*: where the address has none; *elsewhere*: parameters for other systems, which are ignored.
    """

    socket: Mapping[str, Reader]
    words: Mapping[str, str]
    port: int = 0
    elsewhere: tuple[str, ...] = ()


def _words(*words: str, **others: str) -> Mapping[str, str]:
    return {**{word: word for word in words}, **others}


HTTP = Parameters(
    MORE,
    _words("ssl", "proxy_protocol", "default_server", "http2", "quic", default="default_server"),
    port=80,
    elsewhere=("accept_filter=",),
)
STREAM = Parameters(MORE, _words("ssl", "proxy_protocol", "default_server", "udp"))
MAIL = Parameters(SOCKET, _words("ssl", "proxy_protocol"))

#: what cannot stand beside `udp` or `quic`, in the order nginx looks
NOT_OF_DATAGRAMS = ("fastopen", "backlog", "deferred", "multipath", "ssl", "http2", "so_keepalive", "proxy_protocol")


def read(cf: Cf, known: Parameters) -> Listen:
    """A `listen` directive; raises Invalid, Refused."""
    text, *words = cf.args
    try:
        found = Listen(list(dict.fromkeys(parse_listen(text, known.port))))
    except BadAddress as bad:
        raise Invalid(f'{bad} in "{text}" of the "listen" directive') from None
    for word in words:
        _parameter(cf, known, found, word)
    for kind in ("udp", "quic"):
        for name in NOT_OF_DATAGRAMS if kind in found else ():
            if name in found:
                raise Refused(f'"{name}" parameter is incompatible with "{kind}"')
    return found


def _parameter(cf: Cf, known: Parameters, found: Listen, word: str) -> None:
    name, equals, value = word.partition("=")
    if word in known.words:
        found.words.add(known.words[word])
        if word == "http2":
            cf.warn('the "listen ... http2" directive is deprecated, use the "http2" directive instead')
    elif name + equals in known.socket:
        found.options = replace(found.options, **known.socket[name + equals](word, value))
        found.words.add(name)
        found.set = True
    elif name + equals in known.elsewhere:
        cf.warn(f'accept filters "{word}" are not supported on this platform, ignored', level="emerg")
    else:
        raise Invalid(f'invalid parameter "{word}"')


def by_default() -> Listen:
    """What a server of http{} without `listen` listens to."""
    return Listen([("0.0.0.0", 80 if os.getuid() == 0 else 8000)])
