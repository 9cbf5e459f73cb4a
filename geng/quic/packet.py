"""Packets: headers read and written, protection taken off and put on.

nginx: ngx_event_quic_transport.c (ngx_quic_parse_packet …), ngx_event_quic_protection.c; RFC 9000, section 17
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.quic.frames import APPLICATION, EARLY, HANDSHAKE, INITIAL, MAX_CID, BadFrame, Reader, varint, varint_size
from geng.quic.protection import LEVEL_NAMES, SAMPLE, TAG, Secret, retry_tag

if TYPE_CHECKING:
    from geng.quic.paths import Path

VERSION = 1
LONG = 0x80
FIXED = 0x40
KEY_PHASE = 0x04
TYPES = (INITIAL, EARLY, HANDSHAKE, -1)
RETRY_FLAGS = 0xF0

SERVER_CID = 20
LEAST_INITIAL = 1200
LARGEST = 65527


class BadPacket(Exception):
    """A packet that is none; what the log says."""


class Packet:
    """A packet that came: its header, and where in the datagram its protected part begins and it ends.

    supported: False for a version that we do not speak: nothing behind the connection ids is known then; number,
    payload: once its protection is off; received: when it came, in ms; first: of its datagram.
    """

    __slots__ = (
        "data", "dcid", "end", "first", "flags", "key_update", "level", "need_ack", "number", "odcid", "path",
        "path_challenged", "payload", "pn_at", "rebound", "received", "retried", "scid", "start", "supported", "token",
        "validated", "version",
    )  # fmt: skip

    def __init__(self, data: bytes, start: int) -> None:
        self.data = data
        self.start = start
        self.first = start == 0
        self.end = len(data)
        self.flags = data[start]
        self.version = 0
        self.dcid = self.scid = self.odcid = self.token = b""
        self.level = APPLICATION
        self.supported = True
        self.pn_at = 0
        self.number = 0
        self.received = 0
        self.payload = b""
        self.need_ack = self.key_update = self.retried = self.validated = self.path_challenged = self.rebound = False
        self.path: Path | None = None

    def __repr__(self) -> str:
        return f"<Packet {LEVEL_NAMES[self.level]} {self.number} {self.end - self.start} bytes>"

    @property
    def size(self) -> int:
        return self.end - self.start


def parse(data: bytes, start: int) -> Packet:
    """The header of the packet at *start* of a datagram; raises BadPacket."""
    packet = Packet(data, start)
    r = Reader(data, start + 1)
    try:
        if packet.flags & LONG:
            _long(packet, r)
        else:
            if not packet.flags & FIXED:
                raise BadPacket("quic fixed bit is not set")
            if r.end - r.at < SERVER_CID:
                raise BadPacket("quic packet is too small to read dcid")
            packet.dcid = r.take(SERVER_CID)
        packet.pn_at = r.at
    except BadFrame:
        raise BadPacket("quic packet is too small to read its header") from None
    return packet


def _long(packet: Packet, r: Reader) -> None:
    if r.end - r.at < 4:
        raise BadPacket("quic packet is too small to read version")
    packet.version = int.from_bytes(r.take(4), "big")
    if not packet.flags & FIXED:
        raise BadPacket("quic fixed bit is not set")
    packet.dcid = _cid(r, "dcid")
    packet.scid = _cid(r, "scid")
    if packet.version == 0:
        raise BadPacket("quic version negotiation packet")
    if packet.version != VERSION:
        packet.supported = False
        packet.level = INITIAL
        return
    level = TYPES[packet.flags >> 4 & 3]
    if level < 0:
        raise BadPacket("quic bad packet type")
    packet.level = level
    if level == INITIAL:
        if packet.size < LEAST_INITIAL:
            raise BadPacket("quic UDP datagram is too small for initial packet")
        packet.token = _token(r)
    _length(packet, r)


def _cid(r: Reader, name: str) -> bytes:
    if r.at >= r.end:
        raise BadPacket(f"quic packet is too small to read {name} len")
    size = r.byte()
    if size > MAX_CID:
        raise BadPacket(f"quic packet {name} is too long")
    if size > r.end - r.at:
        raise BadPacket(f"quic packet is too small to read {name}")
    return r.take(size)


def _token(r: Reader) -> bytes:
    try:
        size = r.varint()
    except BadFrame:
        raise BadPacket("quic failed to parse token length") from None
    if size > r.end - r.at:
        raise BadPacket("quic packet too small to read token data")
    return r.take(size)


def _length(packet: Packet, r: Reader) -> None:
    try:
        size = r.varint()
    except BadFrame:
        raise BadPacket("quic bad packet length") from None
    if size > r.end - r.at:
        raise BadPacket(f"quic truncated {LEVEL_NAMES[packet.level]} packet")
    packet.end = r.at + size


def destination(data: bytes) -> bytes | None:
    """The connection id that a datagram is for, None for garbage.   nginx: ngx_quic_get_packet_dcid"""
    if not data:
        return None
    if data[0] & LONG:
        if len(data) < 6:
            return None
        start, size = 6, data[5]
    else:
        start, size = 1, SERVER_CID
    return data[start : start + size] if len(data) >= start + size else None


# ---- protection


def full_number(truncated: int, size: int, largest: int) -> int:
    """The packet number of which *size* bytes are known (RFC 9000, A.3); *largest* so far, -1 for none."""
    expected = largest + 1
    window = 1 << size * 8
    candidate = (expected & ~(window - 1)) | truncated
    if candidate <= expected - window // 2 and candidate < (1 << 62) - window:
        return candidate + window
    if candidate > expected + window // 2 and candidate >= window:
        return candidate - window
    return candidate


def unhide(packet: Packet, secret: Secret, largest: int) -> int:
    """Take the header protection off: flags and number are known then. Gives the size of the number, 0 if too short."""
    at = packet.pn_at
    if packet.end - at < TAG + 4:
        return 0
    data = packet.data
    mask = secret.header.mask(data[at + 4 : at + 4 + SAMPLE])
    packet.flags ^= mask[0] & (0x0F if packet.flags & LONG else 0x1F)
    size = (packet.flags & 3) + 1
    truncated = int.from_bytes(data[at : at + size], "big") ^ int.from_bytes(mask[1 : 1 + size], "big")
    packet.number = full_number(truncated, size, largest)
    return size


def open_payload(packet: Packet, secret: Secret, size: int) -> bool:
    """Decrypt the payload of an unhidden packet; False when it is not what it seems."""
    at = packet.pn_at
    number = packet.number & ((1 << size * 8) - 1)
    ad = b"%c%b%b" % (packet.flags, packet.data[packet.start + 1 : at], number.to_bytes(size, "big"))
    payload = secret.aead.open(packet.number, ad, packet.data[at + size : packet.end])
    if payload is None:
        return False
    packet.payload = payload
    return True


# ---- writing


def number_size(number: int, largest_ack: int) -> int:
    """How many bytes of a packet number suffice; *largest_ack* -1 for none."""
    delta = number - largest_ack
    return 1 if delta <= 0x7F else 2 if delta <= 0x7FFF else 3 if delta <= 0x7FFFFF else 4


def payload_room(level: int, dcid: int, scid: int, size: int, room: int) -> int:
    """How much payload fits into a packet of *room* bytes with a number of *size*.   nginx: ngx_quic_payload_size"""
    if level == APPLICATION:
        return max(0, room - (1 + dcid + size + TAG))
    used = 7 + dcid + scid + (level == INITIAL)
    if used > room:
        return 0
    return max(0, room - used - varint_size(room - used) - size - TAG)


def build(
    level: int, secret: Secret, dcid: bytes, scid: bytes, number: int, size: int, payload: bytes, phase: bool
) -> bytes:
    """A protected packet."""
    if level == APPLICATION:
        head = b"%c%b" % (FIXED | (KEY_PHASE if phase else 0) | (size - 1), dcid)
    else:
        kind = 0 if level == INITIAL else 0x20
        head = b"%c\0\0\0\x01%c%b%c%b%b%b" % (
            LONG | FIXED | kind | (size - 1), len(dcid), dcid, len(scid), scid, b"\0" if level == INITIAL else b"",
            varint(size + len(payload) + TAG),
        )  # fmt: skip
    at = len(head)
    head += (number & ((1 << size * 8) - 1)).to_bytes(size, "big")
    sealed = secret.aead.seal(number, head, payload)
    mask = secret.header.mask(sealed[4 - size : 4 - size + SAMPLE])
    first = head[0] ^ (mask[0] & (0x0F if head[0] & LONG else 0x1F))
    hidden = int.from_bytes(head[at:], "big") ^ int.from_bytes(mask[1 : 1 + size], "big")
    return b"%c%b%b%b" % (first, head[1:at], hidden.to_bytes(size, "big"), sealed)


def version_negotiation(packet: Packet) -> bytes:
    """What we speak (RFC 9000, 17.2.1)."""
    dcid, scid = packet.scid, packet.dcid
    return b"%c\0\0\0\0%c%b%c%b%b" % (LONG | FIXED, len(dcid), dcid, len(scid), scid, VERSION.to_bytes(4, "big"))


def retry(packet: Packet, scid: bytes, token: bytes) -> bytes:
    """Come back with this token (RFC 9000, 17.2.5)."""
    version = packet.version.to_bytes(4, "big")
    head = b"%c%b%c%b%c%b%b" % (RETRY_FLAGS, version, len(packet.scid), packet.scid, len(scid), scid, token)
    return head + retry_tag(b"%c%b%b" % (len(packet.dcid), packet.dcid, head))
