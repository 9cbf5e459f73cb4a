"""Certificates, keys, authorities and revocation lists from files and `data:`; each read once for a configuration.

nginx: ngx_event_openssl_cache.c
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import time
from typing import Any

from geng.errors import GengError
from geng.tls.errors import (
    ERR_LIB_PEM,
    ERR_LIB_X509,
    PEM_R_NO_START_LINE,
    X509_R_KEY_VALUES_MISMATCH,
    config_error,
    library_of,
    reason_of,
    take_errors,
)
from geng.tls.openssl import address, callback, library

BIO_CTRL_RESET = 1
STORE_INFO_PKEY = 4

CERTIFICATE, KEY, CRL, AUTHORITIES = range(4)

WHAT = {CERTIFICATE: "certificate", KEY: "certificate key", CRL: "CRL", AUTHORITIES: "certificate"}


class CannotLoad(GengError):
    """*message* is complete, with what OpenSSL says."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Certificate:
    """A certificate and its chain, or several authorities, or CRLs: pointers that this object owns."""

    __slots__ = ("_free", "chain", "name")

    def __init__(self, name: str, chain: list[int], free: Callable[[int], object]) -> None:
        self.name = name
        self.chain = chain
        self._free = free

    def __repr__(self) -> str:
        return f"<Certificate {self.name} {len(self.chain)} in chain>"

    def __del__(self) -> None:
        for pointer in self.chain:
            self._free(pointer)

    @contextmanager
    def rest(self) -> Iterator[int]:
        """The chain without the certificate itself, as a stack for the time of the block."""
        ssl = library()
        stack = ssl.OPENSSL_sk_new_null()
        for pointer in self.chain[1:]:
            ssl.OPENSSL_sk_push(stack, pointer)
        try:
            yield stack
        finally:
            ssl.OPENSSL_sk_free(stack)


class Key:
    """A private key: a pointer that this object owns. *encrypted*: a password was needed."""

    __slots__ = ("encrypted", "name", "pointer")

    def __init__(self, name: str, pointer: int, encrypted: bool) -> None:
        self.name = name
        self.pointer = pointer
        self.encrypted = encrypted

    def __repr__(self) -> str:
        return f"<Key {self.name}>"

    def __del__(self) -> None:
        library().EVP_PKEY_free(self.pointer)


def is_mismatch() -> bool:
    """Whether the last error is that a key does not belong to its certificate."""
    code = library().ERR_peek_last_error()
    return library_of(code) == ERR_LIB_X509 and reason_of(code) == X509_R_KEY_VALUES_MISMATCH


def _no_more() -> bool:
    """Whether the last error only says that the file is at its end."""
    code = library().ERR_peek_last_error()
    return library_of(code) == ERR_LIB_PEM and reason_of(code) == PEM_R_NO_START_LINE


def _open(name: str) -> int:
    ssl = library()
    if name.startswith("data:"):
        data = name[5:].encode("utf-8", "surrogateescape")
        bio = ssl.BIO_new_mem_buf(data, len(data))
        if not bio:
            raise CannotLoad("BIO_new_mem_buf() failed")
        _borrowed[bio] = data
        return int(bio)
    bio = ssl.BIO_new_file(name.encode("utf-8", "surrogateescape"), b"r")
    if not bio:
        raise CannotLoad("BIO_new_file() failed")
    return int(bio)


_borrowed: dict[int, bytes] = {}  # what memory BIOs read from


def _close(bio: int) -> None:
    library().BIO_free(bio)
    _borrowed.pop(bio, None)


# ---- how each kind is read; they raise CannotLoad with the call that failed


def read_certificate(name: str) -> Certificate:
    """A certificate, with what follows it in the file as its chain."""
    ssl = library()
    bio = _open(name)
    found = Certificate(name, [], ssl.X509_free)
    try:
        read, call = ssl.PEM_read_bio_X509_AUX, "PEM_read_bio_X509_AUX()"
        while True:
            pointer = read(bio, None, None, None)
            if pointer:
                found.chain.append(pointer)
                read, call = ssl.PEM_read_bio_X509, "PEM_read_bio_X509()"
                continue
            if found.chain and _no_more():
                ssl.ERR_clear_error()
                return found
            raise CannotLoad(f"{call} failed")
    finally:
        _close(bio)


def _read_all(name: str, read: Any, call: str, free: Any) -> Certificate:
    bio = _open(name)
    found = Certificate(name, [], free)
    try:
        while True:
            pointer = read(bio, None, None, None)
            if pointer:
                found.chain.append(pointer)
                continue
            if found.chain and _no_more():
                library().ERR_clear_error()
                return found
            raise CannotLoad(f"{call} failed")
    finally:
        _close(bio)


def read_authorities(name: str) -> Certificate:
    ssl = library()
    return _read_all(name, ssl.PEM_read_bio_X509_AUX, "PEM_read_bio_X509_AUX()", ssl.X509_free)


