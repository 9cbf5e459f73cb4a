"""`mail { … }` from the first word to what serves.   nginx: ngx_mail.c (ngx_mail_block)"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geng.conf.compiler import fresh
from geng.conf.directive import Conf, Level, command
from geng.conf.tables import MAIL, MAIN
from geng.errors import Refused

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.mail.conf import MailMain
    from geng.net.listen import Listening


@dataclass
class MailScope:
    """What directives inside mail{} see as `cf.scope`; there are no variables. *listens_ssl*: hears of `listen … ssl`."""

    classes: list[type[Conf]]
    listens_ssl: Callable[[Any], None]


class Mail:
    """A linked mail block: what the cycle and the workers need of it."""

    def __init__(self, main: MailMain, listenings: list[Listening]) -> None:
        self.main = main
        self.listenings = listenings

    def __repr__(self) -> str:
        return f"<Mail {len(self.main.servers)} servers, {len(self.listenings)} listenings>"

    def start_worker(self, worker: Any) -> None:
        """In a worker, before it accepts."""
        self.main.worker = worker


class MailBlock(Conf, level=Level.MAIN):
    """The place of mail in the main configuration."""

    @command("mail", MAIN, block=True)
    def mail(self, cf: Cf) -> None:
        """`mail { … }`"""
        if cf.cycle.mail is not None:
            raise Refused("is duplicate")
        cf.cycle.mail = read(cf)


def read(cf: Cf) -> Mail:
    """Read the block that *cf* stands at."""
    from geng.mail.conf import MailMain
    from geng.mail.session import accepted
    from geng.modules.mail import PARTS, listens_ssl, registry

    classes = [cls for _, found in PARTS for cls in found]
    confs = fresh(classes)
    main: MailMain = confs[MailMain]
    with cf.inside(MailScope(classes, listens_ssl), registry()):
        cf.walk(cf.node.block or [], MAIL, confs)
        for cls in classes:
            if cls.level is not Level.MAIN:
                main.merge_servers(cf, cls, confs)
    return Mail(main, main.ports.listenings(accepted))
