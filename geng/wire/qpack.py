"""QPACK: what HTTP/3 makes of header lines, and back.

RFC 9204; nginx: ngx_http_v3_parse.c, ngx_http_v3_table.c, ngx_http_v3_encode.c. Messages and limits are nginx's.
The encoder keeps no table, as nginx's keeps none; the decoder has the client's.
"""

from __future__ import annotations

from geng.hot.hpack import HpackError, coded, huffman_decode, integer
from geng.wire.http3 import (
    DECODER_STREAM_ERROR,
    DECOMPRESSION_FAILED,
    ENCODER_STREAM_ERROR,
    EXCESSIVE_LOAD,
    FRAME_ERROR,
    NOT_YET,
    FrameReader,
    Http3Error,
)

TABLE_CAPACITY = 4096  # that a client may use
OVERHEAD = 32  # what an entry counts beyond its bytes (RFC 9204 3.2.1)

# RFC 9204, Appendix A
STATIC: tuple[tuple[bytes, bytes], ...] = (
    (b":authority", b""), (b":path", b"/"), (b"age", b"0"), (b"content-disposition", b""), (b"content-length", b"0"),
    (b"cookie", b""), (b"date", b""), (b"etag", b""), (b"if-modified-since", b""), (b"if-none-match", b""),
    (b"last-modified", b""), (b"link", b""), (b"location", b""), (b"referer", b""), (b"set-cookie", b""),
    (b":method", b"CONNECT"), (b":method", b"DELETE"), (b":method", b"GET"), (b":method", b"HEAD"),
    (b":method", b"OPTIONS"), (b":method", b"POST"), (b":method", b"PUT"), (b":scheme", b"http"),
    (b":scheme", b"https"), (b":status", b"103"), (b":status", b"200"), (b":status", b"304"), (b":status", b"404"),
    (b":status", b"503"), (b"accept", b"*/*"), (b"accept", b"application/dns-message"),
    (b"accept-encoding", b"gzip, deflate, br"), (b"accept-ranges", b"bytes"),
    (b"access-control-allow-headers", b"cache-control"), (b"access-control-allow-headers", b"content-type"),
    (b"access-control-allow-origin", b"*"), (b"cache-control", b"max-age=0"), (b"cache-control", b"max-age=2592000"),
    (b"cache-control", b"max-age=604800"), (b"cache-control", b"no-cache"), (b"cache-control", b"no-store"),
    (b"cache-control", b"public, max-age=31536000"), (b"content-encoding", b"br"), (b"content-encoding", b"gzip"),
    (b"content-type", b"application/dns-message"), (b"content-type", b"application/javascript"),
    (b"content-type", b"application/json"), (b"content-type", b"application/x-www-form-urlencoded"),
    (b"content-type", b"image/gif"), (b"content-type", b"image/jpeg"), (b"content-type", b"image/png"),
    (b"content-type", b"text/css"), (b"content-type", b"text/html; charset=utf-8"), (b"content-type", b"text/plain"),
    (b"content-type", b"text/plain;charset=utf-8"), (b"range", b"bytes=0-"),
    (b"strict-transport-security", b"max-age=31536000"),
    (b"strict-transport-security", b"max-age=31536000; includesubdomains"),
    (b"strict-transport-security", b"max-age=31536000; includesubdomains; preload"), (b"vary", b"accept-encoding"),
    (b"vary", b"origin"), (b"x-content-type-options", b"nosniff"), (b"x-xss-protection", b"1; mode=block"),
    (b":status", b"100"), (b":status", b"204"), (b":status", b"206"), (b":status", b"302"), (b":status", b"400"),
    (b":status", b"403"), (b":status", b"421"), (b":status", b"425"), (b":status", b"500"), (b"accept-language", b""),
    (b"access-control-allow-credentials", b"FALSE"), (b"access-control-allow-credentials", b"TRUE"),
    (b"access-control-allow-headers", b"*"), (b"access-control-allow-methods", b"get"),
    (b"access-control-allow-methods", b"get, post, options"), (b"access-control-allow-methods", b"options"),
    (b"access-control-expose-headers", b"content-length"), (b"access-control-request-headers", b"content-type"),
    (b"access-control-request-method", b"get"), (b"access-control-request-method", b"post"), (b"alt-svc", b"clear"),
    (b"authorization", b""),
    (b"content-security-policy", b"script-src 'none'; object-src 'none'; base-uri 'none'"), (b"early-data", b"1"),
    (b"expect-ct", b""), (b"forwarded", b""), (b"if-range", b""), (b"origin", b""), (b"purpose", b"prefetch"),
    (b"server", b""), (b"timing-allow-origin", b"*"), (b"upgrade-insecure-requests", b"1"), (b"user-agent", b""),
    (b"x-forwarded-for", b""), (b"x-frame-options", b"deny"), (b"x-frame-options", b"sameorigin"),
)  # fmt: skip

