"""Asking an OCSP responder over the network, in a greenlet.

nginx: ngx_event_openssl_stapling.c (ngx_ssl_ocsp_request … ngx_ssl_ocsp_process_body)
"""

from __future__ import annotations

from errno import ETIMEDOUT
from typing import TYPE_CHECKING, Any

from geng.core.cidr import ipv4
from geng.errors import ConnectionClosed, TimedOut
from geng.hot.http1 import DONE, HTTP, parse_response
from geng.net import sockaddr as sa
from geng.net.answers import ResolveFailed
from geng.net.connect import NoConnections, connect
from geng.tls.ocsp import OcspFailed, Responder, examine, request

if TYPE_CHECKING:
    from geng.core.log import Log
    from geng.net.connection import Connection

LARGEST = 16384


class Question:
    """One certificate's status, asked for. *name*: the certificate, for the log; *ms*: how long each step may wait."""

    def __init__(
        self, worker: Any, log: Log, responder: Responder, certificate: int, issuer: int, *, name: str = "",
        ms: int = 60_000, flags: int = 0,
    ) -> None:  # fmt: skip
        self.worker = worker
        self.log = log
        self.responder = responder
        self.certificate = certificate
        self.issuer = issuer
        self.name = name
        self.ms = ms
        self.flags = flags
        self.peer = ""
        self.number = 0

    def __repr__(self) -> str:
        return f"<Question to {self.responder.host}>"

    def log_context(self) -> str:
        text = f" while requesting certificate status, responder: {self.responder.host}"
        if self.peer:
            text += f", peer: {self.peer}"
        return text + (f', certificate: "{self.name}"' if self.name else "")

    def ask(self, chain: int, context: int) -> tuple[int, int, bytes]:
        """(status, until when it is valid, the response); see ocsp.examine(). Raises OcspFailed, logged already."""
        try:
            body = self._fetch()
            return *examine(body, self.certificate, self.issuer, chain, context, self.flags), body
        except OcspFailed as failed:
            if failed.message:
                self.log.log(failed.level, failed.message, ctx=self)
            raise

    def _fetch(self) -> bytes:
        data = request(self.certificate, self.issuer, self.responder)
        for address in self._addresses():
            self.peer = sa.text(address)
            body = self._try(address, data)
            if body is not None:
                return body
        raise OcspFailed("")

    def _addresses(self) -> list[Any]:
        responder = self.responder
        plain = ipv4(responder.host)
        if plain:
            return [(plain, responder.port)]
        if responder.resolver is None:
            message = f"no resolver defined to resolve {responder.host}"
            if not responder.addresses:
                raise OcspFailed(message)
            self.log.warn(message, ctx=self)
            return responder.addresses
        try:
            resolver = responder.resolver.get(self.worker)
            found: list[Any] = resolver.resolve(responder.host, responder.resolver_timeout, responder.port)
        except ResolveFailed as failed:
            raise OcspFailed(str(failed)) from None
        return found

    def _try(self, address: Any, data: bytes) -> bytes | None:
        """The body that this address answers with, or None, logged."""
        try:
            c = connect(self.worker.hub, self.worker.pool, address, ms=self.ms)
        except TimedOut:
            self.log.error("OCSP responder timed out", err=ETIMEDOUT, ctx=self)
            return None
        except NoConnections:
            return None
        except ConnectionClosed as error:
            self.log.error(f"connect() to {self.peer} failed", err=error.error, ctx=self)
            return None
        try:
            c.send((data,), self.ms)
            return self._read(c)
        except TimedOut:
            self.log.error("OCSP responder timed out", err=ETIMEDOUT, ctx=self)
        except ConnectionClosed as error:
            self.log.error(error.message, err=error.error, ctx=self)
        finally:
            c.close()
        return None

    def _read(self, c: Connection) -> bytes | None:
        parts = b""
        while len(parts) < LARGEST:
            got = c.read(LARGEST - len(parts), self.ms)
            if not got:
                break
            parts += got
        head = parse_response(parts, 0, -1, HTTP)
        if head.rc != DONE or head.http_version == 9:
            early = not head.message or not parts
            message = "OCSP responder prematurely closed connection" if early else "OCSP responder sent invalid response"
            self.log.error(message, ctx=self)
            return None
        for name, value in head.items():
            if name.lower() == b"content-type" and value.lower() != b"application/ocsp-response":
                shown = value.decode("utf-8", "surrogateescape")
                self.log.error(f'OCSP responder sent invalid "Content-Type" header: "{shown}"', ctx=self)
                return None
        if head.status != 200:
            raise OcspFailed("")
        return parts[head.end :]
