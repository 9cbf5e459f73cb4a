"""The modules of mail{}, in the order in which nginx merges their confs (auto/modules)."""

from __future__ import annotations

from geng.conf.compiler import Registry
from geng.mail.conf import MailMain, MailServer
from geng.modules.foreign.borrowed import Part, registry_of
from geng.modules.mail.auth_http import MailAuth
from geng.modules.mail.imap import MailImap
from geng.modules.mail.pop3 import MailPop3
from geng.modules.mail.proxy import MailProxy
from geng.modules.mail.realip import MailRealIp
from geng.modules.mail.smtp import MailSmtp
from geng.modules.mail.ssl import MailSsl
from geng.modules.mail.ssl import listens_ssl as listens_ssl

PARTS: tuple[Part, ...] = (
    ("mail_core", (MailMain, MailServer)),
    ("mail_ssl", (MailSsl,)),
    ("mail_pop3", (MailPop3,)),
    ("mail_imap", (MailImap,)),
    ("mail_smtp", (MailSmtp,)),
    ("mail_auth_http", (MailAuth,)),
    ("mail_proxy", (MailProxy,)),
    ("mail_realip", (MailRealIp,)),
)


def registry() -> Registry:
    """The command table."""
    return registry_of(PARTS)
