"""The client's address as a trusted balancer in front tells it: `set_real_ip_from`, `real_ip_header`.

nginx: ngx_http_realip_module.c
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag, to_bytes
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import HSL
from geng.core.cidr import BadCidr, Cidr
from geng.errors import Invalid, Refused
from geng.http.forwarded import forwarded_address
from geng.http.module import DECLINED, Handler, Module, Phase, Variable

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.request import Request

XREALIP, XFORWARDED, HEADER, PROXY = range(4)
KINDS = {"X-Real-IP": XREALIP, "X-Forwarded-For": XFORWARDED, "proxy_protocol": PROXY}


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
            pass
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
        if r.realip is not None or r.main is not r:
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
        found = forwarded_address(r.c.addr_text, values, conf.networks, conf.recursive)
        if found is None:
            return DECLINED
        address, own_port = found
        _set(r, address, own_port or port)
        return DECLINED

    return handle


def _set(r: Request, address: bytes, port: int) -> None:
    """Make *address* the connection's for as long as the request lasts."""
    c = r.c
    before = (c.addr_text, c.port, c._sockaddr)
    r.realip = before  # not in r.ctx: an internal redirect empties that
    c.addr_text = address
    c.port = port
    c.sockaddr = (address.decode(), port)

    def restore() -> None:
        c.addr_text, c.port, c.sockaddr = before

    r.main.on_end(restore)


def _remote_addr(r: Request) -> bytes:
    before = r.main.realip
    return before[0] if before is not None else r.c.addr_text


def _remote_port(r: Request) -> bytes:
    before = r.main.realip
    port = before[1] if before is not None else r.c.port
    return b"%d" % port if port else b""


module = Module(
    name="http_realip",
    confs=(RealIpConf,),
    variables=(Variable("realip_remote_addr", _remote_addr), Variable("realip_remote_port", _remote_port)),
    handlers={Phase.POST_READ: link, Phase.PREACCESS: link},
)
