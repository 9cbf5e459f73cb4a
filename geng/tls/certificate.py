"""What there is to say about a TLS connection and its peer's certificate, for variables.

nginx: ngx_event_openssl.c (ngx_ssl_get_protocol … ngx_ssl_get_client_sigalg)
"""

from __future__ import annotations

import ctypes
from calendar import timegm
from collections.abc import Callable
from time import time
from typing import Any

from geng.hot.uri import URI_COMPONENT, escape_uri
from geng.tls.openssl import library

SERVER_NAME_HOST = 0
NID_UNKNOWN = 0x1000000  # TLSEXT_nid_unknown: a group that has no number of its own in OpenSSL
NAME_RFC2253 = 0x1110317  # XN_FLAG_RFC2253

CTRL_GET_PEER_SIGNATURE_NAME = 141
CTRL_GET_SIGNATURE_NAME = 140
CTRL_GET_GROUPS = 90
CTRL_GET_RAW_CIPHERLIST = 110
CTRL_GET_NEGOTIATED_GROUP = 134


def text_of(write: Callable[[int], object]) -> bytes:
    """What *write(bio)* wrote."""
    ssl = library()
    bio = ssl.BIO_new(ssl.BIO_s_mem())
    try:
        write(bio)
        size = ssl.BIO_ctrl(bio, 10, 0, None)  # BIO_CTRL_PENDING
        buffer = ctypes.create_string_buffer(size + 1)
        got = ssl.BIO_read(bio, buffer, size) if size else 0
        return buffer.raw[: max(got, 0)]
    finally:
        ssl.BIO_free(bio)


# ---- the connection; *tls* is a geng.net.tls.Tls


def protocol(tls: Any) -> bytes:
    return bytes(tls.library.SSL_get_version(tls.pointer))


def cipher(tls: Any) -> bytes:
    current = tls.library.SSL_get_current_cipher(tls.pointer)
    return tls.library.SSL_CIPHER_get_name(current) if current else b"(NONE)"


def ciphers(tls: Any) -> bytes:
    """What the client offered."""
    ssl, pointer = tls.library, tls.pointer
    each = ssl.SSL_ctrl(pointer, CTRL_GET_RAW_CIPHERLIST, 0, None)
    start = ctypes.c_void_p()
    size = ssl.SSL_ctrl(pointer, CTRL_GET_RAW_CIPHERLIST, 0, ctypes.byref(start))
    if size <= 0 or not start.value:
        return b""
    raw = ctypes.string_at(start.value, size)
    names = []
    for at in range(0, size, each):
        code = raw[at : at + each]
        known = ssl.SSL_CIPHER_find(pointer, code)
        names.append(ssl.SSL_CIPHER_get_name(known) if known else b"0x" + code.hex().encode())
    return b":".join(names)


def _group(tls: Any, number: int) -> bytes:
    ssl = tls.library
    if not number & NID_UNKNOWN:
        return ssl.OBJ_nid2sn(number) or b""
    name = ssl.SSL_group_to_name(tls.pointer, number) if ssl.SSL_group_to_name is not None else None
    return name or b"0x%04x" % (number & 0xFFFF)


def curve(tls: Any) -> bytes:
    number = tls.library.SSL_ctrl(tls.pointer, CTRL_GET_NEGOTIATED_GROUP, 0, None)
    return _group(tls, number) if number else b""


def curves(tls: Any) -> bytes:
    """What the client offered."""
    n = tls.library.SSL_ctrl(tls.pointer, CTRL_GET_GROUPS, 0, None)
    if n <= 0:
        return b""
    numbers = (ctypes.c_int * n)()
    tls.library.SSL_ctrl(tls.pointer, CTRL_GET_GROUPS, 0, numbers)
    return b":".join(_group(tls, number) for number in numbers)


def sigalg(tls: Any) -> bytes:
    return _signature(tls, CTRL_GET_SIGNATURE_NAME)


def client_sigalg(tls: Any) -> bytes:
    return _signature(tls, CTRL_GET_PEER_SIGNATURE_NAME)


def _signature(tls: Any, command: int) -> bytes:
    if tls.library.version_number < 0x30500000:  # SSL_get0_signature_name came with 3.5
        return b""
    name = ctypes.c_char_p()
    return name.value or b"" if tls.library.SSL_ctrl(tls.pointer, command, 0, ctypes.byref(name)) else b""


