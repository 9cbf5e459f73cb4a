"""TLS of servers: the directives ssl_…, and the variables.   nginx: ngx_http_ssl_module.c"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from geng.conf.convert import bitmask, enum, flag, keyval, num, sec, size, string
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import HTTP, SRV
from geng.core.zone import Zone
from geng.errors import ConfigError, Refused
from geng.http import tls
from geng.http.conf import CoreSrv
from geng.http.module import Module
from geng.http.script import compile_value, count_variables
from geng.http.servertls import ServerTls
from geng.modules.http.ssl_variables import VARIABLES
from geng.modules.http.upstream import resolver_of
from geng.net import tls as net
from geng.net.address import BadAddress, parse_url
from geng.tls import ocsp, sessions
from geng.tls.certificates import ask_for_certificate
from geng.tls.conf import (
    NO_BUILTIN,
    NONE,
    OFF,
    certificate_cache,
    load_ticket_key,
    need_library,
    password_file,
    read_ocsp_cache,
    read_session_cache,
    runtime_cache,
)
from geng.tls.context import (
    BUFFER_SIZE,
    DEFAULT_PROTOCOLS,
    PROTOCOLS,
    SESS_CACHE_NO_AUTO_CLEAR,
    SESS_CACHE_NO_INTERNAL,
    SESS_CACHE_NO_INTERNAL_STORE,
    SESS_CACHE_OFF,
    SESS_CACHE_SERVER,
    Context,
)
from geng.tls.loading import Objects, RuntimeCache
from geng.tls.servername import listen_to_clients
from geng.tls.stapling import Staple, staple
from geng.tls.verification import VERIFY_ON, VERIFY_OPTIONAL, VERIFY_OPTIONAL_NO_CA

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

HS = HTTP | SRV

VERIFY = {"off": 0, "on": VERIFY_ON, "optional": VERIFY_OPTIONAL, "optional_no_ca": VERIFY_OPTIONAL_NO_CA}


def objects(cf: Cf) -> Objects:
    """What this configuration has loaded of certificates and keys."""
    found: Objects = cf.cycle.tls_objects
    return found


def open_library() -> None:
    """Find OpenSSL, for connections too; raises ConfigError."""
    need_library()
    net.start()


@dataclass(slots=True)
class Choosers:
    """What a handshake asks: the server of a name, a protocol of those offered (None: it is not asked), certificates
    whose names hold variables."""

    by_name: Callable[[Any, bytes | None], int]
    protocol: Callable[[Any, list[bytes]], bytes | None] | None
    certificate: Callable[[Any], bool]


class SslConf(Conf, level=Level.SERVER):
    """What one server says about TLS. Times in seconds, sizes in bytes."""

    certificates: list[str] | None = directive("ssl_certificate", HS, string, default=None, repeat=True)
    certificate_keys: list[str] | None = directive("ssl_certificate_key", HS, string, default=None, repeat=True)
    certificate_compression: bool = directive("ssl_certificate_compression", HS, flag, default=False)
    ech_files: list[str] | None = directive("ssl_ech_file", HS, string, default=None, repeat=True)
    passwords: list[bytes] | None = directive("ssl_password_file", HS, password_file, default=None)
    certificate_cache: RuntimeCache | None = directive("ssl_certificate_cache", HS, certificate_cache, default=None)
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

    ocsp: int = directive("ssl_ocsp", HS, enum({"off": 0, "on": 1, "leaf": ocsp.LEAF}), default=0)
    ocsp_responder: str = directive("ssl_ocsp_responder", HS, string, default="")
    ocsp_zone: Zone | None = value(None)
    stapling: bool = directive("ssl_stapling", HS, flag, default=False)
    stapling_file: str = directive("ssl_stapling_file", HS, string, default="")
    stapling_responder: str = directive("ssl_stapling_responder", HS, string, default="")
    stapling_verify: bool = directive("ssl_stapling_verify", HS, flag, default=False)
    session_ticket_keys: list[str] | None = directive("ssl_session_ticket_key", HS, string, default=None, repeat=True)
    session_builtin: int = value(NONE)
    session_zone: Zone | None = value(None)

    @command("ssl_ocsp_cache", HS)
    def set_ocsp_cache(self, cf: Cf) -> None:
        """`ssl_ocsp_cache off | shared:name:size`"""
        if self.ocsp_zone is not UNSET:
            raise Refused("is duplicate")
        self.ocsp_zone = read_ocsp_cache(cf, f"{self.tag}_ocsp")

    @command("ssl_session_cache", HS)
    def set_session_cache(self, cf: Cf) -> None:
        """`ssl_session_cache off | none | [builtin[:size]] [shared:name:size]`"""
        found = read_session_cache(cf, self.tag)
        if found.zone is not None:
            self.session_zone = found.zone
        if found.builtin is not None and (found.builtin != NO_BUILTIN or self.session_builtin is UNSET):
            self.session_builtin = found.builtin

    tag = "http_ssl"
    session_context = b"HTTP"

    def check(self, cf: Cf) -> None:
        srv = cf[CoreSrv]
        srv.tls = ServerTls(None, self.reject_handshake, self.verify, self.buffer_size, bool(self.certificates))
        of_names = partial(tls.choose_certificate, srv=srv)
        self.make_context(cf, srv.tls, Choosers(tls.choose_by_name, tls.choose_protocol, of_names))

    def make_context(self, cf: Cf, made: ServerTls, choose: Choosers) -> None:
        """Make the server's context.   nginx: ngx_http_ssl_merge_srv_conf"""
        keys = self.certificate_keys or []
        if self.certificates:
            if len(keys) < len(self.certificates):
                last = self.certificates[-1]
                raise ConfigError(f'no "ssl_certificate_key" is defined for certificate "{last}"')
        elif not self.reject_handshake:
            return
        open_library()
        made.context = context = Context(self.protocols)
        listen_to_clients(context, choose.by_name, choose.protocol)
        context.set_ciphers(self.ciphers, self.prefer_server_ciphers)
        self._certificates(cf, made, context, choose)
        context.buffer_size = self.buffer_size
        self._verify(cf, context)
        self._ocsp(cf, context)
        context.set_dhparam(cf.path(self.dhparam, conf_prefix=True) if self.dhparam else "")
        if self.ech_files:
            cf.log("warn", '"ssl_ech_file" is not supported on this platform, ignored')
        context.set_curves(self.ecdh_curve)
        self._sessions(cf, context)
        if self.stapling:
            self._staple(cf, context)
        if self.early_data:
            context.enable_early_data()
        if self.conf_commands:
            context.run_commands(self.conf_commands, lambda name: cf.path(name, conf_prefix=True))

    def _certificates(self, cf: Cf, made: ServerTls, context: Context, choose: Choosers) -> None:
        """nginx: ngx_http_ssl_compile_certificates"""
        pairs = list(zip(self.certificates or (), self.certificate_keys or (), strict=False))
        if any(count_variables(text) for pair in pairs for text in pair):
            made.values = [(compile_value(cf, name), compile_value(cf, key)) for name, key in pairs]
            made.cache = self.certificate_cache or runtime_cache(cf)
            made.passwords = self.passwords or ()
            ask_for_certificate(context, choose.certificate)
            return
        for name, key in pairs:
            context.add_certificate(objects(cf), name, key, self.passwords)
        if self.certificate_compression:
            context.compress_certificates(lambda message: cf.log("warn", message))

    def _verify(self, cf: Cf, context: Context) -> None:
        if self.verify:
            wanted = self.client_certificate or self.trusted_certificate
            if self.verify != VERIFY_OPTIONAL_NO_CA and not wanted:
                raise ConfigError("no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client")
            context.verify_peer(self.verify_depth)
            if self.client_certificate:
                context.add_client_cas(objects(cf), self.client_certificate)
        context.add_trusted(objects(cf), self.trusted_certificate, self.verify_depth)
        context.add_crl(objects(cf), self.crl)

    def _ocsp(self, cf: Cf, context: Context) -> None:
        """nginx: ngx_ssl_ocsp"""
        if not self.ocsp:
            return
        if self.verify == VERIFY_OPTIONAL_NO_CA:
            raise ConfigError('"ssl_ocsp" is incompatible with "ssl_verify_client optional_no_ca"')
        responder = None
        if self.ocsp_responder:
            text = self.ocsp_responder
            try:
                responder = read_responder(cf, text)
            except BadAddress as bad:
                raise ConfigError(f'{bad} in OCSP responder "{bare(text)}" in "ssl_ocsp_responder"') from None
        context.ocsp = ocsp.ClientStatus(self.ocsp, responder, self.ocsp_zone)

    def _staple(self, cf: Cf, context: Context) -> None:
        """nginx: ngx_ssl_stapling_certificate"""
        if self.certificate_compression:
            raise ConfigError('"ssl_stapling" is incompatible with "ssl_certificate_compression"')

        def warn(message: str) -> None:
            cf.log("warn", message)

        def find(made: Staple) -> ocsp.Responder | None:
            name = made.certificate.name
            text = self.stapling_responder or ocsp.responder_of(made.certificate.chain[0])
            if not text:
                warn(f'"ssl_stapling" ignored, no OCSP responder URL in the certificate "{name}"')
                return None
            try:
                return read_responder(cf, text)
            except BadAddress as bad:
                warn(f'"ssl_stapling" ignored, {bad} in OCSP responder "{bare(text)}" in the certificate "{name}"')
                return None

        file = cf.path(self.stapling_file, conf_prefix=True) if self.stapling_file else ""
        staple(context, file, self.stapling_verify, find, warn)

    def _sessions(self, cf: Cf, context: Context) -> None:
        context.set_session_timeout(self.session_timeout)
        context.set_session_context(self.session_context, self.certificates or ())
        builtin, zone = self.session_builtin, self.session_zone
        if builtin == OFF:
            context.set_session_cache(SESS_CACHE_OFF)
        elif builtin == NONE:
            context.set_session_cache(SESS_CACHE_SERVER | SESS_CACHE_NO_AUTO_CLEAR | SESS_CACHE_NO_INTERNAL_STORE, 1)
        else:
            alone = zone is not None and builtin == NO_BUILTIN
            mode = SESS_CACHE_SERVER | (SESS_CACHE_NO_INTERNAL if alone else 0)
            context.set_session_cache(mode, builtin if builtin >= 0 else None)
            if zone is not None:
                sessions.share(context, zone)
        if not self.session_tickets:
            context.forbid_tickets()
        sessions.use_ticket_keys(context, [load_ticket_key(cf, name) for name in self.session_ticket_keys or ()])