#: A field section's beginning where no dynamic table is used.
NO_TABLE = b"\0\0"

Field = tuple[bytes, bytes]


# ---- writing


def named(index: int) -> bytes:
    """A literal field with the name of static entry *index*; its value follows."""
    return integer(0x50, 15, index)


def indexed(index: int) -> bytes:
    """The field that static entry *index* is."""
    return integer(0xC0, 63, index)


def field(name: bytes, value: bytes) -> bytes:
    """A field that no table has; *name* in lower case."""
    return coded(name, 0x20, 7) + coded(value, 0, 127)


def acknowledge(sid: int) -> bytes:
    """The field section of stream *sid* is read (RFC 9204 4.4.1)."""
    return integer(0x80, 127, sid)


def cancel(sid: int) -> bytes:
    """Stream *sid* will not be read (RFC 9204 4.4.2)."""
    return integer(0x40, 63, sid)


def increment(count: int) -> bytes:
    """*count* more insertions have come (RFC 9204 4.4.3)."""
    return integer(0, 63, count)


# ---- reading


def read_integer(p: bytes, i: int, end: int, prefix: int) -> tuple[int, int]:
    """The number at *i* and where it ends, NOT_YET when it is not all there; raises Http3Error.

    *prefix* is 2**N - 1 of RFC 7541 5.1.
    """
    if i >= end:
        return 0, NOT_YET
    value = p[i] & prefix
    i += 1
    if value != prefix:
        return value, i
    shift = 0
    while True:
        if i >= end:
            return 0, NOT_YET
        octet = p[i]
        i += 1
        value += (octet & 127) << shift
        if shift == 56 and (octet & 128 or value >> 62):
            raise Http3Error(EXCESSIVE_LOAD, "client exceeded integer size limit")
        if octet < 128:
            return value, i
        shift += 7


