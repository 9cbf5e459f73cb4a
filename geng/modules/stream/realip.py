"""The client's address as the PROXY header of a trusted balancer tells it.   nginx: ngx_stream_realip_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.http.forwarded import trusted
from geng.http.module import Variable
from geng.modules.http.realip import RealIpConf
from geng.net import sockaddr as sa
from geng.stream.module import DECLINED, Handler, Module, Phase

if TYPE_CHECKING:
    from geng.stream.conf import StreamServer
    from geng.stream.session import Session


def link(server: StreamServer) -> Handler | None:
    """Takes the address over, where the client is trusted."""
    networks = server[RealIpConf].networks
    if not networks:
        return None

    def handle(s: Session) -> int:
        told = s.proxy_protocol
        c = s.c
        if told is None or not trusted(c.addr_text, networks):
            return DECLINED
        try:
            address = sa.plain(told.src_addr.decode("latin-1"), told.src_port)
        except ValueError:
            return DECLINED
        s.ctx[RealIpConf] = c.addr_text, c.port
        c.addr_text, c.port, c.sockaddr = address[0].encode(), told.src_port, address
        return DECLINED

    return handle


def _remote_addr(s: Session) -> bytes:
    before = s.ctx.get(RealIpConf)
    return before[0] if before is not None else s.c.addr_text


def _remote_port(s: Session) -> bytes:
    before = s.ctx.get(RealIpConf)
    port = before[1] if before is not None else s.c.port
    return b"%d" % port if port else b""


module = Module(
    name="stream_realip",
    confs=(RealIpConf,),
    variables=(
        Variable("realip_remote_addr", _remote_addr),  # type: ignore[arg-type]
        Variable("realip_remote_port", _remote_port),  # type: ignore[arg-type]
    ),
    handlers={Phase.POST_ACCEPT: link},
)
