"""One SSL_CTX and what the configuration makes of it.

nginx: ngx_event_openssl.c (ngx_ssl_create … ngx_ssl_conf_commands)

Each method does one directive's work and raises ConfigError in nginx's words. Callbacks are kept by the Context, which
lives as long as anything that was made from it.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from geng.tls import loading
from geng.tls.errors import config_error
from geng.tls.openssl import address, callback, library, states

if TYPE_CHECKING:
    from geng.tls.ocsp import ClientStatus
    from geng.tls.stapling import Staple

SSLV2, SSLV3, TLSV1, TLSV1_1, TLSV1_2, TLSV1_3 = (1 << n for n in range(1, 7))
PROTOCOLS = {
    "SSLv2": SSLV2,
    "SSLv3": SSLV3,
    "TLSv1": TLSV1,
    "TLSv1.1": TLSV1_1,
    "TLSv1.2": TLSV1_2,
    "TLSv1.3": TLSV1_3,
}
DEFAULT_PROTOCOLS = TLSV1_2 | TLSV1_3

#: protocol -> the SSL_OP_NO_… that forbids it
NO_PROTOCOL = {SSLV3: 0x02000000, TLSV1: 0x04000000, TLSV1_1: 0x10000000, TLSV1_2: 0x08000000, TLSV1_3: 0x20000000}
OP_DONT_INSERT_EMPTY_FRAGMENTS = 0x00000800
OP_IGNORE_UNEXPECTED_EOF = 0x00000080
OP_NO_TICKET = 0x00004000
OP_NO_COMPRESSION = 0x00020000
OP_CIPHER_SERVER_PREFERENCE = 0x00400000
OP_NO_ANTI_REPLAY = 0x01000000
OP_NO_RENEGOTIATION = 0x40000000
OP_NO_CERTIFICATE_COMPRESSION = 1 << 32 | 1 << 33

TLS1_2_VERSION, TLS1_3_VERSION = 0x0303, 0x0304

MODE_ENABLE_PARTIAL_WRITE = 0x1
MODE_ACCEPT_MOVING_WRITE_BUFFER = 0x2
MODE_RELEASE_BUFFERS = 0x10

# SSL_CTX_ctrl
CTRL_SET_TMP_DH = 3
CTRL_MODE = 33
CTRL_SET_READ_AHEAD = 41
CTRL_SET_SESS_CACHE_SIZE = 42
CTRL_SET_SESS_CACHE_MODE = 44
CTRL_CHAIN = 88
CTRL_SET_GROUPS_LIST = 92
CTRL_SET_MIN_PROTO_VERSION = 123
CTRL_SET_MAX_PROTO_VERSION = 124

VERIFY_NONE, VERIFY_PEER = 0, 1
CRL_CHECK = 0x4 | 0x8  # X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL

SESS_CACHE_OFF, SESS_CACHE_CLIENT, SESS_CACHE_SERVER = 0, 1, 2
SESS_CACHE_NO_AUTO_CLEAR, SESS_CACHE_NO_INTERNAL_STORE, SESS_CACHE_NO_INTERNAL = 0x80, 0x200, 0x300

CONF_FLAGS = 0x2 | 0x8 | 0x4 | 0x20 | 0x10  # FILE, SERVER, CLIENT, CERTIFICATE, SHOW_ERRORS
CONF_TYPE_FILE, CONF_TYPE_DIR = 2, 3

BUFFER_SIZE = 16384  # NGX_SSL_BUFSIZE


@callback("i", "ip")
def _accept_any(ok: int, store: int) -> int:
    """What verification says is asked for when the handshake is over."""
    return 1


@callback("i", "pp")
def _new_session(pointer: int, session: int) -> int:
    """A server has given a session; 1: it is ours."""
    keep = states[pointer].on_session
    if keep is None:
        return 0
    keep(session)
    return 1


class Context:
    """An SSL_CTX: `pointer`. *names* is how the certificates are called in the configuration."""

    def __init__(self, protocols: int) -> None:
        self.ssl = ssl = library()
        pointer = ssl.SSL_CTX_new(ssl.TLS_method())
        if not pointer:
            raise config_error("SSL_CTX_new() failed")
        self.pointer: int = pointer
        self.kept: list[Any] = []  # callbacks
        self.certificates: list[loading.Certificate] = []
        self.buffer_size = BUFFER_SIZE
        self.early_data = False
        self.sessions: Any = None  # the zone of the shared cache (geng.tls.sessions)
        self.session_timeout = 300  # s
        self.ticket_keys: Any = None
        self.client_sessions: dict[Any, int] = {}  # with whom: the last session, as a client
        self.ocsp: ClientStatus | None = None  # how the status of a client's certificate is asked for
        self.staples: dict[int, Staple] = {}  # by the certificate's address
        self.on_name: Callable[[Any, bytes | None], int] | None = None  # see geng.tls.servername
        self.on_protocol: Callable[[Any, list[bytes]], bytes | None] | None = None
        options = OP_DONT_INSERT_EMPTY_FRAGMENTS | OP_NO_COMPRESSION | OP_NO_ANTI_REPLAY | OP_IGNORE_UNEXPECTED_EOF
        if ssl.version_number >= 0x30200000:
            options |= OP_NO_CERTIFICATE_COMPRESSION
        ssl.SSL_CTX_clear_options(pointer, sum(NO_PROTOCOL.values()))
        for protocol, forbidden in NO_PROTOCOL.items():
            if not protocols & protocol:
                options |= forbidden
        ssl.SSL_CTX_set_options(pointer, options)
        self._ctrl(CTRL_SET_MIN_PROTO_VERSION, 0)
        self._ctrl(CTRL_SET_MAX_PROTO_VERSION, TLS1_3_VERSION)
        self._ctrl(CTRL_MODE, MODE_RELEASE_BUFFERS | MODE_ENABLE_PARTIAL_WRITE | MODE_ACCEPT_MOVING_WRITE_BUFFER)
        self._ctrl(CTRL_SET_READ_AHEAD, 1)

    def __repr__(self) -> str:
        return f"<Context {len(self.certificates)} certificates>"

    def __del__(self) -> None:
        if getattr(self, "pointer", 0):
            for session in self.client_sessions.values():
                self.ssl.SSL_SESSION_free(session)
            self.client_sessions.clear()
            self.ssl.SSL_CTX_free(self.pointer)
            self.pointer = 0

    def _ctrl(self, command: int, number: int, pointer: Any = None) -> int:
        return int(self.ssl.SSL_CTX_ctrl(self.pointer, command, number, pointer))

    def keep(self, function: Any) -> int | None:
        """*function* as a pointer, kept as long as this context."""
        self.kept.append(function)
        return address(function)

    def take_over(self, connection: int) -> None:
        """Go on with this context in an SSL that was made from another: SNI has chosen.   ngx_http_ssl_servername"""
        ssl, own = self.ssl, self.pointer
        ssl.SSL_set_SSL_CTX(connection, own)  # changes the certificates only
        ssl.SSL_set_verify(connection, ssl.SSL_CTX_get_verify_mode(own), ssl.SSL_CTX_get_verify_callback(own))
        ssl.SSL_set_verify_depth(connection, ssl.SSL_CTX_get_verify_depth(own))
        options = ssl.SSL_CTX_get_options(own)
        ssl.SSL_clear_options(connection, ssl.SSL_get_options(connection) & ~options)
        ssl.SSL_set_options(connection, options | OP_NO_RENEGOTIATION)

    # ---- certificates

    def add_certificate(self, files: loading.Objects, name: str, key: str, passwords: Sequence[bytes] | None) -> None:
        """ssl_certificate and ssl_certificate_key.   nginx: ngx_ssl_certificate"""
        for fresh in (False, True):
            certificate = files.certificate(name, fresh)
            if not self.ssl.SSL_CTX_use_certificate(self.pointer, certificate.chain[0]):
                raise config_error(f'SSL_CTX_use_certificate("{certificate.name}") failed')
            with certificate.rest() as stack:
                if not self._ctrl(CTRL_CHAIN, 1, stack):
                    raise config_error(f'SSL_CTX_set0_chain("{certificate.name}") failed')
            private = files.key(key, passwords, fresh)
            if self.ssl.SSL_CTX_use_PrivateKey(self.pointer, private.pointer):
                self.certificates.append(certificate)
                return
            if fresh or not loading.is_mismatch():
                raise config_error(f'SSL_CTX_use_PrivateKey("{private.name}") failed')
            self.ssl.ERR_clear_error()

    def compress_certificates(self, warn: Callable[[str], object]) -> None:
        """ssl_certificate_compression"""
        if self.ssl.SSL_CTX_compress_certs is None:
            warn('"ssl_certificate_compression" is not supported on this platform, ignored')
        elif not self.ssl.SSL_CTX_compress_certs(self.pointer, 0):
            self.ssl.ERR_clear_error()
            warn("SSL_CTX_compress_certs() failed, ignored")
        else:
            self.ssl.SSL_CTX_clear_options(self.pointer, 1 << 32)

    # ---- verification

    def verify_peer(self, depth: int) -> None:
        """Ask for the peer's certificate; what is wrong with it is said later.   nginx: ngx_ssl_client_certificate"""
        self.ssl.SSL_CTX_set_verify(self.pointer, VERIFY_PEER, address(_accept_any))
        self.ssl.SSL_CTX_set_verify_depth(self.pointer, depth)

    def add_client_cas(self, files: loading.Objects, name: str) -> None:
        """ssl_client_certificate: trusted, and told to clients."""
        ssl = self.ssl
        names = ssl.OPENSSL_sk_new_null()
        known: list[int] = []
        for certificate in self._trust(files, name):
            subject = ssl.X509_get_subject_name(certificate)
            if any(not ssl.X509_NAME_cmp(subject, other) for other in known):
                continue
            copy = ssl.X509_NAME_dup(subject)
            known.append(copy)
            ssl.OPENSSL_sk_push(names, copy)
        ssl.SSL_CTX_set_client_CA_list(self.pointer, names)

    def add_trusted(self, files: loading.Objects, name: str, depth: int) -> None:
        """ssl_trusted_certificate.   nginx: ngx_ssl_trusted_certificate"""
        mode = self.ssl.SSL_CTX_get_verify_mode(self.pointer)
        self.ssl.SSL_CTX_set_verify(self.pointer, mode, address(_accept_any))
        self.ssl.SSL_CTX_set_verify_depth(self.pointer, depth)
        if name:
            self._trust(files, name)

    def _trust(self, files: loading.Objects, name: str) -> Sequence[int]:
        store = self.ssl.SSL_CTX_get_cert_store(self.pointer)
        found = files.authorities(name)
        for certificate in found.chain:
            if self.ssl.X509_STORE_add_cert(store, certificate) != 1:
                raise config_error(f'X509_STORE_add_cert("{found.name}") failed')
        return found.chain

    def add_crl(self, files: loading.Objects, name: str) -> None:
        """ssl_crl"""
        if not name:
            return
        store = self.ssl.SSL_CTX_get_cert_store(self.pointer)
        found = files.crls(name)
        for crl in found.chain:
            if self.ssl.X509_STORE_add_crl(store, crl) != 1:
                raise config_error(f'X509_STORE_add_crl("{found.name}") failed')
        self.ssl.X509_STORE_set_flags(store, CRL_CHECK)

    # ---- ciphers and keys

    def set_ciphers(self, ciphers: str, prefer_server: bool) -> None:
        """ssl_ciphers, ssl_prefer_server_ciphers"""
        if not self.ssl.SSL_CTX_set_cipher_list(self.pointer, _bytes(ciphers)):
            raise config_error(f'SSL_CTX_set_cipher_list("{ciphers}") failed')
        if prefer_server:
            self.ssl.SSL_CTX_set_options(self.pointer, OP_CIPHER_SERVER_PREFERENCE)

    def set_dhparam(self, name: str) -> None:
        """ssl_dhparam, a full name"""
        if not name:
            return
        ssl = self.ssl
        bio = ssl.BIO_new_file(_bytes(name), b"r")
        if not bio:
            raise config_error(f'BIO_new_file("{name}") failed')
        try:
            parameters = ssl.PEM_read_bio_DHparams(bio, None, None, None)
            if not parameters:
                raise config_error(f'PEM_read_bio_DHparams("{name}") failed')
            done = self._ctrl(CTRL_SET_TMP_DH, 0, parameters)
            ssl.DH_free(parameters)
            if done != 1:
                raise config_error(f'SSL_CTX_set_tmp_dh("{name}") failed')
        finally:
            ssl.BIO_free(bio)

    def set_curves(self, curves: str) -> None:
        """ssl_ecdh_curve"""
        if curves != "auto" and not self._ctrl(CTRL_SET_GROUPS_LIST, 0, _bytes(curves)):
            raise config_error(f'SSL_CTX_set1_curves_list("{curves}") failed')

    def enable_early_data(self) -> None:
        """ssl_early_data"""
        self.ssl.SSL_CTX_set_max_early_data(self.pointer, BUFFER_SIZE)
        self.early_data = True

    def run_commands(self, commands: Iterable[tuple[str, str]], full_name: Callable[[str], str]) -> None:
        """ssl_conf_command.   nginx: ngx_ssl_conf_commands"""
        ssl = self.ssl
        conf = ssl.SSL_CONF_CTX_new()
        if not conf:
            raise config_error("SSL_CONF_CTX_new() failed")
        try:
            ssl.SSL_CONF_CTX_set_flags(conf, CONF_FLAGS)
            ssl.SSL_CONF_CTX_set_ssl_ctx(conf, self.pointer)
            for key, text in commands:
                if ssl.SSL_CONF_cmd_value_type(conf, _bytes(key)) in (CONF_TYPE_FILE, CONF_TYPE_DIR):
                    text = full_name(text)
                if ssl.SSL_CONF_cmd(conf, _bytes(key), _bytes(text)) <= 0:
                    raise config_error(f'SSL_CONF_cmd("{key}", "{text}") failed')
            if ssl.SSL_CONF_CTX_finish(conf) != 1:
                raise config_error("SSL_CONF_finish() failed")
        finally:
            ssl.SSL_CONF_CTX_free(conf)

    # ---- sessions

    def set_session_timeout(self, seconds: int) -> None:
        """ssl_session_timeout"""
        self.session_timeout = seconds
        self.ssl.SSL_CTX_set_timeout(self.pointer, seconds)

    def set_session_context(self, kind: bytes, names: Sequence[str]) -> None:
        """Which sessions may be used again: made of *kind*, the certificates and the client CAs.

        nginx: ngx_ssl_session_id_context
        """
        ssl = self.ssl
        digest = hashlib.sha1(kind, usedforsecurity=False)
        buffer = ctypes.create_string_buffer(64)
        length = ctypes.c_uint()
        for certificate in self.certificates:
            ssl.X509_digest(certificate.chain[0], ssl.EVP_sha1(), buffer, ctypes.byref(length))
            digest.update(buffer.raw[: length.value])
        if not self.certificates:
            for name in names:
                digest.update(_bytes(name))
        authorities = ssl.SSL_CTX_get_client_CA_list(self.pointer)
        for i in range(ssl.OPENSSL_sk_num(authorities) if authorities else 0):
            ssl.X509_NAME_digest(ssl.OPENSSL_sk_value(authorities, i), ssl.EVP_sha1(), buffer, ctypes.byref(length))
            digest.update(buffer.raw[: length.value])
        if not ssl.SSL_CTX_set_session_id_context(self.pointer, digest.digest(), digest.digest_size):
            raise config_error("SSL_CTX_set_session_id_context() failed")

    def set_session_cache(self, mode: int, size: int | None = None) -> None:
        """OpenSSL's own cache."""
        self._ctrl(CTRL_SET_SESS_CACHE_MODE, mode)
        if size is not None:
            self._ctrl(CTRL_SET_SESS_CACHE_SIZE, size)

    def keep_sessions(self) -> None:
        """A client's sessions are told to Tls.on_session.   nginx: ngx_ssl_client_session_cache"""
        self._ctrl(CTRL_SET_SESS_CACHE_MODE, SESS_CACHE_CLIENT | SESS_CACHE_NO_INTERNAL)
        self.ssl.SSL_CTX_sess_set_new_cb(self.pointer, address(_new_session))

    def forbid_tickets(self) -> None:
        """ssl_session_tickets off"""
        self.ssl.SSL_CTX_set_options(self.pointer, OP_NO_TICKET)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
