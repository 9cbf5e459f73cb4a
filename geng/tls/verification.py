"""ssl_verify_client: what speaks against the certificate that a client has shown, or has not.

nginx: ngx_http_request.c (ngx_http_process_request), ngx_stream_ssl_module.c (ngx_stream_ssl_handler),
ngx_mail_handler.c (ngx_mail_verify_cert)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from geng.tls import sessions

if TYPE_CHECKING:
    from geng.net.tls import Tls

# ssl_verify_client
VERIFY_ON, VERIFY_OPTIONAL, VERIFY_OPTIONAL_NO_CA = 1, 2, 3

#: What `optional_no_ca` forgives (ngx_ssl_verify_error_optional).
OPTIONAL_ERRORS = frozenset((18, 19, 20, 21, 27))


class Objection(NamedTuple):
    """Why a client may not go on; *missing*: it has shown no certificate at all."""

    message: str
    missing: bool = False


def objection(tls: Tls, verify: int) -> Objection | None:
    """What speaks against the peer of *tls*, whose session is forgotten then, so that it cannot be resumed."""
    found = _objection(tls, verify)
    if found is not None:
        sessions.forget(tls)
    return found


def _objection(tls: Tls, verify: int) -> Objection | None:
    result, text = tls.verify_result()
    if result and not (verify == VERIFY_OPTIONAL_NO_CA and result in OPTIONAL_ERRORS):
        return Objection(f"client SSL certificate verify error: ({result}:{text})")
    if verify == VERIFY_ON and not tls.has_peer_certificate():
        return Objection("client sent no required SSL certificate", missing=True)
    if tls.revoked:
        return Objection(f"client SSL certificate verify error: {tls.revoked}")
    return None
