"""Bytes of a stream: what arrived, in any order, and what waits to be sent.   nginx: ngx_event_quic_frames.c (…_buffer)"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

from geng.hot.connection import Bytes


class Arrived:
    """What a stream's frames brought: bytes from `offset` on are to be read, later pieces may have come already.

    size: bytes in order that take() has; received: how many bytes of the stream are here or were read, each counted once.
    """

    __slots__ = ("_early", "_ready", "_starts", "offset", "received", "size")

    def __init__(self) -> None:
        self.offset = 0  # of the first byte that was not taken
        self.size = 0
        self.received = 0
        self._ready: deque[bytes] = deque()
        self._starts: list[int] = []  # where the pieces that came too early begin, in order; they do not overlap
        self._early: dict[int, bytes] = {}

    @property
    def end(self) -> int:
        """Where the bytes in order end."""
        return self.offset + self.size

    @property
    def gaps(self) -> int:
        """How many pieces came too early."""
        return len(self._starts)

    def put(self, offset: int, data: bytes) -> None:
        """*data* at *offset* of the stream; what came before is kept as it was."""
        end = self.offset + self.size
        if offset < end:
            data = data[end - offset :]
            offset = end
        if not data:
            return
        if offset == end and not self._starts:
            self._append(data)
            self.received += len(data)
            return
        self._insert(offset, data)
        while self._starts and self._starts[0] == self.offset + self.size:
            self._append(self._early.pop(self._starts.pop(0)))

    def _append(self, data: bytes) -> None:
        self._ready.append(data)
        self.size += len(data)

    def _insert(self, offset: int, data: bytes) -> None:
        """Keep those bytes of *data* that no piece has."""
        starts, early = self._starts, self._early
        at = bisect_right(starts, offset)
        if at:
            before = starts[at - 1]
            have = before + len(early[before])
            if have > offset:
                data = data[have - offset :]
                offset = have
        while data:
            until = starts[at] if at < len(starts) else offset + len(data)
            piece = data[: until - offset]
            if piece:
                starts.insert(at, offset)
                early[offset] = piece
                self.received += len(piece)
                at += 1
            if at >= len(starts):
                return
            have = starts[at] + len(early[starts[at]])
            data = data[have - offset :]
            offset = have
            at += 1

    def take(self, n: int) -> bytes:
        """Up to *n* bytes in order, b"" for none."""
        ready = self._ready
        if not ready or n <= 0:
            return b""
        if len(ready) == 1 and len(ready[0]) <= n:
            data = ready.popleft()
        else:
            parts, size = [], 0
            while ready and size < n:
                part = ready.popleft()
                if size + len(part) > n:
                    ready.appendleft(part[n - size :])
                    part = part[: n - size]
                parts.append(part)
                size += len(part)
            data = b"".join(parts)
        self.offset += len(data)
        self.size -= len(data)
        return data

    def clear(self) -> None:
        """Nobody reads any more."""
        self._ready.clear()
        self._starts.clear()
        self._early.clear()
        self.size = 0


class Outgoing:
    """Bytes that no frame has yet."""

    __slots__ = ("_parts", "size")

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self.size = 0

    def append(self, part: Bytes) -> None:
        self._parts.append(part if type(part) is bytes else bytes(part))
        self.size += len(part)

    def take(self, n: int) -> bytes:
        """Up to *n* bytes."""
        if self.size <= n:
            data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self.clear()
            return data
        whole = b"".join(self._parts)
        self.clear()
        self.append(whole[n:])
        return whole[:n]

    def clear(self) -> None:
        self._parts.clear()
        self.size = 0
