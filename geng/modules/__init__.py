"""What the main level of a configuration knows, in nginx's order. The HTTP modules are in geng.modules.http."""

from __future__ import annotations

from geng.conf.directive import Conf
from geng.modules.core import CoreConf
from geng.modules.events import EventsBlock, EventsConf
from geng.modules.openssl import OpensslConf
from geng.modules.quic import QuicBpfConf
from geng.modules.threads import ThreadPools


def main_confs() -> list[type[Conf]]:
    """The conf classes of the main level; http, stream and mail are only loaded when a configuration is read."""
    from geng.http.block import HttpBlock
    from geng.mail.block import MailBlock
    from geng.modules import foreign
    from geng.stream.block import StreamBlock

    own = [CoreConf, ThreadPools, EventsBlock, EventsConf, OpensslConf, QuicBpfConf]
    return [*own, HttpBlock, *foreign.MAIN_CONFS, StreamBlock, MailBlock]
