"""ssl_ocsp: whether the certificates that a client has shown are still good.

nginx: ngx_event_openssl_stapling.c (ngx_ssl_ocsp_validate, ngx_ssl_ocsp_get_status)
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any

from geng.net.address import BadAddress, parse_url
from geng.tls import ocsp
from geng.tls.asking import Question
from geng.tls.ocsp import Chain, ClientStatus, OcspFailed, Responder, chain_of

if TYPE_CHECKING:
    from geng.core.log import Log
    from geng.tls.context import Context

UNKNOWN = "certificate status request failed"
WORDS = {ocsp.REVOKED: "certificate revoked"}


def why_revoked(tls: Any, context: Context, worker: Any, log: Log, ms: int) -> str:
    """What is to be said against the peer of *tls*, "" for nothing; waits, each step at most *ms*."""
    conf = context.ocsp
    assert conf is not None
    try:
        chain = chain_of(tls)
    except OcspFailed as failed:
        log.error(failed.message, ctx=tls.connection)
        return UNKNOWN
    if chain is None:
        return ""
    try:
        for i in range(chain.size - 1 if conf.depth != ocsp.LEAF else min(chain.size - 1, 1)):
            status = _status(conf, chain, i, context, worker, log, ms, tls)
            if status != ocsp.GOOD:
                return WORDS.get(status, "certificate status unknown")
    except OcspFailed:
        return UNKNOWN
    finally:
        chain.free()
    return ""


def _status(
    conf: ClientStatus, chain: Chain, i: int, context: Context, worker: Any, log: Log, ms: int, tls: Any
) -> int:  # fmt: skip
    """Of one certificate of *chain*; raises OcspFailed, which has been logged."""
    certificate, issuer = chain[i], chain[i + 1]
    responder = conf.responder or _named(conf, certificate, log, tls.connection)
    key = b""
    if conf.zone is not None:
        key = ocsp.key_of(certificate, issuer)
        known = conf.zone.data.find(key)
        if known is not None:
            return int(known)
    status, valid, _ = Question(worker, log, responder, certificate, issuer, ms=ms).ask(chain.stack, context.pointer)
    if conf.zone is not None and valid >= time():
        conf.zone.data.store(key, b"%d" % status, valid)
    return status


def _named(conf: ClientStatus, certificate: int, log: Log, c: Any) -> Responder:
    """The responder that the certificate itself names."""
    text = ocsp.responder_of(certificate)
    message = ""
    if not text:
        message = "no OCSP responder URL in certificate"
    elif text[:7].lower() != "http://" or len(text) == 7:
        message = f'invalid URL prefix in OCSP responder "{text}" in certificate'
    else:
        try:
            found = ocsp.responder_at(parse_url(text[7:], 80, uri_part=True))
            found.resolver, found.resolver_timeout = conf.resolver, conf.resolver_timeout
            if found.host:
                return found
            message = "empty host in OCSP responder in certificate"
        except BadAddress as bad:
            message = f'{bad} in OCSP responder "{text[7:]}" in certificate'
    log.error(message, ctx=c)
    raise OcspFailed(message)
