"""OCSP stapling: the status of a server's own certificate is sent along with it.   RFC 6066, section 8

nginx: ngx_event_openssl_stapling.c (ngx_ssl_stapling … ngx_ssl_stapling_ocsp_handler)
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING, Any

from geng.tls import ocsp
from geng.tls.asking import Question
from geng.tls.errors import config_error
from geng.tls.ocsp import OcspFailed, Responder
from geng.tls.openssl import callback, library, states

if TYPE_CHECKING:
    from geng.tls.context import Context
    from geng.tls.loading import Certificate

CTRL_SET_STATUS_CALLBACK = 63
CTRL_SET_STATUS_RESPONSE = 71
STATUS_OK, STATUS_NOACK = 0, 3
SOONEST, LATEST = 300, 3600  # s between two questions
TIMEOUT = 60_000  # ms


class Staple:
    """The status of one certificate. *data*: the response, valid until *valid*; asked for again from *refresh* on."""

    def __init__(self, context: Context, certificate: Certificate) -> None:
        self.context = context.pointer
        self.certificate = certificate
        self.issuer = 0
        self.responder: Responder | None = None
        self.verify = False
        self.data = b""
        self.valid = 0
        self.refresh = 0
        self.loading = False

    def __repr__(self) -> str:
        return f"<Staple of {self.certificate.name} {len(self.data)} bytes>"

    def find_issuer(self, store: int) -> bool:
        """Who issued the certificate: in its chain, or among the trusted ones of *store*."""
        ssl = library()
        own = self.certificate.chain[0]
        for other in self.certificate.chain[1:]:
            if ssl.X509_check_issued(other, own) == 0:
                self.issuer = other
                return True
        context = ssl.X509_STORE_CTX_new()
        try:
            if not ssl.X509_STORE_CTX_init(context, store, None, None):
                raise config_error("X509_STORE_CTX_init() failed")
            found = ctypes.c_void_p()
            rc = ssl.X509_STORE_CTX_get1_issuer(ctypes.byref(found), context, own)
            if rc == -1:
                raise config_error("X509_STORE_CTX_get1_issuer() failed")
            self.issuer = found.value or 0  # never given back: it lives as long as the process may need it
            return rc == 1
        finally:
            ssl.X509_STORE_CTX_free(context)

    def update(self, worker: Any) -> None:
        """Ask for the status, in a greenlet of its own.   nginx: ngx_ssl_stapling_update"""
        if self.responder is None or self.loading or self.refresh >= time():
            return
        self.loading = True
        worker.hub.spawn(self._load, worker)

    def _load(self, worker: Any) -> None:
        assert self.responder is not None
        flags = ocsp.TRUSTOTHER if self.verify else ocsp.NOVERIFY
        question = Question(
            worker, worker.log, self.responder, self.certificate.chain[0], self.issuer, name=self.certificate.name,
            ms=TIMEOUT, flags=flags,
        )  # fmt: skip
        now = int(time())
        self.refresh = now + SOONEST
        try:
            with suppress(OcspFailed), self.certificate.rest() as chain:
                status, valid, data = question.ask(chain, self.context)
                if status != ocsp.GOOD:
                    text = ocsp.status_text(status)
                    worker.log.error(f'certificate status "{text}" in the OCSP response', ctx=question)
                    return
                self.data, self.valid = data, valid
                self.refresh = max(min(valid - SOONEST, now + LATEST), now + SOONEST)
        finally:
            self.loading = False


def read_response(name: str) -> bytes:
    """The response in a file, checked for being one; raises ConfigError."""
    try:
        with open(name, "rb") as file:
            data = file.read()
    except OSError:
        ssl = library()
        ssl.BIO_new_file(name.encode("utf-8", "surrogateescape"), b"rb")  # OpenSSL says what is wrong
        raise config_error(f'BIO_new_file("{name}") failed') from None
    ssl = library()
    bio = ssl.BIO_new_mem_buf(data, len(data))
    found = ssl.ASN1_item_d2i_bio(ssl.OCSP_RESPONSE_it(), bio, None)  # d2i_OCSP_RESPONSE_bio() is a macro
    ssl.BIO_free(bio)
    if not found:
        raise config_error(f'd2i_OCSP_RESPONSE_bio("{name}") failed')
    ssl.OCSP_RESPONSE_free(found)
    return data


def staple(
    context: Context, file: str, verify: bool, find: Callable[[Staple], Responder | None], warn: Callable[[str], object]
) -> None:
    """ssl_stapling for all certificates of *context*. *file*: a full name, "" to ask a responder, which *find* knows.

    Raises ConfigError.
    """
    ssl = library()
    for certificate in context.certificates:
        made = Staple(context, certificate)
        made.verify = verify
        context.staples[certificate.chain[0]] = made
        if file:
            made.data, made.valid = read_response(file), ocsp.FOREVER
        elif made.find_issuer(ssl.SSL_CTX_get_cert_store(context.pointer)):
            made.responder = find(made)
        else:
            warn(f'"ssl_stapling" ignored, issuer certificate not found for certificate "{certificate.name}"')

    @callback("i", "pp", failed=STATUS_NOACK)
    def answer(pointer: int, argument: int) -> int:
        found = context.staples.get(ssl.SSL_get_certificate(pointer) or 0)
        if found is None:
            return STATUS_NOACK
        rc = STATUS_NOACK
        if found.data and found.valid >= time():
            size = len(found.data)
            place = ssl.CRYPTO_malloc(size, b"", 0)  # OpenSSL frees it
            if place:
                ctypes.memmove(place, found.data, size)
                ssl.SSL_ctrl(pointer, CTRL_SET_STATUS_RESPONSE, size, place)
                rc = STATUS_OK
        found.update(states[pointer].data.worker)
        return rc

    ssl.SSL_CTX_callback_ctrl(context.pointer, CTRL_SET_STATUS_CALLBACK, context.keep(answer))
