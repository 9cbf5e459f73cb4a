"""What requests read of a location again and again, in typed fields: a CoreLoc's attributes cost a search each.

Filled once, when the location is linked; `r.hot` is the one that belongs to `r.loc` (geng.http.phases.use_location).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc


class Linked:
    """A location as the request path sees it. Times in ms, sizes in bytes; names as in CoreLoc."""

    __slots__ = (
        "absolute_redirect", "chunked_transfer_encoding", "client_max_body_size", "content_handler", "dated", "dated_at",
        "default", "default_type", "early_read", "gzip_vary",
        "handlers", "internal", "keepalive_disable", "keepalive_header", "keepalive_min_timeout", "keepalive_requests",
        "keepalive_time", "keepalive_timeout", "limit_except", "limit_rate", "lingering_close", "loc", "log",
        "log_handlers", "post_action", "post_read", "postpone_output", "rewrite", "search", "send_head", "send_timeout",
        "server_line", "server_rewrite", "srv", "steps", "types",
    )  # fmt: skip

    def __init__(self, loc: CoreLoc) -> None:
        self.loc = loc
        self.srv = loc.srv
        self.log = loc.log
        self.internal = loc.internal
        self.limit_except = loc.limit_except
        self.client_max_body_size = loc.client_max_body_size
        self.keepalive_timeout = loc.keepalive_timeout
        self.keepalive_min_timeout = loc.keepalive_min_timeout
        self.keepalive_requests = loc.keepalive_requests
        self.keepalive_time = loc.keepalive_time
        self.keepalive_disable = loc.keepalive_disable
        self.keepalive_header = loc.keepalive_header
        self.lingering_close = loc.lingering_close
        self.chunked_transfer_encoding = loc.chunked_transfer_encoding
        self.absolute_redirect = loc.absolute_redirect
        self.gzip_vary = loc.gzip_vary
        self.postpone_output = loc.postpone_output
        self.send_timeout = loc.send_timeout
        self.limit_rate: Any = loc.limit_rate
        self.post_action = bool(loc.post_action)
        self.server_line = loc.server_line
        self.dated = b""  # Server and Date lines of the second dated_at
        self.dated_at = 0
        self.rewrite = loc.rewrite
        self.post_read = loc.srv.post_read
        self.early_read: Any = loc.srv.client_body_early_read
        self.server_rewrite = loc.srv.rewrite
        self.default = loc.srv.default
        self.search = loc.srv.default.search  # of the server's locations
        self.steps = loc.steps
        self.types = loc.types
        self.default_type = loc.default_type_bytes
        self.handlers = loc.handlers
        self.content_handler = loc.content_handler
        self.log_handlers = loc.log_handlers
        self.send_head: Any = loc.send_head

    def __repr__(self) -> str:
        return f"<Linked {self.loc!r}>"
