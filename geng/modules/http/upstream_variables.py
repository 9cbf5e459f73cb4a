"""$upstream_addr, $upstream_status and their like: what the tries at upstreams came to, in order.

nginx: ngx_http_upstream.c (ngx_http_upstream_vars)

Tries of one exchange are parted by ", ", exchanges (an internal redirect, say) by " : ".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from geng.http.module import NOCACHEABLE, PREFIX, Getter, Module, Variable
from geng.upstream import caching
from geng.upstream.state import UpstreamState
from geng.wire.http1 import find_set_cookie

if TYPE_CHECKING:
    from geng.http.request import Request


def over_states(show: Callable[[UpstreamState], bytes]) -> Getter:
    """A variable that shows something of each try."""

    def get(r: Request) -> bytes | None:
        states = r.upstream_states
        if not states:
            return None
        if len(states) == 1:
            return show(states[0])
        out = [show(states[0])]
        between = b", "
        for state in states[1:]:
            if state.peer is None:  # stands between two exchanges and is not shown itself
                out.append(b" : ")
                between = b""
                continue
            out += (between, show(state))
            between = b", "
        return b"".join(out)

    return get


def milliseconds(ms: int) -> bytes:
    return b"-" if ms < 0 else b"%d.%03d" % divmod(ms, 1000)


def shown_addr(state: UpstreamState) -> bytes:
    return state.peer or b""


def shown_status(state: UpstreamState) -> bytes:
    return b"%d" % state.status if state.status else b"-"


def http(name: str) -> Getter:
    """$upstream_http_name: a line of the upstream's head."""
    sought = name[len("upstream_http_") :].encode()

    def get(r: Request) -> bytes | None:
        u = r.upstream
        return None if u is None or u.head is None else u.head.variable(sought)

    return get


def trailer(name: str) -> Getter:
    """$upstream_trailer_name: a line behind a chunked body."""
    sought = name[len("upstream_trailer_") :].encode()

    def get(r: Request) -> bytes | None:
        u = r.upstream
        if u is None:
            return None
        found = [value for key, value in u.trailers if key.lower().replace(b"-", b"_") == sought]
        return b", ".join(found) if found else None

    return get


def cookie(name: str) -> Getter:
    """$upstream_cookie_name: what a Set-Cookie gave."""
    sought = name[len("upstream_cookie_") :].encode()

    def get(r: Request) -> bytes | None:
        u = r.upstream
        return None if u is None or u.head is None else find_set_cookie(u.head.getall(b"set-cookie"), sought)

    return get


module = Module(
    name="http_upstream_variables",
    variables=(
        Variable("upstream_addr", over_states(shown_addr), NOCACHEABLE),
        Variable("upstream_status", over_states(shown_status), NOCACHEABLE),
        Variable("upstream_connect_time", over_states(lambda s: milliseconds(s.connect_time)), NOCACHEABLE),
        Variable("upstream_header_time", over_states(lambda s: milliseconds(s.header_time)), NOCACHEABLE),
        Variable("upstream_response_time", over_states(lambda s: milliseconds(s.response_time)), NOCACHEABLE),
        Variable("upstream_response_length", over_states(lambda s: b"%d" % s.response_length), NOCACHEABLE),
        Variable("upstream_bytes_received", over_states(lambda s: b"%d" % s.bytes_received), NOCACHEABLE),
        Variable("upstream_bytes_sent", over_states(lambda s: b"%d" % s.bytes_sent), NOCACHEABLE),
        Variable("upstream_cache_status", caching.status_of, NOCACHEABLE),
        Variable("upstream_cache_last_modified", caching.last_modified_of, NOCACHEABLE),
        Variable("upstream_cache_etag", caching.etag_of, NOCACHEABLE),
        Variable("upstream_http_", flags=NOCACHEABLE | PREFIX, prefix_get=http),
        Variable("upstream_trailer_", flags=NOCACHEABLE | PREFIX, prefix_get=trailer),
        Variable("upstream_cookie_", flags=NOCACHEABLE | PREFIX, prefix_get=cookie),
    ),
)
