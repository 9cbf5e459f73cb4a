"""What a server says about QUIC, handed to QuicConnection.run().   nginx: ngx_event_quic.h (ngx_quic_conf_t)"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geng.quic.connection import QuicConnection
    from geng.quic.stream import QuicStream
    from geng.tls.context import Context

SALT = b"ngx_quic"
KEY_LENGTH = 32


def _nothing(c: Any) -> None:
    """Where nobody asked to be told."""


@dataclass(slots=True)
class QuicConf:
    """The settings of an address's default server, made once when the configuration is read.

    context: TLS of the server; timeouts in ms, sizes in bytes; host_key: of quic_host_key, b"" for a random one;
    stream_…_code: error codes (0: say nothing) for streams that are closed unread or cannot be accepted.
    All three callbacks are called in the hub: on_ready(c) once the handshake is done, before any stream; on_stream(s) for
    each stream that the client opens (bidirectional or not: `s.id & 2`); on_shutdown(c) when the worker shuts down
    gracefully and the connection may finish its requests.
    """

    context: Context
    on_stream: Callable[[QuicStream], object]
    on_ready: Callable[[QuicConnection], object] = _nothing
    on_shutdown: Callable[[QuicConnection], object] = _nothing
    validate: Callable[[QuicConnection], object] | None = None  # asks OCSP, in a greenlet, before on_ready
    log: Any = None  # of the default server
    retry: bool = False
    gso: bool = False
    host_key: bytes = b""
    active_connection_id_limit: int = 2
    disable_active_migration: bool = False
    handshake_timeout: int = 60_000
    idle_timeout: int = 60_000
    stream_buffer_size: int = 65536
    max_concurrent_streams_bidi: int = 128
    max_concurrent_streams_uni: int = 3
    stream_close_code: int = 0
    stream_reject_code_uni: int = 0
    stream_reject_code_bidi: int = 0
    token_key: bytes = field(init=False, repr=False, default=b"")
    reset_key: bytes = field(init=False, repr=False, default=b"")

    def __post_init__(self) -> None:
        key = self.host_key or os.urandom(KEY_LENGTH)
        self.token_key = derive(key, b"av_token_key", KEY_LENGTH)
        self.reset_key = derive(key, b"sr_token_key", KEY_LENGTH)


def derive(secret: bytes, label: bytes, size: int, salt: bytes = SALT) -> bytes:
    """A key for one purpose (HKDF with SHA-256, RFC 5869), of at most 32 bytes.   nginx: ngx_quic_derive_key"""
    extracted = hmac.digest(salt, secret, "sha256")
    return hmac.digest(extracted, b"\0%c%c%b\0\x01" % (size, len(label), label), "sha256")[:size]
