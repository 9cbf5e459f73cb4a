"""`pass`: another listening socket of this server gets the connection.   nginx: ngx_stream_pass_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.directive import UNSET, Conf, Level, command, value
from geng.conf.tables import STREAM_SRV
from geng.errors import Invalid, Refused
from geng.http.script import compile_value
from geng.net import sockaddr as sa
from geng.net.address import Address, BadAddress, parse_url
from geng.stream.conf import StreamServer
from geng.stream.module import ENDED, INTERNAL_SERVER_ERROR, Handler, Module

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.net.listen import Listening
    from geng.stream.session import Session

MOST_PASSES = 10


class StreamPass(Conf, level=Level.SERVER):
    """Where to."""

    address: Address | None = value()
    target: Any = value()  # with variables

    @command("pass", STREAM_SRV)
    def set_pass(self, cf: Cf) -> None:
        """`pass address`"""
        if self.address is not UNSET or self.target is not UNSET:
            raise Refused("is duplicate")
        text = cf.args[0]
        cf[StreamServer].content = link
        made = compile_value(cf, text)
        if made.literal is None:
            self.target = made
            return
        try:
            url = parse_url(text, 0)
        except BadAddress as bad:
            raise Invalid(f'{bad} in "{text}" of the "pass" directive') from None
        if not url.addresses:
            raise Refused("has no addresses")
        if url.no_port and not url.unix:
            raise Refused("has no port")
        self.address = url.addresses[0]


def link(server: StreamServer) -> Handler:
    conf: StreamPass = server[StreamPass]

    def handle(s: Session) -> int:
        s.action = "passing connection to port"
        if s.udp:
            return _refuse(s, "cannot pass udp connection")
        if s.buffer:
            return _refuse(s, "cannot pass connection with preread data")
        address: Address | None = conf.address or None
        if address is None:
            address = _find(s, conf.target.fn(s))
            if address is None:
                return INTERNAL_SERVER_ERROR
        if s.passes >= MOST_PASSES:
            return _refuse(s, "stream pass cycle")
        return _give(s, address)

    return handle


def _refuse(s: Session, message: str) -> int:
    s.log.error(message, ctx=s.c)
    return INTERNAL_SERVER_ERROR


def _find(s: Session, text: bytes) -> Address | None:
    """The address that variables name; None when it is none, which is logged."""
    shown = text.decode("utf-8", "surrogateescape")
    try:
        url = parse_url(shown)
    except BadAddress as bad:
        _refuse(s, f'{bad} in pass "{shown}"')
        return None
    if not url.addresses or (url.no_port and not url.unix):
        _refuse(s, f'no {"port" if url.addresses else "addresses"} in pass "{shown}"')
        return None
    return url.addresses[0]


def _give(s: Session, address: Address) -> int:
    """Hand the connection over; 0: the session has no end of its own."""
    for listening in s.server.main.worker.cycle.listenings:
        if not _listens(listening, address.sockaddr):
            continue
        c: Any = s.c
        s.leave()
        c.listening = listening
        c._local = address.sockaddr
        c.data = (s.passes + 1,)
        c.context = None
        c.hub.call_soon(_handed, c)
        return 0
    s.log.error(f'port not found for "{address.name.decode("utf-8", "surrogateescape")}"', ctx=s.c)
    return ENDED


def _handed(c: Any) -> None:
    """In the hub, as connections come."""
    if not c.closed:
        c.listening.handler(c)


def _listens(listening: Listening, sockaddr: Any) -> bool:
    """Whether *listening* would have got a connection to *sockaddr*."""
    if not listening.listens:
        return False
    own: Any = listening.sockaddr
    if not listening.wildcard:
        return bool(own == sockaddr if not isinstance(own, tuple) else own[:2] == sockaddr[:2])
    return sa.family(own) == sa.family(sockaddr) and own[1] == sockaddr[1]


module = Module(name="stream_pass", confs=(StreamPass,))
