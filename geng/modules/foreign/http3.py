"""HTTP/3's directives.   nginx: ngx_http_v3_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.convert import flag, num, size, with_cf
from geng.conf.directive import Level
from geng.core.log import errno_text
from geng.errors import Invalid
from geng.http.module import Module, Variable
from geng.modules.foreign.table import Foreign, nothing

if TYPE_CHECKING:
    from geng.conf.compiler import Cf


@with_cf
def host_key(cf: Cf, word: str) -> bytes:
    """A file with a key.   nginx: ngx_http_quic_host_key"""
    name = cf.path(word, conf_prefix=True)
    try:
        with open(name, "rb") as file:
            key = file.read()
    except OSError as error:
        raise Invalid(f'open() "{name}" failed{errno_text(error.errno)}') from None
    if not key:
        raise Invalid(f'"{name}" zero key size')
    return key


class Http3Server(
    Foreign,
    level=Level.SERVER,
    module="http_v3",
    rules={
        "http3": flag,
        "http3_hq": flag,
        "http3_max_concurrent_streams": num,
        "http3_stream_buffer_size": size,
        "quic_retry": flag,
        "quic_gso": flag,
        "quic_host_key": host_key,
        "quic_active_connection_id_limit": num,
    },
):
    """What a server says."""


module = Module(name="http_v3", confs=(Http3Server,), variables=(Variable("http3", nothing),))
