"""Socket addresses as nginx prints them.   nginx: ngx_inet.c (ngx_sock_ntop)

A sockaddr is what Python's sockets use: `(host, port)`, `(host, port, flow, scope)`, or a path for unix sockets.
"""

from __future__ import annotations

import socket
from typing import Any

SockAddr = Any  # tuple[str, int] | tuple[str, int, int, int] | str | bytes


def family(addr: SockAddr) -> int:
    """AF_INET, AF_INET6 or AF_UNIX."""
    if not isinstance(addr, tuple):
        return socket.AF_UNIX
    return socket.AF_INET6 if len(addr) == 4 or ":" in addr[0] else socket.AF_INET


def text(addr: SockAddr, port: bool = True) -> str:
    """`127.0.0.1:80`, `[::1]:80`, `unix:/path`; without port `127.0.0.1`, `::1`, `unix:/path`."""
    if not isinstance(addr, tuple):
        path = addr.decode("utf-8", "surrogateescape") if isinstance(addr, bytes) else addr or ""
        return "unix:" + path.partition("\0")[0]
    host = addr[0]
    if not port:
        return str(host)
    return f"[{host}]:{addr[1]}" if ":" in host else f"{host}:{addr[1]}"


def is_wildcard(addr: SockAddr) -> bool:
    """Whether a socket bound here may be reached at more than one address."""
    return isinstance(addr, tuple) and addr[0] in ("0.0.0.0", "::", "")


def is_loopback(addr: SockAddr) -> bool:
    """Whether a connect() there is over before it returns (unix sockets, 127/8, ::1)."""
    return not isinstance(addr, tuple) or addr[0].startswith("127.") or addr[0] == "::1"


def plain(host: str, port: int) -> SockAddr:
    """The sockaddr of an address in its plain form; raises ValueError where *host* is none."""
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        host = socket.inet_ntop(kind, socket.inet_pton(kind, host))
    except OSError as error:
        raise ValueError(host) from error
    return (host, port, 0, 0) if kind == socket.AF_INET6 else (host, port)
