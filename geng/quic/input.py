"""What datagrams bring: packets opened, frames handed on.   nginx: ngx_event_quic.c (ngx_quic_handle_datagram …)"""

from __future__ import annotations

import os
import time
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from geng.core.clock import msec
from geng.quic import debug, frames, output, paths, streams, tokens
from geng.quic import packet as packets
from geng.quic.errors import Silent, TransportError
from geng.quic.frames import APPLICATION, EARLY, HANDSHAKE, INITIAL, RESET_TOKEN
from geng.quic.packet import LONG, Packet
from geng.quic.protection import LEVEL_NAMES, Keys
from geng.quic.stream import MOST_GAPS

if TYPE_CHECKING:
    from geng.quic.connection import QuicConnection

LEAST_CID = 8
LEAST_PACKET = 41  # RFC 9000, 10.3: shorter ones cannot be for us
LEAST_RESET, MOST_RESET = 43, 1200
MOST_CRYPTO = 65535
RESERVED_LONG, RESERVED_SHORT = 0x0C, 0x18

PROBING = (frames.Padding, frames.PathChallenge, frames.PathResponse, frames.NewConnectionId)


def _packets(c: QuicConnection, data: bytes) -> Any:
    """The packets of a datagram, as far as they are any."""
    at = 0
    while at < len(data):
        try:
            packet = packets.parse(data, at)
        except packets.BadPacket as bad:
            c.log.info(str(bad), ctx=c)
            return
        yield packet
        if packet.end <= at:
            return
        at = packet.end


def datagram(c: QuicConnection, data: bytes, address: Any) -> bool:
    """A datagram of a connection, or the first of one that may be; whether there was anything good in it."""
    good = False
    path = None
    for packet in _packets(c, data):
        packet.path = path
        if c.keys is None:
            if not _first(c, packet):
                raise Silent("no connection")
        elif not packet.supported:
            c.log.info(f"quic unsupported version: 0x{packet.version:x}", ctx=c)
            break
        elif packet.level != APPLICATION:
            if packet.first and address != c.path.sockaddr:
                return False  # too early to migrate
            if all(packet.scid != one.cid for one in c.client_ids):
                c.log.info("quic unexpected quic scid", ctx=c)
                continue
        verdict = _payload(c, packet, address)
        if verdict is None or c.closed:
            return False
        good |= verdict
        path = packet.path
    if good:
        c.received += len(data)
        c.limit_flood()
    return good


def first_datagram(c: QuicConnection, data: bytes) -> bool:
    """A datagram that no connection is known for."""
    if not datagram(c, data, c.sockaddr):
        raise Silent("nothing good in the first datagram")
    return True


def _first(c: QuicConnection, packet: Packet) -> bool:
    """May this packet begin a connection? If so, it has.   nginx: ngx_quic_handle_packet"""
    conf = c.conf
    if not packet.supported:
        output.send(c, packets.version_negotiation(packet), c.sockaddr)
        return False
    if packet.level == APPLICATION:
        _reset(c, packet)
        return False
    if packet.level != INITIAL:
        return False
    if len(packet.dcid) < LEAST_CID:
        c.log.info(f"quic too short dcid in initial packet: len:{len(packet.dcid)}", ctx=c)
        return False
    packet.odcid = packet.dcid
    if packet.token:
        try:
            token = tokens.check(conf, c.sockaddr, packet.token)
        except tokens.BadToken as bad:
            c.log.info(bad.message, ctx=c)
            if bad.garbage or bad.retried:
                reason = b"cannot decrypt token" if bad.garbage else b"invalid address validation token"
                _refuse(c, packet, frames.INVALID_TOKEN, reason)
                return False
            if conf.retry:
                _retry(c, packet)
                return False
        else:
            packet.validated, packet.retried = True, token.retried
            packet.odcid = token.odcid or packet.dcid
    elif conf.retry:
        _retry(c, packet)
        return False
    if c.pool.exiting:
        if conf.retry:
            _retry(c, packet)
        return False
    c.create(packet)
    return True


