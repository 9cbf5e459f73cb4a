"""The frames between a worker and its perl process; geng/perl/host.pl says what each of them is for.

A frame is its length (four bytes), one letter, and fields, each after its own length.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

Frame = tuple[bytes, list[bytes]]

_LENGTH = struct.Struct(">I")


def pack(kind: bytes, *fields: bytes) -> bytes:
    """One frame."""
    parts = [b"", kind]
    size = 1
    for field in fields:
        parts.append(_LENGTH.pack(len(field)))
        parts.append(field)
        size += 4 + len(field)
    parts[0] = _LENGTH.pack(size)
    return b"".join(parts)


class Frames:
    """Cuts what arrives into frames."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    def __repr__(self) -> str:
        return f"<Frames {len(self._held)} bytes held>"

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete now."""
        held = self._held
        held += data
        at = 0
        while len(held) - at >= 4:
            (size,) = _LENGTH.unpack_from(held, at)
            if len(held) - at - 4 < size:
                break
            frame = bytes(held[at + 4 : at + 4 + size])
            at += 4 + size
            yield frame[:1], list(_fields(frame))
        del held[:at]


def _fields(frame: bytes) -> Iterator[bytes]:
    at = 1
    while at < len(frame):
        (size,) = _LENGTH.unpack_from(frame, at)
        yield frame[at + 4 : at + 4 + size]
        at += 4 + size