def read_crls(name: str) -> Certificate:
    ssl = library()
    return _read_all(name, ssl.PEM_read_bio_X509_CRL, "PEM_read_bio_X509_CRL()", ssl.X509_CRL_free)


class _Passwords:
    """Answers OpenSSL's question for a password with the one that is to be tried."""

    def __init__(self, passwords: Sequence[bytes]) -> None:
        self.left = list(passwords)
        self.asked = False

        @callback("i", "piip")
        def answer(buffer: int, size: int, writing: int, data: int) -> int:
            self.asked = True
            if writing or not self.left:
                return 0
            word = self.left[0][:size]
            ctypes.memmove(buffer, word, len(word))
            return len(word)

        self.answer = answer


def read_key(name: str, passwords: Sequence[bytes] | None) -> Key:
    """A private key. Without *passwords* OpenSSL asks for one on the terminal; with () it never does."""
    asker = _Passwords(passwords) if passwords is not None else None
    if name.startswith("engine:"):
        return Key(name, _from_engine(name), False)
    if name.startswith("store:"):
        return Key(name, _from_store(name, asker), asker is not None and asker.asked)
    ssl = library()
    bio = _open(name)
    try:
        while True:
            pointer = ssl.PEM_read_bio_PrivateKey(bio, None, asker and address(asker.answer), None)
            if pointer:
                return Key(name, pointer, asker is not None and asker.asked)
            if asker is None or len(asker.left) <= 1:
                raise CannotLoad("PEM_read_bio_PrivateKey() failed")
            ssl.ERR_clear_error()
            ssl.BIO_ctrl(bio, BIO_CTRL_RESET, 0, None)
            del asker.left[0]
    finally:
        _close(bio)


def _from_engine(name: str) -> int:
    ssl = library()
    engine_name, colon, key = name.removeprefix("engine:").partition(":")
    if not colon:
        raise CannotLoad("invalid syntax")
    if ssl.ENGINE_by_id is None:
        raise CannotLoad('loading "engine:..." certificate keys is not supported')
    engine = ssl.ENGINE_by_id(engine_name.encode())
    if not engine:
        raise CannotLoad("ENGINE_by_id() failed")
    try:
        pointer = ssl.ENGINE_load_private_key(engine, key.encode(), None, None)
        if not pointer:
            raise CannotLoad("ENGINE_load_private_key() failed")
        return int(pointer)
    finally:
        ssl.ENGINE_free(engine)


def _from_store(name: str, asker: _Passwords | None) -> int:
    ssl = library()
    method = ssl.UI_UTIL_wrap_read_pem_callback(address(asker.answer), 0) if asker is not None else None
    store = ssl.OSSL_STORE_open(name.removeprefix("store:").encode(), method, None, None, None)
    try:
        if not store:
            raise CannotLoad("OSSL_STORE_open() failed")
        pointer = 0
        while not pointer and not ssl.OSSL_STORE_eof(store):
            info = ssl.OSSL_STORE_load(store)
            if not info:
                continue
            if ssl.OSSL_STORE_INFO_get_type(info) == STORE_INFO_PKEY:
                pointer = ssl.OSSL_STORE_INFO_get1_PKEY(info) or 0
            ssl.OSSL_STORE_INFO_free(info)
        ssl.OSSL_STORE_close(store)
        if not pointer:
            raise CannotLoad("OSSL_STORE_load() failed")
        return int(pointer)
    finally:
        if method is not None:
            ssl.UI_destroy_method(method)


# ---- of a configuration


def _stamp(name: str) -> tuple[int, int]:
    """What changes when the file does: its number and time of modification."""
    try:
        info = os.stat(name)
    except OSError:
        return 0, 0
    return info.st_ino, int(info.st_mtime)