def _refuse(c: QuicConnection, packet: Packet, code: int, reason: bytes) -> None:
    keys = Keys()
    keys.set_initial(packet.dcid)
    output.send(c, output.early_close(packet, code, reason, keys), c.sockaddr)


def _retry(c: QuicConnection, packet: Packet) -> None:
    """Show that you are at your address.   nginx: ngx_quic_send_retry"""
    token = tokens.make(c.conf, c.sockaddr, packet.dcid, True)
    output.send(c, packets.retry(packet, os.urandom(packets.SERVER_CID), token), c.sockaddr)


# ---- stateless resets


class Seldom:
    """At most one reset a second for an address, roughly: a filter that sometimes errs.

    nginx: ngx_quic_stateless_reset_filter
    """

    def __init__(self) -> None:
        self.second = 0
        self.salt = b""
        self.bits = bytearray(65536)

    def again(self, address: Any) -> bool:
        """Whether *address* has had one in this second."""
        now = int(time.time())
        if now != self.second:
            self.second = now
            self.salt = os.urandom(8)
            self.bits = bytearray(65536)
        hits = 0
        for i in range(3):
            digest = tokens.address_hash(address, True, self.salt + bytes((i,)))
            at, bit = digest[0] | digest[1] << 8, 1 << digest[2] % 8
            if self.bits[at] & bit:
                hits += 1
            self.bits[at] |= bit
        return hits == 3


_seldom = Seldom()


def _reset(c: QuicConnection, packet: Packet) -> None:
    """Whoever sends this believes in a connection that is not (RFC 9000, 10.3).   nginx: ngx_quic_send_stateless_reset"""
    size = packet.size
    if size <= LEAST_PACKET or _seldom.again(c.sockaddr):
        return
    if size <= LEAST_RESET:
        size -= 1
    else:
        size = LEAST_RESET + int.from_bytes(os.urandom(2), "big") % (min(MOST_RESET, size) - LEAST_RESET)
    noise = bytearray(os.urandom(size - RESET_TOKEN))
    noise[0] = noise[0] & ~LONG | packets.FIXED
    output.send(c, bytes(noise) + tokens.reset_token(c.conf, packet.dcid, c.worker), c.sockaddr)


def _is_reset(c: QuicConnection, packet: Packet) -> bool:
    """Whether the client has forgotten the connection.   nginx: ngx_quic_handle_stateless_reset"""
    if not packet.first or len(packet.data) < RESET_TOKEN:
        return False
    tail = packet.data[-RESET_TOKEN:]
    return any(one.seqnum and one.used and compare_digest(tail, one.token) for one in c.client_ids)


# ---- the payload


def _payload(c: QuicConnection, packet: Packet, address: Any) -> bool | None:
    """Open a packet and do what it says: whether it was good; None: nothing more of this datagram.

    nginx: ngx_quic_handle_payload
    """
    if not c.error_app:  # or the connection is about to be finalized, and shall say why
        c.error, c.error_reason = 0, ""
    keys = c.keys
    if keys is None or packet.level == EARLY or keys.read[packet.level] is None:
        c.log.info(f"quic no {LEVEL_NAMES[packet.level]} keys, ignoring packet", ctx=c)
        return False
    if not _decrypt(c, packet, keys):
        if packet.level == APPLICATION and _is_reset(c, packet):
            c.log.info("quic stateless reset packet detected", ctx=c)
            c.drain_soon()
            return True
        return False
    if packet.path is None and not paths.find(c, packet, address):
        return None
    if c.ssl is None:
        c.begin_tls()
    if packet.level == HANDSHAKE:
        c.discard(INITIAL)
        if not c.path.validated:
            c.path.validated = True
            c.post_push()
    if c.closing:
        c.error_level = packet.level
        c.error, c.error_app, c.error_frame = frames.NO_ERROR, False, 0
        c.error_reason = "connection is closing, packet discarded"
        c.send_close()
        return True
    packet.received = msec()
    if packet.key_update:
        c.key_phase = not c.key_phase
        keys.switch(APPLICATION)
        c.hub.call_soon(c.prepare_keys)
    _frames(c, packet)
    return True


