"""OCSP in stream{}: of clients' certificates, and stapled for the servers' own.

nginx: ngx_stream_ssl_module.c (ngx_stream_ssl_ocsp_cache, ngx_stream_ssl_merge_srv_conf)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import enum, flag, string, with_cf
from geng.conf.directive import Level
from geng.core.zone import Zone
from geng.errors import ConfigError
from geng.modules.foreign.table import Foreign
from geng.modules.stream.ssl import VERIFY_OPTIONAL_NO_CA, StreamSslConf
from geng.stream.module import Module
from geng.tls.conf import read_ocsp_cache

if TYPE_CHECKING:
    from geng.conf.compiler import Cf


@with_cf
def ocsp_cache(cf: Cf, word: str) -> Zone | None:
    """`off` or `shared:name:size`"""
    return read_ocsp_cache(cf, "stream_ssl_ocsp")


class StreamOcsp(
    Foreign,
    level=Level.SERVER,
    module="stream_ssl",
    rules={
        "ssl_ocsp": enum({"off": 0, "on": 1, "leaf": 2}),
        "ssl_ocsp_responder": string,
        "ssl_ocsp_cache": ocsp_cache,
        "ssl_stapling": flag,
        "ssl_stapling_file": string,
        "ssl_stapling_responder": string,
        "ssl_stapling_verify": flag,
    },
):
    """What one server of stream{} says."""

    ssl_ocsp: Any
    ssl_stapling: Any

    def check(self, cf: Cf) -> None:
        tls = cf[StreamSslConf]
        if not tls.certificates and not tls.reject_handshake:
            return
        if self.ssl_ocsp and tls.verify == VERIFY_OPTIONAL_NO_CA:
            raise ConfigError('"ssl_ocsp" is incompatible with "ssl_verify_client optional_no_ca"')
        if self.ssl_stapling is True and tls.certificate_compression is True:
            raise ConfigError('"ssl_stapling" is incompatible with "ssl_certificate_compression"')


module = Module(name="stream_ssl", confs=(StreamOcsp,))
