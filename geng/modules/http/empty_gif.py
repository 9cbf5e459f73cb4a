"""`empty_gif`: a transparent picture of one pixel.   nginx: ngx_http_empty_gif_module.c.   GIF89a"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.directive import Conf, Level, command
from geng.conf.tables import LOC
from geng.hot.http1 import GET, HEAD
from geng.http.conf import CoreLoc
from geng.http.module import OK, Handler, Module

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.request import Request

GIF = b"".join(
    (
        b"GIF89a",
        b"\x01\0\x01\0\x80\x01\0",  # 1 by 1, a global table of two colours, the second is the background
        b"\0\0\0\xff\xff\xff",
        b"\x21\xf9\x04\x01\0\0\x01\0",  # graphic control: the second colour is transparent
        b"\x2c\0\0\0\0\x01\0\x01\0\0",  # one image, as large as the screen
        b"\x02\x02\x4c\x01\0",  # codes of two bits and more: clear, colour 1, end
        b";",
    )
)
LAST_MODIFIED = 23349600  # Mon, 28 Sep 1970 06:00:00 GMT, as nginx has it


class EmptyGifConf(Conf, level=Level.LOCATION):
    """Nothing but the directive."""

    @command("empty_gif", LOC)
    def empty_gif(self, cf: Cf) -> None:
        """`empty_gif`"""
        cf[CoreLoc].content = link


def link(loc: CoreLoc) -> Handler:
    return send


def send(r: Request) -> int:
    """The picture."""
    if not r.method_id & (GET | HEAD):
        return 405
    rc = r.discard_body()
    if rc != OK:
        return rc
    r.out.last_modified = LAST_MODIFIED
    return r.respond(200, GIF, b"image/gif")


module = Module(name="http_empty_gif", confs=(EmptyGifConf,))