def read_text(p: bytes, i: int, end: int, prefix: int, limit: int, room: int = -1) -> tuple[bytes, int]:
    """The text at *i*, whose mark of Huffman's code stands before the length's *prefix*; where it ends, or NOT_YET.

    *limit*: bytes of it as sent, *room*: as nginx reckons them decoded, -1 for any number. Raises Http3Error.
    """
    if i >= end:
        return b"", NOT_YET
    huffman = p[i] & (prefix + 1)
    n, i = read_integer(p, i, end, prefix)
    if i < 0 or n == 0:
        return b"", i
    if n > limit:
        raise Http3Error(EXCESSIVE_LOAD, "client sent too large field line")
    if 0 <= room < (n * 8 // 5 if huffman else n) + 1:
        raise Http3Error(0, "not enough dynamic table capacity")
    if end - i < n:
        return b"", NOT_YET
    data = p[i : i + n]
    if huffman:
        try:
            data = huffman_decode(data)
        except HpackError:
            raise Http3Error(0, "client sent invalid encoded field line") from None
    return data, i + n


class Table:
    """The dynamic table of a client's encoder (RFC 9204 3.2). base: how many entries have been dropped."""

    __slots__ = ("base", "capacity", "entries", "size")

    def __init__(self) -> None:
        self.capacity = 0
        self.size = 0
        self.base = 0
        self.entries: list[Field] = []  # the oldest first

    def __repr__(self) -> str:
        return f"<Table {len(self.entries)} entries, {self.size} of {self.capacity} bytes>"

    @property
    def insertions(self) -> int:
        return self.base + len(self.entries)

    def lookup(self, index: int) -> Field | None:
        """The entry with the absolute *index*."""
        if not self.base <= index < self.insertions:
            return None
        return self.entries[index - self.base]

    def insert(self, name: bytes, value: bytes) -> None:
        size = OVERHEAD + len(name) + len(value)
        if size > self.capacity:
            raise Http3Error(ENCODER_STREAM_ERROR, "not enough dynamic table capacity", "error")
        self.entries.append((name, value))
        self.size += size
        self._evict(self.capacity)

    def resize(self, capacity: int) -> None:
        if capacity > TABLE_CAPACITY:
            raise Http3Error(ENCODER_STREAM_ERROR, "client exceeded http3_max_table_capacity limit")
        self._evict(capacity)
        self.capacity = capacity

    def _evict(self, target: int) -> None:
        first = 0
        while self.size > target:
            name, value = self.entries[first]
            self.size -= OVERHEAD + len(name) + len(value)
            first += 1
        if first:
            del self.entries[:first]
            self.base += first


class EncoderReader:
    """The client's encoder stream, which fills *table* (RFC 9204 4.3). *field_limit*: bytes of a text as sent."""

    __slots__ = ("buffer", "field_limit", "table")

    def __init__(self, table: Table, field_limit: int) -> None:
        self.table = table
        self.field_limit = field_limit
        self.buffer = b""

    def feed(self, data: bytes) -> bool:
        """Whether something was inserted; raises Http3Error."""
        p = self.buffer + data
        before = self.table.insertions
        i, end = 0, len(p)
        while i < end:
            at = self._instruction(p, i, end)
            if at < 0:
                break
            i = at
        self.buffer = p[i:]
        return self.table.insertions > before

    def _instruction(self, p: bytes, i: int, end: int) -> int:
        first = p[i]
        if first & 0x80:
            return self._insert_named(p, i, end, not first & 0x40)
        if first & 0x40:
            name, i = read_text(p, i, end, 31, self.field_limit, TABLE_CAPACITY)
            if i < 0:
                return i
            if not name:
                raise Http3Error(0)
            value, i = read_text(p, i, end, 127, self.field_limit, TABLE_CAPACITY - len(name) - 1)
            if i >= 0:
                self.table.insert(name, value)
            return i
        n, i = read_integer(p, i, end, 31)
        if i >= 0:
            if first & 0x20:
                self.table.resize(n)
            else:
                self.table.insert(*self._relative(n))
        return i

    def _insert_named(self, p: bytes, i: int, end: int, dynamic: bool) -> int:
        index, i = read_integer(p, i, end, 63)
        if i < 0:
            return i
        value, i = read_text(p, i, end, 127, self.field_limit, TABLE_CAPACITY)
        if i < 0:
            return i
        if dynamic:
            name = self._relative(index)[0]
        elif index < len(STATIC):
            name = STATIC[index][0]
        else:
            raise Http3Error(ENCODER_STREAM_ERROR)
        self.table.insert(name, value)
        return i

    def _relative(self, index: int) -> Field:
        found = self.table.lookup(self.table.insertions - 1 - index)
        if found is None:
            raise Http3Error(ENCODER_STREAM_ERROR)
        return found


class DecoderReader:
    """The client's decoder stream: it has nothing to acknowledge (RFC 9204 4.4)."""

    __slots__ = ("buffer",)

    def __init__(self) -> None:
        self.buffer = b""

    def feed(self, data: bytes) -> None:
        """Raises Http3Error."""
        p = self.buffer + data
        i, end = 0, len(p)
        while i < end:
            first = p[i]
            at = read_integer(p, i, end, 127 if first & 0x80 else 63)[1]
            if at < 0:
                break
            if first & 0xC0 != 0x40:  # no cancellation
                raise Http3Error(DECODER_STREAM_ERROR)
            i = at
        self.buffer = p[i:]


class SectionReader:
    """A field section that comes in pieces (RFC 9204 4.5).

    fields: those that have come; required: the insertions that it needs, -1 when not known yet; *total_limit*: bytes of
    all names and values, past which `too_large` is set and nothing more is read.
    """

    __slots__ = ("base", "buffer", "field_limit", "fields", "left", "required", "table", "too_large")

    def __init__(self, table: Table, field_limit: int, total_limit: int) -> None:
        self.table = table
        self.field_limit = field_limit
        self.left = total_limit
        self.buffer = b""
        self.fields: list[Field] = []
        self.required = -1
        self.base = 0
        self.too_large = False

    def __repr__(self) -> str:
        return f"<SectionReader {len(self.fields)} fields, {len(self.buffer)} bytes held>"

    @property
    def blocked(self) -> bool:
        """Whether the encoder stream must bring more first."""
        return self.required > self.table.insertions

    def feed(self, data: bytes, complete: bool) -> None:
        """More has come; *complete*: it is all. Raises Http3Error."""
        p = self.buffer + data if self.buffer else data
        i, end = 0, len(p)
        if self.required < 0:
            i = self._prefix(p, end)
        if i >= 0 and not self.blocked:
            while i < end and not self.too_large:
                at = self._field(p, i, end)
                if at < 0:
                    break
                i = at
        if complete and not self.blocked and not self.too_large and (i < end or not self.fields):
            raise Http3Error(FRAME_ERROR)
        self.buffer = p[max(i, 0) :]

    def _prefix(self, p: bytes, end: int) -> int:
        count, i = read_integer(p, 0, end, 255)
        if i < 0 or i >= end:
            return NOT_YET
        negative = p[i] & 0x80
        delta, i = read_integer(p, i, end, 127)
        if i < 0:
            return i
        required = self._insert_count(count)
        if negative:
            if required <= delta:
                raise Http3Error(DECOMPRESSION_FAILED, "client sent negative base")
            self.base = required - delta - 1
        else:
            self.base = required + delta
        self.required = required
        return i

    def _insert_count(self, count: int) -> int:
        """RFC 9204 4.5.1.1"""
        if count == 0:
            return 0
        most = TABLE_CAPACITY // OVERHEAD
        full = 2 * most
        if count > full:
            raise Http3Error(DECOMPRESSION_FAILED)
        highest = self.table.insertions + most
        required = highest // full * full + count - 1
        if required > highest:
            if required <= full:
                raise Http3Error(DECOMPRESSION_FAILED)
            required -= full
        if required == 0:
            raise Http3Error(DECOMPRESSION_FAILED)
        return required

    def _field(self, p: bytes, i: int, end: int) -> int:
        first = p[i]
        if first & 0x80:
            index, i = read_integer(p, i, end, 63)
            if i < 0:
                return i
            found = self._entry(index if first & 0x40 else self.base - index - 1, not first & 0x40)
        elif not first & 0x40 and first & 0x20:
            name, i = read_text(p, i, end, 7, self.field_limit)
            if i < 0:
                return i
            if not name:
                raise Http3Error(0)
            value, i = read_text(p, i, end, 127, self.field_limit)
            found = name, value
        elif not first & 0x40 and first & 0x10:
            index, i = read_integer(p, i, end, 15)
            if i < 0:
                return i
            found = self._entry(self.base + index, True)
        else:
            index, i = read_integer(p, i, end, 15 if first & 0x40 else 7)
            if i < 0:
                return i
            value, i = read_text(p, i, end, 127, self.field_limit)
            if i < 0:
                return i
            if first & 0x40:
                dynamic = not first & 0x10
                name = self._entry(self.base - index - 1 if dynamic else index, dynamic)[0]
            else:
                name = self._entry(self.base + index, True)[0]
            found = name, value
        if i < 0:
            return i
        self.left -= len(found[0]) + len(found[1])
        if self.left < 0:
            self.too_large = True
        else:
            self.fields.append(found)
        return i

    def _entry(self, index: int, dynamic: bool) -> Field:
        if dynamic:
            found = self.table.lookup(index)
            if found is not None:
                return found
        elif index < len(STATIC):
            return STATIC[index]
        raise Http3Error(DECOMPRESSION_FAILED)


class HeadReader:
    """The head of a request: the frames of its stream up to the end of HEADERS, of which *section* has the fields."""

    __slots__ = ("frames", "in_section", "section")

    def __init__(self, frames: FrameReader, section: SectionReader) -> None:
        self.frames = frames
        self.section = section
        self.in_section = False

    def __repr__(self) -> str:
        return f"<HeadReader {self.frames!r} {self.section!r}>"

    def go_on(self) -> bool:
        """With what *frames* has been fed: whether all fields are there. Raises Http3Error."""
        frames, section = self.frames, self.section
        if not self.in_section:
            if not frames.header():
                return False
            self.in_section = True
        if not section.blocked:
            section.feed(frames.take(), not frames.rest)
        if section.too_large or not (frames.rest or section.blocked):
            frames.in_head = False
            frames.kind = -1
            return True
        return False
