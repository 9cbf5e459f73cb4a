"""`index`: the file that stands for a directory.   nginx: ngx_http_index_module.c"""

from __future__ import annotations

from errno import EACCES, ENAMETOOLONG, ENOENT, ENOTDIR
from typing import TYPE_CHECKING

from geng.conf.directive import UNSET, Conf, Level, command, value
from geng.conf.tables import HSL
from geng.errors import Invalid
from geng.hot.http1 import GET, HEAD, POST
from geng.http.files import LINKS, OpenFile, mapper, shown, tester
from geng.http.module import DECLINED, OK, Handler, Module, Phase
from geng.http.script import Value, compile_value

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.request import Request


class IndexConf(Conf, level=Level.LOCATION):
    """The names that are tried, in order."""

    indices: list[Value] = value()

    @command("index", HSL)
    def index(self, cf: Cf) -> None:
        """`index file ...`; further directives add to the list"""
        if self.indices is UNSET:
            self.indices = []
        for word in cf.args:
            if word[:1] == "/" and word is not cf.args[-1]:
                cf.warn('only the last index in "index" directive should be absolute')
            if not word:
                raise Invalid(f'index "{word}" in "index" directive is invalid')
            self.indices.append(compile_value(cf, word))

    def check(self, cf: Cf) -> None:
        if self.indices is UNSET:
            self.indices = [compile_value(cf, "index.html")]


def link(loc: CoreLoc) -> Handler:
    """The handler of *loc*, for what ends in a slash."""
    names = tuple(index.fn for index in loc[IndexConf].indices)
    path_of = mapper(loc)
    test = tester(loc)

    def index(r: Request) -> int:
        uri = r.uri
        if uri[-1:] != b"/" or not r.method_id & (GET | HEAD | POST):
            return DECLINED
        folder = b""
        tested = False
        for name in names:
            file = name(r)
            if file[:1] == b"/":
                return r.internal_redirect(file, r.args)
            folder = folder or path_of(r)
            of = test(r, folder + file)
            if not of.err:
                return r.internal_redirect(uri + file, r.args)
            rc = missing(r, loc, of, folder + file)
            if rc != DECLINED:
                return rc
            if not tested:
                rc = test_folder(r, loc, folder, file)
                if rc != OK:
                    return rc
                tested = True
            if of.err != ENOENT:
                r.log.crit(f'{of.failed} "{shown(folder + file)}" failed', err=of.err, ctx=r.c)
                return 500
        return DECLINED

    def test_folder(r: Request, loc: CoreLoc, folder: bytes, file: bytes) -> int:
        """Whether the directory itself is there: OK, or a status. nginx: ngx_http_index_test_dir"""
        name = folder[:-1] if folder[-1:] == b"/" and len(folder) > 1 else folder
        of = test(r, name)
        if not of.err:
            if of.is_dir:
                return OK
            r.log.alert(f'"{shown(name)}" is not a directory', ctx=r.c)
            return 500
        if of.err in LINKS:
            return 403
        if of.err == ENOENT:
            return refused(r, loc, folder + file, ENOENT)
        if of.err == EACCES:  # something in it could be looked for, so it may be searched
            return OK
        r.log.crit(f'{of.failed} "{shown(name)}" failed', err=of.err, ctx=r.c)
        return 500

    return index


def missing(r: Request, loc: CoreLoc, of: OpenFile, path: bytes) -> int:
    """What a failure that ends the search means; DECLINED: it does not."""
    err = of.err
    if err in LINKS:
        return 403
    if err in (ENOTDIR, ENAMETOOLONG, EACCES):
        return refused(r, loc, path, err)
    return DECLINED


def refused(r: Request, loc: CoreLoc, path: bytes, err: int) -> int:
    """Log it; the status. nginx: ngx_http_index_error"""
    if err == EACCES:
        r.log.error(f'"{shown(path)}" is forbidden', err=err, ctx=r.c)
        return 403
    if loc.log_not_found:
        r.log.error(f'"{shown(path)}" is not found', err=err, ctx=r.c)
    return 404


module = Module(name="http_index", confs=(IndexConf,), handlers={Phase.CONTENT: link})
