"""A response in the cache: its file, as nginx writes and reads it.

nginx: ngx_http_cache.h (ngx_http_file_cache_header_t), ngx_http_file_cache.c

A header of fixed size, "\\nKEY: ", the key, a line end; then the upstream's response head as it was received, and the
body. The layout is that of nginx on 64-bit machines, so that a cache can be taken along.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

VERSION = 5
HEADER = struct.Struct("=QqqqqqIHHHB128sB128s16s4x")
KEY = b"\nKEY: "
ETAG_MAX = VARY_MAX = 128
BODY_START_MAX = 0xFFFF  # of the header's field: where the body begins must fit in it


class BadFile(Exception):
    """The file is not what it should be; the text says what it is."""

    def __init__(self, text: str, level: str = "crit") -> None:
        super().__init__(text)
        self.level = level


@dataclass(slots=True)
class CacheHeader:
    """The header's fields. Times in seconds since 1970 (-1: none), *updating* and *error* seconds more than *valid*."""

    valid: int = 0
    updating: int = 0
    error: int = 0
    last_modified: int = -1
    date: int = 0
    crc32: int = 0
    valid_msec: int = 0
    header_start: int = 0
    body_start: int = 0
    etag: bytes = b""
    vary: bytes = b""
    variant: bytes = bytes(16)

    def pack(self) -> bytes:
        """The header's bytes."""
        etag = self.etag if len(self.etag) <= ETAG_MAX else b""
        return HEADER.pack(
            VERSION, self.valid, self.updating, self.error, self.last_modified, self.date, self.crc32, self.valid_msec,
            self.header_start, self.body_start, len(etag), etag, len(self.vary), self.vary, self.variant,
        )  # fmt: skip


def header_start(key: bytes) -> int:
    """Where the upstream's head begins in the file of *key*."""
    return HEADER.size + len(KEY) + len(key) + 1


def read_header(data: bytes, key: bytes, crc32: int) -> CacheHeader:
    """The header of *data*, the beginning of a file, which must be that of *key*; raises BadFile."""
    start = header_start(key)
    if len(data) < start:
        raise BadFile("is too small")
    (version, valid, updating, error, last_modified, date, crc, valid_msec, begin, body, etag_len, etag, vary_len, vary,
     variant) = HEADER.unpack_from(data)  # fmt: skip
    if version != VERSION:
        raise BadFile("version mismatch", "info")
    if crc != crc32 or begin != start or data[HEADER.size + len(KEY) : start - 1] != key:
        raise BadFile("has md5 collision")
    if vary_len > VARY_MAX:
        raise BadFile("has incorrect vary length")
    return CacheHeader(
        valid, updating, error, last_modified, date, crc, valid_msec, begin, body, etag[:etag_len], vary[:vary_len], variant
    )
