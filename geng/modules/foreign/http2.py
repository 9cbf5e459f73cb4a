"""HTTP/2's directives.   nginx: ngx_http_v2_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag, num, size, with_cf
from geng.conf.directive import Level
from geng.errors import Invalid, Refused
from geng.http.conf import pool_size
from geng.http.module import Module, Variable
from geng.modules.foreign.table import Foreign, many, nothing, power_of_two

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

MAX_WINDOW = 2**31 - 1
STATE_BUFFER_SIZE = 16

#: what says now what an obsolete directive said; "" where there is nothing
SUCCESSORS = {
    "http2_max_concurrent_pushes": "",
    "http2_max_requests": "keepalive_requests",
    "http2_max_field_size": "large_client_header_buffers",
    "http2_max_header_size": "large_client_header_buffers",
    "http2_recv_timeout": "client_header_timeout",
    "http2_idle_timeout": "keepalive_timeout",
    "http2_push_preload": "",
    "http2_push": "",
}


def recv_buffer_size(word: str) -> int:
    made = size(word)
    if made <= STATE_BUFFER_SIZE:
        raise Refused("value is too small")
    return made


def preread_size(word: str) -> int:
    made = size(word)
    if made > MAX_WINDOW:
        raise Invalid(f"the maximum body preread buffer size is {MAX_WINDOW}")
    return made


def chunk_size(word: str) -> int:
    made = size(word)
    if made == 0:
        raise Invalid("the http2 chunk size cannot be zero")
    return made


@with_cf
def obsolete(cf: Cf, *given: str) -> Any:
    """Nothing but a warning.   nginx: ngx_http_v2_obsolete"""
    name = cf.node.name
    instead = SUCCESSORS[name]
    cf.warn(f'the "{name}" directive is obsolete, ' + (f'use the "{instead}" directive instead' if instead else "ignored"))
    return None


class Http2Main(
    Foreign, level=Level.MAIN, module="http_v2", rules={"http2_recv_buffer_size": recv_buffer_size}
):  # fmt: skip
    """What http{} says."""


class Http2Server(
    Foreign,
    level=Level.SERVER,
    module="http_v2",
    rules={
        "http2": flag,
        "http2_pool_size": pool_size,
        "http2_max_concurrent_streams": num,
        "http2_body_preread_size": preread_size,
        "http2_streams_index_size": power_of_two,
        **{name: many(obsolete) for name in SUCCESSORS},
    },
):
    """What a server says."""


class Http2Location(Foreign, module="http_v2", rules={"http2_chunk_size": chunk_size}):
    """What a location says."""


module = Module(name="http_v2", confs=(Http2Main, Http2Server, Http2Location), variables=(Variable("http2", nothing),))
