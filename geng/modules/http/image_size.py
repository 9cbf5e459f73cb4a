"""What kind of image some bytes are, and how large: as their headers say, without decoding anything.

nginx: ngx_http_image_filter_module.c (ngx_http_image_test, ngx_http_image_size)
"""

from __future__ import annotations

from collections.abc import Callable
from struct import unpack_from

JPEG, GIF, PNG, WEBP = "JPEG", "GIF", "PNG", "WEBP"
LEAST = 16  # bytes that kind_of() wants

#: Start of frame, in the ways that are read.
FRAMES = frozenset((0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA, 0xCB))

Size = tuple[int, int]


def kind_of(data: bytes) -> str | None:
    """The kind of the image that begins with *data*."""
    if len(data) < LEAST:
        return None
    if data.startswith(b"\xff\xd8"):
        return JPEG
    if data.startswith((b"GIF89a", b"GIF87a")):
        return GIF
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WEBP
    return None


def size_of(kind: str, data: bytes) -> Size | None:
    """(width, height); None where *data* does not say."""
    return SIZES[kind](data)


def application_data(data: bytes) -> int:
    """Bytes of a JPEG that are not the picture: EXIF and the like."""
    return _jpeg(data)[2]


def _jpeg(data: bytes) -> tuple[int, int, int]:
    width = height = others = 0
    at, last = 2, len(data) - 10
    while at < last:
        if data[at] != 0xFF or data[at + 1] == 0xFF:
            at += 1
            continue
        at += 1
        marker = data[at]
        if marker in FRAMES and (width == 0 or height == 0):
            height, width = unpack_from(">HH", data, at + 4)
        length = unpack_from(">H", data, at + 1)[0]
        if 0xE1 <= marker <= 0xEF:
            others += length
        at += length
    return width, height, others


def _jpeg_size(data: bytes) -> Size | None:
    width, height, _ = _jpeg(data)
    return (width, height) if width and height else None


def _gif_size(data: bytes) -> Size | None:
    return unpack_from("<HH", data, 6) if len(data) >= 10 else None


def _png_size(data: bytes) -> Size | None:
    if len(data) < 24:
        return None
    return unpack_from(">H", data, 18)[0], unpack_from(">H", data, 22)[0]


def _webp_size(data: bytes) -> Size | None:
    if len(data) < 30:
        return None
    kind = data[12:16]
    if kind == b"VP8 ":
        if data[20] & 1 or data[23:26] != b"\x9d\x01\x2a":
            return None  # no key frame
        width, height = unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    return None


SIZES: dict[str, Callable[[bytes], Size | None]] = {
    JPEG: _jpeg_size, GIF: _gif_size, PNG: _png_size, WEBP: _webp_size
}  # fmt: skip
