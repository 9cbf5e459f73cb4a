"""Sessions and ticket keys that all workers share: `ssl_session_cache shared:name:size`.

nginx: ngx_event_openssl.c (ngx_ssl_session_cache, ngx_ssl_new_session, ngx_ssl_ticket_key_callback)

nginx keeps sessions in a tree over a slab. Here they go into a ring, the newest over the oldest, and a table of their
places, since all of one server live equally long. In front of both are the three ticket keys: the current one, the
one before it, and the next, so that workers which have not looked for a while know all that are in use.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from time import time
from typing import TYPE_CHECKING, Any

from geng.core.zone import RESERVED, WORD, Zone
from geng.tls.context import OP_NO_TICKET, TLS1_3_VERSION
from geng.tls.openssl import callback, library, states

if TYPE_CHECKING:
    from geng.tls.context import Context

LARGEST = 8192  # NGX_SSL_MAX_SESSION_SIZE
LONGEST_ID = 32

KEY_WORDS = 12  # name 16, hmac 32, aes 32, expire 8, size 8
HEAD = RESERVED + 3 * KEY_WORDS  # the slot of the ring's head
INDEX = HEAD + 1
WIDTH = 8
RECORD = struct.Struct("<IBxxxQ")  # length of the session, of its id; when it expires
TYPICAL = 256  # bytes of a record: how many places the table has


class SessionZone:
    """The sessions in one zone; every method takes the zone's lock."""

    __slots__ = ("buckets", "memory", "ring", "size", "slots", "zone")

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.memory = zone.memory
        self.slots = zone.slots
        room = (len(zone.slots) - INDEX) * WORD
        self.buckets = max(room // (TYPICAL * WIDTH), 1)
        self.ring = (INDEX + self.buckets * WIDTH * 2) * WORD  # where it begins, in bytes
        self.size = (len(zone.slots) * WORD - self.ring) & ~7

    def __repr__(self) -> str:
        return f"<SessionZone {self.zone.name} {self.size} bytes>"

    def _bucket(self, name: bytes) -> tuple[int, int]:
        number = int.from_bytes(blake2b(name, digest_size=8).digest(), "little", signed=True) or 1
        return number, INDEX + number % self.buckets * WIDTH * 2

    def _lost(self, place: int) -> bool:
        """Whether the record at *place* has been written over."""
        return self.slots[HEAD] - place > self.size

    def store(self, name: bytes, session: bytes, expires: int) -> None:
        """Keep a session under its id."""
        record = RECORD.pack(len(session), len(name), expires) + name + session
        n = -(-len(record) // WORD) * WORD
        number, first = self._bucket(name)
        slots = self.slots
        with self.zone.lock:
            head = slots[HEAD]
            if head % self.size + n > self.size:
                head += self.size - head % self.size  # a record does not go round the corner
            at = self.ring + head % self.size
            self.memory[at : at + len(record)] = record
            slots[HEAD] = head + n
            places = range(first, first + WIDTH * 2, 2)
            chosen = next((i for i in places if slots[i] == number), 0)
            if not chosen:
                chosen = next((i for i in places if not slots[i] or self._lost(slots[i + 1])), 0)
            if not chosen:
                chosen = min(places, key=lambda i: slots[i + 1])
            slots[chosen] = number
            slots[chosen + 1] = head

    def find(self, name: bytes) -> bytes | None:
        """The session with that id, while it is valid."""
        with self.zone.lock:
            at = self._find(name)
            if not at:
                return None
            start = self.ring + self.slots[at + 1] % self.size
            length, id_length, expires = RECORD.unpack_from(self.memory, start)
            if expires <= time():
                self.slots[at] = 0
                return None
            start += RECORD.size + id_length
            return self.memory[start : start + length]

    def remove(self, name: bytes) -> None:
        """Forget a session."""
        with self.zone.lock:
            at = self._find(name)
            if at:
                self.slots[at] = 0

    def _find(self, name: bytes) -> int:
        """The slot of the place of *name*, 0 for none."""
        number, first = self._bucket(name)
        slots = self.slots
        for at in range(first, first + WIDTH * 2, 2):
            if slots[at] != number or self._lost(slots[at + 1]):
                continue
            start = self.ring + slots[at + 1] % self.size
            length = RECORD.unpack_from(self.memory, start)[1]
            if self.memory[start + RECORD.size : start + RECORD.size + length] == name:
                return at
        return 0

    # ---- ticket keys

    def key(self, i: int) -> TicketKey:
        at = (RESERVED + i * KEY_WORDS) * WORD
        data = self.memory[at : at + KEY_WORDS * WORD]
        expires, size = struct.unpack_from("<QQ", data, 80)
        return TicketKey(data[:16], data[16:48], data[48:80], expires, size)

    def set_key(self, i: int, key: TicketKey) -> None:
        at = (RESERVED + i * KEY_WORDS) * WORD
        data = key.name + key.hmac.ljust(32, b"\0") + key.aes.ljust(32, b"\0") + struct.pack("<QQ", key.expires, key.size)
        self.memory[at : at + KEY_WORDS * WORD] = data


def map_zone(zone: Zone, before: Zone | None) -> None:
    """`zone.init` of such a zone."""
    zone.data = SessionZone(zone)


@dataclass(slots=True)
class TicketKey:
    """*size*: 48 with AES-128, 80 with AES-256; *expires*: seconds since 1970 until when it is needed, 0 not used yet."""

    name: bytes
    hmac: bytes
    aes: bytes
    expires: int
    size: int
    #: of the MAC: making them costs more than using them
    parameters: Any = field(default=None, repr=False, compare=False)

    def set_mac(self, mac: int) -> bool:
        if self.parameters is None:
            self.parameters = _mac_parameters(self.hmac[: 16 if self.size == 48 else 32])
        return bool(library().EVP_MAC_CTX_set_params(mac, self.parameters[0]) == 1)


def read_ticket_key(data: bytes) -> TicketKey:
    """What a file of ssl_session_ticket_key holds, 48 or 80 bytes."""
    if len(data) == 48:
        return TicketKey(data[:16], data[32:48], data[16:32], 1, 48)
    return TicketKey(data[:16], data[16:48], data[48:80], 1, 80)


class TicketKeys:
    """The keys that tickets of one context are made and read with; the first makes them."""

    def __init__(self, keys: Sequence[TicketKey], zone: Zone | None, timeout: int) -> None:
        """*zone*: where the keys are, if they are not *keys*; *timeout*: of a session, in s."""
        self.keys = list(keys)
        self.zone = zone
        self.timeout = timeout

    def __repr__(self) -> str:
        return f"<TicketKeys {len(self.keys)}{' shared' if self.zone else ''}>"

    def rotate(self) -> None:
        """Look whether the shared keys are still to be used.   nginx: ngx_ssl_rotate_ticket_keys"""
        if self.zone is None:
            return
        now = int(time())
        expires = now + self.timeout
        keys = self.keys
        if keys and keys[0].expires >= expires and keys[1].expires >= now:
            return
        shared: SessionZone = self.zone.data
        with self.zone.lock:
            current, previous, following = (shared.key(i) for i in range(3))
            if not current.expires:
                current = _new_key(expires)
                following = TicketKey(current.name, current.hmac, current.aes, expires, current.size)
            if previous.expires < now:
                previous, current, following = current, following, _new_key(0)
            current.expires = max(current.expires, expires)
            for i, key in enumerate((current, previous, following)):
                shared.set_key(i, key)
        self.keys = [current, previous]


def _new_key(expires: int) -> TicketKey:
    ssl = library()
    buffer = ctypes.create_string_buffer(80)
    if ssl.RAND_bytes(buffer, 80) != 1:
        raise OSError("RAND_bytes() failed")
    data = buffer.raw
    return TicketKey(data[:16], data[16:48], data[48:80], expires, 80)


# ---- what OpenSSL calls


def id_of(session: int) -> bytes:
    """The id of an SSL_SESSION."""
    size = ctypes.c_uint()
    start = library().SSL_SESSION_get_id(session, ctypes.byref(size))
    return ctypes.string_at(start, size.value) if size.value else b""


def to_bytes(session: int) -> bytes:
    """An SSL_SESSION as it can be kept, b"" for one that is too large."""
    ssl = library()
    size = ssl.i2d_SSL_SESSION(session, None)
    if not 0 < size <= LARGEST:
        return b""
    buffer = ctypes.create_string_buffer(size)
    place = ctypes.c_void_p(ctypes.addressof(buffer))
    ssl.i2d_SSL_SESSION(session, ctypes.byref(place))
    return buffer.raw


def from_bytes(data: bytes) -> int:
    """An SSL_SESSION again, which is the caller's; 0 for nonsense."""
    place = ctypes.c_char_p(data)
    return library().d2i_SSL_SESSION(None, ctypes.byref(place), len(data)) or 0


@callback("i", "pp")
def _new(pointer: int, session: int) -> int:
    """A session has been made; the answer 0 leaves it to OpenSSL."""
    tls = states[pointer]
    ssl = tls.library
    if ssl.SSL_version(pointer) == TLS1_3_VERSION and not ssl.SSL_get_options(pointer) & OP_NO_TICKET:
        return 0  # it is all in the ticket
    name = id_of(session)
    data = to_bytes(session)
    if data and len(name) <= LONGEST_ID:
        context = tls.context
        context.sessions.data.store(name, data, int(time()) + context.session_timeout)
    return 0


@callback("p", "ppip", failed=None)
def _find(pointer: int, name: int, length: int, copy: int) -> int | None:
    ctypes.c_int.from_address(copy).value = 0
    data = states[pointer].context.sessions.data.find(ctypes.string_at(name, length))
    return from_bytes(data) if data else None


class _Parameter(ctypes.Structure):
    """OSSL_PARAM"""

    _fields_ = (
        ("key", ctypes.c_char_p),
        ("kind", ctypes.c_uint),
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("returned", ctypes.c_size_t),
    )


UTF8_STRING, OCTET_STRING = 4, 5


def _mac_parameters(key: bytes) -> tuple[Any, ...]:
    """HMAC with SHA-256 as OSSL_PARAM[], and what that points to."""
    digest = ctypes.create_string_buffer(b"SHA256")
    secret = ctypes.create_string_buffer(key, len(key))
    parameters = (_Parameter * 3)(
        _Parameter(b"key", OCTET_STRING, ctypes.addressof(secret), len(key), 0),
        _Parameter(b"digest", UTF8_STRING, ctypes.addressof(digest), 6, 0),
        _Parameter(None, 0, None, 0, 0),
    )
    return parameters, digest, secret


@callback("i", "pppppi", failed=-1)
def _ticket(pointer: int, name: int, iv: int, cipher: int, mac: int, making: int) -> int:
    """nginx: ngx_ssl_ticket_key_callback"""
    tls = states[pointer]
    ssl = tls.library
    ring: TicketKeys = tls.context.ticket_keys
    ring.rotate()
    if making:
        key = ring.keys[0]
        i = 0
        if ssl.RAND_bytes(iv, 16) != 1:
            return -1
    else:
        wanted = ctypes.string_at(name, 16)
        i = next((i for i, key in enumerate(ring.keys) if key.name == wanted), -1)
        if i < 0:
            return 0
        key = ring.keys[i]
    method = ssl.EVP_aes_128_cbc() if key.size == 48 else ssl.EVP_aes_256_cbc()
    start = ssl.EVP_EncryptInit_ex if making else ssl.EVP_DecryptInit_ex
    if start(cipher, method, None, key.aes, iv) != 1 or not key.set_mac(mac):
        return -1
    if making:
        ctypes.memmove(name, key.name, 16)
        return 1
    return 2 if ssl.SSL_version(pointer) == TLS1_3_VERSION or (i and key.expires) else 1


# ---- what the directives do


def share(context: Context, zone: Zone) -> None:
    """Have the sessions of *context* in *zone*."""
    ssl = library()
    context.sessions = zone

    @callback("v", "pp")
    def remove(pointer: int, session: int) -> None:
        zone.data.remove(id_of(session))

    ssl.SSL_CTX_sess_set_new_cb(context.pointer, context.keep(_new))
    ssl.SSL_CTX_sess_set_get_cb(context.pointer, context.keep(_find))
    ssl.SSL_CTX_sess_set_remove_cb(context.pointer, context.keep(remove))


def use_ticket_keys(context: Context, keys: Sequence[TicketKey]) -> None:
    """ssl_session_ticket_key; without, the keys are in the shared zone, if there is one."""
    if not keys and context.sessions is None:
        return
    context.ticket_keys = TicketKeys(keys, None if keys else context.sessions, context.session_timeout)
    library().SSL_CTX_set_tlsext_ticket_key_evp_cb(context.pointer, context.keep(_ticket))


def forget(tls: Any) -> None:
    """The session of a connection must not be used again.   nginx: ngx_ssl_remove_cached_session"""
    session = tls.library.SSL_get_session(tls.pointer)
    if not session:
        return
    tls.library.SSL_CTX_remove_session(tls.context.pointer, session)
    if tls.context.sessions is not None:
        tls.context.sessions.data.remove(id_of(session))
