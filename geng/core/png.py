"""Interlaced PNG, which Pillow does not write.   RFC 2083 8.2, W3C PNG 13.9 (Adam7)"""

from __future__ import annotations

from struct import pack
from zlib import compress, crc32

SIGNATURE = b"\x89PNG\r\n\x1a\n"

#: Of each pass: the first column and row, and how far it is to the next ones.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))

#: What a pixel is, by how many bytes it has: the standard's colour type.
GREY, COLOURS, PALETTE, GREY_ALPHA, COLOURS_ALPHA = 0, 2, 3, 4, 6


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of the file."""
    return pack(">I", len(data)) + kind + data + pack(">I", crc32(kind + data))


def interlaced(
    width: int, height: int, colour: int, size: int, pixels: bytes, palette: bytes = b"", alphas: bytes = b""
) -> bytes:
    """A file of *pixels*, rows from the top, *size* bytes each; with PALETTE, *palette* and the alpha of its entries."""
    rows = bytearray()
    stride = width * size
    for left, top, right, down in PASSES:
        if left >= width:
            continue
        for y in range(top, height, down):
            row = pixels[y * stride : (y + 1) * stride]
            picked = bytearray((width - left + right - 1) // right * size)
            for byte in range(size):
                picked[byte::size] = row[left * size + byte :: right * size]
            rows.append(0)  # no filter
            rows += picked
    parts = [SIGNATURE, chunk(b"IHDR", pack(">IIBBBBB", width, height, 8, colour, 0, 0, 1))]
    if palette:
        parts.append(chunk(b"PLTE", palette))
    if alphas:
        parts.append(chunk(b"tRNS", alphas))
    parts += (chunk(b"IDAT", compress(bytes(rows))), chunk(b"IEND", b""))
    return b"".join(parts)
