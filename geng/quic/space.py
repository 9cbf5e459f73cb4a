"""One packet number space: frames to send, frames under way, and which packets have come.

nginx: ngx_event_quic_connection.h (ngx_quic_send_ctx_t), ngx_event_quic_ack.c (ngx_quic_ack_packet …)
"""

from __future__ import annotations

from collections import deque

from geng.quic.buffers import Arrived
from geng.quic.frames import Ack, Frame

MOST_RANGES = 11
ACK_GAP = 2  # so many packets that ask for an acknowledgment get one at once


class Space:
    """The space of *level*; numbers are -1 where there is none yet."""

    __slots__ = (
        "ack_delay_start", "ack_only", "crypto", "crypto_sent", "frames", "largest_ack", "largest_pn", "largest_received",
        "level", "pnum", "ranges", "send_ack", "sending", "sent",
    )  # fmt: skip

    def __init__(self, level: int) -> None:
        self.level = level
        self.frames: deque[Frame] = deque()  # to send
        self.sending: list[Frame] = []  # in packets that are being made
        self.sent: deque[Frame] = deque()  # waiting for an acknowledgment, by packet number
        self.pnum = 0  # of the next packet
        self.largest_ack = -1  # of ours that the client has
        self.largest_pn = -1  # of the client's
        self.crypto = Arrived()
        self.crypto_sent = 0
        self.ranges: list[tuple[int, int]] = []  # of the client's packets, the latest first
        self.largest_received = 0  # when the latest came, in ms
        self.send_ack = 0  # packets that asked for an acknowledgment since the last one
        self.ack_delay_start = 0

    def __repr__(self) -> str:
        return f"<Space {self.level} {len(self.frames)} to send, {len(self.sent)} under way>"

    def arrived(self, number: int, need_ack: bool, now: int) -> None:
        """Note a packet of the client's.   nginx: ngx_quic_ack_packet"""
        if need_ack:
            if not self.send_ack:
                self.ack_delay_start = now
            self.send_ack += 1
        ranges = self.ranges
        if not ranges or number > ranges[0][1]:
            self.largest_received = now
            if ranges and number == ranges[0][1] + 1:
                ranges[0] = (ranges[0][0], number)
                return
            if ranges and need_ack:
                self.send_ack = ACK_GAP  # out of order
            ranges.insert(0, (number, number))
            del ranges[MOST_RANGES:]
            return
        if number >= ranges[0][0]:
            return  # again
        if need_ack:
            self.send_ack = ACK_GAP
        self._fill(number)

    def _fill(self, number: int) -> None:
        """A packet that is older than the first range."""
        ranges = self.ranges
        at = 1
        while at < len(ranges) and ranges[at][0] > number:
            at += 1
        if at < len(ranges) and ranges[at][1] >= number:
            return
        first = last = number
        if at < len(ranges) and ranges[at][1] == number - 1:
            first = ranges.pop(at)[0]
        if ranges[at - 1][0] == number + 1:
            at -= 1
            last = ranges.pop(at)[1]
        ranges.insert(at, (first, last))
        del ranges[MOST_RANGES:]

    def make_ack(self, now: int, exponent: int) -> None:
        """Put an acknowledgment before all that waits."""
        if self.ranges:
            ack = Ack(list(self.ranges), max(0, now - self.largest_received) * 1000 >> exponent)
            ack.level = self.level
            self.frames.appendleft(ack)
        self.send_ack = 0

    def drop_ranges(self, number: int) -> None:
        """The client knows what we know up to *number* (RFC 9000, 13.2.4)."""
        ranges = self.ranges
        while ranges and ranges[-1][1] <= number:
            ranges.pop()
        if ranges and ranges[-1][0] <= number:
            ranges[-1] = (number + 1, ranges[-1][1])

    def commit(self, keep: bool) -> int:
        """The packets have gone out: the bytes that are under way now. *keep*: they may have to be sent again."""
        flight = 0
        for frame in self.sending:
            if frame.pkt_need_ack and keep:
                self.sent.append(frame)
                flight += frame.plen
        self.sending.clear()
        return flight

    def revert(self, pnum: int) -> None:
        """They have not; *pnum* was the next number."""
        if self.sending:
            self.frames.extendleft(reversed(self.sending))
            self.sending.clear()
            self.pnum = pnum

    def clear(self) -> None:
        """Nothing is sent or awaited here any more."""
        self.frames.clear()
        self.sending.clear()
        self.sent.clear()
        self.send_ack = 0
