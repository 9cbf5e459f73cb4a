"""OCSP: requests, and what responses mean; no network.   RFC 6960

nginx: ngx_event_openssl_stapling.c (ngx_ssl_ocsp_create_request, ngx_ssl_ocsp_verify, ngx_ssl_ocsp_validate)
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from geng.core.zone import Zone
from geng.errors import GengError
from geng.hot.uri import URI_COMPONENT, escape_uri
from geng.tls.certificate import seconds_of
from geng.tls.errors import take_errors
from geng.tls.openssl import library

GOOD, REVOKED, UNKNOWN = range(3)  # V_OCSP_CERTSTATUS_…
NOVERIFY, TRUSTOTHER = 0x10, 0x200
FOREVER = 1 << 62
SKEW = 300  # s by which the clocks may differ
LEAF = 2  # ssl_ocsp leaf


class OcspFailed(GengError):
    """Why the status is not known: for the log, at *level*."""

    def __init__(self, message: str, level: str = "error") -> None:
        super().__init__(message)
        self.message = message
        self.level = level


@dataclass(slots=True)
class Responder:
    """Whom to ask. *addresses*: where its name led when the configuration was read."""

    host: str
    port: int
    uri: str
    addresses: list[Any] = field(default_factory=list)
    resolver: Any = None
    resolver_timeout: int = 30_000


def responder_at(url: Any) -> Responder:
    """What to ask at a geng.net.address.Url."""
    return Responder(url.host, url.port, url.uri or "/", [found.sockaddr for found in url.addresses])


@dataclass(slots=True)
class ClientStatus:
    """`ssl_ocsp`: *depth* 1 for all certificates of a chain, 2 (LEAF) for the client's own."""

    depth: int
    responder: Responder | None
    zone: Zone | None
    resolver: Any = None
    resolver_timeout: int = 30_000


def responder_of(certificate: int) -> str:
    """The first responder that a certificate names, "" for none."""
    ssl = library()
    found = ssl.X509_get1_ocsp(certificate)
    if not found:
        return ""
    try:
        first = ssl.OPENSSL_sk_value(found, 0)
        return ctypes.string_at(first).decode("utf-8", "surrogateescape") if first else ""
    finally:
        ssl.X509_email_free(found)


@contextmanager
def _id(certificate: int, issuer: int) -> Iterator[int]:
    ssl = library()
    made = ssl.OCSP_cert_to_id(None, certificate, issuer)
    if not made:
        raise OcspFailed(f"OCSP_cert_to_id() failed{take_errors()}", "crit")
    try:
        yield made
    finally:
        ssl.OCSP_CERTID_free(made)


def _encoded(encode: Any, pointer: int) -> bytes:
    size = encode(pointer, None)
    if size <= 0:
        raise OcspFailed(f"{encode.__name__}() failed{take_errors()}", "crit")
    buffer = ctypes.create_string_buffer(size)
    place = ctypes.c_void_p(ctypes.addressof(buffer))
    encode(pointer, ctypes.byref(place))
    return buffer.raw


def key_of(certificate: int, issuer: int) -> bytes:
    """What a status is cached by."""
    with _id(certificate, issuer) as made:
        return hashlib.sha1(_encoded(library().i2d_OCSP_CERTID, made), usedforsecurity=False).digest()


def request(certificate: int, issuer: int, responder: Responder) -> bytes:
    """The HTTP request that asks for the status; raises OcspFailed."""
    ssl = library()
    pointer = ssl.OCSP_REQUEST_new()
    try:
        name = ssl.OCSP_cert_to_id(None, certificate, issuer)
        if not name:
            raise OcspFailed(f"OCSP_cert_to_id() failed{take_errors()}", "crit")
        if not ssl.OCSP_request_add0_id(pointer, name):  # which owns it from here on
            ssl.OCSP_CERTID_free(name)
            raise OcspFailed(f"OCSP_request_add0_id() failed{take_errors()}", "crit")
        data = _encoded(ssl.i2d_OCSP_REQUEST, pointer)
    finally:
        ssl.OCSP_REQUEST_free(pointer)
    uri = responder.uri.encode() if responder.uri.endswith("/") else responder.uri.encode() + b"/"
    text = escape_uri(base64.b64encode(data), URI_COMPONENT)
    return b"GET %s%s HTTP/1.0\r\nHost: %s\r\n\r\n" % (uri, text, responder.host.encode())


