"""Passwords against what a file of users holds for them.   nginx: ngx_crypt.c, ngx_user.c (ngx_libc_crypt)

What nginx knows itself ($apr1$, {PLAIN}, {SSHA}, {SHA}) is done here; all else by the system's crypt_r(3), so that
a file means the same to both: DES, $1$, $2y$, $5$, $6$, yescrypt, as the library has them.
"""

from __future__ import annotations

import ctypes
import os
from base64 import b64encode
from collections.abc import Callable
from functools import lru_cache
from hashlib import md5, sha1
from hmac import compare_digest
from typing import Any

from geng.core import base64

LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2", None)  # None: the C library has it (musl)
CRYPT_DATA = 1 << 18  # more than any library's struct crypt_data (glibc's: 131,232 bytes)
ITOA64 = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
APR1 = b"$apr1$"
SHA1_SIZE = 20


class CryptFailed(Exception):
    """crypt_r() failed, with this errno, or is not there."""

    def __init__(self, errno: int) -> None:
        super().__init__(errno)
        self.errno = errno


def verify(password: bytes, stored: bytes) -> bool:
    """Whether *password* is the one that *stored* was made of. Raises CryptFailed."""
    password, stored = password.partition(b"\0")[0], stored.partition(b"\0")[0]
    made = next((make for prefix, make in SCHEMES.items() if stored.startswith(prefix)), _libc)(password, stored)
    return compare_digest(made, stored)


def _plain(password: bytes, stored: bytes) -> bytes:
    return b"{PLAIN}" + password


def _sha(password: bytes, stored: bytes) -> bytes:
    return b"{SHA}" + b64encode(sha1(password, usedforsecurity=False).digest())


def _ssha(password: bytes, stored: bytes) -> bytes:
    salt = (base64.decode(stored[6:]) or b"")[SHA1_SIZE:]
    return b"{SSHA}" + b64encode(sha1(password + salt, usedforsecurity=False).digest() + salt)


def _apr1(password: bytes, stored: bytes) -> bytes:
    """Poul-Henning Kamp's MD5 crypt with a prefix of Apache's own."""
    salt = stored[len(APR1) :].partition(b"$")[0][:8]
    size = len(password)
    first = _md5(password + salt + password)
    begin = password + APR1 + salt + (first * (size // 16 + 1))[:size]
    bits = size
    while bits:
        begin += b"\0" if bits & 1 else password[:1]
        bits >>= 1
    final = _md5(begin)
    for i in range(1000):
        middle = (salt if i % 3 else b"") + (password if i % 7 else b"")
        final = _md5(password + middle + final if i & 1 else final + middle + password)
    return b"%s%s$%s" % (APR1, salt, _to64(final))


def _md5(data: bytes) -> bytes:
    return md5(data, usedforsecurity=False).digest()


def _to64(final: bytes) -> bytes:
    groups = [(final[i], final[i + 6], final[i + 12 if i < 4 else 5]) for i in range(5)]
    numbers = [(a << 16 | b << 8 | c, 4) for a, b, c in groups] + [(final[11], 2)]
    return bytes(ITOA64[number >> 6 * i & 63] for number, count in numbers for i in range(count))


SCHEMES: dict[bytes, Callable[[bytes, bytes], bytes]] = {APR1: _apr1, b"{PLAIN}": _plain, b"{SSHA}": _ssha, b"{SHA}": _sha}


def _libc(password: bytes, stored: bytes) -> bytes:
    function = _crypt_r()
    if function is None:
        raise CryptFailed(38)  # ENOSYS
    made: bytes | None = function(password, stored, ctypes.create_string_buffer(CRYPT_DATA))
    if made is None:
        raise CryptFailed(ctypes.get_errno())
    return made


@lru_cache(1)
def _crypt_r() -> Any:
    for name in LIBRARIES:
        try:
            function = ctypes.CDLL(name, use_errno=True).crypt_r
        except (OSError, AttributeError):
            continue
        function.restype = ctypes.c_char_p
        function.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p)
        return function
    return None


def available() -> bool:
    """Whether the system's crypt_r(3) is there."""
    return os.name == "posix" and _crypt_r() is not None
