"""What OpenSSL asks a server during a handshake: which name, which protocol; the Context's owner answers.

nginx: ngx_event_openssl.c (ngx_ssl_client_hello_callback), ngx_http_ssl_module.c (ngx_http_ssl_alpn_select)
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from geng.tls.openssl import address, callback, library, states

if TYPE_CHECKING:
    from geng.tls.context import Context

SERVER_NAME_OK, SERVER_NAME_FATAL = 0, 2
ALPN_OK, ALPN_FATAL = 0, 2
HELLO_ERROR, HELLO_SUCCESS = 0, 1
EXTENSION_SERVER_NAME = 0
LONGEST_NAME = 255

ALERT_DECODE_ERROR = 50
ALERT_INTERNAL_ERROR = 80
ALERT_UNRECOGNIZED_NAME = 112

CTRL_SET_SERVERNAME_CALLBACK = 53
BIO_SET_BUFFER_SIZE = 117
HANDSHAKE_BUFFER = 16384


class BadHello(ValueError):
    """A server_name extension that is none; *alert* is what the client is told."""

    def __init__(self, alert: int) -> None:
        super().__init__(alert)
        self.alert = alert


def name_in(extension: bytes) -> bytes:
    """The host name in a server_name extension; raises BadHello.   RFC 6066, section 3"""
    size = len(extension)
    if (
        size < 5
        or int.from_bytes(extension[:2], "big") + 2 != size
        or extension[2] != 0
        or int.from_bytes(extension[3:5], "big") + 5 != size
    ):
        raise BadHello(ALERT_DECODE_ERROR)
    name = extension[5:]
    if len(name) > LONGEST_NAME or b"\0" in name:
        raise BadHello(ALERT_UNRECOGNIZED_NAME)
    return name


def _extension(pointer: int) -> bytes | None:
    data, size = ctypes.c_void_p(), ctypes.c_size_t()
    found = library().SSL_client_hello_get0_ext(pointer, EXTENSION_SERVER_NAME, ctypes.byref(data), ctypes.byref(size))
    return ctypes.string_at(data.value or 0, size.value) if found else None


@callback("i", "ppp", failed=HELLO_ERROR)
def _hello(pointer: int, alert: int, argument: int) -> int:
    """A ClientHello has come (again, after a HelloRetryRequest)."""
    tls = states[pointer]
    _widen_buffer(tls, pointer)
    verdict = ALERT_INTERNAL_ERROR
    if tls.accepted:
        return HELLO_SUCCESS
    try:
        extension = _extension(pointer)
        if tls.context.on_name(tls, None if extension is None else name_in(extension)) == SERVER_NAME_OK:
            return HELLO_SUCCESS
        verdict = ALERT_UNRECOGNIZED_NAME
    except BadHello as bad:
        verdict = bad.alert
    ctypes.c_int.from_address(alert).value = verdict
    return HELLO_ERROR


def _widen_buffer(tls: Any, pointer: int) -> None:
    """4 KB, OpenSSL's own size, are too few for long chains and cost round trips."""
    ssl = tls.library
    writing = ssl.SSL_get_wbio(pointer)
    if writing != ssl.SSL_get_rbio(pointer):
        ssl.BIO_int_ctrl(writing, BIO_SET_BUFFER_SIZE, HANDSHAKE_BUFFER, 1)


@callback("i", "ppp", failed=SERVER_NAME_FATAL)
def _servername(pointer: int, alert: int, argument: int) -> int:
    """Asked after _hello(), which has decided; only an answer here makes OpenSSL remember the name."""
    if states[pointer].accepted:
        return SERVER_NAME_OK
    ctypes.c_int.from_address(alert).value = ALERT_UNRECOGNIZED_NAME
    return SERVER_NAME_FATAL


@callback("i", "ppppip", failed=ALPN_FATAL)
def _protocol(pointer: int, out: int, out_size: int, offered: int, size: int, argument: int) -> int:
    tls = states[pointer]
    names = ctypes.string_at(offered, size)
    places: dict[bytes, int] = {}
    at = 0
    while at < size:
        length = names[at]
        places.setdefault(names[at + 1 : at + 1 + length], at + 1)
        at += 1 + length
    chosen = tls.context.on_protocol(tls, list(places))
    if chosen is None:
        return ALPN_FATAL
    ctypes.c_void_p.from_address(out).value = offered + places[chosen]
    ctypes.c_ubyte.from_address(out_size).value = len(chosen)
    return ALPN_OK


def listen_to_clients(context: Context, on_name: Any, on_protocol: Any) -> None:
    """Have *on_name(tls, name or None)* choose a server and *on_protocol(tls, offered)* a protocol, where it is not None."""
    ssl = library()
    context.on_name = on_name
    context.on_protocol = on_protocol
    ssl.SSL_CTX_set_client_hello_cb(context.pointer, address(_hello), None)
    ssl.SSL_CTX_callback_ctrl(context.pointer, CTRL_SET_SERVERNAME_CALLBACK, address(_servername))
    if on_protocol is not None:
        ssl.SSL_CTX_set_alpn_select_cb(context.pointer, address(_protocol), None)
