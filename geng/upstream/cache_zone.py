"""A cache: the folder of its files, and what all workers know of them in shared memory.

nginx: ngx_http_file_cache.c (ngx_http_file_cache_set_slot, ngx_http_file_cache_init, …_exists, …_expire, …_forced_expire)

An entry is pinned while requests use it (its COUNT); only others make room, and the file of one that goes is deleted.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geng.conf.convert import Path, add_path
from geng.core import clock
from geng.core.table import SharedTable
from geng.core.values import BadValue, atoi, parse_msec, parse_offset, parse_sec, parse_size
from geng.core.zone import PAGE, RESERVED, Zone
from geng.errors import ConfigError, Invalid

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

NO_LIMIT = (1 << 63) - 1
MAX_LEVELS = 3

# Words of the zone itself: blocks on disk, entries, whether the folder has not been read yet, whether it is being read,
# and of how many entries a worker found no place for another (0: none did).
SIZE, ENTRIES, COLD, LOADING, WATERMARK = range(RESERVED, RESERVED + 5)
START = RESERVED + 8

# Words of an entry. KEY: two words, the MD5. ERROR: a status that is cached without a file, until VALID. EXPIRE: seconds
# since 1970; USED, LOCK_TIME: ms of clock.msec().
KEY, _, USES, COUNT, EXISTS, UPDATING, LOCK_TIME, ERROR, VALID, UNIQ, BLOCKS, EXPIRE, USED, BODY_START = range(14)
WORDS = 14


@dataclass(slots=True)
class Parameters:
    """What stands behind the folder in proxy_cache_path. Times in ms, but *inactive* in seconds; sizes in bytes."""

    levels: tuple[int, ...] = ()
    use_temp_path: bool = True
    name: str = ""
    size: int = 0
    inactive: int = 600
    max_size: int = NO_LIMIT
    min_free: int = 0
    loader_files: int = 100
    loader_sleep: int = 50
    loader_threshold: int = 200
    manager_files: int = 100
    manager_sleep: int = 50
    manager_threshold: int = 200


class CacheZone:
    """One proxy_cache_path; the `data` of its zone."""

    def __init__(self, path: Path, parameters: Parameters) -> None:
        self.path = path
        self.parameters = parameters
        self.name = parameters.name
        self.zone: Zone = None  # type: ignore[assignment]  # until it is declared
        self.table: SharedTable = None  # type: ignore[assignment]  # until it is mapped
        self.block = 512
        self.max_blocks = NO_LIMIT

    def __repr__(self) -> str:
        return f"<CacheZone {self.name} in {self.path.name}>"

    # ---- reading the configuration, and mapping

    def declare(self, cf: Cf, tag: object) -> None:
        """Make the zone known; raises Invalid."""
        self.zone = zone = cf.cycle.zones.add(self.name, self.parameters.size, tag)
        if zone.data is not None:
            raise Invalid(f'duplicate zone "{self.name}"')
        zone.data = self
        zone.init = self.mapped

    def mapped(self, zone: Zone, old: Zone | None) -> None:
        """The memory is there; raises ConfigError where the cache of this name was another one before."""
        before = old.data if old is not None else None
        zone.data = self
        self.table = SharedTable(zone, WORDS, START)
        if isinstance(before, CacheZone) and before is not self:
            if before.path.name != self.path.name:
                raise ConfigError(
                    f'cache "{self.name}" uses the "{self.path.name}" cache path while previously it used the'
                    f' "{before.path.name}" cache path'
                )
            if before.path.levels != self.path.levels:
                raise ConfigError(f'cache "{self.name}" had previously different levels')
        else:
            zone.slots[COLD] = 1
        try:
            self.block = os.statvfs(self.path.name).f_frsize or 512
        except OSError:
            self.block = 512  # the folder is made later
        most = self.parameters.max_size
        self.max_blocks = most if most == NO_LIMIT else most // self.block

    @property
    def cold(self) -> bool:
        """Whether files may be there that the zone does not know, and nobody looks for them."""
        slots = self.zone.slots
        return bool(slots[COLD]) and not slots[LOADING]

    # ---- files

    def file_name(self, key: bytes) -> str:
        """The full name of the file of *key* (16 bytes)."""
        text = key.hex()
        parts = [self.path.name]
        end = len(text)
        for level in self.path.levels:
            parts.append(text[end - level : end])
            end -= level
        return "/".join([*parts, text])

    def blocks(self, status: os.stat_result) -> int:
        """What a file takes on disk."""
        return -(-status.st_blocks * 512 // self.block)

    # ---- entries; each takes the lock

    def enter(self, key: bytes) -> tuple[int, bool]:
        """(the entry of *key*, pinned and used once more; whether it is new); 0 when there is no room."""
        gone: list[bytes] = []
        slots = self.zone.slots

        def make_room(at: int) -> None:
            if slots[at + EXISTS]:
                gone.append(key_at(slots, at))
            self._forget(at)

        with self.zone.lock:
            at, new = self.table.find(key, lambda i: -1 if slots[i + COUNT] else slots[i + USED], gone=make_room)
            if at:
                if new:
                    put_key(slots, at, key)
                    slots[ENTRIES] += 1
                slots[at + USES] += 1
                slots[at + COUNT] += 1
                slots[at + USED] = clock.msec()
                slots[at + EXPIRE] = clock.seconds() + self.parameters.inactive
            else:
                slots[WATERMARK] = slots[ENTRIES]
        for one in gone:
            delete(self.file_name(one))
        return at, new

    def renew(self, at: int) -> None:
        """Forget what the entry holds, not its uses; the lock is held."""
        slots = self.zone.slots
        slots[SIZE] -= slots[at + BLOCKS]
        for word in (EXISTS, ERROR, VALID, UNIQ, BLOCKS, BODY_START):
            slots[at + word] = 0

    def leave(self, at: int) -> None:
        """A request is done with the entry."""
        with self.zone.lock:
            self.zone.slots[at + COUNT] -= 1

    def drop_unused(self, at: int) -> None:
        """Take the entry away if nobody uses it and it holds nothing; the lock is held."""
        slots = self.zone.slots
        if not slots[at + COUNT] and not slots[at + EXISTS]:
            self._forget(at)
            self.table.drop(at)

    def _forget(self, at: int) -> None:
        slots = self.zone.slots
        slots[SIZE] -= slots[at + BLOCKS]
        slots[ENTRIES] -= 1

    # ---- what the manager does

    def expire(self, now: int, limit: int) -> tuple[int, int]:
        """Delete up to *limit* files that nobody asked for in time: (how many, seconds until the next is due)."""
        slots, table = self.zone.slots, self.table
        due: list[int] = []
        soonest = now + 10
        for at in table.entries():
            when = slots[at + EXPIRE]
            if when <= now:
                due.append(at)
            elif when < soonest:
                soonest = when
        done = 0
        for at in due:
            if done >= limit:
                return done, 0
            done += self._evict(at, now)
        return done, max(soonest - now, 1)

    def shrink(self, limit: int) -> int:
        """Delete the files that were not asked for longest, while the cache is too large; how many."""
        done = 0
        slots = self.zone.slots
        oldest: list[tuple[int, int]] | None = None
        while done < limit and self.too_large():
            if oldest is None:
                oldest = sorted(((slots[at + USED], at) for at in self.table.entries()), reverse=True)
            if not oldest:
                break
            done += self._evict(oldest.pop()[1], NO_LIMIT)
        return done

    def too_large(self) -> bool:
        """Whether files must go: by max_size, min_free, or for want of entries."""
        slots = self.zone.slots
        if slots[SIZE] > self.max_blocks or (slots[WATERMARK] and slots[ENTRIES] >= slots[WATERMARK]):
            return True
        least = self.parameters.min_free
        if not least:
            return False
        try:
            there = os.statvfs(self.path.name)
        except OSError:
            return False
        return there.f_bavail * there.f_frsize < least

    def _evict(self, at: int, now: int) -> bool:
        slots = self.zone.slots
        name = ""
        with self.zone.lock:
            if slots[at + COUNT] or slots[at + EXPIRE] > now:
                return False
            if slots[at + EXISTS]:
                name = self.file_name(key_at(slots, at))
            self._forget(at)
            self.table.drop(at)
        if name:
            delete(name)
        return True

    def add(self, key: bytes, blocks: int) -> None:
        """A file that was there before this server was."""
        slots = self.zone.slots
        with self.zone.lock:
            at, new = self.table.find(key, lambda i: -1)
            if not at:
                return
            if new:
                put_key(slots, at, key)
                slots[ENTRIES] += 1
                slots[at + USES] = 1
                slots[at + EXISTS] = 1
                slots[at + BLOCKS] = blocks
                slots[SIZE] += blocks
            slots[at + EXPIRE] = clock.seconds() + self.parameters.inactive


def put_key(slots: Any, at: int, key: bytes) -> None:
    """Write *key* into the entry."""
    slots[at + KEY] = int.from_bytes(key[:8], "little", signed=True)
    slots[at + KEY + 1] = int.from_bytes(key[8:], "little", signed=True)


def key_at(slots: Any, at: int) -> bytes:
    """The key of the entry."""
    first: int = slots[at + KEY]
    second: int = slots[at + KEY + 1]
    return first.to_bytes(8, "little", signed=True) + second.to_bytes(8, "little", signed=True)


def delete(name: str) -> None:
    """Delete a file that may be gone already."""
    try:
        os.unlink(name)
    except FileNotFoundError:
        pass


# ---- reading proxy_cache_path


def read_path(cf: Cf, tag: object) -> CacheZone:
    """`proxy_cache_path path [levels=levels] keys_zone=name:size …`; raises Invalid."""
    name, *words = cf.args
    given = Parameters()
    for word in words:
        _read(given, word)
    if not given.name or not given.size:
        raise Invalid(f'"{cf.node.name}" must have "keys_zone" parameter')
    made = CacheZone(Path(cf.path(name.removesuffix("/")), given.levels, cf.file, cf.line), given)
    made.path.data = made
    add_path(cf, made.path)
    made.declare(cf, tag)
    return made


def _read(given: Parameters, word: str) -> None:
    name, equals, text = word.partition("=")
    if not equals:
        raise Invalid(f'invalid parameter "{word}"')
    if name == "levels":
        given.levels = _levels(text, word)
    elif name == "use_temp_path":
        if text not in ("on", "off"):
            raise Invalid(f'invalid use_temp_path value "{word}", it must be "on" or "off"')
        given.use_temp_path = text == "on"
    elif name == "keys_zone":
        given.name, given.size = _keys_zone(text, word)
    elif name in NUMBERS:
        try:
            number = NUMBERS[name](text)
        except BadValue:
            raise Invalid(f'invalid {name} value "{word}"') from None
        setattr(given, name, number)
    else:
        raise Invalid(f'invalid parameter "{word}"')


def _levels(text: str, word: str) -> tuple[int, ...]:
    parts = text.split(":") if text else []
    if len(parts) > MAX_LEVELS or any(part not in ("1", "2") for part in parts):
        raise Invalid(f'invalid "levels" "{word}"')
    return tuple(map(int, parts))


def _keys_zone(text: str, word: str) -> tuple[str, int]:
    name, colon, size = text.partition(":")
    try:
        if not colon:
            raise BadValue
        number = parse_size(size)
    except BadValue:
        raise Invalid(f'invalid keys zone size "{word}"') from None
    if number < 2 * PAGE:
        raise Invalid(f'keys zone "{word}" is too small')
    return name, number


NUMBERS = {
    "inactive": parse_sec,
    "max_size": parse_offset,
    "min_free": parse_offset,
    "loader_files": atoi,
    "loader_sleep": parse_msec,
    "loader_threshold": parse_msec,
    "manager_files": atoi,
    "manager_sleep": parse_msec,
    "manager_threshold": parse_msec,
}
