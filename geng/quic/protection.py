"""Packet protection: keys from secrets, sealing and opening packets.

nginx: ngx_event_quic_protection.c; RFC 9001, section 5
"""

from __future__ import annotations

import ctypes
import hmac
from typing import Any, NamedTuple

from geng.errors import GengError
from geng.quic.frames import HANDSHAKE, INITIAL
from geng.tls.openssl import library

TAG = 16
IV = 12
SAMPLE = 16
ROOM = 65536 + 64

CTRL_SET_IVLEN, CTRL_GET_TAG, CTRL_SET_TAG = 0x9, 0x10, 0x11

INITIAL_SALT = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
RETRY_KEY = bytes.fromhex("be0c690b9f66575a1d766b54e368c84e")
RETRY_NONCE = bytes.fromhex("461599d35d632bf2239825bb")


class Suite(NamedTuple):
    """A cipher of TLS 1.3: the size of its keys, its hash, and OpenSSL's functions for packets and for headers."""

    key: int
    digest: str
    aead: str
    header: str


INITIAL_SUITE = 0x03001301

#: as SSL_CIPHER_get_id has them
SUITES = {
    INITIAL_SUITE: Suite(16, "sha256", "EVP_aes_128_gcm", "EVP_aes_128_ecb"),
    0x03001302: Suite(32, "sha384", "EVP_aes_256_gcm", "EVP_aes_256_ecb"),
    0x03001303: Suite(32, "sha256", "EVP_chacha20_poly1305", "EVP_chacha20"),
    0x03001304: Suite(16, "sha256", "EVP_aes_128_ccm", "EVP_aes_128_ecb"),
}


class CannotProtect(GengError):
    """OpenSSL refuses a cipher."""


