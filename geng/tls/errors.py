"""OpenSSL's queue of errors as log lines, and how loud each is.

nginx: ngx_event_openssl.c (ngx_ssl_error, ngx_ssl_connection_error)
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_char_p, c_int
from errno import (
    ECONNREFUSED,
    ECONNRESET,
    EHOSTDOWN,
    EHOSTUNREACH,
    ENETDOWN,
    ENETUNREACH,
    ENOTCONN,
    EPIPE,
    ETIMEDOUT,
)

from geng.errors import ConfigError, ConnectionClosed
from geng.tls.openssl import library

SSL_ERROR_SSL = 1
SSL_ERROR_WANT_READ = 2
SSL_ERROR_WANT_WRITE = 3
SSL_ERROR_SYSCALL = 5
SSL_ERROR_ZERO_RETURN = 6

ERR_TXT_STRING = 0x02
ERR_SYSTEM_FLAG = 0x80000000
LONGEST = 2048  # NGX_MAX_CONF_ERRSTR is 1024, of the whole line

ERR_LIB_PEM = 9
ERR_LIB_X509 = 11
PEM_R_NO_START_LINE = 108
X509_R_KEY_VALUES_MISMATCH = 116

#: What a network does; anything else is critical.
ORDINARY = frozenset((ECONNRESET, EPIPE, ENOTCONN, ETIMEDOUT, ECONNREFUSED, ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH))

#: Reasons (SSL_R_…) that are the peer's fault: handshake failures and broken records.
PEERS_FAULT = frozenset(
    (
        101, 102, 103, 108, 110, 111, 112, 115, 118, 122, 129, 133, 137, 145, 146, 149, 150, 151, 152, 154, 155, 156,
        159, 160, 182, 183, 186, 187, 193, 198, 205, 213, 220, 226, 227, 234, 235, 244, 245, 246, 252, 253, 256, 258,
        266, 267, 270, 271, 281, 291, 292, 293, 298, 300, 306, 313, 335, 336, 337, 338, 345, 373, 376, 377, 396, 409,
        443,
    )
)  # fmt: skip
ALERTS = range(1000, 1256)  # SSL_AD_REASON_OFFSET: an alert that the peer sent


def library_of(code: int) -> int:
    """ERR_GET_LIB"""
    return 2 if code & ERR_SYSTEM_FLAG else (code >> 23) & 0xFF


def reason_of(code: int) -> int:
    """ERR_GET_REASON"""
    return code & 0x7FFFFFFF if code & ERR_SYSTEM_FLAG else code & 0x7FFFFF


def take_errors() -> str:
    """What is queued, as nginx shows it: ` (SSL: error:…:…)`, or nothing; the queue is empty then."""
    ssl = library()
    found = []
    data, flags = c_char_p(), c_int()
    buffer = ctypes.create_string_buffer(256)
    while True:
        code = ssl.ERR_get_error_all(None, None, None, byref(data), byref(flags))
        if not code:
            break
        ssl.ERR_error_string_n(code, buffer, len(buffer))
        text = buffer.value
        if data.value and flags.value & ERR_TXT_STRING:
            text += b":" + data.value
        found.append(text.decode("utf-8", "surrogateescape"))
    return f" (SSL: {' '.join(found)})"[:LONGEST] if found else ""


def config_error(message: str) -> ConfigError:
    """*message* and what OpenSSL says to it, as an error without a place in the configuration."""
    return ConfigError(message + take_errors())


class TlsBroken(ConnectionClosed):
    """OpenSSL gave a connection up; *message* and *level* are for the log (see ConnectionClosed)."""

    def __init__(self, message: str, level: str = "", error: int = 0, call: str = "SSL_read()") -> None:
        super().__init__(error, call)
        self._message = message
        self._level = level

    @property
    def message(self) -> str:
        return self._message

    def level(self, ordinary: str) -> str:
        return self._level or ordinary


def broken(code: int, errno: int, call: str) -> TlsBroken:
    """What to raise when *call* failed with *code* (SSL_get_error) and *errno*."""
    level = "crit"
    error = errno if code == SSL_ERROR_SYSCALL else 0
    if code == SSL_ERROR_SYSCALL:
        if error in ORDINARY:
            level = ""
    elif code == SSL_ERROR_SSL:
        reason = reason_of(library().ERR_peek_last_error())
        if reason in PEERS_FAULT or reason in ALERTS:
            level = ""
    return TlsBroken(f"{call} failed{take_errors()}", level, error, call)
