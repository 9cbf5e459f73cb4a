"""The TLS handshake of a QUIC connection, on an SSL object that knows nothing of QUIC.

nginx: ngx_event_quic_openssl_compat.c, ngx_event_quic_ssl.c (ngx_quic_handshake …); RFC 9001, section 4

OpenSSL 3.0 has no interface for QUIC. What it offers any program is enough: the secrets come from the callback for
key logs, the transport parameters travel in a custom extension, what the server says is heard by the callback for
messages (what it writes goes nowhere), and what the client says is wrapped into the records that OpenSSL expects.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from geng.net.tls import DONE, WANTS_READ, Tls
from geng.quic.frames import APPLICATION, HANDSHAKE, INITIAL
from geng.quic.protection import IV, SUITES, TAG, Aead, CannotProtect, expand_label
from geng.tls.errors import SSL_ERROR_WANT_READ, TlsBroken, broken, config_error
from geng.tls.openssl import address, callback, library, states

if TYPE_CHECKING:
    from geng.quic.connection import QuicConnection
    from geng.tls.context import Context

EXTENSION = 0x39
IN_HELLOS = 0x80 | 0x400  # SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS
RECORD_ALERT, RECORD_HANDSHAKE, RECORD_DATA = 21, 22, 23
LARGEST_RECORD = 1024
LARGEST_PLAIN = 16384

#: label of a line of the key log -> level, whether it is ours
SECRETS = {
    b"CLIENT_HANDSHAKE_TRAFFIC_SECRET": (HANDSHAKE, False),
    b"SERVER_HANDSHAKE_TRAFFIC_SECRET": (HANDSHAKE, True),
    b"CLIENT_TRAFFIC_SECRET_0": (APPLICATION, False),
    b"SERVER_TRAFFIC_SECRET_0": (APPLICATION, True),
}


def _quic(pointer: int) -> QuicTls | None:
    """The state of a connection that is one of QUIC: the same SSL_CTX serves TCP too."""
    tls = states.get(pointer)
    return tls if isinstance(tls, QuicTls) else None


@callback("v", "ps", failed=None)
def _on_secret(pointer: int, line: bytes) -> None:
    tls = _quic(pointer)
    if tls is None:
        return
    label, _, rest = line.partition(b" ")
    found = SECRETS.get(label)
    if found is not None:
        tls.take_secret(*found, bytes.fromhex(rest.partition(b" ")[2].decode("ascii")))


@callback("v", "iiipzpp", failed=None)
def _on_message(sends: int, version: int, kind: int, data: int, size: int, pointer: int, argument: int) -> None:
    if not sends or kind not in (RECORD_ALERT, RECORD_HANDSHAKE):
        return
    tls = _quic(pointer)
    if tls is not None:
        tls.hear(kind, ctypes.string_at(data, size))


@callback("i", "piipppzpp", failed=-1)
def _add_params(
    pointer: int, kind: int, context: int, out: int, size: int, certificate: int, index: int, alert: int, argument: int
) -> int:
    tls = _quic(pointer)
    if tls is None:
        return 0
    ctypes.c_void_p.from_address(out).value = ctypes.addressof(tls.own_params)
    ctypes.c_size_t.from_address(size).value = len(tls.own_params)
    return 1


@callback("i", "piipzpzpp", failed=0)
def _take_params(
    pointer: int, kind: int, context: int, data: int, size: int, certificate: int, index: int, alert: int, argument: int
) -> int:
    tls = _quic(pointer)
    if tls is not None:
        tls.peer_params = ctypes.string_at(data, size) if size else b""
    return 1


def prepare(context: Context) -> None:
    """Have connections of QUIC use *context*, beside those of TCP; may be called again.   nginx: ngx_quic_compat_init"""
    ssl = library()
    ssl.SSL_CTX_set_keylog_callback(context.pointer, address(_on_secret))
    if ssl.SSL_CTX_has_client_custom_ext(context.pointer, EXTENSION):
        return
    arguments = (context.pointer, EXTENSION, IN_HELLOS, address(_add_params), None, None, address(_take_params), None)
    if not ssl.SSL_CTX_add_custom_ext(*arguments):
        raise config_error("SSL_CTX_add_custom_ext() failed")


class QuicTls(Tls):
    """The TLS of a QUIC connection: `c.ssl` of it and of its streams.

    own_params, peer_params: the transport parameters; alert: that OpenSSL would have sent, 0 none.
    """

    __slots__ = ("alert", "own_params", "peer_params", "quic", "read_key", "read_number", "write_level")

    def __init__(self, c: QuicConnection, context: Context, params: bytes) -> None:
        Tls.__init__(self, c, context, client=False)
        ssl, pointer = self.library, self.pointer
        self.quic = c
        self.early = False
        self.own_params = (ctypes.c_char * len(params)).from_buffer_copy(params)
        self.peer_params = b""
        self.alert = 0
        self.write_level = INITIAL
        self.read_key: Aead | None = None
        self.read_number = 0
        ssl.SSL_set_bio(pointer, ssl.BIO_new(ssl.BIO_s_mem()), ssl.BIO_new(ssl.BIO_s_null()))
        ssl.SSL_set_msg_callback(pointer, address(_on_message))
        ssl.SSL_set_max_early_data(pointer, 0)

    # ---- what the callbacks bring

    def take_secret(self, level: int, ours: bool, secret: bytes) -> None:
        """Secrets of one direction and level."""
        cipher = self.library.SSL_CIPHER_get_id(self.library.SSL_get_current_cipher(self.pointer)) & 0xFFFFFFFF
        suite = SUITES.get(cipher)
        if suite is None:
            raise CannotProtect("unexpected cipher")
        keys = self.quic.keys
        if keys is None:
            return
        keys.set(level, cipher, secret, ours)
        if ours:
            self.write_level = level
            return
        key = expand_label(suite.digest, secret, b"key", suite.key)
        self.read_key = Aead(suite, key, expand_label(suite.digest, secret, b"iv", IV), True)
        self.read_number = 0

    def hear(self, kind: int, data: bytes) -> None:
        """What OpenSSL says to the client."""
        if kind == RECORD_HANDSHAKE:
            self.quic.say(self.write_level, data)
        elif len(data) >= 2 and not self.handshaked:
            self.alert = data[1]

    # ---- the handshake

    def provide(self, level: int, data: bytes) -> None:
        """What the client says at *level*, as records."""
        step = LARGEST_PLAIN if level == INITIAL else LARGEST_RECORD
        for at in range(0, len(data), step):
            part = data[at : at + step]
            if level == INITIAL:
                record = b"%c\x03\x03%b%b" % (RECORD_HANDSHAKE, len(part).to_bytes(2, "big"), part)
            else:
                key = self.read_key
                if key is None:
                    raise CannotProtect("no key for a record")
                head = b"%c\x03\x03%b" % (RECORD_DATA, (len(part) + 1 + TAG).to_bytes(2, "big"))
                record = head + key.seal(self.read_number, head, part + bytes((RECORD_HANDSHAKE,)))
                self.read_number += 1
            self.library.BIO_write(self.library.SSL_get_rbio(self.pointer), record, len(record))

    def proceed(self) -> int:
        """Go on with the handshake: DONE or WANTS_READ; raises TlsBroken."""
        ssl = self.library
        ssl.ERR_clear_error()
        rc = ssl.SSL_do_handshake(self.pointer)
        if rc == 1:
            self.handshaked = bool(ssl.SSL_is_init_finished(self.pointer))
            return DONE if self.handshaked else WANTS_READ
        code = ssl.SSL_get_error(self.pointer, rc)
        if self.rejected:
            ssl.ERR_clear_error()
            raise TlsBroken("handshake rejected", call="SSL_do_handshake()")
        if code == SSL_ERROR_WANT_READ and not self.alert:
            return WANTS_READ
        self.unclean = True
        raise broken(code, 0, "SSL_do_handshake()")
