"""`events { … }`: how many connections a worker has and how it takes new ones.

nginx: ngx_event.c
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from geng.conf.convert import flag, msec, num, to_bytes
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import EVENTS, MAIN
from geng.core.cidr import BadCidr, Cidr
from geng.errors import Invalid, Refused

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

METHODS = ("epoll",)
"""What `use` may name on Linux, as in nginx where it is built without further modules."""


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

    connections: int = value(512)
    multi_accept: bool = directive("multi_accept", EVENTS, flag, default=False)
    accept_mutex: bool = directive("accept_mutex", EVENTS, flag, default=False)
    accept_mutex_delay: int = directive("accept_mutex_delay", EVENTS, msec, default=500)
    epoll_events: int = directive("epoll_events", EVENTS, num, default=512)  # the loop finds its own measure
    aio_requests: int = directive("worker_aio_requests", EVENTS, num, default=32)  # of `aio on`, which Linux has not
    use: str = value("epoll")
    debug_connection: list[Cidr] = value(())

    @command("worker_connections", EVENTS)
    def set_connections(self, cf: Cf) -> None:
        """`worker_connections number`"""
        if self.connections is not UNSET:
            raise Refused("is duplicate")
        try:
            self.connections = num(cf.args[0])
        except Refused:
            raise Invalid(f'invalid number "{cf.args[0]}"') from None

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
        """`debug_connection address | CIDR | hostname | unix:`"""
        word = cf.args[0]
        found = [] if self.debug_connection is UNSET else self.debug_connection
        try:
            cidr = Cidr(word)
        except BadCidr:
            self.debug_connection = [*found, *_resolved(word)]
            return
        if cidr.loose:
            cf.warn(f"low address bits of {word} are meaningless")
        self.debug_connection = [*found, cidr]


def _resolved(host: str) -> list[Cidr]:
    """A network for each address of *host*; raises Invalid."""
    try:
        addresses = socket.getaddrinfo(to_bytes(host), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Invalid(f'host not found in debug_connection "{host}"') from None
    return [Cidr(str(address[4][0])) for address in addresses]
