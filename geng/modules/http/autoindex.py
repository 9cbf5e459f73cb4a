"""`autoindex`: what is in a directory, as HTML, JSON, JSONP or XML.   nginx: ngx_http_autoindex_module.c"""

from __future__ import annotations

import os
import time
from errno import EACCES, ELOOP, ENOENT
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING

from geng.conf.convert import enum, flag
from geng.conf.directive import Conf, Level, directive
from geng.conf.tables import HSL
from geng.core import escape
from geng.hot.dates import civil, http_time
from geng.hot.http1 import GET, HEAD
from geng.hot.uri import URI_COMPONENT, arg, escape_uri
from geng.http.files import OpenFile, mapper, shown
from geng.http.filters import ClientGone
from geng.http.module import DECLINED, DONE, OK, Handler, Module, Phase
from geng.http.types import split_charset
from geng.modules.http.static import failed

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.request import Request

HTML, JSON, JSONP, XML = range(4)
FORMATS = {"html": HTML, "json": JSON, "jsonp": JSONP, "xml": XML}
TYPES = {HTML: b"text/html", JSON: b"application/json", JSONP: b"application/javascript", XML: b"text/xml"}

MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
NAME_WIDTH = 50
LONGEST_CALLBACK = 128
CALLBACK = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.")


class AutoindexConf(Conf, level=Level.LOCATION):
    """How a location lists directories."""

    enable: bool = directive("autoindex", HSL, flag, default=False)
    format: int = directive("autoindex_format", HSL, enum(FORMATS), default=HTML)
    localtime: bool = directive("autoindex_localtime", HSL, flag, default=False)
    exact_size: bool = directive("autoindex_exact_size", HSL, flag, default=True)


class Entry:
    """One name in a directory."""

    __slots__ = ("is_dir", "is_file", "mtime", "name", "size")

    def __init__(self, name: bytes, info: os.stat_result) -> None:
        self.name = name
        self.is_dir = S_ISDIR(info.st_mode)
        self.is_file = S_ISREG(info.st_mode)
        self.mtime = int(info[8])
        self.size = info.st_size

    def __repr__(self) -> str:
        return f"<Entry {self.kind.decode()} {self.name.decode('utf-8', 'replace')}>"

    @property
    def kind(self) -> bytes:
        return b"directory" if self.is_dir else b"file" if self.is_file else b"other"


def link(loc: CoreLoc) -> Handler | None:
    """The handler of *loc*, if autoindex is on."""
    conf = loc[AutoindexConf]
    if not conf.enable:
        return None
    path_of = mapper(loc)

    def autoindex(r: Request) -> int:
        if r.uri[-1:] != b"/" or not r.method_id & (GET | HEAD):
            return DECLINED
        rc = r.discard_body()
        if rc != OK:
            return rc
        path = path_of(r)
        if len(path) > 1:
            path = path[:-1]
        form = conf.format
        callback = b""
        if form == JSONP:
            callback = arg(r.args, b"callback") or b""
            if not callback:
                form = JSON
            elif not allowed(r, callback):
                return 400
        try:
            folder = os.scandir(path)
        except OSError as error:
            return failed(r, loc, OpenFile(-1, None, error.errno or 0, "opendir()"), path)
        with folder:
            return answer(r, conf, form, callback, path, folder)

    return autoindex


def allowed(r: Request, callback: bytes) -> bool:
    """Whether a JSONP callback may have this name."""
    if len(callback) > LONGEST_CALLBACK:
        r.log.info(f'client sent too long callback name: "{shown(callback)}"', ctx=r.c)
        return False
    if not CALLBACK.issuperset(callback):
        r.log.info(f'client sent invalid callback name: "{shown(callback)}"', ctx=r.c)
        return False
    return True


def answer(
    r: Request, conf: AutoindexConf, form: int, callback: bytes, path: bytes, folder: os._ScandirIterator[bytes]
) -> int:
    """Send the list."""
    out = r.out
    out.status = 200
    out.content_type = TYPES[form]
    if form == XML:
        out.charset = b"utf-8"
    writer = r.send_head()
    if r.header_only:
        writer.end()
        return DONE
    entries = read(r, path, folder)
    if form == HTML:
        charset = out.charset or split_charset(out.content_type)[1]
        body = as_html(r.uri, entries, conf, charset.lower() == b"utf-8")
    elif form == XML:
        body = as_xml(entries)
    else:
        body = as_json(entries)
        if form == JSONP:
            body = b"/* callback */\r\n%s(%s);" % (callback, body)
    writer.write((body,))
    writer.end()
    return DONE


