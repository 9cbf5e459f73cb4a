"""`[debug]` lines about packets and frames, for `error_log … debug`.

nginx: ngx_event_quic_frames.c (ngx_quic_log_frame), ngx_log_debug() in ngx_event_quic.c, ngx_event_quic_output.c
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.core.log import DEBUG_EVENT
from geng.quic import frames as f
from geng.quic.protection import LEVEL_NAMES

if TYPE_CHECKING:
    from geng.quic.connection import QuicConnection
    from geng.quic.packet import Packet


def say(c: QuicConnection, line: str) -> None:
    c.log.debug(line, kind=DEBUG_EVENT, ctx=c)


def _ack(frame: f.Ack) -> str:
    text = " ".join(f"{last}" if first == last else f"{last}-{first}" for first, last in frame.ranges)
    ecn = " ECN counters ect0:{} ect1:{} ce:{}".format(*frame.ecn) if frame.ecn else ""
    return f"ACK n:{len(frame.ranges) - 1} delay:{frame.delay} {text}{ecn}"


def _close(frame: f.ConnectionClose) -> str:
    reason = f" {frame.reason.decode('utf-8', 'replace')}" if frame.reason else ""
    if frame.app:
        return f"CONNECTION_CLOSE_APP err:{frame.code}{reason}"
    return f"CONNECTION_CLOSE err:{frame.code}{reason} ft:{frame.frame_type}"


#: type -> its text, of the frame's own fields, or what makes it
TEXTS: dict[int, Any] = {
    f.Padding.type: "PADDING",
    f.Ping.type: "PING",
    f.Ack.type: _ack,
    f.ResetStream.type: "RESET_STREAM id:0x{f.id:x} error_code:0x{f.code:x} final_size:{f.final_size}",
    f.StopSending.type: "STOP_SENDING id:0x{f.id:x} err:0x{f.code:x}",
    f.Crypto.type: lambda frame: f"CRYPTO len:{len(frame.data)} off:{frame.offset}",
    f.NewToken.type: "NEW_TOKEN",
    f.StreamFrame.type: lambda frame: (
        f"STREAM id:0x{frame.id:x} off:{frame.offset} len:{len(frame.data)}{' fin:1' if frame.fin else ''}"
    ),
    f.MaxData.type: "MAX_DATA max_data:{f.limit} on recv",
    f.MaxStreamData.type: "MAX_STREAM_DATA id:0x{f.id:x} limit:{f.limit}",
    f.MaxStreamsBidi.type: "MAX_STREAMS limit:{f.limit} bidi:1",
    f.MaxStreamsUni.type: "MAX_STREAMS limit:{f.limit} bidi:0",
    f.DataBlocked.type: "DATA_BLOCKED limit:{f.limit}",
    f.StreamDataBlocked.type: "STREAM_DATA_BLOCKED id:0x{f.id:x} limit:{f.limit}",
    f.StreamsBlockedBidi.type: "STREAMS_BLOCKED limit:{f.limit} bidi:1",
    f.StreamsBlockedUni.type: "STREAMS_BLOCKED limit:{f.limit} bidi:0",
    f.NewConnectionId.type: lambda frame: f"NEW_CONNECTION_ID seq:{frame.seqnum} retire:{frame.retire} len:{len(frame.cid)}",
    f.RetireConnectionId.type: "RETIRE_CONNECTION_ID seqnum:{f.seqnum}",
    f.PathChallenge.type: lambda frame: f"PATH_CHALLENGE data:0x{frame.data.hex()}",
    f.PathResponse.type: lambda frame: f"PATH_RESPONSE data:0x{frame.data.hex()}",
    f.ConnectionClose.type: _close,
    f.HandshakeDone.type: "HANDSHAKE DONE",
}


def frame(c: QuicConnection, what: f.Frame, number: int, sent: bool) -> None:
    """One frame, of packet *number*."""
    text = TEXTS[what.type]
    said = text.format(f=what) if isinstance(text, str) else text(what)
    say(c, f"quic frame {'tx' if sent else 'rx'} {LEVEL_NAMES[what.level]}:{number} {said}")


def came(c: QuicConnection, packet: Packet) -> None:
    """A packet that could be read."""
    say(c, f"quic packet rx dcid len:{len(packet.dcid)} {packet.dcid.hex()}")
    say(c, f"quic packet rx number:{packet.number} len:{(packet.flags & 3) + 1}")


def goes(c: QuicConnection, level: int, number: int, size: int, need_ack: bool) -> None:
    """A packet with *size* bytes of frames."""
    say(c, f"quic packet tx {LEVEL_NAMES[level]} bytes:{size} need_ack:{int(need_ack)} number:{number}")
