"""The client's address as a trusted balancer in front tells it: `set_real_ip_from`, `real_ip_header`.

nginx: ngx_http_realip_module.c
"""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag, to_bytes
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import HSL
from geng.core.cidr import BadCidr, Cidr, parse
from geng.errors import Invalid, Refused
from geng.http.module import DECLINED, Handler, Module, Phase, Variable

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.request import Request

XREALIP, XFORWARDED, HEADER, PROXY = range(4)
KINDS = {"X-Real-IP": XREALIP, "X-Forwarded-For": XFORWARDED, "proxy_protocol": PROXY}

_LAST = re.compile(rb"([^ ,]+)[ ,]*$")


class RealIpConf(Conf, level=Level.LOCATION):
    """Whom to trust, and where the address stands."""

    networks: Any = value(())
    header: tuple[int, bytes] = value((XREALIP, b"x-real-ip"))
    recursive: bool = directive("real_ip_recursive", HSL, flag, default=False)

    @command("set_real_ip_from", HSL)
    def add_network(self, cf: Cf) -> None:
        """`set_real_ip_from address | CIDR | hostname | unix:`"""
        word = cf.args[0]
        found = [] if self.networks is UNSET else self.networks
        try:
            cidr = Cidr(word)
            if cidr.loose:
                cf.warn(f"low address bits of {word} are meaningless")
            self.networks = [*found, cidr]
            return
        except BadCidr:
            if "/" in word:
                raise Invalid(f'invalid parameter "{word}"') from None
        try:
            resolved = socket.getaddrinfo(to_bytes(word), None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise Invalid(f'host not found in set_real_ip_from "{word}"') from None
        self.networks = [*found, *(Cidr(str(address[4][0])) for address in resolved)]

    @command("real_ip_header", HSL)
    def set_header(self, cf: Cf) -> None:
        """`real_ip_header field | X-Real-IP | X-Forwarded-For | proxy_protocol`"""
        if self.header is not UNSET:
            raise Refused("is duplicate")
        word = cf.args[0]
        self.header = (KINDS.get(word, HEADER), to_bytes(word).lower())


def link(loc: CoreLoc) -> Handler | None:
    conf: RealIpConf = loc[RealIpConf]
    if not conf.networks:
        return None
    kind, name = conf.header

    def handle(r: Request) -> int:
        if RealIpConf in r.main.ctx or r.main is not r:
            return DECLINED
        if kind == PROXY:
            told = r.hc.proxy_protocol
            if told is None:
                return DECLINED
            values = [told.src_addr]
            port = told.src_port
        else:
            values = r.head.getall(name) if kind != XREALIP else r.head.getall(name)[:1]
            port = 0
        if not values:
            return DECLINED
        found = _address(r.c.addr_text, values, conf)
        if found is None:
            return DECLINED
        address, own_port = found
        _set(r, address, own_port or port)
        return DECLINED

    return handle


def _address(peer: bytes, values: list[bytes], conf: RealIpConf) -> tuple[bytes, int] | None:
    """The address that *values* tell of *peer*, from the right, and its port (ngx_http_get_forwarded_addr)."""
    found = None
    for text in reversed(values):
        rest = text
        while True:
            if not _trusted(peer, conf.networks):
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
            if not conf.recursive:
                return found
            if not rest.strip(b" ,"):
                break
    return found


def _trusted(address: bytes, networks: list[Cidr]) -> bool:
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


def _set(r: Request, address: bytes, port: int) -> None:
    """Make *address* the connection's for as long as the request lasts."""
    c = r.c
    before = (c.addr_text, c.port, c._sockaddr)
    r.main.ctx[RealIpConf] = before
    c.addr_text = address
    c.port = port
    c.sockaddr = (address.decode(), port)

    def restore() -> None:
        c.addr_text, c.port, c.sockaddr = before

    r.main.on_end(restore)


def _remote_addr(r: Request) -> bytes:
    before = r.main.ctx.get(RealIpConf)
    return before[0] if before is not None else r.c.addr_text


def _remote_port(r: Request) -> bytes:
    before = r.main.ctx.get(RealIpConf)
    port = before[1] if before is not None else r.c.port
    return b"%d" % port if port else b""


module = Module(
    name="http_realip",
    confs=(RealIpConf,),
    variables=(Variable("realip_remote_addr", _remote_addr), Variable("realip_remote_port", _remote_port)),
    handlers={Phase.POST_READ: link, Phase.PREACCESS: link},
)
