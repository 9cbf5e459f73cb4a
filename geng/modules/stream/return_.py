"""`return`: a text, and the session is over.   nginx: ngx_stream_return_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import complex_value
from geng.conf.directive import UNSET, Conf, Level, command, value
from geng.conf.tables import STREAM_SRV
from geng.errors import Refused, TimedOut
from geng.stream.conf import StreamServer
from geng.stream.module import ENDED, INTERNAL_SERVER_ERROR, Handler, Module

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.stream.session import Session

PATIENCE = 5000  # ms for each wait of a client that does not read
ETIMEDOUT = 110


class StreamReturn(Conf, level=Level.SERVER):
    """The text."""

    text: Any = value()

    @command("return", STREAM_SRV)
    def set_text(self, cf: Cf) -> None:
        """`return value`"""
        if self.text is not UNSET:
            raise Refused("is duplicate")
        self.text = complex_value(cf, cf.args[0])
        cf[StreamServer].content = link


def link(server: StreamServer) -> Handler:
    text = server[StreamReturn].text.fn

    def handle(s: Session) -> int:
        s.action = "returning text"
        made = text(s)
        if not made:
            return ENDED
        try:
            if s.udp:
                return ENDED if s.c.try_send((made,)) >= 0 else INTERNAL_SERVER_ERROR
            s.c.send((made,), PATIENCE)
        except TimedOut:
            s.log.info("connection timed out", err=ETIMEDOUT, ctx=s.c)
        return ENDED

    return handle


module = Module(name="stream_return", confs=(StreamReturn,))
