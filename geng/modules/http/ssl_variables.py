"""$ssl_… variables: what there is to say of a client's TLS connection.   nginx: ngx_http_ssl_module.c"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from geng.http.module import CHANGEABLE, NOCACHEABLE, Getter, Variable
from geng.tls import certificate as of

if TYPE_CHECKING:
    from geng.http.request import Request


def shown(get: Callable[[Any], bytes], empty: bool = False) -> Getter:
    """A variable that *get* knows of the TLS connection; not found on plain ones, nor, without *empty*, when b\"\"."""

    def got(r: Request) -> bytes | None:
        ssl = r.c.ssl
        if ssl is None or not ssl.pointer:
            return None
        text = get(ssl)
        return text if text or empty else None

    return got


def client_verify(ssl: Any) -> bytes:
    """`NONE`, `SUCCESS` or `FAILED:` and why.   nginx: ngx_ssl_get_client_verify"""
    if not ssl.has_peer_certificate():
        return b"NONE"
    result, text = ssl.verify_result()
    if not result:
        text = ssl.revoked
    return b"FAILED:" + text.encode() if text else b"SUCCESS"


VARIABLES = (
    Variable("ssl_protocol", shown(of.protocol, empty=True), CHANGEABLE),
    Variable("ssl_cipher", shown(of.cipher, empty=True), CHANGEABLE),
    Variable("ssl_ciphers", shown(of.ciphers), CHANGEABLE),
    Variable("ssl_curve", shown(of.curve), CHANGEABLE),
    Variable("ssl_curves", shown(of.curves), CHANGEABLE),
    Variable("ssl_sigalg", shown(of.sigalg), CHANGEABLE),
    Variable("ssl_sigalgs", shown(of.sigalgs), CHANGEABLE),
    Variable("ssl_session_id", shown(of.session_id), CHANGEABLE),
    Variable("ssl_session_reused", shown(of.session_reused), CHANGEABLE),
    Variable("ssl_early_data", shown(of.early_data), CHANGEABLE | NOCACHEABLE),
    Variable("ssl_server_name", shown(of.server_name), CHANGEABLE),
    Variable("ssl_alpn_protocol", shown(of.alpn_protocol), CHANGEABLE),
    Variable("ssl_ech_status", shown(of.nothing), CHANGEABLE),
    Variable("ssl_ech_outer_server_name", shown(of.nothing), CHANGEABLE),
    Variable("ssl_client_cert", shown(of.cert), CHANGEABLE),
    Variable("ssl_client_raw_cert", shown(of.raw_cert), CHANGEABLE),
    Variable("ssl_client_escaped_cert", shown(of.escaped_cert), CHANGEABLE),
    Variable("ssl_client_s_dn", shown(of.subject), CHANGEABLE),
    Variable("ssl_client_i_dn", shown(of.issuer), CHANGEABLE),
    Variable("ssl_client_s_dn_legacy", shown(of.legacy_subject), CHANGEABLE),
    Variable("ssl_client_i_dn_legacy", shown(of.legacy_issuer), CHANGEABLE),
    Variable("ssl_client_serial", shown(of.serial), CHANGEABLE),
    Variable("ssl_client_fingerprint", shown(of.fingerprint), CHANGEABLE),
    Variable("ssl_client_verify", shown(client_verify), CHANGEABLE),
    Variable("ssl_client_v_start", shown(of.v_start), CHANGEABLE),
    Variable("ssl_client_v_end", shown(of.v_end), CHANGEABLE),
    Variable("ssl_client_v_remain", shown(of.v_remain), CHANGEABLE),
    Variable("ssl_client_sigalg", shown(of.client_sigalg), CHANGEABLE),
)
