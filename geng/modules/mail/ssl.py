"""TLS of mail's servers, and STARTTLS.   nginx: ngx_mail_ssl_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import enum
from geng.conf.directive import UNSET, Level, command, value
from geng.conf.tables import MAIL, MAIL_SRV
from geng.errors import ConfigError, Refused
from geng.http.servertls import ServerTls
from geng.mail.conf import MailServer
from geng.modules.http.ssl import Choosers, SslConf, objects
from geng.tls.context import Context
from geng.tls.servername import SERVER_NAME_OK

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.net.tls import Tls

STARTTLS = enum({"off": 0, "on": 1, "only": 2})


class MailSsl(SslConf, level=Level.SERVER):
    """What one server says; *place* is where `listen … ssl` or `starttls` stands."""

    tag = "mail_ssl"
    session_context = b"MAIL"
    starttls: int = value(0)

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
        server = cf[MailServer]
        mode = "listen ... ssl" if self.listens else "starttls"
        where = f'the "{mode}" directive in {self.place}'
        if not self.certificates:
            raise ConfigError(f'no "ssl_certificate" is defined for {where}')
        keys = self.certificate_keys or []
        if not keys:
            raise ConfigError(f'no "ssl_certificate_key" is defined for {where}')
        if len(keys) < len(self.certificates):
            last = self.certificates[-1]
            raise ConfigError(f'no "ssl_certificate_key" is defined for certificate "{last}" and {where}')
        server.starttls = self.starttls
        server.tls = made = ServerTls(None, False, self.verify, self.buffer_size, True)
        name = server.protocol.encode()

        def choose_protocol(tls: Tls, offered: list[bytes]) -> bytes | None:
            return name if name in offered else None

        self.make_context(cf, made, Choosers(choose_by_name, choose_protocol, lambda tls: True))

    def _certificates(self, cf: Cf, made: ServerTls, context: Context, choose: Choosers) -> None:
        for name, key in zip(self.certificates or (), self.certificate_keys or (), strict=False):
            context.add_certificate(objects(cf), name, key, self.passwords)
        if self.certificate_compression:
            context.compress_certificates(lambda message: cf.log("warn", message))

    def _verify(self, cf: Cf, context: Context) -> None:
        if self.verify:
            super()._verify(cf, context)


def choose_by_name(tls: Tls, name: bytes | None) -> int:
    """Whatever a client calls the server, it is this one."""
    tls.accepted = True
    return SERVER_NAME_OK


def listens_ssl(cf: Cf) -> None:
    """A `listen … ssl` has been read."""
    conf = cf[MailSsl]
    conf.listens, conf.place = True, f"{cf.file}:{cf.line}"
