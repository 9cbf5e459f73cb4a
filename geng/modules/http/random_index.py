"""`random_index`: any file of a directory stands for it.   nginx: ngx_http_random_index_module.c"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

from geng.conf.convert import flag
from geng.conf.directive import Conf, Level, directive
from geng.conf.tables import LOC
from geng.hot.http1 import GET, HEAD, POST
from geng.http.files import OpenFile, mapper, shown
from geng.http.module import DECLINED, Handler, Module, Phase
from geng.modules.http.static import failed

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.request import Request


class RandomIndexConf(Conf, level=Level.LOCATION):
    """Whether a location does it."""

    enable: bool = directive("random_index", LOC, flag, default=False)


def link(loc: CoreLoc) -> Handler | None:
    """The handler of *loc*, if random_index is on."""
    if not loc[RandomIndexConf].enable:
        return None
    path_of = mapper(loc)

    def random_index(r: Request) -> int:
        if r.uri[-1:] != b"/" or not r.method_id & (GET | HEAD | POST):
            return DECLINED
        path = path_of(r)[:-1]
        try:
            folder = os.scandir(path)
        except OSError as error:
            return failed(r, loc, OpenFile(-1, None, error.errno or 0, "opendir()"), path)
        try:
            with folder:
                names = [entry.name for entry in folder if entry.name[:1] != b"." and entry.is_file()]
        except OSError as error:
            r.log.crit(f'readdir() "{shown(path)}" failed', err=error.errno or 0, ctx=r.c)
            return 500
        if not names:
            return DECLINED
        return r.internal_redirect(r.uri + random.choice(names), r.args)  # noqa: S311

    return random_index


module = Module(
    name="http_random_index",
    configure_flag="--with-http_random_index_module",
    confs=(RandomIndexConf,),
    handlers={Phase.CONTENT: link},
)
