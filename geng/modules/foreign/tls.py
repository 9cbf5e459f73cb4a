"""The ssl_ directives of stream{} and mail{}, checked as far as no certificate needs to be loaded.

nginx: ngx_stream_ssl_module.c, ngx_mail_ssl_module.c
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import bitmask, enum, flag, keyval, num, sec, string, to_bytes, with_cf
from geng.conf.directive import UNSET, Level, command, value
from geng.conf.tables import MAIL, MAIL_SRV
from geng.core.zone import Zone
from geng.errors import ConfigError, Refused
from geng.http.script import compile_value
from geng.modules.foreign.table import Foreign, many
from geng.tls.conf import SessionCache, certificate_cache, password_file, read_ocsp_cache, read_session_cache
from geng.tls.context import PROTOCOLS

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


@with_cf
def ocsp_cache(cf: Cf, word: str) -> Zone | None:
    """`off` or `shared:name:size`"""
    return read_ocsp_cache(cf, "stream_ssl_ocsp")


def server_alpn(*words: str) -> tuple[str, ...]:
    """Names of protocols."""
    if any(len(to_bytes(word)) > 255 for word in words):
        raise Refused("protocol too long")
    return words


#: what stream and mail have alike
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


class StreamSsl(
    ServerTls,
    level=Level.SERVER,
    module="stream_ssl",
    rules={
        **COMMON,
        "ssl_handshake_timeout": sec,
        "ssl_certificate_cache": certificate_cache,
        "ssl_ech_file": many(string),
        "ssl_session_cache": many(session_cache("stream_ssl")),
        "ssl_ocsp": enum({"off": 0, "on": 1, "leaf": 2}),
        "ssl_ocsp_responder": string,
        "ssl_ocsp_cache": ocsp_cache,
        "ssl_stapling": flag,
        "ssl_stapling_file": string,
        "ssl_stapling_responder": string,
        "ssl_stapling_verify": flag,
        "ssl_reject_handshake": flag,
        "ssl_alpn": server_alpn,
    },
):
    """What one server of stream{} says about TLS."""

    def check(self, cf: Cf) -> None:
        """nginx: ngx_stream_ssl_merge_srv_conf"""
        if self.certificates:
            if len(self.keys) < len(self.certificates):
                raise ConfigError(f'no "ssl_certificate_key" is defined for certificate "{self.certificates[-1]}"')
        elif not self.rejects:
            return
        for text in (*self.certificates, *self.keys):
            compile_value(cf, text)
        self.check_verify()
        if self.ssl_ocsp and self.ssl_verify_client == VERIFY["optional_no_ca"]:
            raise ConfigError('"ssl_ocsp" is incompatible with "ssl_verify_client optional_no_ca"')
        if self.ssl_stapling is True and self.ssl_certificate_compression is True:
            raise ConfigError('"ssl_stapling" is incompatible with "ssl_certificate_compression"')

    ssl_ocsp: Any
    ssl_stapling: Any
    ssl_certificate_compression: Any
    ssl_reject_handshake: Any

    @property
    def rejects(self) -> bool:
        return self.ssl_reject_handshake is True


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
        self.check_verify()