def sigalgs(tls: Any) -> bytes:
    """What the client offered, as numbers."""
    ssl, pointer = tls.library, tls.pointer
    n = ssl.SSL_get_sigalgs(pointer, -1, None, None, None, None, None)
    low, high = ctypes.c_ubyte(), ctypes.c_ubyte()
    codes = []
    for i in range(max(n, 0)):
        ssl.SSL_get_sigalgs(pointer, i, None, None, None, ctypes.byref(low), ctypes.byref(high))
        codes.append(b"0x%04x" % (high.value << 8 | low.value))
    return b":".join(codes)


def session_id(tls: Any) -> bytes:
    session = tls.library.SSL_get_session(tls.pointer)
    if not session:
        return b""
    size = ctypes.c_uint()
    start = tls.library.SSL_SESSION_get_id(session, ctypes.byref(size))
    return ctypes.string_at(start, size.value).hex().encode() if size.value else b""


def session_reused(tls: Any) -> bytes:
    return b"r" if tls.library.SSL_session_reused(tls.pointer) else b"."


def early_data(tls: Any) -> bytes:
    return b"1" if tls.early_data_open else b""


def server_name(tls: Any) -> bytes:
    return tls.library.SSL_get_servername(tls.pointer, SERVER_NAME_HOST) or b""


def alpn_protocol(tls: Any) -> bytes:
    return bytes(tls.alpn())


def nothing(tls: Any) -> bytes:
    """What this OpenSSL cannot tell: ECH."""
    return b""


# ---- the peer's certificate


def of_peer(get: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """A function of the connection that is *get* of its peer's certificate, b"" where there is none."""

    def got(tls: Any) -> bytes:
        pointer = tls.library.SSL_get1_peer_certificate(tls.pointer)
        if not pointer:
            return b""
        try:
            return get(pointer)
        finally:
            tls.library.X509_free(pointer)

    got.__doc__ = get.__doc__
    return got


def pem(certificate: int) -> bytes:
    return text_of(lambda bio: library().PEM_write_bio_X509(bio, certificate))


raw_cert = of_peer(pem)


def cert(tls: Any) -> bytes:
    """The PEM text as it fits into a header: continued lines."""
    return raw_cert(tls)[:-1].replace(b"\n", b"\n\t")


def escaped_cert(tls: Any) -> bytes:
    return escape_uri(raw_cert(tls), URI_COMPONENT)


def _name(name: int) -> bytes:
    return text_of(lambda bio: library().X509_NAME_print_ex(bio, name, 0, NAME_RFC2253))


def _legacy_name(name: int) -> bytes:
    """`/C=US/CN=x`"""
    ssl = library()
    buffer = ctypes.create_string_buffer(8192)
    ssl.X509_NAME_oneline(name, buffer, len(buffer))
    return buffer.value


subject = of_peer(lambda certificate: _name(library().X509_get_subject_name(certificate)))
issuer = of_peer(lambda certificate: _name(library().X509_get_issuer_name(certificate)))
legacy_subject = of_peer(lambda certificate: _legacy_name(library().X509_get_subject_name(certificate)))
legacy_issuer = of_peer(lambda certificate: _legacy_name(library().X509_get_issuer_name(certificate)))


@of_peer
def serial(certificate: int) -> bytes:
    number = library().X509_get_serialNumber(certificate)
    return text_of(lambda bio: library().i2a_ASN1_INTEGER(bio, number))


@of_peer
def fingerprint(certificate: int) -> bytes:
    """SHA-1 of the certificate."""
    buffer = ctypes.create_string_buffer(64)
    size = ctypes.c_uint()
    library().X509_digest(certificate, library().EVP_sha1(), buffer, ctypes.byref(size))
    return buffer.raw[: size.value].hex().encode()


def _time(value: int) -> bytes:
    return text_of(lambda bio: library().ASN1_TIME_print(bio, value))


v_start = of_peer(lambda certificate: _time(library().X509_get0_notBefore(certificate)))
v_end = of_peer(lambda certificate: _time(library().X509_get0_notAfter(certificate)))


@of_peer
def v_remain(certificate: int) -> bytes:
    """Days until the certificate ends."""
    end = seconds_of(library().X509_get0_notAfter(certificate))
    return b"" if end is None else b"%d" % max(int(end - time()) // 86400, 0)


def seconds_of(value: int) -> int | None:
    """An ASN1_TIME in seconds since 1970, None for what is none."""
    from email.utils import parsedate_tz  # 10 ms that a start without certificates need not take

    parsed = parsedate_tz(_asctime(_time(value).decode("ascii", "replace")))
    if parsed is None:
        return None
    return timegm(parsed[:6] + (0, 0, 0))


def _asctime(text: str) -> str:
    """`Feb  3 00:55:52 2015 GMT` as mail headers have it."""
    words = text.split()
    return f"{words[1]} {words[0]} {words[3]} {words[2]} GMT" if len(words) >= 4 else ""
