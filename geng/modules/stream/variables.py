"""The variables of the core of stream{}.   nginx: ngx_stream_variables.c"""

from __future__ import annotations

import os
import socket
from time import time
from typing import TYPE_CHECKING, Any

from geng.core import clock
from geng.errors import ProtocolError
from geng.http.module import NOCACHEABLE, PREFIX, Getter, Variable
from geng.http.variables import NGINX_VERSION
from geng.modules.core import hostname
from geng.net import sockaddr as sa

if TYPE_CHECKING:
    from geng.stream.session import Session


def _binary_addr(s: Session) -> bytes:
    address = s.c.sockaddr
    if not isinstance(address, tuple):
        return s.c.addr_text
    return socket.inet_pton(sa.family(address), address[0])


def _remote_port(s: Session) -> bytes:
    return b"%d" % s.c.port if s.c.port else b""


def _server_addr(s: Session) -> bytes:
    return sa.text(s.c.local_addr(), port=False).encode("utf-8", "surrogateescape")


def _server_port(s: Session) -> bytes:
    local = s.c.local_addr()
    return b"%d" % local[1] if isinstance(local, tuple) else b""


def told(attr: str) -> Getter:
    """What the PROXY header told: an address as it is, a port as a number."""

    def get(s: Session) -> bytes | None:
        if s.proxy_protocol is None:
            return None
        value = getattr(s.proxy_protocol, attr)
        if isinstance(value, bytes):
            return value
        return b"%d" % value if value else b""

    return get  # type: ignore[return-value]


def _tlv(name: str) -> Getter:
    wanted = name.removeprefix("proxy_protocol_tlv_")

    def get(s: Session) -> bytes | None:
        if s.proxy_protocol is None:
            return None
        try:
            found: bytes | None = s.proxy_protocol.tlv(wanted)
        except ProtocolError as error:
            s.log.error(error.message, ctx=s.c)
            return None
        return found

    return get  # type: ignore[return-value]


def session_time(s: Session) -> bytes:
    return b"%d.%03d" % divmod(max(clock.msec() - s.start_msec, 0), 1000)


GETTERS: dict[str, Any] = {
    "binary_remote_addr": _binary_addr,
    "remote_addr": lambda s: s.c.addr_text,
    "remote_port": _remote_port,
    "proxy_protocol_addr": told("src_addr"),
    "proxy_protocol_port": told("src_port"),
    "proxy_protocol_server_addr": told("dst_addr"),
    "proxy_protocol_server_port": told("dst_port"),
    "server_addr": _server_addr,
    "server_port": _server_port,
    "server_name": lambda s: s.server.server_name,
    "connection": lambda s: b"%d" % s.c.number,
    "nginx_version": lambda s: NGINX_VERSION,
    "hostname": lambda s: hostname().encode(),
    "pid": lambda s: b"%d" % os.getpid(),
    "protocol": lambda s: b"UDP" if s.udp else b"TCP",
}

#: what changes while a session lasts
CHANGING: dict[str, Any] = {
    "bytes_sent": lambda s: b"%d" % s.c.sent,
    "bytes_received": lambda s: b"%d" % s.received,
    "session_time": session_time,
    "status": lambda s: b"%03d" % s.status,
    "msec": lambda s: b"%.3f" % time(),
    "time_iso8601": lambda s: clock.iso8601(),
    "time_local": lambda s: clock.http_log_time(),
}

VARIABLES: tuple[Variable, ...] = (
    *(Variable(name, get) for name, get in GETTERS.items()),
    *(Variable(name, get, NOCACHEABLE) for name, get in CHANGING.items()),
    Variable("proxy_protocol_tlv_", flags=PREFIX, prefix_get=_tlv),
)
