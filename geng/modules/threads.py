"""thread_pool: its words are checked; who reads files is of no consequence here (see `aio`).   nginx: ngx_thread_pool.c"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.directive import Conf, Level, command
from geng.conf.tables import MAIN
from geng.core.values import BadValue, atoi
from geng.errors import Invalid

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

DEFAULT = "default"


class ThreadPools(Conf, level=Level.MAIN):
    """The pools by name: how many threads, 0 where only `aio` has named the pool yet, and where that was."""

    def __init__(self) -> None:
        super().__init__()
        self.pools: dict[str, tuple[int, str, int]] = {}

    @command("thread_pool", MAIN)
    def add(self, cf: Cf) -> None:
        """`thread_pool name threads=number [max_queue=number]`"""
        name, *words = cf.args
        if self.pools.get(name, (0,))[0]:
            raise Invalid(f'duplicate thread pool "{name}"')
        threads = 0
        for word in words:
            if word.startswith("threads="):
                threads = _number(word, "threads")
                if not threads:
                    raise Invalid(f'invalid threads value "{word}"')
            elif word.startswith("max_queue="):
                _number(word, "max_queue")
        if not threads:
            raise Invalid('"thread_pool" must have "threads" parameter')
        self.pools[name] = (threads, cf.file, cf.line)

    def use(self, cf: Cf, name: str) -> None:
        """`aio threads=name` stands at *cf*."""
        self.pools.setdefault(name, (0, cf.file, cf.line))

    def check(self, cf: Cf) -> None:
        for name, (threads, file, line) in self.pools.items():
            if not threads and name != DEFAULT:
                raise Invalid(f'unknown thread pool "{name}" in {file}:{line}')


def _number(word: str, name: str) -> int:
    try:
        return atoi(word[len(name) + 1 :])
    except BadValue:
        raise Invalid(f'invalid {name} value "{word}"') from None
