"""`events { … }`: how many connections a worker has and how it takes new ones.

nginx: ngx_event.c
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from geng.conf.convert import flag, msec, num
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import EVENTS, MAIN
from geng.errors import Invalid, Refused

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

METHODS = ("epoll", "poll", "select")
"""What `use` may name here: the loop behind gevent has these."""


class EventsBlock(Conf, level=Level.MAIN):
    """The block itself."""

    seen: bool = value(False)

    @command("events", MAIN, block=True)
    def events(self, cf: Cf) -> None:
        """`events { … }`"""
        if self.seen:
            raise Refused("is duplicate")
        self.seen = True
        cf.walk(cf.node.block or [], EVENTS, cf.confs)


class EventsConf(Conf, level=Level.MAIN):
    """What stands in the block; times in ms."""

    connections: int = directive("worker_connections", EVENTS, num, default=512)
    multi_accept: bool = directive("multi_accept", EVENTS, flag, default=False)
    accept_mutex: bool = directive("accept_mutex", EVENTS, flag, default=False)
    accept_mutex_delay: int = directive("accept_mutex_delay", EVENTS, msec, default=500)
    use: str = value("epoll")
    debug_connection: list[str] = value(())

    @command("use", EVENTS)
    def set_use(self, cf: Cf) -> None:
        """`use method`"""
        if self.use is not UNSET:
            raise Refused("is duplicate")
        name = cf.args[0]
        if name not in METHODS:
            raise Invalid(f'invalid event type "{name}"')
        self.use = name

    @command("debug_connection", EVENTS)
    def add_debug_connection(self, cf: Cf) -> None:
        """`debug_connection address | CIDR | unix:`: nginx has it in debugging builds only, and says so otherwise."""
        word = cf.args[0]
        if word != "unix:":
            try:
                ipaddress.ip_network(word, strict=False)
            except ValueError:
                pass
        cf.warn('"debug_connection" is ignored, you need to rebuild nginx using --with-debug option to enable it')
