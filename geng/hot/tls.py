"""SSL_read and SSL_write, for geng.net.tls.

nginx: ngx_event_openssl.c (ngx_ssl_recv, ngx_ssl_write)

Compiled, they are called through their addresses: nothing is linked with OpenSSL, which is whatever library geng.tls
found at run time. Plain, ctypes calls them. 200 bytes written and read: compiled 4.1 us, through ctypes 5.5, the
standard ssl module 4.9.
"""

from __future__ import annotations

import ctypes
from typing import Any

PLAIN = __file__.endswith((".py", ".pyc"))

#: At most so many bytes are received at once: four records.
ROOM = 65536

# as a C integer
_ROOM = ROOM

_ssl: Any = None
_errno = 0
_buffer: Any = None


def load(library: Any) -> None:
    """Use the OpenSSL that *library* (geng.tls.openssl.Library) is; may be called again."""
    global _ssl, _buffer
    _ssl = library
    if PLAIN:
        _buffer = ctypes.create_string_buffer(ROOM)
        return
    take_functions(  # type: ignore[name-defined]  # noqa: F821
        library.address("SSL_read"),
        library.address("SSL_write"),
        library.address("SSL_get_error"),
        library.address("SSL_has_pending"),
        library.address("ERR_clear_error"),
    )


def error_number() -> int:
    """The errno of the call that failed last."""
    return _errno


def pending(ssl: int) -> bool:
    """Whether OpenSSL holds bytes that the socket no longer has."""
    if PLAIN:
        return bool(_ssl.SSL_has_pending(ssl))
    return bool(has_pending(ssl))  # type: ignore[name-defined]  # noqa: F821


def _failed(ssl: int, rc: int) -> int:
    global _errno
    _errno = ctypes.get_errno()
    return int(_ssl.SSL_get_error(ssl, rc))


def read(ssl: int, n: int) -> bytes | int:
    """Up to *n* bytes, all that is there without waiting; or what SSL_get_error says.

    SSL_read gives one record at a time. It is asked again only while OpenSSL holds more: it would ask the socket in
    vain else.
    """
    global _errno
    if n > _ROOM:
        n = _ROOM
    total = 0
    if PLAIN:
        _ssl.ERR_clear_error()
        while True:
            got = _ssl.SSL_read(ssl, ctypes.addressof(_buffer) + total, n - total)
            if got <= 0:
                return ctypes.string_at(_buffer, total) if total else _failed(ssl, got)
            total += got
            if total == n or not _ssl.SSL_has_pending(ssl):
                return ctypes.string_at(_buffer, total)
    clear_errors()  # type: ignore[name-defined]  # noqa: F821
    while True:
        got = ssl_read(ssl, room + total, n - total)  # type: ignore[name-defined]  # noqa: F821
        if got <= 0:
            if total:
                break
            _errno = errno  # type: ignore[name-defined]  # noqa: F821
            return get_error(ssl, got)  # type: ignore[name-defined,no-any-return]  # noqa: F821
        total += got
        if total == n or not has_pending(ssl):  # type: ignore[name-defined]  # noqa: F821
            break
    return room[:total]  # type: ignore[name-defined,no-any-return]  # noqa: F821


def read_into(ssl: int, view: Any) -> int:
    """The same into a writable buffer: how many bytes, or minus what SSL_get_error says."""
    if PLAIN:
        whole = memoryview(view).cast("B")
        start = ctypes.addressof((ctypes.c_char * len(whole)).from_buffer(whole))
        return _fill(ssl, start, len(whole))
    return fill(ssl, view)  # type: ignore[name-defined,no-any-return]  # noqa: F821


def _fill(ssl: int, start: int, n: int) -> int:
    total = 0
    _ssl.ERR_clear_error()
    while total < n:
        got = _ssl.SSL_read(ssl, start + total, n - total)
        if got <= 0:
            return total or -_failed(ssl, got)
        total += got
        if not _ssl.SSL_has_pending(ssl):
            break
    return total


def write(ssl: int, data: Any, offset: int, n: int) -> int:
    """How many of the *n* bytes of *data* from *offset* on became a record; minus what SSL_get_error says if none did."""
    if PLAIN:
        _ssl.ERR_clear_error()
        part = data if type(data) is bytes and n == len(data) else bytes(memoryview(data).cast("B")[offset : offset + n])
        sent = _ssl.SSL_write(ssl, part, n)
        return sent if sent > 0 else -_failed(ssl, sent)
    return transmit(ssl, data, offset, n)  # type: ignore[name-defined,no-any-return]  # noqa: F821
