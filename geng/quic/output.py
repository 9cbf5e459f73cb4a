"""Frames into packets, packets into datagrams.   nginx: ngx_event_quic_output.c"""

from __future__ import annotations

import os
import socket
import struct
from errno import EMSGSIZE
from typing import TYPE_CHECKING, Any

from geng.core.clock import msec
from geng.net.datagram import source_message
from geng.quic import debug, frames
from geng.quic.congestion import INITIAL_MTU
from geng.quic.errors import Silent
from geng.quic.frames import APPLICATION, HANDSHAKE, INITIAL
from geng.quic.packet import build, number_size, payload_room
from geng.quic.protection import Secret

if TYPE_CHECKING:
    from geng.quic.connection import QuicConnection
    from geng.quic.paths import Path
    from geng.quic.space import Space

SENT, LATER, FAILED = range(3)
SOCKET_RETRY = 10  # ms
LARGEST_BATCH = 65487
MOST_SEGMENTS = 64
UDP_SEGMENT = 103
ORDER = (INITIAL, HANDSHAKE, APPLICATION)


def flush(c: QuicConnection) -> None:
    """Send what waits, as far as congestion allows.   nginx: ngx_quic_output"""
    congestion = c.recovery.congestion
    before = congestion.in_flight
    if _may_batch(c):
        _send_batches(c)
    else:
        _send_datagrams(c)
    if before == c.recovery.congestion.in_flight or c.closing:
        return
    sent_something(c)


def sent_something(c: QuicConnection) -> None:
    """The client will answer: until then it may be silent, and after that it is lost."""
    if not c.send_timer_set:
        c.send_timer_set = True
        c.set_timeout(c.params.max_idle_timeout)
    c.recovery.set_timer()


def make_ack(c: QuicConnection, space: Space) -> None:
    """An acknowledgment, if it is time for one.   nginx: ngx_quic_generate_ack"""
    if not space.send_ack:
        return
    now = msec()
    if space.level == APPLICATION:
        delay = now - space.ack_delay_start
        most = c.params.max_ack_delay
        if not space.frames and space.send_ack < 2 and delay < most:
            if not c.closing:
                c.push_after(most - delay)
            return
    space.make_ack(now, c.params.ack_delay_exponent)


def _padded_level(c: QuicConnection) -> int:
    """Whose packet is filled up: datagrams with an Initial that asks for an acknowledgment must be large; -1 none."""
    spaces = c.recovery.spaces
    if not any(frame.need_ack for frame in spaces[INITIAL].frames):
        return -1
    level = INITIAL
    for following in (HANDSHAKE, APPLICATION):
        if not spaces[following].frames:
            break
        level = following
    return level


def _send_datagrams(c: QuicConnection) -> None:
    recovery = c.recovery
    while True:
        path = c.path
        room = path.limit(path.mtu)
        padded = _padded_level(c)
        numbers = [recovery.spaces[level].pnum for level in ORDER]
        parts: list[bytes] = []
        size = 0
        for level in ORDER:
            space = recovery.spaces[level]
            make_ack(c, space)
            least = max(0, INITIAL_MTU - size) if level == padded else 0
            if least > room:
                _revert(c, numbers)
                return
            packet = make_packet(c, space, room, least, recovery.congestion.blocked)
            parts.append(packet)
            size += len(packet)
            room -= len(packet)
        if not size:
            return
        if not send(c, b"".join(parts), path.sockaddr):
            _revert(c, numbers)
            c.push_after(SOCKET_RETRY)
            return
        _commit(c)
        path.sent += size
        if recovery.congestion.blocked:
            return


def _commit(c: QuicConnection) -> None:
    recovery = c.recovery
    idle = True
    for space in recovery.spaces.values():
        if space.frames:
            idle = False
        recovery.congestion.in_flight += space.commit(not c.closing)
    recovery.congestion.set_idle(idle, msec())


def _revert(c: QuicConnection, numbers: list[int]) -> None:
    for level, number in zip(ORDER, numbers, strict=True):
        c.recovery.spaces[level].revert(number)
    c.recovery.congestion.set_idle(True, msec())


# ---- packets


def make_packet(c: QuicConnection, space: Space, room: int, least: int, ack_only: bool) -> bytes:
    """A packet of the frames of *space*, of at most *room* and at least *least* bytes; b"" for none."""
    if not space.frames:
        return b""
    secret = None if c.keys is None else c.keys.write[space.level]
    if secret is None:
        space.frames.clear()
        return b""
    size = number_size(space.pnum, space.largest_ack)
    dcid, scid = c.path.cid.cid, c.params.initial_scid
    lowest, highest = _rooms(space.level, len(dcid), len(scid), size, least, room)
    if lowest > highest:
        return b""
    parts, need_ack = _take_frames(space, highest, ack_only)
    if not parts:
        return b""
    payload = b"".join(parts)
    if len(payload) < lowest:
        payload += bytes(lowest - len(payload))
    packet = build(space.level, secret, dcid, scid, space.pnum, size, payload, c.key_phase)
    taken = space.sending[-len(parts) :]
    if c.debugs:
        for frame in taken:
            debug.frame(c, frame, space.pnum, True)
        debug.goes(c, space.level, space.pnum, len(payload), need_ack)
    space.pnum += 1
    for frame in taken:
        frame.pkt_need_ack = need_ack
    if need_ack:
        taken[0].plen = len(packet)
    return packet


def _rooms(level: int, dcid: int, scid: int, size: int, least: int, most: int) -> tuple[int, int]:
    """Between which sizes the payload must be; the header's protection needs four bytes behind the number's start."""
    return max(payload_room(level, dcid, scid, size, least), 4 - size), payload_room(level, dcid, scid, size, most)