def examine(data: bytes, certificate: int, issuer: int, chain: int, context: int, flags: int) -> tuple[int, int]:
    """(status, until when it is valid: seconds since 1970) of a response's body; raises OcspFailed.

    chain: a stack of certificates that may have signed it; context: the SSL_CTX whose authorities are trusted.
    """
    ssl = library()
    place = ctypes.c_char_p(data)
    response = ssl.d2i_OCSP_RESPONSE(None, ctypes.byref(place), len(data))
    if not response:
        raise OcspFailed(f"d2i_OCSP_RESPONSE() failed{take_errors()}")
    try:
        code = ssl.OCSP_response_status(response)
        if code:
            text = ssl.OCSP_response_status_str(code).decode("ascii", "replace")
            raise OcspFailed(f"OCSP response not successful ({code}: {text})")
        basic = ssl.OCSP_response_get1_basic(response)
        if not basic:
            raise OcspFailed(f"OCSP_response_get1_basic() failed{take_errors()}")
        try:
            store = ssl.SSL_CTX_get_cert_store(context)
            if ssl.OCSP_basic_verify(basic, chain, store, flags) != 1:
                raise OcspFailed(f"OCSP_basic_verify() failed{take_errors()}")
            return _status(basic, certificate, issuer)
        finally:
            ssl.OCSP_BASICRESP_free(basic)
    finally:
        ssl.OCSP_RESPONSE_free(response)


def _status(basic: int, certificate: int, issuer: int) -> tuple[int, int]:
    ssl = library()
    status = ctypes.c_int()
    this, following = ctypes.c_void_p(), ctypes.c_void_p()
    with _id(certificate, issuer) as name:
        found = ssl.OCSP_resp_find_status(
            basic, name, ctypes.byref(status), None, None, ctypes.byref(this), ctypes.byref(following)
        )
    if found != 1:
        raise OcspFailed("certificate status not found in the OCSP response")
    if ssl.OCSP_check_validity(this, following, SKEW, -1) != 1:
        raise OcspFailed(f"OCSP_check_validity() failed{take_errors()}")
    if not following.value:
        return status.value, FOREVER
    until = seconds_of(following.value)
    if until is None:
        raise OcspFailed("invalid nextUpdate time in certificate status")
    return status.value, until


def status_text(status: int) -> str:
    text: bytes = library().OCSP_cert_status_str(status)
    return text.decode("ascii", "replace")


class Chain:
    """A client's certificate and those above it, which this object owns; the last one has issued itself."""

    def __init__(self, stack: int) -> None:
        self.stack = stack
        self.size: int = library().OPENSSL_sk_num(stack)

    def __repr__(self) -> str:
        return f"<Chain of {self.size}>"

    def __getitem__(self, i: int) -> int:
        found: int = library().OPENSSL_sk_value(self.stack, i)
        return found

    def free(self) -> None:
        ssl = library()
        stack, self.stack = self.stack, 0
        if stack:
            ssl.OPENSSL_sk_pop_free(stack, ssl.address("X509_free"))


def chain_of(tls: Any) -> Chain | None:
    """The verified chain of a connection's peer, None where it has shown no certificate; raises OcspFailed."""
    ssl = library()
    certificate = ssl.SSL_get1_peer_certificate(tls.pointer)
    if not certificate:
        return None
    try:
        known = ssl.SSL_get0_verified_chain(tls.pointer)
        stack = ssl.X509_chain_up_ref(known) if known else _verify(tls, certificate)
        return Chain(stack)
    finally:
        ssl.X509_free(certificate)


def _verify(tls: Any, certificate: int) -> int:
    """The chain once more: a session that is used again does not keep it."""
    ssl = library()
    store = ssl.SSL_CTX_get_cert_store(ssl.SSL_get_SSL_CTX(tls.pointer))
    context = ssl.X509_STORE_CTX_new()
    try:
        shown = ssl.SSL_get_peer_cert_chain(tls.pointer)
        if not ssl.X509_STORE_CTX_init(context, store, certificate, shown):
            raise OcspFailed(f"X509_STORE_CTX_init() failed{take_errors()}")
        if ssl.X509_verify_cert(context) <= 0:
            raise OcspFailed(f"X509_verify_cert() failed{take_errors()}")
        return int(ssl.X509_STORE_CTX_get1_chain(context))
    finally:
        ssl.X509_STORE_CTX_free(context)