def expand_label(digest: str, secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label of TLS 1.3 without context (RFC 8446, 7.1)."""
    info = b"%b%c%b\0" % (size.to_bytes(2, "big"), 6 + len(label), b"tls13 " + label)
    return hmac.digest(secret, info + b"\x01", digest)[:size]


_room = ctypes.create_string_buffer(ROOM)
_start = ctypes.addressof(_room)
_size = ctypes.c_int()
_size_at = ctypes.addressof(_size)
_ZEROS = bytes(5)


def _new_context(cipher: str, seal: bool) -> int:
    ssl = library()
    context: int | None = ssl.EVP_CIPHER_CTX_new()
    if not context or not ssl.EVP_CipherInit_ex(context, getattr(ssl, cipher)(), None, None, None, seal):
        raise CannotProtect("EVP_CipherInit_ex() failed")
    return context


class Aead:
    """One key that seals or opens (*seal*); *iv* makes the nonces."""

    __slots__ = ("ccm", "context", "iv", "seals", "ssl")

    def __init__(self, suite: Suite, key: bytes, iv: bytes, seal: bool) -> None:
        self.context = 0
        self.ssl = ssl = library()
        self.iv = int.from_bytes(iv, "big")
        self.seals = seal
        self.ccm = suite.aead.endswith("ccm")
        self.context = context = _new_context(suite.aead, seal)
        if self.ccm:
            ssl.EVP_CIPHER_CTX_ctrl(context, CTRL_SET_TAG, TAG, None)
        ssl.EVP_CIPHER_CTX_ctrl(context, CTRL_SET_IVLEN, IV, None)
        if not ssl.EVP_CipherInit_ex(context, None, None, key, None, seal):
            raise CannotProtect("EVP_CipherInit_ex() failed")

    def __del__(self) -> None:
        if self.context:
            self.ssl.EVP_CIPHER_CTX_free(self.context)
            self.context = 0

    def __repr__(self) -> str:
        return f"<Aead {'seals' if self.seals else 'opens'}>"

    def seal(self, number: int, ad: bytes, data: bytes) -> bytes:
        """*data* encrypted, its tag behind it."""
        ssl, context = self.ssl, self.context
        n = len(data)
        ok = ssl.EVP_CipherInit_ex(context, None, None, None, (self.iv ^ number).to_bytes(IV, "big"), 1)
        if self.ccm:
            ok &= ssl.EVP_CipherUpdate(context, None, _size_at, None, n)
        ok &= ssl.EVP_CipherUpdate(context, None, _size_at, ad, len(ad))
        ok &= ssl.EVP_CipherUpdate(context, _start, _size_at, data, n)
        ok &= ssl.EVP_CipherFinal_ex(context, _start + n, _size_at)
        ok &= ssl.EVP_CIPHER_CTX_ctrl(context, CTRL_GET_TAG, TAG, _start + n)
        if not ok:
            ssl.ERR_clear_error()
            raise CannotProtect("EVP_CipherUpdate() failed")
        return ctypes.string_at(_start, n + TAG)

    def open(self, number: int, ad: bytes, data: bytes) -> bytes | None:
        """What seal() made *data* of; None when it did not."""
        ssl, context = self.ssl, self.context
        n = len(data) - TAG
        if n < 0:
            return None
        ok = ssl.EVP_CipherInit_ex(context, None, None, None, (self.iv ^ number).to_bytes(IV, "big"), 0)
        ok &= ssl.EVP_CIPHER_CTX_ctrl(context, CTRL_SET_TAG, TAG, data[n:])
        if self.ccm:
            ok &= ssl.EVP_CipherUpdate(context, None, _size_at, None, n)
        ok &= ssl.EVP_CipherUpdate(context, None, _size_at, ad, len(ad))
        ok &= ssl.EVP_CipherUpdate(context, _start, _size_at, data, n)
        if ok <= 0 or ssl.EVP_CipherFinal_ex(context, _start + n, _size_at) <= 0:
            ssl.ERR_clear_error()
            return None
        return ctypes.string_at(_start, n)


class HeaderMask:
    """What hides packet numbers (RFC 9001, 5.4)."""

    __slots__ = ("chacha", "context", "ssl")

    def __init__(self, suite: Suite, key: bytes) -> None:
        self.context = 0
        self.ssl = library()
        self.chacha = suite.header == "EVP_chacha20"
        self.context = context = _new_context(suite.header, True)
        if not self.ssl.EVP_CipherInit_ex(context, None, None, key, None, 1):
            raise CannotProtect("EVP_CipherInit_ex() failed")
        self.ssl.EVP_CIPHER_CTX_set_padding(context, 0)

    def __del__(self) -> None:
        if self.context:
            self.ssl.EVP_CIPHER_CTX_free(self.context)
            self.context = 0

    def mask(self, sample: bytes) -> bytes:
        """Five bytes made of 16 of the packet's."""
        ssl, context = self.ssl, self.context
        if self.chacha:
            ssl.EVP_CipherInit_ex(context, None, None, None, sample, 1)
            ok = ssl.EVP_CipherUpdate(context, _start, _size_at, _ZEROS, 5)
        else:
            ok = ssl.EVP_CipherUpdate(context, _start, _size_at, sample, SAMPLE)
        if not ok:
            ssl.ERR_clear_error()
            raise CannotProtect("EVP_CipherUpdate() failed")
        return ctypes.string_at(_start, 5)


class Secret:
    """A secret of one side and what is made of it."""

    __slots__ = ("aead", "header", "secret", "suite")

    def __init__(self, suite: Suite, secret: bytes, seal: bool, header: HeaderMask | None = None) -> None:
        self.suite, self.secret = suite, secret
        key = expand_label(suite.digest, secret, b"quic key", suite.key)
        iv = expand_label(suite.digest, secret, b"quic iv", IV)
        self.aead = Aead(suite, key, iv, seal)
        self.header = header or HeaderMask(suite, expand_label(suite.digest, secret, b"quic hp", suite.key))

    def __repr__(self) -> str:
        return f"<Secret {self.suite.aead}>"

    def next(self) -> Secret:
        """That of the next key phase (RFC 9001, 6.1)."""
        size = len(self.secret)
        secret = expand_label(self.suite.digest, self.secret, b"quic ku", size)
        return Secret(self.suite, secret, self.aead.seals, self.header)


class Keys:
    """What a connection seals and opens its packets with: read[level], write[level], None where there is nothing (yet)."""

    __slots__ = ("next_read", "next_write", "read", "write")

    def __init__(self) -> None:
        self.read: list[Secret | None] = [None] * 4
        self.write: list[Secret | None] = [None] * 4
        self.next_read: Secret | None = None
        self.next_write: Secret | None = None

    def __repr__(self) -> str:
        have = "".join("-rw+"[bool(r) + 2 * bool(w)] for r, w in zip(self.read, self.write, strict=True))
        return f"<Keys {have}>"

    def set_initial(self, dcid: bytes, server: bool = True) -> None:
        """The keys of Initial packets, which anybody can make of the client's first connection id."""
        suite = SUITES[INITIAL_SUITE]
        common = hmac.digest(INITIAL_SALT, dcid, suite.digest)
        client, own = (expand_label(suite.digest, common, b"%b in" % side, 32) for side in (b"client", b"server"))
        if not server:
            client, own = own, client
        self.read[INITIAL] = Secret(suite, client, False)
        self.write[INITIAL] = Secret(suite, own, True)

    def set(self, level: int, cipher: int, secret: bytes, write: bool) -> None:
        """The handshake has made a secret; *cipher* as SSL_CIPHER_get_id has it."""
        suite = SUITES.get(cipher)
        if suite is None:
            raise CannotProtect("unexpected cipher")
        (self.write if write else self.read)[level] = Secret(suite, secret, write)

    def discard(self, level: int) -> None:
        self.read[level] = self.write[level] = None

    def prepare_update(self, level: int) -> None:
        """Have the keys of the next phase ready (RFC 9001, 9.5).   nginx: ngx_quic_keys_update"""
        read, write = self.read[level], self.write[level]
        if read is not None and write is not None:
            self.next_read, self.next_write = read.next(), write.next()

    def switch(self, level: int) -> None:
        """The client has begun the next phase.   nginx: ngx_quic_keys_switch"""
        self.read[level], self.write[level] = self.next_read, self.next_write
        self.next_read = self.next_write = None


def retry_tag(pseudo: bytes) -> bytes:
    """What proves that a Retry packet was made by someone who has seen the client's (RFC 9001, 5.8)."""
    return Aead(SUITES[INITIAL_SUITE], RETRY_KEY, RETRY_NONCE, True).seal(0, pseudo, b"")


LEVEL_NAMES: dict[Any, str] = {INITIAL: "init", 1: "early", HANDSHAKE: "hs", 3: "app"}