def _take_frames(space: Space, most: int, ack_only: bool) -> tuple[list[bytes], bool]:
    waiting = space.frames
    parts: list[bytes] = []
    used, need_ack, now = 0, False, msec()
    while waiting and used < most:
        frame = waiting[0]
        if ack_only and frame.type != frames.Ack.type:
            break
        data = frame.encode()
        if used + len(data) > most:
            rest = frame.split(most - used) if isinstance(frame, (frames.StreamFrame, frames.Crypto)) else None
            if rest is None:
                break
            data = frame.encode()
            waiting[0] = rest
        else:
            waiting.popleft()
        frame.pn, frame.send_time, frame.plen = space.pnum, now, 0
        need_ack |= frame.need_ack
        space.sending.append(frame)
        parts.append(data)
        used += len(data)
    return parts, need_ack


def send_alone(c: QuicConnection, frame: frames.Frame, least: int, path: Path, probe: bool = False) -> int:
    """*frame* in a datagram of its own, at once: SENT, LATER (never mind) or FAILED.   nginx: ngx_quic_frame_sendto"""
    recovery = c.recovery
    congestion = recovery.congestion
    space = recovery.spaces[frame.level]
    secret = None if c.keys is None else c.keys.write[frame.level]
    if secret is None or (congestion.blocked and not frame.ignore_congestion):
        return LATER
    size = number_size(space.pnum, space.largest_ack)
    dcid, scid = path.cid.cid, c.params.initial_scid
    lowest, highest = _rooms(frame.level, len(dcid), len(scid), size, least, path.limit(path.mtu))
    payload = frame.encode()
    if lowest > highest or len(payload) > highest:
        return LATER
    payload += bytes(max(0, lowest - len(payload)))
    packet = build(frame.level, secret, dcid, scid, space.pnum, size, payload, c.key_phase)
    # a probe of the MTU may be larger than the whole window: counted, it would keep all else waiting for its answer
    frame.pn, frame.send_time, frame.plen = space.pnum, msec(), 0 if probe else len(packet)
    frame.pkt_need_ack = frame.need_ack
    if c.debugs:
        debug.frame(c, frame, space.pnum, True)
        debug.goes(c, frame.level, space.pnum, len(payload), frame.need_ack)
    space.pnum += 1
    try:
        if not send(c, packet, path.sockaddr, probe):
            return LATER
    except TooLarge:
        return FAILED
    path.sent += len(packet)
    if frame.need_ack and not c.closing:
        space.sent.append(frame)
        congestion.in_flight += frame.plen
        sent_something(c)
    return SENT


# ---- the socket


class TooLarge(Exception):
    """The network card takes no datagram of this size."""


def send(c: QuicConnection, data: bytes, address: Any, probe: bool = False, segment: int = 0) -> bool:
    """One datagram (or many of *segment* bytes each); False: not now. Raises Silent, and TooLarge for a *probe*."""
    sock = c.listening.sock
    if sock is None:
        raise Silent("the socket is closed")
    control = [] if c.local is None else [source_message(c.local)]
    if segment:
        control.append((socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", segment)))
    try:
        c.sent += sock.sendmsg((data,), control, 0, address)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno == EMSGSIZE and probe:
            raise TooLarge from None
        c.log.alert("sendmsg() failed", err=error.errno, ctx=c)
        raise Silent(os.strerror(error.errno or 0)) from None
    return True


# ---- several datagrams in one call (quic_gso)


def _may_batch(c: QuicConnection) -> bool:
    """nginx: ngx_quic_allow_segmentation"""
    if not (c.conf.gso and c.path.validated):
        return False
    spaces = c.recovery.spaces
    if spaces[INITIAL].frames or spaces[HANDSHAKE].frames:
        return False
    congestion = c.recovery.congestion
    size, wanted = 0, min(c.path.mtu, LARGEST_BATCH) * 3
    for frame in spaces[APPLICATION].frames:
        size += len(frame.data) + 16 if isinstance(frame, frames.StreamFrame) else len(frame.encode())
        if congestion.in_flight + size >= congestion.window:
            return False
        if size > wanted:
            return True
    return False


def _send_batches(c: QuicConnection) -> None:
    """nginx: ngx_quic_create_segments"""
    recovery = c.recovery
    space = recovery.spaces[APPLICATION]
    path = c.path
    make_ack(c, space)
    segment = min(path.mtu, LARGEST_BATCH)
    while True:
        numbers = [recovery.spaces[level].pnum for level in ORDER]
        parts: list[bytes] = []
        size = 0
        while len(parts) < MOST_SEGMENTS and recovery.congestion.in_flight + size < recovery.congestion.window:
            room = min(segment, LARGEST_BATCH - size)
            packet = make_packet(c, space, room, room, False) if room else b""
            if not packet:
                break
            parts.append(packet)
            size += len(packet)
        if not parts:
            return
        if not send(c, b"".join(parts), path.sockaddr, segment=segment):
            _revert(c, numbers)
            c.push_after(SOCKET_RETRY)
            return
        _commit(c)
        path.sent += size


def early_close(packet: Any, code: int, reason: bytes, keys: Any) -> bytes:
    """CONNECTION_CLOSE for a connection that will not be.   nginx: ngx_quic_send_early_cc"""
    secret: Secret = keys.write[INITIAL]
    payload = frames.ConnectionClose(code, reason).encode()
    return build(INITIAL, secret, packet.scid, packet.dcid, 0, 1, payload, False)
