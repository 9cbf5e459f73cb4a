"""`allow` and `deny`.   nginx: ngx_stream_access_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.modules.http.access import AccessConf, judge
from geng.stream.module import DECLINED, FORBIDDEN, OK, Handler, Module, Phase

if TYPE_CHECKING:
    from geng.stream.conf import StreamServer
    from geng.stream.session import Session


def link(server: StreamServer) -> Handler | None:
    """The check of one server; nothing where it has no rules."""
    conf: AccessConf = server[AccessConf]
    if not conf.rules:
        return None
    denied = judge(conf.rules)

    def check(s: Session) -> int:
        verdict = denied(s.c.addr_text)
        if verdict is None:
            return DECLINED
        if not verdict:
            return OK
        s.log.error("access forbidden by rule", ctx=s.c)
        return FORBIDDEN

    return check


module = Module(name="stream_access", confs=(AccessConf,), handlers={Phase.ACCESS: link})
