"""`mail { … }`, read and checked as nginx does; nothing of it runs yet.   nginx: ngx_mail.c (ngx_mail_block)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geng.conf.compiler import fresh
from geng.conf.directive import Conf, Level, command
from geng.conf.tables import MAIL, MAIN
from geng.errors import Invalid, Refused
from geng.modules.foreign.table import Foreign

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.modules.foreign.mail.core import MailMain


@dataclass
class MailScope:
    """What directives inside mail{} see as `cf.scope`; there are no variables."""

    classes: list[type[Conf]]


class MailBlock(Foreign, level=Level.MAIN):
    """The place of mail in the main configuration."""

    def __init__(self) -> None:
        super().__init__()
        self.main: MailMain | None = None

    @command("mail", MAIN, block=True)
    def mail(self, cf: Cf) -> None:
        """`mail { … }`"""
        if self.main is not None:
            raise Refused("is duplicate")
        self.main = _read(cf)


def _read(cf: Cf) -> MailMain:
    from geng.modules.foreign.borrowed import registry_of
    from geng.modules.foreign.mail.core import PARTS, MailMain

    classes = [cls for _, found in PARTS for cls in found]
    outer = cf.scope, cf.registry, cf.confs
    cf.scope, cf.registry = MailScope(classes), registry_of(PARTS)
    confs = fresh(classes)
    try:
        cf.walk(cf.node.block or [], MAIL, confs)
        main = confs[MailMain]
        for cls in classes:
            for server in main.servers if cls.level is not Level.MAIN else ():
                cf.confs = server.confs
                mine: Any = server.confs[cls]
                mine.merge(cf, confs[cls])
                mine.resolve(cf)
        return main
    except Refused as refused:
        raise cf.error(f'"{cf.node.name}" directive {refused}') from None
    except Invalid as invalid:
        raise cf.error(str(invalid)) from None
    finally:
        cf.scope, cf.registry, cf.confs = outer
