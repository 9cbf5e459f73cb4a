"""Transport parameters.   nginx: ngx_event_quic_transport.c (ngx_quic_parse_transport_params …); RFC 9000, section 18"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geng.quic.frames import BadFrame, Reader, varint
from geng.quic.packet import LARGEST

if TYPE_CHECKING:
    from geng.quic.conf import QuicConf

NUMBERS = {
    0x01: "max_idle_timeout",
    0x03: "max_udp_payload_size",
    0x04: "initial_max_data",
    0x05: "initial_max_stream_data_bidi_local",
    0x06: "initial_max_stream_data_bidi_remote",
    0x07: "initial_max_stream_data_uni",
    0x08: "initial_max_streams_bidi",
    0x09: "initial_max_streams_uni",
    0x0A: "ack_delay_exponent",
    0x0B: "max_ack_delay",
    0x0E: "active_connection_id_limit",
}
ORIGINAL_DCID, RESET_TOKEN, DISABLE_MIGRATION, PREFERRED_ADDRESS, INITIAL_SCID, RETRY_SCID = 0, 2, 0xC, 0xD, 0xF, 0x10

#: that only a server may send
SERVERS_ONLY = (ORIGINAL_DCID, PREFERRED_ADDRESS, RETRY_SCID, RESET_TOKEN)

#: in the order in which nginx writes them
WRITTEN = (0x04, 0x09, 0x08, 0x05, 0x06, 0x07, 0x01, 0x03)
WRITTEN_BEHIND = (0x0E, 0x0B, 0x0A)


class BadParams(Exception):
    """What the log says of parameters that cannot be."""


@dataclass(slots=True)
class Params:
    """What one side allows; times in ms. The defaults are those of who says nothing (RFC 9000, 18.2)."""

    max_idle_timeout: int = 0
    max_udp_payload_size: int = LARGEST
    initial_max_data: int = 0
    initial_max_stream_data_bidi_local: int = 0
    initial_max_stream_data_bidi_remote: int = 0
    initial_max_stream_data_uni: int = 0
    initial_max_streams_bidi: int = 0
    initial_max_streams_uni: int = 0
    ack_delay_exponent: int = 3
    max_ack_delay: int = 25
    active_connection_id_limit: int = 2
    disable_active_migration: bool = False
    original_dcid: bytes = b""
    initial_scid: bytes = b""
    retry_scid: bytes = b""
    reset_token: bytes = b""

    def encode(self) -> bytes:
        """As a server's extension."""
        parts = [_number(key, getattr(self, NUMBERS[key])) for key in WRITTEN]
        if self.disable_active_migration:
            parts.append(_text(DISABLE_MIGRATION, b""))
        parts += [_number(key, getattr(self, NUMBERS[key])) for key in WRITTEN_BEHIND]
        parts += (_text(ORIGINAL_DCID, self.original_dcid), _text(INITIAL_SCID, self.initial_scid))
        if self.retry_scid:
            parts.append(_text(RETRY_SCID, self.retry_scid))
        parts.append(_text(RESET_TOKEN, self.reset_token))
        return b"".join(parts)


def _number(key: int, value: int) -> bytes:
    return _text(key, varint(value))


def _text(key: int, value: bytes) -> bytes:
    return varint(key) + varint(len(value)) + value


def of_server(conf: QuicConf) -> Params:
    """What a server with *conf* allows."""
    size = conf.stream_buffer_size
    bidi, uni = conf.max_concurrent_streams_bidi, conf.max_concurrent_streams_uni
    return Params(
        max_idle_timeout=conf.idle_timeout,
        initial_max_data=(bidi + uni) * size,
        initial_max_stream_data_bidi_local=size,
        initial_max_stream_data_bidi_remote=size,
        initial_max_stream_data_uni=size,
        initial_max_streams_bidi=bidi,
        initial_max_streams_uni=uni,
        active_connection_id_limit=conf.active_connection_id_limit,
        disable_active_migration=conf.disable_active_migration,
    )


def parse(data: bytes) -> Params:
    """A client's parameters; raises BadParams."""
    params = Params()
    r = Reader(data)
    while r.at < r.end:
        try:
            key = r.varint()
        except BadFrame:
            raise BadParams("quic failed to parse transport param id") from None
        if key in SERVERS_ONLY:
            raise BadParams(f"quic client sent forbidden transport param id:0x{key:x}")
        try:
            size = r.varint()
        except BadFrame:
            raise BadParams(f"quic failed to parse transport param id:0x{key:x} length") from None
        if size > r.end - r.at:
            raise BadParams(f"quic failed to parse transport param id:0x{key:x}, data length {size} too long")
        _take(params, key, r.take(size))
    return params


def _take(params: Params, key: int, value: bytes) -> None:
    if key in NUMBERS:
        r = Reader(value)
        try:
            setattr(params, NUMBERS[key], r.varint())
        except BadFrame:
            raise BadParams(f"quic failed to parse transport param id:0x{key:x} data") from None
        if r.at == r.end:
            return
    elif key == DISABLE_MIGRATION:
        params.disable_active_migration = True
        if not value:
            return
    elif key == INITIAL_SCID:
        params.initial_scid = value
        return
    else:
        return
    raise BadParams(f"quic failed to parse transport param id:0x{key:x} data")


def why_not(params: Params, scid: bytes) -> tuple[str, str]:
    """(what the client is told, what the log says) of parameters that a client with *scid* may not have; ("", "") if fine.

    nginx: ngx_quic_apply_transport_params
    """
    if params.initial_scid != scid:
        return "invalid initial_source_connection_id", "quic client initial_source_connection_id mismatch"
    if not 1200 <= params.max_udp_payload_size <= LARGEST:
        return "invalid maximum packet size", "quic maximum packet size is invalid"
    if params.active_connection_id_limit < 2:
        return "invalid active_connection_id_limit", "quic active_connection_id_limit is invalid"
    if params.ack_delay_exponent > 20:
        return "invalid ack_delay_exponent", "quic ack_delay_exponent is invalid"
    if params.max_ack_delay >= 16384:
        return "invalid max_ack_delay", "quic max_ack_delay is invalid"
    return "", ""