class Objects:
    """What a configuration has loaded; the next one takes over what has not changed.   nginx: ngx_ssl_cache_fetch

    *full_name* makes the name of a file out of what the configuration says.
    """

    def __init__(self, full_name: Callable[[str], str], before: Objects | None = None) -> None:
        self.full_name = full_name
        self.before = before
        self.inheritable = True  # whether the next configuration may: ssl_object_cache_inheritable
        self.loaded: dict[tuple[int, str], tuple[Any, tuple[int, int]]] = {}

    def __repr__(self) -> str:
        return f"<Objects {len(self.loaded)} loaded>"

    def certificate(self, name: str, fresh: bool = False) -> Certificate:
        found: Certificate = self._fetch(CERTIFICATE, name, read_certificate, fresh)
        return found

    def key(self, name: str, passwords: Sequence[bytes] | None, fresh: bool = False) -> Key:
        found: Key = self._fetch(KEY, name, lambda full: read_key(full, passwords), fresh)
        return found

    def crls(self, name: str) -> Certificate:
        found: Certificate = self._fetch(CRL, name, read_crls)
        return found

    def authorities(self, name: str) -> Certificate:
        found: Certificate = self._fetch(AUTHORITIES, name, read_authorities)
        return found

    def _fetch(self, kind: int, name: str, read: Callable[[str], Any], fresh: bool = False) -> Any:
        """Raises ConfigError."""
        full = name if is_special(kind, name) else self.full_name(name)
        key = (kind, full)
        has_file = full.startswith("/")
        if not (fresh and not full.startswith("data:")):
            known = self.loaded.get(key)
            if known is not None:
                return known[0]
        stamp = _stamp(full) if has_file else (0, 0)
        value = None if fresh else self._inherited(key, stamp, has_file)
        if value is None:
            try:
                value = read(full)
            except CannotLoad as cannot:
                raise config_error(f'cannot load {WHAT[kind]} "{full}": {cannot.message}') from None
            if kind == KEY and value.encrypted:
                return value
        self.loaded[key] = value, stamp
        return value

    def _inherited(self, key: tuple[int, str], stamp: tuple[int, int], has_file: bool) -> Any:
        before = self.before
        if before is None or not before.inheritable:
            return None
        known = before.loaded.get(key)
        if known is None:
            return None
        if key[1].startswith("data:") or (has_file and stamp != (0, 0) and stamp == known[1]):
            return known[0]
        return None


def is_special(kind: int, name: str) -> bool:
    """Whether *name* is no file: `data:`, and for keys `engine:` and `store:`."""
    if kind > KEY:
        return False
    return name.startswith("data:") or (kind == KEY and name.startswith(("engine:", "store:")))


# ---- while serving


class _Cached:
    __slots__ = ("accessed", "created", "stamp", "value")

    def __init__(self, value: Any, now: float, stamp: tuple[int, int]) -> None:
        self.value = value
        self.created = self.accessed = now
        self.stamp = stamp


class RuntimeCache:
    """Certificates whose names hold variables, kept by a worker: ssl_certificate_cache. Times in seconds.

    nginx: ngx_ssl_cache_connection_fetch. With *most* 0 nothing is kept.
    *full_name* makes the name of a file out of what the configuration says.
    """

    def __init__(self, full_name: Callable[[str], str], most: int = 0, valid: int = 60, inactive: int = 10) -> None:
        self.full_name = full_name
        self.most = most
        self.valid = valid
        self.inactive = inactive
        self.known: dict[tuple[int, str], _Cached] = {}  # last used last

    def __repr__(self) -> str:
        return f"<RuntimeCache {len(self.known)} of {self.most}>"

    def certificate(self, name: str, fresh: bool = False) -> Certificate:
        """Raises CannotLoad with the whole message."""
        found: Certificate = self._fetch(CERTIFICATE, name, read_certificate, fresh)
        return found

    def key(self, name: str, passwords: Sequence[bytes], fresh: bool = False) -> Key:
        found: Key = self._fetch(KEY, name, lambda full: read_key(full, passwords), fresh)
        return found

    def _fetch(self, kind: int, name: str, read: Callable[[str], Any], fresh: bool) -> Any:
        full = name if is_special(kind, name) else self.full_name(name)
        if not self.most:
            return self._read(kind, full, read)
        now = int(time())
        key = (kind, full)
        entry = self.known.pop(key, None)
        if entry is None:
            value = self._read(kind, full, read)
            if kind == KEY and value.encrypted:
                return value
            self._expire(now)
            entry = _Cached(value, now, _stamp(full) if full.startswith("/") else (0, 0))
        elif not full.startswith("data:") and (fresh or now - entry.created > self.valid):
            stamp = _stamp(full) if full.startswith("/") else (0, 0)
            if fresh or stamp == (0, 0) or stamp != entry.stamp:
                value = self._read(kind, full, read)
                if kind == KEY and value.encrypted:
                    return value
                entry.value, entry.stamp = value, stamp
            entry.created = now
        entry.accessed = now
        self.known[key] = entry
        return entry.value

    def _read(self, kind: int, full: str, read: Callable[[str], Any]) -> Any:
        try:
            return read(full)
        except CannotLoad as cannot:
            raise CannotLoad(f'cannot load {WHAT[kind]} "{full}": {cannot.message}{take_errors()}') from None

    def _expire(self, now: float) -> None:
        """Drop one or two that nobody asked for; the oldest where there is no room."""
        for _ in range(2):
            if not self.known:
                return
            oldest = next(iter(self.known))
            if len(self.known) < self.most and now - self.known[oldest].accessed <= self.inactive:
                return
            del self.known[oldest]


def read_passwords(name: str) -> list[bytes]:
    """The lines of ssl_password_file, at least one; raises OSError, or ValueError for a line that is too long.

    nginx: ngx_ssl_read_password_file
    """
    with open(name, "rb") as file:
        lines = file.read().split(b"\n")
    if any(len(line) >= 4096 for line in lines):
        raise ValueError
    return [word for line in lines if (word := line.removesuffix(b"\r"))] or [b""]