def _decrypt(c: QuicConnection, packet: Packet, keys: Keys) -> bool:
    space = c.recovery.spaces[packet.level]
    secret = keys.read[packet.level]
    assert secret is not None
    size = packets.unhide(packet, secret, space.largest_pn)
    if not size:
        return False
    short = not packet.flags & LONG
    if short and bool(packet.flags & packets.KEY_PHASE) != c.key_phase and keys.next_read is not None:
        secret = keys.next_read
        packet.key_update = True
    if not packets.open_payload(packet, secret, size):
        return False
    if not packet.payload:
        c.log.info("quic zero-length packet", ctx=c)
        raise TransportError(frames.PROTOCOL_VIOLATION, "failed to decrypt packet")
    if packet.flags & (RESERVED_SHORT if short else RESERVED_LONG):
        c.log.info("quic reserved bit set in packet", ctx=c)
        raise TransportError(frames.PROTOCOL_VIOLATION, "failed to decrypt packet")
    space.largest_pn = max(space.largest_pn, packet.number)
    return True


def _frames(c: QuicConnection, packet: Packet) -> None:
    """nginx: ngx_quic_handle_frames"""
    probing = True
    close = False
    if c.debugs:
        debug.came(c, packet)
    try:
        for frame in frames.parse(packet.payload, packet.level):
            if c.debugs:
                debug.frame(c, frame, packet.number, False)
            if not isinstance(frame, PROBING):
                probing = False
            if isinstance(frame, frames.Ack):
                if not c.recovery.acked(frame, packet.level):
                    c.log.info("quic ACK for the packet not sent", ctx=c)
                    raise TransportError(frames.PROTOCOL_VIOLATION, "unknown packet number", frames.Ack.type)
            elif isinstance(frame, frames.ConnectionClose):
                close = True
            elif frame.need_ack:
                packet.need_ack = True
                _frame(c, packet, frame)
    except frames.BadFrame as bad:
        c.log.info(bad.message, ctx=c)
        raise TransportError(bad.code, "", bad.kind) from None
    if close:
        c.drain_soon()
    if c.closed:
        return
    if packet.path is not c.path and not probing:
        paths.migrate(c, packet)
    keys = c.keys
    if keys is not None and keys.write[packet.level] is not None:
        space = c.recovery.spaces[packet.level]
        space.arrived(packet.number, packet.need_ack, packet.received)
        if packet.need_ack:
            c.post_push()


def _frame(c: QuicConnection, packet: Packet, frame: Any) -> None:
    handler = streams.HANDLERS.get(frame.type)
    if handler is not None:
        handler(c, frame)
    elif isinstance(frame, frames.Crypto):
        _crypto(c, packet, frame)
    elif frame.type == frames.PathChallenge.type:
        paths.answer_challenge(c, packet, frame.data)
    elif frame.type == frames.PathResponse.type:
        paths.validated(c, frame.data)
    elif isinstance(frame, frames.NewConnectionId):
        paths.take_id(c, frame)
    elif frame.type == frames.RetireConnectionId.type:
        paths.retire_id(c, frame.seqnum)


def _crypto(c: QuicConnection, packet: Packet, frame: frames.Crypto) -> None:
    """nginx: ngx_quic_handle_crypto_frame"""
    keys = c.keys
    if keys is None or keys.read[packet.level] is None:
        return
    space = c.recovery.spaces[packet.level]
    crypto = space.crypto
    last = frame.offset + len(frame.data)
    if last > crypto.offset + MOST_CRYPTO:
        raise TransportError(frames.CRYPTO_BUFFER_EXCEEDED)
    if last <= crypto.offset:
        if packet.level == INITIAL and space.sent:
            # the client has not got our answer: do not wait for a timer
            c.recovery.resend(space)
            handshake = c.recovery.spaces[HANDSHAKE]
            while handshake.sent:
                c.recovery.resend(handshake)
        return
    crypto.put(frame.offset, frame.data)
    if crypto.gaps > MOST_GAPS:
        raise TransportError(frames.CRYPTO_BUFFER_EXCEEDED)
    if crypto.size:
        c.hear(packet.level, crypto.take(crypto.size))
