"""The streams of a connection: made, found, forgotten.   nginx: ngx_event_quic_streams.c"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.hot.connection import NEVER
from geng.quic import frames
from geng.quic.errors import TransportError
from geng.quic.stream import SERVER_INITIATED, UNIDIRECTIONAL, QuicStream

if TYPE_CHECKING:
    from geng.quic.connection import QuicConnection


def begin(c: QuicConnection) -> None:
    """The handshake is over: the protocol above takes the connection, then the streams that came early.

    nginx: ngx_quic_do_init_streams
    """
    if c.open:
        return
    c.conf.on_ready(c)
    if c.closed:
        return
    c.open = True
    if not c.closing:
        c.close_timer.deadline = NEVER
    early, c.uninitialized = c.uninitialized, []
    for stream in early:
        c.hub.call_soon(_announce, stream)


def _announce(stream: QuicStream) -> None:
    if not stream.closed:
        stream.connection.conf.on_stream(stream)


def open_uni(c: QuicConnection) -> QuicStream | None:
    """A new stream of ours, None when the client allows no more or the pool has none."""
    if c.closing or c.server_uni >= c.server_max_uni:
        return None
    stream = _create(c, c.server_uni << 2 | SERVER_INITIATED | UNIDIRECTIONAL)
    c.server_uni += 1
    return stream


def _create(c: QuicConnection, sid: int) -> QuicStream | None:
    was = c.is_reusable
    c.reusable(False)
    stream: Any = c.pool.get(c.fd, QuicStream)
    if stream is None:
        c.reusable(was)
        return None
    c.streams[sid] = stream
    stream.begin(c, sid)
    return stream


def find(c: QuicConnection, sid: int) -> QuicStream | None:
    """The stream *sid*, made (with those before it) if the client opens it; None if it is gone already.

    nginx: ngx_quic_get_stream
    """
    stream = c.streams.get(sid)
    if stream is not None:
        return stream
    if c.shutting_down or c.closing:
        return None
    number = sid >> 2
    uni = sid & UNIDIRECTIONAL
    if sid & SERVER_INITIATED:
        if number < (c.server_uni if uni else c.server_bidi):
            return None
        raise TransportError(frames.STREAM_STATE_ERROR)
    opened = c.client_uni if uni else c.client_bidi
    if number < opened:
        return None
    if number >= (c.max_client_uni if uni else c.max_client_bidi):
        raise TransportError(frames.STREAM_LIMIT_ERROR)
    if uni:
        c.client_uni = number + 1
    else:
        c.client_bidi = number + 1
    for i in range(opened, number + 1):
        stream = _open(c, i << 2 | uni)
    return stream


def _open(c: QuicConnection, sid: int) -> QuicStream | None:
    stream = _create(c, sid)
    if stream is None:
        _reject(c, sid)
    elif c.open:
        c.hub.call_soon(_announce, stream)
    else:
        c.uninitialized.append(stream)
    return stream


def _reject(c: QuicConnection, sid: int) -> None:
    """There is no connection left in the pool for a stream."""
    code = c.conf.stream_reject_code_uni if sid & UNIDIRECTIONAL else c.conf.stream_reject_code_bidi
    if not code:
        raise TransportError(frames.INTERNAL_ERROR)
    c.queue_frame(frames.ResetStream(sid, code, 0))
    c.queue_frame(frames.StopSending(sid, code))


def gone(c: QuicConnection, stream: QuicStream) -> None:
    """A closed stream has said and heard everything.   nginx: ngx_quic_close_stream"""
    if c.streams.pop(stream.id, None) is None:
        return
    if c.closing:
        c.hub.call_soon(c.finish)
        return
    c.stream_ended()
    if c.shutting_down or stream.id & SERVER_INITIATED:
        return
    if stream.id & UNIDIRECTIONAL:
        c.max_client_uni += 1
        c.queue_frame(frames.MaxStreamsUni(c.max_client_uni))
    else:
        c.max_client_bidi += 1
        c.queue_frame(frames.MaxStreamsBidi(c.max_client_bidi))


# ---- frames about streams


def _receiving(c: QuicConnection, sid: int) -> QuicStream | None:
    """A stream that the client sends on."""
    if sid & UNIDIRECTIONAL and sid & SERVER_INITIATED:
        raise TransportError(frames.STREAM_STATE_ERROR)
    return find(c, sid)


def _sending(c: QuicConnection, sid: int) -> QuicStream | None:
    """A stream that we send on."""
    if sid & UNIDIRECTIONAL and not sid & SERVER_INITIATED:
        raise TransportError(frames.STREAM_STATE_ERROR)
    return find(c, sid)


def _check(error: int) -> None:
    if error:
        raise TransportError(error)


def on_stream(c: QuicConnection, frame: frames.StreamFrame) -> None:
    stream = _receiving(c, frame.id)
    if stream is not None:
        _check(stream.take_data(frame))


def on_reset(c: QuicConnection, frame: frames.ResetStream) -> None:
    stream = _receiving(c, frame.id)
    if stream is not None:
        _check(stream.take_reset(frame))


def on_blocked(c: QuicConnection, frame: frames.StreamDataBlocked) -> None:
    stream = _receiving(c, frame.id)
    if stream is not None:
        stream.renew_limit()


def on_stop(c: QuicConnection, frame: frames.StopSending) -> None:
    stream = _sending(c, frame.id)
    if stream is not None:
        stream.take_stop(frame)


def on_max_stream_data(c: QuicConnection, frame: frames.MaxStreamData) -> None:
    stream = _sending(c, frame.id)
    if stream is not None:
        stream.take_max_data(frame.limit)


def on_max_data(c: QuicConnection, frame: frames.MaxData) -> None:
    if frame.limit <= c.send_max_data:
        return
    c.send_max_data = frame.limit
    for stream in list(c.streams.values()):
        if c.send_offset >= c.send_max_data:
            return
        stream.flush()


def on_data_blocked(c: QuicConnection, frame: frames.DataBlocked) -> None:
    c.update_max_data()


def on_max_bidi(c: QuicConnection, frame: frames.MaxStreamsBidi) -> None:
    c.server_max_bidi = max(c.server_max_bidi, frame.limit)


def on_max_uni(c: QuicConnection, frame: frames.MaxStreamsUni) -> None:
    c.server_max_uni = max(c.server_max_uni, frame.limit)


def ignore(c: QuicConnection, frame: frames.Frame) -> None:
    """A frame that asks for nothing."""


HANDLERS = {
    frames.Ping.type: ignore,
    frames.StreamFrame.type: on_stream,
    frames.ResetStream.type: on_reset,
    frames.StopSending.type: on_stop,
    frames.MaxData.type: on_max_data,
    frames.MaxStreamData.type: on_max_stream_data,
    frames.MaxStreamsBidi.type: on_max_bidi,
    frames.MaxStreamsUni.type: on_max_uni,
    frames.DataBlocked.type: on_data_blocked,
    frames.StreamDataBlocked.type: on_blocked,
    frames.StreamsBlockedBidi.type: ignore,
    frames.StreamsBlockedUni.type: ignore,
}
