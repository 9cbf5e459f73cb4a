"""`try_files file ... uri | =code`: the first that is there.   nginx: ngx_http_try_files_module.c"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from geng.conf.directive import UNSET, Conf, Level, command, own, value
from geng.conf.tables import LOC, SRV
from geng.core.values import BadValue, atoi
from geng.errors import Invalid, Refused
from geng.http.files import MISSING, rooter, shown, tester
from geng.http.module import DECLINED, Handler, Module, Phase
from geng.http.script import Value, compile_value

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.request import Request


class TryFilesConf(Conf, level=Level.LOCATION):
    """tests: (name, whether a directory is looked for). fallback: the last word, or its code."""

    tests: list[tuple[Value, bool]] | None = value(None, own)
    fallback: Value | int = value(0, own)

    @command("try_files", SRV | LOC)
    def try_files(self, cf: Cf) -> None:
        """`try_files file ... uri | =code`"""
        if self.tests is not UNSET:
            raise Refused("is duplicate")
        *words, last = cf.args
        self.tests = []
        for word in words:
            folder = word.endswith("/")
            self.tests.append((compile_value(cf, word[:-1] if folder else word), folder))
        fallback = compile_value(cf, last)
        self.fallback = (_code(last) if last[:1] == "=" else 0) or fallback


def _code(word: str) -> int:
    try:
        code = atoi(word[1:])
    except BadValue:
        code = 1000
    if code > 999:
        raise Invalid(f'invalid code "{word}"')
    return code


def link(loc: CoreLoc) -> Handler | None:
    """The handler of *loc*, where it has a `try_files`."""
    conf = loc[TryFilesConf]
    if conf.tests is None:
        return None
    tests = tuple((_namer(loc, name), folder) for name, folder in conf.tests)
    fallback = conf.fallback
    code = fallback if isinstance(fallback, int) else 0
    target = None if isinstance(fallback, int) else _namer(loc, fallback)
    alias = loc.alias
    root_of = rooter(loc)
    test = tester(loc)

    def try_files(r: Request) -> int:
        root = root_of(r)
        for name_of, folder in tests:
            name = name_of(r)
            of = test(r, root + name)
            if of.err:
                if of.err not in MISSING:
                    r.log.crit(f'{of.failed} "{shown(root + name)}" failed', err=of.err, ctx=r.c)
            elif of.is_dir == folder:
                use(r, name, folder)
                return DECLINED
        if target is None:
            return code
        uri = target(r)
        if uri[:1] == b"@":
            return r.named_location(uri)
        uri, _, args = uri.partition(b"?")
        return r.internal_redirect(uri, args)

    def use(r: Request, name: bytes, folder: bool) -> None:
        if not alias:
            r.uri = name
        elif alias > 0:
            r.uri = r.uri[:alias] + name
        elif not folder:
            r.uri = name
            r.add_uri_to_alias = True

    return try_files


def _namer(loc: CoreLoc, name: Value) -> Callable[[Request], bytes]:
    """What stands behind the root: a text with variables loses what an `alias` has replaced."""
    make = name.fn
    alias = loc.alias
    if alias <= 0 or name.literal is not None:
        return make

    def without_prefix(r: Request) -> bytes:
        made = make(r)
        return made[alias:] if made[:alias] == r.uri[:alias] else made

    return without_prefix


module = Module(name="http_try_files", confs=(TryFilesConf,), handlers={Phase.PRECONTENT: link})
