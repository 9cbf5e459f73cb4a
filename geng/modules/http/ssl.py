"""TLS of servers: the directives ssl_…, and the variables.   nginx: ngx_http_ssl_module.c"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from geng.conf.convert import bitmask, enum, flag, keyval, num, sec, size, string
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import HTTP, SRV
from geng.core.log import errno_text
from geng.errors import ConfigError, Invalid, Refused
from geng.http import tls
from geng.http.conf import CoreSrv
from geng.http.module import CHANGEABLE, NOCACHEABLE, Getter, Module, Variable
from geng.http.servertls import ServerTls
from geng.net import tls as net
from geng.tls import certificate as of
from geng.tls.context import (
    BUFFER_SIZE,
    DEFAULT_PROTOCOLS,
    PROTOCOLS,
    SESS_CACHE_NO_AUTO_CLEAR,
    SESS_CACHE_NO_INTERNAL_STORE,
    SESS_CACHE_SERVER,
    Context,
)
from geng.tls.loading import Objects, read_passwords
from geng.tls.openssl import NoOpenSsl
from geng.tls.servername import listen_to_clients

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.request import Request

HS = HTTP | SRV

VERIFY = {"off": 0, "on": tls.VERIFY_ON, "optional": tls.VERIFY_OPTIONAL, "optional_no_ca": tls.VERIFY_OPTIONAL_NO_CA}


def objects(cf: Cf) -> Objects:
    """What this configuration has loaded of certificates and keys."""
    found: Objects = cf.cycle.tls_objects
    return found


def open_library() -> None:
    """Find OpenSSL; raises ConfigError."""
    try:
        net.start()
    except NoOpenSsl as missing:
        raise ConfigError(str(missing)) from None


class SslConf(Conf, level=Level.SERVER):
    """What one server says about TLS. Times in seconds, sizes in bytes."""

    certificates: list[str] | None = directive("ssl_certificate", HS, string, default=None, repeat=True)
    certificate_keys: list[str] | None = directive("ssl_certificate_key", HS, string, default=None, repeat=True)
    certificate_compression: bool = directive("ssl_certificate_compression", HS, flag, default=False)
    ech_files: list[str] | None = directive("ssl_ech_file", HS, string, default=None, repeat=True)
    passwords: list[bytes] | None = value(None)
    dhparam: str = directive("ssl_dhparam", HS, string, default="")
    ecdh_curve: str = directive("ssl_ecdh_curve", HS, string, default="auto")
    protocols: int = directive("ssl_protocols", HS, bitmask(PROTOCOLS), default=DEFAULT_PROTOCOLS)
    ciphers: str = directive("ssl_ciphers", HS, string, default="HIGH:!aNULL:!MD5")
    buffer_size: int = directive("ssl_buffer_size", HS, size, default=BUFFER_SIZE)
    verify: int = directive("ssl_verify_client", HS, enum(VERIFY), default=0)
    verify_depth: int = directive("ssl_verify_depth", HS, num, default=1)
    client_certificate: str = directive("ssl_client_certificate", HS, string, default="")
    trusted_certificate: str = directive("ssl_trusted_certificate", HS, string, default="")
    prefer_server_ciphers: bool = directive("ssl_prefer_server_ciphers", HS, flag, default=False)
    session_tickets: bool = directive("ssl_session_tickets", HS, flag, default=True)
    session_timeout: int = directive("ssl_session_timeout", HS, sec, default=300)
    crl: str = directive("ssl_crl", HS, string, default="")
    early_data: bool = directive("ssl_early_data", HS, flag, default=False)
    conf_commands: list[tuple[str, str]] | None = directive("ssl_conf_command", HS, keyval, default=None, repeat=True)
    reject_handshake: bool = directive("ssl_reject_handshake", HS, flag, default=False)

    @command("ssl_password_file", HS)
    def set_password_file(self, cf: Cf) -> None:
        """`ssl_password_file file`"""
        if self.passwords is not UNSET:
            raise Refused("is duplicate")
        self.passwords = read_password_file(cf, cf.args[0])

    def check(self, cf: Cf) -> None:
        """Make the server's context.   nginx: ngx_http_ssl_merge_srv_conf"""
        srv = cf[CoreSrv]
        srv.tls = ServerTls(None, self.reject_handshake, self.verify, self.buffer_size, bool(self.certificates))
        keys = self.certificate_keys or []
        if self.certificates:
            if len(keys) < len(self.certificates):
                last = self.certificates[-1]
                raise ConfigError(f'no "ssl_certificate_key" is defined for certificate "{last}"')
        elif not self.reject_handshake:
            return
        open_library()
        srv.tls.context = context = Context(self.protocols)
        listen_to_clients(context, tls.choose_by_name, tls.choose_protocol)
        context.set_ciphers(self.ciphers, self.prefer_server_ciphers)
        for name, key in zip(self.certificates or (), keys, strict=False):
            context.add_certificate(objects(cf), name, key, self.passwords)
        if self.certificate_compression:
            context.compress_certificates(lambda message: cf.log("warn", message))
        context.buffer_size = self.buffer_size
        self._verify(cf, context)
        context.set_dhparam(cf.path(self.dhparam, conf_prefix=True) if self.dhparam else "")
        if self.ech_files:
            cf.log("warn", '"ssl_ech_file" is not supported on this platform, ignored')
        context.set_curves(self.ecdh_curve)
        self._sessions(cf, context)
        if self.early_data:
            context.enable_early_data()
        if self.conf_commands:
            context.run_commands(self.conf_commands, lambda name: cf.path(name, conf_prefix=True))

    def _verify(self, cf: Cf, context: Context) -> None:
        if self.verify:
            wanted = self.client_certificate or self.trusted_certificate
            if self.verify != tls.VERIFY_OPTIONAL_NO_CA and not wanted:
                raise ConfigError("no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client")
            context.verify_peer(self.verify_depth)
            if self.client_certificate:
                context.add_client_cas(objects(cf), self.client_certificate)
        context.add_trusted(objects(cf), self.trusted_certificate, self.verify_depth)
        context.add_crl(objects(cf), self.crl)

    def _sessions(self, cf: Cf, context: Context) -> None:
        context.set_session_timeout(self.session_timeout)
        context.set_session_context(b"HTTP", self.certificates or ())
        context.set_session_cache(SESS_CACHE_SERVER | SESS_CACHE_NO_AUTO_CLEAR | SESS_CACHE_NO_INTERNAL_STORE, 1)
        if not self.session_tickets:
            context.forbid_tickets()


def read_password_file(cf: Cf, name: str) -> list[bytes]:
    """The passwords in a file of the configuration; raises Invalid."""
    full = cf.path(name, conf_prefix=True)
    try:
        return read_passwords(full)
    except OSError as error:
        raise Invalid(f'open() "{full}" failed{errno_text(error.errno)}') from None
    except ValueError:
        raise Invalid(f'too long line in "{full}"') from None


def check_listens(cf: Cf) -> None:
    """Each address with `ssl` must have certificates.   nginx: ngx_http_ssl_init"""
    for address in cf.scope.main.ports.all():
        if not address.ssl or address.default.tls.certificates:
            continue
        without = [address.default]
        if address.default.tls.rejects:
            without = [srv for srv in address.servers if not (srv.tls.certificates or srv.tls.rejects)]
        for srv in without:
            raise ConfigError(f'no "ssl_certificate" is defined for the "listen ... ssl" directive in {srv.file}:{srv.line}')


# ---- variables


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
    return b"FAILED:" + text.encode() if result else b"SUCCESS"


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

module = Module(name="http_ssl", confs=(SslConf,), variables=VARIABLES, postconfiguration=check_listens)
