"""The ssl_ directives of stream{} and mail{}, checked as far as no certificate needs to be loaded.

nginx: ngx_stream_ssl_module.c, ngx_mail_ssl_module.c
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import bitmask, enum, flag, keyval, num, sec, string, to_bytes, with_cf
from geng.conf.directive import UNSET, Level, command, value
from geng.conf.tables import MAIL, MAIL_SRV
from geng.core.log import errno_text
from geng.core.values import BadValue, atoi, parse_size
from geng.core.zone import PAGE
from geng.errors import ConfigError, Invalid, Refused
from geng.http.script import compile_value
from geng.modules.foreign.table import Foreign, many, seconds

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

PROTOCOLS = {name: 1 << i for i, name in enumerate(("SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"))}
LEAST_ZONE = 8 * PAGE
STARTTLS = enum({"off": 0, "on": 1, "only": 2})
VERIFY = {"off": 0, "on": 1, "optional": 2, "optional_no_ca": 3}


def session_cache(tag: str) -> Any:
    """`off`, `none`, `builtin[:number]`, `shared:name:size`"""

    @with_cf
    def convert(cf: Cf, *words: str) -> tuple[str, ...]:
        for word in words:
            _session_cache(cf, word, tag)
        return words

    return convert


def _session_cache(cf: Cf, word: str, tag: str) -> None:
    if word in ("off", "none", "builtin"):
        return
    kind, _, rest = word.partition(":")
    try:
        if kind == "builtin" and rest:
            atoi(rest)
            return
        name, colon, text = rest.partition(":")
        if kind != "shared" or not name or not colon:
            raise BadValue
        size = parse_size(text)
    except BadValue:
        raise Invalid(f'invalid session cache "{word}"') from None
    if size < LEAST_ZONE:
        raise Invalid(f'session cache "{word}" is too small')
    cf.cycle.zones.add(name, size, tag)


@with_cf
def ocsp_cache(cf: Cf, word: str) -> str:
    """`off` or `shared:name:size`"""
    if word == "off":
        return word
    kind, _, rest = word.partition(":")
    name, colon, text = rest.partition(":")
    try:
        if kind != "shared" or not name or not colon:
            raise BadValue
        size = parse_size(text)
    except BadValue:
        raise Invalid(f'invalid OCSP cache "{word}"') from None
    if size < LEAST_ZONE:
        raise Invalid(f'OCSP cache "{word}" is too small')
    cf.cycle.zones.add(name, size, "stream_ssl_ocsp")
    return word


@with_cf
def certificate_cache(cf: Cf, *words: str) -> bool:
    """`off` or `max=N [inactive=time] [valid=time]`; whether there is one."""
    most, there = 0, True
    for word in words:
        name, _, text = word.partition("=")
        try:
            if word == "off":
                there = False
            elif name == "max":
                most = atoi(text)
                if not most:
                    raise BadValue
            elif name not in ("inactive", "valid") or seconds(text) is None:
                raise BadValue
        except BadValue:
            raise Invalid(f'invalid parameter "{word}"') from None
    if there and not most:
        raise Invalid(f'"{cf.node.name}" must have the "max" parameter')
    return there


@with_cf
def password_file(cf: Cf, name: str) -> str:
    """A file that can be read.   nginx: ngx_ssl_read_password_file"""
    full = cf.path(name, conf_prefix=True)
    try:
        file = open(full, "rb")  # noqa: SIM115 - what fails is told apart
    except IsADirectoryError as error:
        raise Invalid(f'read() "{full}" failed{errno_text(error.errno)}') from None
    except OSError as error:
        raise Invalid(f'open() "{full}" failed{errno_text(error.errno)}') from None
    file.close()
    return full


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
