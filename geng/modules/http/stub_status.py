"""`stub_status`: how many connections there are, and what they do.   nginx: ngx_http_stub_status_module.c"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from geng.conf.directive import Conf, Level, command
from geng.conf.tables import LOC, SRV
from geng.hot.connection import WAITING
from geng.hot.http1 import GET, HEAD
from geng.http.conf import CoreLoc
from geng.http.module import NOCACHEABLE, OK, Handler, Module, Variable
from geng.net.connection import ACCEPTED, ACTIVE, HANDLED, READING, REQUESTS, WRITING

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.request import Request

PAGE = b"Active connections: %d \nserver accepts handled requests\n %d %d %d \nReading: %d Writing: %d Waiting: %d \n"
SHOWN = (ACTIVE, ACCEPTED, HANDLED, REQUESTS, READING, WRITING, WAITING)


class StubStatusConf(Conf, level=Level.LOCATION):
    """Nothing but the directive."""

    @command("stub_status", SRV | LOC)
    def stub_status(self, cf: Cf) -> None:
        """`stub_status`; an argument is old spelling and means nothing"""
        cf[CoreLoc].content = link


def link(loc: CoreLoc) -> Handler:
    return show


def show(r: Request) -> int:
    """The counters of all workers."""
    if not r.method_id & (GET | HEAD):
        return 405
    rc = r.discard_body()
    if rc != OK:
        return rc
    return r.respond(200, PAGE % tuple(total(r, number) for number in SHOWN), b"text/plain")


def total(r: Request, number: int) -> int:
    """One counter, summed over the workers."""
    return sum(row[number] for row in r.loc.main.worker.stats)


def _counter(number: int) -> Callable[[Request], bytes]:
    return lambda r: b"%d" % total(r, number)


module = Module(
    name="http_stub_status",
    configure_flag="--with-http_stub_status_module",
    confs=(StubStatusConf,),
    variables=(
        Variable("connections_active", _counter(ACTIVE), NOCACHEABLE),
        Variable("connections_reading", _counter(READING), NOCACHEABLE),
        Variable("connections_writing", _counter(WRITING), NOCACHEABLE),
        Variable("connections_waiting", _counter(WAITING), NOCACHEABLE),
    ),
)
