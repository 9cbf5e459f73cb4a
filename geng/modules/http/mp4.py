"""`mp4`: a part of an MP4 file, by `?start=` and `?end=` in seconds.   nginx: ngx_http_mp4_module.c"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag, size
from geng.conf.directive import Conf, Level, command, directive
from geng.conf.tables import HSL, LOC
from geng.core.mp4 import Mp4, WholeFile
from geng.core.mp4_track import BadFile, Wanted
from geng.hot.uri import arg
from geng.http.conf import CoreLoc
from geng.http.files import OpenFile, shown
from geng.http.filters import FileSlice
from geng.http.module import Module
from geng.modules.http.static import serving_parts

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.module import Handler
    from geng.http.request import Request

LARGEST = (1 << 63) - 1


class Mp4Conf(Conf, level=Level.LOCATION):
    """How much of a file may be in memory, and whether parts begin with a key frame."""

    buffer_size: int = directive("mp4_buffer_size", HSL, size, default=512 * 1024)
    max_buffer_size: int = directive("mp4_max_buffer_size", HSL, size, default=10 * 1024 * 1024)
    start_key_frame: bool = directive("mp4_start_key_frame", HSL, flag, default=False)

    @command("mp4", LOC)
    def mp4(self, cf: Cf) -> None:
        """`mp4`"""
        cf[CoreLoc].content = link


def link(loc: CoreLoc) -> Handler:
    """The handler of one location."""
    conf = loc[Mp4Conf]

    def mp4(r: Request, of: OpenFile, path: bytes) -> list[Any] | int:
        times = asked(r.args) if r.args else None
        if times is not None:
            r.single_range = True
            try:
                return cut(of, path, Wanted(*times, conf.start_key_frame, conf.buffer_size, conf.max_buffer_size))
            except WholeFile:
                pass
            except BadFile as bad:
                r.log.log(bad.level, str(bad), ctx=r.c)
                return 500
        return [FileSlice(of.fd, 0, of.size)] if of.size else []

    return serving_parts(loc, mp4)


def asked(args: bytes) -> tuple[int, int] | None:
    """(start, length) in ms that the arguments ask for; length 0: up to the end."""
    start = milliseconds(arg(args, b"start"))
    end = milliseconds(arg(args, b"end"))
    if end > 0:
        start = max(start, 0)
        return start, max(end - start, 0)
    return (start, 0) if start >= 0 else None


def milliseconds(text: bytes | None) -> int:
    """`12.34567` as 12345, with as many digits as players like to send; -1 for what is no such number."""
    if text is None:
        return -1
    whole, _, fraction = text.partition(b".")
    digits = whole + fraction
    if not digits.isdigit():
        return 0 if text == b"." else -1
    number = int((whole + fraction[:3].ljust(3, b"0"))[:20]) if len(whole) <= 19 else LARGEST + 1
    return number if number <= LARGEST else -1


def cut(of: OpenFile, path: bytes, wanted: Wanted) -> list[Any]:
    """The parts of the answer. Raises BadFile, WholeFile."""
    file = Mp4(shown(path), of.size, lambda length, offset: _read(of.fd, length, offset), wanted)
    file.cut()
    return [*file.head, FileSlice(of.fd, file.start, file.end - file.start)]


def _read(fd: int, length: int, offset: int) -> bytes:
    try:
        return os.pread(fd, length, offset)
    except OSError as error:
        raise BadFile(f"pread() failed ({error.errno}: {error.strerror})", "crit") from None


module = Module(name="http_mp4", configure_flag="--with-http_mp4_module", confs=(Mp4Conf,))
