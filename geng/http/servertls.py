"""What the http block knows of TLS: per server, and the protocols that ALPN may choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geng.http.connection import HttpConnection
    from geng.http.script import Value
    from geng.tls.context import Context
    from geng.tls.loading import RuntimeCache


@dataclass(slots=True)
class Protocol:
    """What ALPN may choose besides HTTP/1. *wanted(hc)*: whether it is on where the connection came to; *start(c)*: in
    the hub, when the handshake has chosen it."""

    name: bytes
    wanted: Callable[[HttpConnection], bool]
    start: Callable[[Any], object]


@dataclass(slots=True)
class ServerTls:
    """One server's TLS: its *context*, None where it has neither certificates nor ssl_reject_handshake.

    values: the names of certificates and keys, where a handshake must compute them; cache, passwords: to load those.
    """

    context: Context | None = None
    rejects: bool = False
    verify: int = 0
    buffer_size: int = 16384
    certificates: bool = False
    values: Sequence[tuple[Value, Value]] = ()
    cache: RuntimeCache | None = None
    passwords: Sequence[bytes] = ()
