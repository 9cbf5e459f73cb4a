"""Tokens: of validated addresses, and of stateless resets.   nginx: ngx_event_quic_tokens.c"""

from __future__ import annotations

import hashlib
import os
import time
from typing import Any, NamedTuple

from geng.net import sockaddr as sa
from geng.quic.conf import QuicConf, derive
from geng.quic.frames import MAX_CID, RESET_TOKEN
from geng.quic.protection import IV, SUITES, TAG, Aead

AES_256_GCM = SUITES[0x03001302]
RETRY_LIFETIME = 3  # s
NEW_TOKEN_LIFETIME = 600
HASH = 20
MOST = 64 + IV + TAG


class Token(NamedTuple):
    """What a good token says: which connection id the client had asked for first, b"" for the one it asks for now."""

    odcid: bytes
    retried: bool


class BadToken(Exception):
    """Not ours (*garbage*), or ours but for another client or too old; *retried*: it was of a Retry packet."""

    def __init__(self, message: str, garbage: bool = False, retried: bool = False) -> None:
        super().__init__(message)
        self.message, self.garbage, self.retried = message, garbage, retried


def address_hash(address: Any, port: bool, salt: bytes = b"") -> bytes:
    """A client's address, with or without its port, as 20 bytes.   nginx: ngx_quic_address_hash"""
    text = sa.text(address) if port else str(address[0] if isinstance(address, tuple) else address)
    return hashlib.sha1(text.encode("utf-8", "surrogateescape") + salt, usedforsecurity=False).digest()


def make(conf: QuicConf, address: Any, odcid: bytes, retry: bool) -> bytes:
    """A token for the client at *address*: of a Retry packet, or for its next connection."""
    expires = int(time.time()) + (RETRY_LIFETIME if retry else NEW_TOKEN_LIFETIME)
    said = b"%b%b%c%c%b" % (address_hash(address, retry), expires.to_bytes(8, "little"), retry, len(odcid), odcid)
    iv = os.urandom(IV)
    return iv + Aead(AES_256_GCM, conf.token_key, iv, True).seal(0, b"", said)


def check(conf: QuicConf, address: Any, token: bytes) -> Token:
    """What *token* says; raises BadToken.   nginx: ngx_quic_validate_token"""
    if not IV + TAG <= len(token) <= IV + MOST + TAG:
        raise BadToken("quic garbage token", garbage=True)
    said = Aead(AES_256_GCM, conf.token_key, token[:IV], False).open(0, b"", token[IV:])
    if said is None or len(said) < HASH + 10:
        raise BadToken("quic garbage token", garbage=True)
    expires = int.from_bytes(said[HASH : HASH + 8], "little")
    retried = said[HASH + 8] == 1
    size = said[HASH + 9]
    odcid = said[HASH + 10 :]
    if said[:HASH] != address_hash(address, retried) or size > MAX_CID or len(odcid) < size:
        raise BadToken("quic invalid token", retried=retried)
    if time.time() > expires + 1:
        raise BadToken("quic expired token", retried=retried)
    return Token(odcid[:size], retried)


def reset_token(conf: QuicConf, cid: bytes, worker: int) -> bytes:
    """What proves that we have forgotten the connection *cid*.   nginx: ngx_quic_new_sr_token"""
    return derive(conf.reset_key + worker.to_bytes(8, "little"), b"sr_token_key", RESET_TOKEN, cid)
