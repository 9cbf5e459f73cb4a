"""The ssl_ directives of mail{}, checked as far as no certificate needs to be loaded.   nginx: ngx_mail_ssl_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import bitmask, enum, flag, keyval, num, sec, string, with_cf
from geng.conf.directive import UNSET, Level, command, value
from geng.conf.tables import MAIL, MAIL_SRV
from geng.errors import ConfigError, Refused
from geng.modules.foreign.table import Foreign, many
from geng.tls.conf import SessionCache, load_ticket_key, need_library, password_file, read_session_cache
from geng.tls.context import DEFAULT_PROTOCOLS, PROTOCOLS, Context

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

STARTTLS = enum({"off": 0, "on": 1, "only": 2})
VERIFY = {"off": 0, "on": 1, "optional": 2, "optional_no_ca": 3}


def session_cache(tag: str) -> Any:
    """`off`, `none`, `builtin[:number]`, `shared:name:size`"""

    @with_cf
    def convert(cf: Cf, *words: str) -> SessionCache:
        return read_session_cache(cf, tag)

    return convert


COMMON: dict[str, Any] = {
    "ssl_certificate": many(string),
    "ssl_certificate_key": many(string),
    "ssl_password_file": password_file,
    "ssl_certificate_compression": flag,
    "ssl_dhparam": string,
    "ssl_ecdh_curve": string,
    "ssl_protocols": bitmask(PROTOCOLS),
    "ssl_ciphers": string,
    "ssl_verify_client": enum(VERIFY),
    "ssl_verify_depth": num,
    "ssl_client_certificate": string,
    "ssl_trusted_certificate": string,
    "ssl_prefer_server_ciphers": flag,
    "ssl_session_tickets": flag,
    "ssl_session_ticket_key": many(string),
    "ssl_session_timeout": sec,
    "ssl_crl": string,
    "ssl_conf_command": many(keyval),
}


class ServerTls(Foreign, level=Level.SERVER):
    """What both check of their values."""

    ssl_certificate: Any
    ssl_certificate_key: Any
    ssl_verify_client: Any
    ssl_client_certificate: Any
    ssl_trusted_certificate: Any

    @property
    def certificates(self) -> list[str]:
        return self.ssl_certificate or []

    @property
    def keys(self) -> list[str]:
        return self.ssl_certificate_key or []

    def check_verify(self) -> None:
        """A client's certificate needs somebody to vouch for it."""
        if self.ssl_verify_client in (1, 2) and not self.ssl_client_certificate and not self.ssl_trusted_certificate:
            raise ConfigError("no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client")


class MailSsl(
    ServerTls,
    level=Level.SERVER,
    module="mail_ssl",
    rules={**COMMON, "ssl_session_cache": many(session_cache("mail_ssl"))},
):
    """What one server of mail{} says about TLS; *place* is where `listen … ssl` or `starttls` stands."""

    starttls: Any = value(0)

    def __init__(self) -> None:
        super().__init__()
        self.listens = False
        self.place = ""

    @command("starttls", MAIL | MAIL_SRV)
    def set_starttls(self, cf: Cf) -> None:
        """`starttls on | off | only`"""
        if self.starttls is not UNSET:
            raise Refused("is duplicate")
        self.starttls = STARTTLS(cf.args[0])
        if not self.listens:
            self.place = f"{cf.file}:{cf.line}"

    def merge(self, cf: Cf, parent: Any) -> None:
        super().merge(cf, parent)
        self.place = self.place or parent.place

    def check(self, cf: Cf) -> None:
        """nginx: ngx_mail_ssl_merge_conf"""
        if not self.listens and not self.starttls:
            return
        mode = "listen ... ssl" if self.listens else "starttls"
        where = f'the "{mode}" directive in {self.place}'
        if not self.certificates:
            raise ConfigError(f'no "ssl_certificate" is defined for {where}')
        if not self.keys:
            raise ConfigError(f'no "ssl_certificate_key" is defined for {where}')
        if len(self.keys) < len(self.certificates):
            last = self.certificates[-1]
            raise ConfigError(f'no "ssl_certificate_key" is defined for certificate "{last}" and {where}')
        self._try(cf)

    def _try(self, cf: Cf) -> None:
        """Make a context, to see whether one can be made; nobody uses it yet."""
        need_library()
        found: Any = self
        context = Context(found.ssl_protocols or DEFAULT_PROTOCOLS)
        context.set_ciphers(found.ssl_ciphers or "HIGH:!aNULL:!MD5", found.ssl_prefer_server_ciphers is True)
        for name, key in zip(self.certificates, self.keys, strict=False):
            context.add_certificate(cf.cycle.tls_objects, name, key, found.ssl_password_file or None)
        self.check_verify()
        if self.ssl_verify_client:
            depth = 1 if found.ssl_verify_depth is UNSET else found.ssl_verify_depth
            context.verify_peer(depth)
            if self.ssl_client_certificate:
                context.add_client_cas(cf.cycle.tls_objects, self.ssl_client_certificate)
            context.add_trusted(cf.cycle.tls_objects, self.ssl_trusted_certificate or "", depth)
            context.add_crl(cf.cycle.tls_objects, found.ssl_crl or "")
        context.set_dhparam(cf.path(found.ssl_dhparam, conf_prefix=True) if found.ssl_dhparam else "")
        context.set_curves(found.ssl_ecdh_curve or "auto")
        for name in found.ssl_session_ticket_key or ():
            load_ticket_key(cf, name)
        if found.ssl_conf_command:
            context.run_commands(found.ssl_conf_command, lambda name: cf.path(name, conf_prefix=True))
