"""Certificates that a handshake chooses: their names hold variables.

nginx: ngx_event_openssl.c (ngx_ssl_connection_certificate)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_text
from geng.tls.context import CTRL_CHAIN
from geng.tls.errors import take_errors
from geng.tls.loading import CannotLoad, RuntimeCache, is_mismatch
from geng.tls.openssl import callback, library, states

if TYPE_CHECKING:
    from geng.core.log import Log
    from geng.http.servertls import ServerTls
    from geng.tls.context import Context


def use_certificate(tls: Any, cache: RuntimeCache, certificate: bytes, key: bytes, passwords: Sequence[bytes] = ()) -> None:
    """Have a connection show *certificate* from now on; both are names as the configuration has them. Raises CannotLoad."""
    ssl, pointer = tls.library, tls.pointer
    for fresh in (False, True):
        found = cache.certificate(to_text(certificate), fresh)
        if not ssl.SSL_use_certificate(pointer, found.chain[0]):
            raise CannotLoad(f'SSL_use_certificate("{to_text(certificate)}") failed{take_errors()}')
        with found.rest() as stack:
            if not ssl.SSL_ctrl(pointer, CTRL_CHAIN, 1, stack):
                raise CannotLoad(f'SSL_set0_chain("{to_text(certificate)}") failed{take_errors()}')
        private = cache.key(to_text(key), passwords, fresh)
        if ssl.SSL_use_PrivateKey(pointer, private.pointer):
            return
        if fresh or not is_mismatch():
            raise CannotLoad(f'SSL_use_PrivateKey("{to_text(key)}") failed{take_errors()}')
        ssl.ERR_clear_error()


def use_certificates(tls: Any, names: ServerTls, r: Any, log: Log, c: Any) -> bool:
    """Those of a server whose *names* hold variables, which *r*, a request or session, has values for.

    False when one cannot be loaded, which has been logged then as of the connection *c*.
    """
    assert names.cache is not None
    for certificate, key in names.values:
        try:
            use_certificate(tls, names.cache, certificate(r), key(r), names.passwords)
        except CannotLoad as cannot:
            log.error(cannot.message, ctx=c)
            return False
    return True


def ask_for_certificate(context: Context, choose: Callable[[Any], bool]) -> None:
    """Have *choose(tls)* call use_certificate() in each handshake; False ends it."""

    @callback("i", "pp")
    def chosen(pointer: int, argument: int) -> int:
        return int(choose(states[pointer]))

    library().SSL_CTX_set_cert_cb(context.pointer, context.keep(chosen), None)