def bare(text: str) -> str:
    """A responder's URL as complaints show it: without what it begins with, if that is right."""
    return text[7:] if text[:7].lower() == "http://" else text


def read_responder(cf: Cf, text: str) -> ocsp.Responder:
    """The responder that a URL names; raises BadAddress."""
    if text[:7].lower() != "http://" or len(text) == 7:
        raise BadAddress("invalid URL prefix")
    return ocsp.responder_at(parse_url(text[7:], 80, uri_part=True, resolve=resolver_of(cf)))


def give_resolver(context: Context | None, resolver: Any, timeout: int) -> None:
    """Tell the responders of one server who resolves their names."""
    if context is None:
        return
    found = [made.responder for made in context.staples.values()]
    if context.ocsp is not None:
        context.ocsp.resolver, context.ocsp.resolver_timeout = resolver, timeout
        found.append(context.ocsp.responder)
    for responder in found:
        if responder is not None:
            responder.resolver, responder.resolver_timeout = resolver, timeout


def finish(cf: Cf) -> None:
    """nginx: ngx_http_ssl_init"""
    for srv in cf.scope.main.servers:
        give_resolver(srv.tls.context, srv.default.resolver, srv.default.resolver_timeout)
    check_listens(cf.scope.main.ports.all())


def check_listens(addresses: Iterable[Any]) -> None:
    """Each of *addresses* with `ssl` must have certificates: http's, or stream's."""
    for address in addresses:
        if not address.ssl or address.default.tls.certificates:
            continue
        without = [address.default]
        if address.default.tls.rejects:
            without = [srv for srv in address.servers if not (srv.tls.certificates or srv.tls.rejects)]
        for srv in without:
            raise ConfigError(f'no "ssl_certificate" is defined for the "listen ... ssl" directive in {srv.file}:{srv.line}')


module = Module(name="http_ssl", confs=(SslConf,), variables=VARIABLES, postconfiguration=finish)
