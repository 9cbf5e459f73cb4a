"""The cache manager deletes what nobody asks for and what is too much; the cache loader finds what is there.

nginx: ngx_process_cycle.c (ngx_cache_manager_process_cycle), ngx_http_file_cache.c (…_manager, …_loader)
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING

from geng.core import clock
from geng.net.hub import describe
from geng.process import signals, title
from geng.process.worker import FatalStart, Worker
from geng.upstream.cache_file import HEADER
from geng.upstream.cache_zone import COLD, LOADING, SIZE, CacheZone, delete

if TYPE_CHECKING:
    from geng.process.cycle import Cycle

LOADER_DELAY = 60.0  # seconds: the workers come first
LONGEST = 10.0  # seconds between two looks

_KEY = re.compile(r"[0-9a-f]{32}")
_UNFINISHED = re.compile(r"[0-9a-f]{32}\.[0-9]{10}")


class Stopped(Exception):
    """The master has told this process to end."""


class CacheProcess(Worker):
    """A process of the master's that serves no connections: no event loop, signals are waited for."""

    def __init__(self, cycle: Cycle) -> None:
        self.cycle = cycle
        self.id = -1
        self.log = cycle.log

    def __repr__(self) -> str:
        return f"<CacheProcess pid {os.getpid()}>"

    def sleep(self, seconds: float) -> None:
        """Wait, doing what signals ask; raises Stopped."""
        until = monotonic() + seconds
        while True:
            info = signal.sigtimedwait(signals.ALL, max(until - monotonic(), 0))
            if info is None:
                return
            self._signalled(signals.Received(info.si_signo, info.si_pid))

    def _terminate(self) -> None:
        self.log.notice("exiting")
        raise Stopped

    def _quit(self) -> None:
        self._terminate()

    # ---- the manager

    def manage(self) -> None:
        """Until stopped: look after every cache."""
        wait = 0.0
        while True:
            self.sleep(wait)
            wait = min([self._manage(cache) for cache in self.cycle.caches], default=LONGEST)

    def _manage(self, cache: CacheZone) -> float:
        """One turn for one cache; seconds until the next."""
        given = cache.parameters
        limit = given.manager_files or 1
        done, wait = cache.expire(clock.seconds(), limit)
        if done < limit:
            done += cache.shrink(limit - done)
        if done >= limit:
            return given.manager_sleep / 1000
        return min(wait, LONGEST)

    # ---- the loader

    def load(self) -> None:
        """Find the files of every cache that has not been read yet, and leave."""
        self.sleep(LOADER_DELAY)
        for cache in self.cycle.caches:
            slots = cache.zone.slots
            if slots[COLD] and not slots[LOADING]:
                slots[LOADING] = os.getpid()
                try:
                    self._load(cache)
                    slots[COLD] = 0
                finally:
                    slots[LOADING] = 0
                megabytes = slots[SIZE] * cache.block / (1 << 20)
                self.log.notice(f"http file cache: {cache.path.name} {megabytes:.3f}M, bsize: {cache.block}")

    def _load(self, cache: CacheZone) -> None:
        given = cache.parameters
        began = monotonic()
        files = 0
        for name in _walk(cache.path.name):
            self._found(cache, name)
            files += 1
            if files >= given.loader_files or (monotonic() - began) * 1000 >= given.loader_threshold:
                self.sleep(given.loader_sleep / 1000)
                began = monotonic()
                files = 0

    def _found(self, cache: CacheZone, name: str) -> None:
        base = os.path.basename(name)
        if _UNFINISHED.fullmatch(base):
            return  # a worker writes it now
        try:
            status = os.stat(name)
            if _KEY.fullmatch(base) is None or status.st_size < HEADER.size:
                delete(name)
                return
        except OSError as error:
            self.log.crit(f'stat() "{name}" failed', err=error.errno)
            return
        cache.add(bytes.fromhex(base), cache.blocks(status))


def _walk(folder: str) -> Iterator[str]:
    for where, _, names in os.walk(folder):
        for name in names:
            yield f"{where}/{name}"


def run(cycle: Cycle, name: str, life: Callable[[CacheProcess], None]) -> None:
    """The life of a forked cache process called *name*, CacheProcess.manage or .load; does not return."""
    code = 0
    try:
        title.show(name)
        process = CacheProcess(cycle)
        process.become()
        for listening in cycle.listenings:
            listening.close()
        life(process)
    except Stopped:
        pass
    except FatalStart:
        code = 2
    except BaseException as error:
        cycle.log.alert(f"cache process died: {describe(error)}")
        code = 1
    finally:
        sys.stderr.flush()
        os._exit(code)
