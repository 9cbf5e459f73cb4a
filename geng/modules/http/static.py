"""Files: what a location without a handler of its own serves.   nginx: ngx_http_static_module.c"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from geng.hot.http1 import GET, HEAD, POST
from geng.hot.uri import escape_uri
from geng.http.files import FORBIDDEN, MISSING, OpenFile, mapper, opener, shown
from geng.http.filters import FileSlice
from geng.http.module import DECLINED, DONE, OK, Handler, Module, Phase

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.request import Request


def link(loc: CoreLoc) -> Handler:
    """The handler of *loc*; it declines what ends in a slash."""
    path_of = mapper(loc)
    open_file = opener(loc)
    etag = loc.etag

    def static(r: Request) -> int:
        method = r.method_id
        if not method & (GET | HEAD | POST):
            return 405
        if r.uri[-1:] == b"/":
            return DECLINED
        path = path_of(r)
        of = open_file(r, path)
        if of.err:
            return failed(r, loc, of, path)
        r.root_tested = not r.error_page
        if of.is_dir:
            return with_slash(r)
        if not of.is_file:
            r.log.crit(f'"{shown(path)}" is not a regular file', ctx=r.c)
            return 404
        if method == POST:
            return 405
        rc = r.discard_body()
        if rc != OK:
            return rc
        r.out.content_type = r.type_of_uri()
        send_file(r, of, etag)
        return DONE

    return static


def serving_parts(loc: CoreLoc, parts_of: Callable[[Request, OpenFile, bytes], Sequence[Any] | int]) -> Handler:
    """A handler that serves what *parts_of(r, of, path)* makes of the file that a URI means: parts, or the status instead.

    What it does not serve goes to the next handler.
    """
    path_of = mapper(loc)
    open_file = opener(loc)
    etag = loc.etag

    def serve(r: Request) -> int:
        if not r.method_id & (GET | HEAD):
            return 405
        if r.uri[-1:] == b"/":
            return DECLINED
        rc = r.discard_body()
        if rc != OK:
            return rc
        path = path_of(r)
        of = open_file(r, path)
        if of.err:
            return failed(r, loc, of, path)
        if not of.is_file:
            return DECLINED
        r.root_tested = not r.error_page
        parts = parts_of(r, of, path)
        if isinstance(parts, int):
            return parts
        r.set_content_type()
        send_file(r, of, etag, parts)
        return DONE

    return serve


def send_file(r: Request, of: OpenFile, etag: bool, parts: Sequence[Any] | None = None) -> None:
    """The answer whose body is this file, or *parts* of it; its Content-Type (and encoding) is set."""
    out = r.out
    size = of.size if parts is None else sum(map(len, parts))
    out.status = 200
    out.content_length = size
    out.last_modified = of.mtime
    if etag:
        out.etag = b'"%x-%x"' % (of.mtime, of.size)
    r.allow_ranges = True
    writer = r.send_head()
    if not r.header_only and size:
        writer.write((FileSlice(of.fd, 0, size),) if parts is None else parts)
    writer.end()


def failed(r: Request, loc: CoreLoc, of: OpenFile, path: bytes) -> int:
    """Log why *path* could not be opened; the status that says so to the client."""
    err = of.err
    if err in MISSING:
        if loc.log_not_found:
            r.log.error(f'{of.failed} "{shown(path)}" failed', err=err, ctx=r.c)
        return 404
    if err in FORBIDDEN:
        r.log.error(f'{of.failed} "{shown(path)}" failed', err=err, ctx=r.c)
        return 403
    r.log.crit(f'{of.failed} "{shown(path)}" failed', err=err, ctx=r.c)
    return 500


def with_slash(r: Request) -> int:
    """A directory: send the client to its URI with a slash."""
    location = escape_uri(r.uri) + b"/"
    r.out.location = location + b"?" + r.args if r.args else location
    return 301


module = Module(name="http_static", handlers={Phase.CONTENT: link})
