"""SCGI toward an application.   nginx: ngx_http_scgi_module.c (ngx_http_scgi_create_request)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from geng.upstream.cgi import CgiAdapter
from geng.upstream.engine import Exchange
from geng.wire import scgi


class ScgiAdapter(CgiAdapter):
    """One location's way to its SCGI application."""

    def create_request(self, u: Exchange) -> Sequence[Any]:
        r = u.r
        length = r.body.length if r.chunked_body and r.body is not None else max(r.content_length_n, 0)
        return self.with_body(u, scgi.request(length, self.make_params(u)))
