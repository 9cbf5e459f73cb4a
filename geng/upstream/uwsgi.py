"""uwsgi toward an application.   nginx: ngx_http_uwsgi_module.c (ngx_http_uwsgi_eval, …create_request)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_bytes
from geng.upstream.cgi import CgiAdapter
from geng.upstream.engine import Exchange
from geng.wire import uwsgi

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.script import Value
    from geng.upstream.conf import UpstreamConf
    from geng.upstream.params import Params

SCHEMA = "uwsgi://"
SECURE = "suwsgi://"


class UwsgiAdapter(CgiAdapter):
    """One location's way to its uwsgi application. *string*: what uwsgi_string adds behind the variables."""

    def __init__(
        self, loc: CoreLoc, conf: UpstreamConf, params: tuple[Params, Params], target: Value | None,
        modifiers: tuple[int, int], string: bytes,
    ) -> None:  # fmt: skip
        CgiAdapter.__init__(self, loc, conf, b"uwsgi://", params, target)
        self.modifier1, self.modifier2 = modifiers
        self.string = string

    def aim_at(self, u: Exchange, text: str) -> int:
        """nginx: ngx_http_uwsgi_eval"""
        for schema in (SECURE, SCHEMA):
            if text[: len(schema)].lower() == schema and len(text) > len(schema):
                u.schema = to_bytes(text[: len(schema)])
                u.tls = self.conf.tls if schema is SECURE else None
                return CgiAdapter.aim_at(self, u, text[len(schema) :])
        return CgiAdapter.aim_at(self, u, text)

    def create_request(self, u: Exchange) -> Sequence[Any]:
        content = self.make_params(u) + self.string
        if len(content) > uwsgi.MOST_CONTENT:
            u.r.log.alert(f"uwsgi request is too big: {len(content)}", ctx=u.r.c)
            return ()
        return self.with_body(u, uwsgi.packet(self.modifier1, self.modifier2, content))