def read(r: Request, path: bytes, folder: os._ScandirIterator[bytes]) -> list[Entry]:
    """What is in *path*, directories first. Raises ClientGone (logged) when it cannot be read to its end."""
    entries = []
    try:
        for found in folder:
            if found.name[:1] == b".":
                continue
            info = look(r, path + b"/" + found.name)
            if info is not None:
                entries.append(Entry(found.name, info))
    except OSError as error:
        r.log.crit(f'readdir() "{shown(path)}" failed', err=error.errno or 0, ctx=r.c)
        r.hc.broken = True
        raise ClientGone from None
    entries.sort(key=lambda entry: (not entry.is_dir, entry.name))
    return entries


def look(r: Request, name: bytes) -> os.stat_result | None:
    """What *name* is, or the link itself where that leads nowhere; None: not to be shown. Raises ClientGone."""
    call = "stat()"
    try:
        try:
            return os.stat(name)
        except OSError as error:
            if error.errno not in (ENOENT, ELOOP):
                raise
            call = "lstat()"
            return os.lstat(name)
    except OSError as error:
        r.log.crit(f'{call} "{shown(name)}" failed', err=error.errno or 0, ctx=r.c)
        if error.errno == EACCES and call == "stat()":
            return None
        r.hc.broken = True
        raise ClientGone from None


# ---- formats


def as_html(uri: bytes, entries: list[Entry], conf: AutoindexConf, utf8: bool) -> bytes:
    title = escape.html(uri)
    offset = time.localtime().tm_gmtoff if conf.localtime else 0
    lines = [
        b"<html>\r\n<head><title>Index of %s</title></head>\r\n<body>\r\n" % title,
        b'<h1>Index of %s</h1><hr><pre><a href="../">../</a>\r\n' % title,
    ]
    for entry in entries:
        year, month, day, hour, minute, _, _ = civil(entry.mtime + offset)
        lines.append(
            b'<a href="%s%s">%s %02d-%s-%d %02d:%02d %s\r\n'
            % (
                escape_uri(entry.name, URI_COMPONENT),
                b"/" if entry.is_dir else b"",
                _name(entry, utf8),
                day,
                MONTHS[month - 1],
                year,
                hour,
                minute,
                exact_size(entry) if conf.exact_size else rounded_size(entry),
            )
        )
    lines.append(b"</pre><hr></body>\r\n</html>\r\n")
    return b"".join(lines)


def _name(entry: Entry, utf8: bool) -> bytes:
    """The name as far as it fits, the end of its link, and blanks up to the next column."""
    name = entry.name
    text = None
    if utf8:
        try:
            text = name.decode()
        except UnicodeDecodeError:
            utf8 = False
    width = len(name) if text is None else len(text)
    if width > NAME_WIDTH:
        cut = name[: NAME_WIDTH - 3] if text is None else text[: NAME_WIDTH - 3].encode()
        return escape.html(cut) + b"..&gt;</a>"
    name = escape.html(name)
    if entry.is_dir and width < NAME_WIDTH:
        name += b"/"
        width += 1
    return name + b"</a>" + b" " * (NAME_WIDTH - width)


def exact_size(entry: Entry) -> bytes:
    return b"%19s" % (b"-" if entry.is_dir else b"%d" % entry.size)


def rounded_size(entry: Entry) -> bytes:
    """`1234`, `12K`, `3M`, `2G`"""
    if entry.is_dir:
        return b"      -"
    size = entry.size
    if size > 9999:
        for unit, scale in ((1 << 30, b"G"), (1 << 20, b"M"), (1 << 10, b"K")):
            if size > unit - 1:
                return b"%6d%s" % (size // unit + (size % unit > unit // 2 - 1), scale)
    return b" %6d" % size


def as_json(entries: list[Entry]) -> bytes:
    lines = []
    for entry in entries:
        line = b'\r\n{ "name":"%s", "type":"%s", "mtime":"%s"' % (
            escape.json(entry.name),
            entry.kind,
            http_time(entry.mtime),
        )
        lines.append(line + (b', "size":%d }' % entry.size if entry.is_file else b" }"))
    return b"[" + b",".join(lines) + b"\r\n]"


def as_xml(entries: list[Entry]) -> bytes:
    lines = [b'<?xml version="1.0"?>\r\n<list>\r\n']
    for entry in entries:
        stamp = b"%04d-%02d-%02dT%02d:%02d:%02dZ" % civil(entry.mtime)[:6]
        size = b' size="%d"' % entry.size if entry.is_file else b""
        kind = entry.kind
        lines.append(b'<%s mtime="%s"%s>%s</%s>\r\n' % (kind, stamp, size, escape.html(entry.name), kind))
    lines.append(b"</list>\r\n")
    return b"".join(lines)


module = Module(name="http_autoindex", confs=(AutoindexConf,), handlers={Phase.CONTENT: link})
