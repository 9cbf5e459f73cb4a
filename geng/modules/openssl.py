"""What the main level says about OpenSSL.   nginx: ngx_event_openssl.c, ngx_event_openssl_cache.c"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.convert import flag
from geng.conf.directive import Conf, Level, command, directive
from geng.conf.tables import MAIN
from geng.errors import Refused
from geng.tls.conf import need_library
from geng.tls.errors import config_error
from geng.tls.openssl import library

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

ENGINE_METHOD_ALL = 0xFFFF


class OpensslConf(Conf, level=Level.MAIN):
    """Engines, and whether the next configuration may have this one's certificates."""

    inheritable: bool = directive("ssl_object_cache_inheritable", MAIN, flag, default=True)

    def __init__(self) -> None:
        super().__init__()
        self.engine = ""

    @command("ssl_engine", MAIN)
    def set_engine(self, cf: Cf) -> None:
        """`ssl_engine device`.   nginx: ngx_openssl_engine"""
        if self.engine:
            raise Refused("is duplicate")
        self.engine = name = cf.args[0]
        need_library()
        ssl = library()
        found = ssl.ENGINE_by_id(name.encode()) if ssl.ENGINE_by_id is not None else None
        if not found:
            raise config_error(f'ENGINE_by_id("{name}") failed')
        try:
            if not ssl.ENGINE_set_default(found, ENGINE_METHOD_ALL):
                raise config_error(f'ENGINE_set_default("{name}", ENGINE_METHOD_ALL) failed')
        finally:
            ssl.ENGINE_free(found)

    def check(self, cf: Cf) -> None:
        cf.cycle.tls_objects.inheritable = self.inheritable
