"""Memory that the master makes and all workers share.   nginx: ngx_shmem.c, ngx_cycle.c (ngx_shared_memory_add)

A zone is declared while the configuration is read (`Zones.add`), mapped before the workers are forked (`Zones.create`),
and found again at the same place in each of them. What is in it is up to its owner: `memory` is the whole of it,
`slots` the same as 64-bit integers, `take(n)` hands out slots one after the other. Who writes holds `lock`.

A worker that is killed while it holds the lock does not hang the others: they notice after a second.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any
from weakref import WeakSet

from geng.errors import ConfigError, Invalid

PAGE = mmap.PAGESIZE
WORD = 8

#: Slots at the front of a zone that are the lock's.
RESERVED = 8

#: Seconds after which who waits for a lock looks whether its owner still lives.
PATIENCE = 1.0


class ZoneFull(MemoryError):
    """The zone has no room for what is asked."""


class ZoneLock:
    """A lock between processes, for `with`. Not for nesting; nothing in between may wait.

    A semaphore (80 ns, a fifteenth of what fcntl costs); *owner* is a slot that says whose it is, so that the lock of a
    dead process can be taken over.
    """

    __slots__ = ("__weakref__", "_acquire", "_owner", "_release", "pid")

    def __init__(self, owner: memoryview) -> None:
        import multiprocessing  # 10 ms that a start without zones need not take

        lock = multiprocessing.get_context("fork").Lock()
        self._acquire = lock.acquire
        self._release = lock.release
        self._owner = owner
        self.pid = os.getpid()
        _guard.watch(self)

    def __repr__(self) -> str:
        return f"<ZoneLock {'held by ' + str(self._owner[0]) if self._owner[0] else 'free'}>"

    def __enter__(self) -> None:
        if not self._acquire(False):
            self._wait()
        self._owner[0] = self.pid

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._owner[0] = 0
        self._release()

    def _wait(self) -> None:
        while not self._acquire(True, PATIENCE):
            if not _alive(self._owner[0]) and self._take_over():
                return

    def release_of(self, pid: int) -> bool:
        """Free the lock if the dead process *pid* has it; whether it had.   nginx: ngx_shmtx_force_unlock"""
        if self._owner[0] != pid:
            return False
        with _guard:
            if self._owner[0] != pid:
                return False  # somebody who waited has taken it over
            self._owner[0] = 0
            self._release()
            return True

    def _take_over(self) -> bool:
        """Of several who notice that the owner is dead only the first gets the lock."""
        with _guard:
            if _alive(self._owner[0]):
                return False
            self._owner[0] = self.pid
            return True


class _Guard:
    """What all locks of a process and its children have in common: a file lock, and the news of a fork."""

    def __init__(self) -> None:
        self.fd = -1
        self.locks: WeakSet[ZoneLock] = WeakSet()

    def watch(self, lock: ZoneLock) -> None:
        """Have *lock* know its process; the first one sets up the rest."""
        if self.fd < 0:
            import tempfile

            with tempfile.TemporaryFile() as file:
                self.fd = os.dup(file.fileno())
            os.register_at_fork(after_in_child=self._forked)
        self.locks.add(lock)

    def _forked(self) -> None:
        pid = os.getpid()
        for lock in self.locks:
            lock.pid = pid

    def __enter__(self) -> None:
        fcntl.lockf(self.fd, fcntl.LOCK_EX)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        fcntl.lockf(self.fd, fcntl.LOCK_UN)


_guard = _Guard()


def _alive(pid: int) -> bool:
    """Whether *pid* runs; nobody (0) counts as alive: the lock is changing hands."""
    if not pid:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Zone:
    """One zone. *tag*: what kind of use it is for; *data*: whatever its owner keeps for it; size 0: not known yet.

    *init(zone, old)* is called when it has been mapped, with the zone of that name that the last configuration had, or
    None. A zone with *reuse* is carried over from one configuration to the next if name, size and tag are the same;
    *old* is then the zone itself, as it was.
    """

    def __init__(self, name: str, size: int, tag: object = None, reuse: bool = True) -> None:
        self.name = name
        self.size = size
        self.tag = tag
        self.reuse = reuse
        self.data: Any = None
        self.init: Callable[[Zone, Zone | None], None] | None = None
        self.memory: mmap.mmap = None  # type: ignore[assignment]  # until map()
        self.slots: memoryview = None  # type: ignore[assignment]
        self.lock: ZoneLock = None  # type: ignore[assignment]
        self.used = 0  # slots handed out

    def __repr__(self) -> str:
        if self.memory is None:
            return f"<Zone {self.name} {self.size} bytes, not mapped>"
        return f"<Zone {self.name} {self.used * WORD} of {self.size} bytes used>"

    def map(self) -> None:
        """Get the memory, all zeros."""
        size = -(-self.size // PAGE) * PAGE
        self.memory = mmap.mmap(-1, size)
        self.slots = memoryview(self.memory).cast("q")
        self.lock = ZoneLock(self.slots)
        self.used = RESERVED

    def share(self, old: Zone) -> None:
        """Have the memory of *old*, which is the same zone of the last configuration."""
        self.memory, self.slots, self.lock = old.memory, old.slots, old.lock
        self.used, self.data = old.used, old.data

    @property
    def room(self) -> int:
        """Slots that take() can still give."""
        return len(self.slots) - self.used

    def take(self, n: int) -> int:
        """The index of the first of *n* slots that nobody else has; only before the fork. Raises ZoneFull."""
        if n > self.room:
            raise ZoneFull(f'no memory in zone "{self.name}"')
        first = self.used
        self.used += n
        return first


class Zones:
    """The zones of one configuration, by name."""

    def __init__(self) -> None:
        self.by_name: dict[str, Zone] = {}

    def __iter__(self) -> Iterator[Zone]:
        return iter(self.by_name.values())

    def __repr__(self) -> str:
        return f"<Zones {', '.join(self.by_name)}>"

    def add(self, name: str, size: int, tag: object, reuse: bool = True) -> Zone:
        """The zone *name*, declared now or before; size 0 where the directive gives none. Raises Invalid.

        nginx: ngx_shared_memory_add
        """
        zone = self.by_name.get(name)
        if zone is None:
            zone = self.by_name[name] = Zone(name, size, tag, reuse)
            return zone
        if zone.tag != tag:
            raise Invalid(f'the shared memory zone "{name}" is already declared for a different use')
        if not zone.size:
            zone.size = size
        if size and size != zone.size:
            raise Invalid(f'the size {size} of shared memory zone "{name}" conflicts with already declared size {zone.size}')
        return zone

    def create(self, old: Zones | None = None) -> None:
        """Map all zones, or carry them over from the configuration before; raises ConfigError. Before the fork."""
        for zone in self.by_name.values():
            if not zone.size:
                raise ConfigError(f'zero size shared memory zone "{zone.name}"')
            before = old.by_name.get(zone.name) if old is not None else None
            if before is not None and (before.tag != zone.tag or (zone.reuse and before.size != zone.size)):
                before = None
            if before is not None and zone.reuse:
                zone.share(before)
            else:
                zone.map()
            if zone.init is not None:
                zone.init(zone, before)
