"""`mirror`: every request is made to other URIs as well, whose answers nobody sees.   nginx: ngx_http_mirror_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.convert import flag, to_bytes
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import HSL
from geng.errors import Refused
from geng.http import subrequest
from geng.http.module import DECLINED, OK, Handler, Module, Phase

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.request import Request


class MirrorConf(Conf, level=Level.LOCATION):
    """Where a location's requests go as well; None: `mirror off`."""

    uris: tuple[bytes, ...] | None = value(None)
    request_body: bool = directive("mirror_request_body", HSL, flag, default=True)

    @command("mirror", HSL)
    def add(self, cf: Cf) -> None:
        """`mirror uri | off`"""
        word = cf.args[0]
        if word == "off":
            if self.uris is not UNSET:
                raise Refused("is duplicate")
            self.uris = None
            return
        if self.uris is None:
            raise Refused("is duplicate")
        self.uris = (*(self.uris or ()), to_bytes(word))


def link(loc: CoreLoc) -> Handler | None:
    """What sends a location's requests to its mirrors."""
    conf = loc[MirrorConf]
    uris = conf.uris
    if not uris:
        return None
    with_body = conf.request_body

    def mirror(r: Request) -> int:
        if r.main is not r:
            return DECLINED
        if with_body:
            rc = r.read_body()
            if rc != OK:
                return rc
            r.preserve_body = True
        for uri in uris:
            try:
                sub = subrequest.make(r, uri, r.args, background=True)
            except subrequest.SubrequestsCycle:
                return 500
            sub.header_only = True
            sub.set_method(r.method)
            subrequest.start_background(sub)
        return DECLINED

    return mirror


module = Module(name="http_mirror", confs=(MirrorConf,), handlers={Phase.PRECONTENT: link})
