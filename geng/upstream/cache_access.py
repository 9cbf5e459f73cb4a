"""One request's dealings with a cache: its entry, its file, and who of several requests fetches what is missing.

nginx: ngx_http_file_cache.c (ngx_http_file_cache_open, …_read, …_lock, …_update, …_update_header, …_free, …_vary)
"""

from __future__ import annotations

import os
import re
from errno import EXDEV
from hashlib import md5
from typing import TYPE_CHECKING, Any
from zlib import crc32

from geng.core import clock
from geng.upstream.cache_file import BODY_START_MAX, KEY, VARY_MAX, BadFile, CacheHeader, header_start, read_header
from geng.upstream.cache_zone import (
    BLOCKS,
    BODY_START,
    COLD,
    COUNT,
    ERROR,
    EXISTS,
    LOCK_TIME,
    SIZE,
    UNIQ,
    UPDATING,
    USES,
    VALID,
)

if TYPE_CHECKING:
    from geng.core.tempfile import TempFile
    from geng.http.request import Request
    from geng.upstream.cache_zone import CacheZone

# What a look into the cache comes to; a status above 300 is one that is cached without a file.
FOUND, MISSING, SCARCE, STALE, UPDATED_BY_OTHER, WAIT, NO_ROOM = range(7)

WAIT_STEP = 500  # ms after which one that waits looks again, at most

NORMALIZED = frozenset((b"accept-charset", b"accept-encoding", b"accept-language"))
_WORDS = re.compile(rb"[^ ,]+")


class CacheAccess:
    """nginx: ngx_http_cache_t. *header* is what the file says, or will say; *data* its beginning.

    entry: index in the zone, 0 for none; updating: this request is the one that fetches; secondary: the key is that of a
    variant (Vary).
    """

    def __init__(self, r: Request, cache: CacheZone, key: bytes, min_uses: int, room: int) -> None:
        self.r = r
        self.cache = cache
        self.key_text = key
        self.crc32 = crc32(key)
        self.main = self.key = md5(key, usedforsecurity=False).digest()
        self.min_uses = min_uses
        self.room = room  # bytes of a file that are read at once: what the head must fit in
        self.header = CacheHeader(crc32=self.crc32, header_start=header_start(key))
        self.data = b""
        self.entry = 0
        self.name = ""
        self.fd = -1
        self.length = 0
        self.uniq = 0
        self.error = 0
        self.cacheable = True
        self.lock = False
        self.lock_timeout = self.lock_age = 0
        self.lock_time = 0
        self.wait_until = 0
        self.updating = False
        self.updated = False  # the entry is as it shall be: nothing is owed to it any more
        self.secondary = False
        self.update_variant = False
        self.stale_updating = self.stale_error = False
        self.temp: TempFile | None = None

    def __repr__(self) -> str:
        return f"<CacheAccess {self.key_text!r} entry {self.entry}>"

    @property
    def slots(self) -> Any:
        return self.cache.zone.slots

    # ---- looking

    def look(self) -> int:
        """FOUND …, WAIT, or a cached status."""
        slots = self.slots
        known = self.entry != 0
        if not known:
            at, _ = self.cache.enter(self.key)
            if not at:
                self.r.log.alert(f'could not allocate node in cache keys zone "{self.cache.name}"')
                return NO_ROOM
            self.entry = at
        at = self.entry
        with self.cache.zone.lock:
            outcome = self._state(at)
            exists = slots[at + EXISTS]
            cold = slots[COLD]
            self.uniq = slots[at + UNIQ]
        if outcome >= 300:
            return outcome
        if outcome == SCARCE and not cold:
            return SCARCE
        self.name = self.cache.file_name(self.key)
        if exists or cold:
            found = self._open()
            if found != MISSING:
                return found
        return self._take_lock() if outcome == FOUND else SCARCE

    def _state(self, at: int) -> int:
        """FOUND: there may be a file, or one may be made; SCARCE: not asked for often enough; or a cached status."""
        slots = self.slots
        error: int = slots[at + ERROR]
        if error:
            if slots[at + VALID] >= clock.seconds():
                self.error = error
                return error
            self.cache.renew(at)
        if slots[at + EXISTS] or slots[at + USES] >= self.min_uses:
            return FOUND
        return SCARCE

    def _open(self) -> int:
        """What the file is: FOUND, STALE, UPDATED_BY_OTHER; MISSING when there is none that can be used."""
        r = self.r
        try:
            fd = os.open(self.name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return MISSING
        except OSError as error:
            r.log.crit(f'open() "{self.name}" failed', err=error.errno, ctx=r.c)
            return MISSING
        self.close()
        self.fd = fd
        status = os.fstat(fd)
        self.uniq = status.st_ino
        self.length = status.st_size
        try:
            self.data = os.pread(fd, self.room, 0)
            header = read_header(self.data, self.key_text, self.crc32)
            if header.body_start > self.room:
                raise BadFile("has too long header")
        except BadFile as bad:
            r.log.log(bad.level, f'cache file "{self.name}" {bad}', ctx=r.c)
            return MISSING
        except OSError as error:
            r.log.crit(f'pread() "{self.name}" failed', err=error.errno, ctx=r.c)
            return MISSING
        if header.vary:
            variant = self.variant(header.vary)
            if variant != header.variant:
                return self._other_variant(variant)
        self.header = header
        return self._age(status)

    def _other_variant(self, variant: bytes) -> int:
        """The file is for other request headers: look under the key of these."""
        r = self.r
        if self.secondary:
            r.log.crit(f'cache file "{self.name}" has incorrect vary hash', ctx=r.c)
            return MISSING
        self.cache.leave(self.entry)
        self.entry = 0
        self.secondary = True
        self.key = variant
        self.close()
        return self.look()

    def _age(self, status: os.stat_result) -> int:
        slots, at = self.slots, self.entry
        header = self.header
        now = clock.seconds()
        with self.cache.zone.lock:
            if not slots[at + EXISTS]:  # the folder was there before this server
                blocks = self.cache.blocks(status)
                slots[at + USES] = 1
                slots[at + EXISTS] = 1
                slots[at + UNIQ] = self.uniq
                slots[at + BODY_START] = header.body_start
                slots[at + BLOCKS] = blocks
                slots[SIZE] += blocks
            if header.valid >= now:
                return FOUND
            self.stale_updating = header.valid + header.updating >= now
            self.stale_error = header.valid + header.error >= now
            if slots[at + UPDATING]:
                return UPDATED_BY_OTHER
            slots[at + UPDATING] = 1
            self.updating = True
            self.lock_time = slots[at + LOCK_TIME]
            return STALE

    def _take_lock(self) -> int:
        """proxy_cache_lock: MISSING when this request is to fetch, WAIT or SCARCE when another does."""
        if not self.lock:
            return MISSING
        slots, at = self.slots, self.entry
        now = clock.msec()
        with self.cache.zone.lock:
            if not slots[at + UPDATING] or slots[at + LOCK_TIME] <= now:
                slots[at + UPDATING] = 1
                slots[at + LOCK_TIME] = self.lock_time = now + self.lock_age
                self.updating = True
        if self.updating:
            return MISSING
        return WAIT if self.lock_timeout else SCARCE

    def wait(self) -> None:
        """Until the request that fetches is done, or the time for it, or for this one, is over."""
        r = self.r
        slots, at = self.slots, self.entry
        if not self.wait_until:
            self.wait_until = clock.msec() + self.lock_timeout
        while True:
            now = clock.msec()
            if now >= self.wait_until:
                r.log.info("cache lock timeout", ctx=r.c)
                self.lock_timeout = 0
                return
            left = self.wait_until - now
            with self.cache.zone.lock:
                if not slots[at + UPDATING] or slots[at + LOCK_TIME] <= now:
                    return
                left = min(left, slots[at + LOCK_TIME] - now)
            r.c.hub.sleep(min(left, WAIT_STEP))

    def variant(self, vary: bytes) -> bytes:
        """The key of what this request's headers choose among the variants.   nginx: ngx_http_file_cache_vary"""
        digest = md5(self.main, usedforsecurity=False)
        for name in _WORDS.findall(vary.lower()):
            values = self.r.head.getall(name)
            if name in NORMALIZED:
                values = [word for value in values for word in _WORDS.findall(value)]
            digest.update(b"%s:%s\r\n" % (name, b",".join(values)))
        return digest.digest()

    # ---- making

    def begin_bypassed(self) -> None:
        """The cache was not asked (proxy_cache_bypass), but the response may be stored."""
        if not self.entry:
            self.entry, _ = self.cache.enter(self.key)
        self.name = self.cache.file_name(self.key)

    def begin_file(self, head: bytes) -> bytes | None:
        """What the new file begins with, before the body; None when the head does not fit or nothing may be stored."""
        header = self.header
        header.body_start = header.header_start + len(head)
        if header.body_start > BODY_START_MAX or not self.entry:
            return None
        if header.vary:
            header.variant = self.variant(header.vary)
        self._settle_variant()
        if not self.entry:
            return None
        return b"".join((header.pack(), KEY, self.key_text, b"\n", head))

    def _settle_variant(self) -> None:
        """Back to the main key where the response is not the variant that was looked for."""
        header = self.header
        if not self.secondary or (header.vary and header.variant == self.key):
            return
        with self.cache.zone.lock:
            self.slots[self.entry + UPDATING] = 0
        self.cache.leave(self.entry)
        self.update_variant = True
        self.key = self.main
        self.entry, _ = self.cache.enter(self.key)
        self.name = self.cache.file_name(self.key)

    def commit(self, temp: TempFile) -> None:
        """The file is whole: it takes its place."""
        if self.updated or not self.entry:
            return
        self.updated = True
        self.updating = False
        slots, at = self.slots, self.entry
        r = self.r
        uniq = blocks = 0
        placed = False
        try:
            move(temp.name, self.name)
            status = os.fstat(temp.fd)
            uniq, blocks = status.st_ino, self.cache.blocks(status)
            placed = True
        except OSError as error:
            r.log.crit(f'rename() "{temp.name}" to "{self.name}" failed', err=error.errno, ctx=r.c)
        with self.cache.zone.lock:
            slots[at + ERROR] = 0
            slots[at + UNIQ] = uniq
            slots[at + BODY_START] = self.header.body_start
            slots[SIZE] += blocks - slots[at + BLOCKS]
            slots[at + BLOCKS] = blocks
            if placed:
                slots[at + EXISTS] = 1
            slots[at + UPDATING] = 0
            slots[at + COUNT] -= 1

    def renew_header(self) -> None:
        """The stored response was found to be good still (304): its header gets the new times."""
        r = self.r
        try:
            fd = os.open(self.name, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        except OSError as error:
            r.log.crit(f'open() "{self.name}" failed', err=error.errno, ctx=r.c)
            return
        try:
            status = os.fstat(fd)
            if status.st_ino != self.uniq or status.st_size != self.length:
                return  # another request has replaced it
            os.pwrite(fd, self.header.pack(), 0)
        except OSError as error:
            r.log.crit(f'pwrite() "{self.name}" failed', err=error.errno, ctx=r.c)
        finally:
            os.close(fd)

    def release(self) -> None:
        """Nothing (more) is stored: let go of the entry."""
        if self.updated or not self.entry:
            return
        self.updated = True
        slots, at = self.slots, self.entry
        with self.cache.zone.lock:
            slots[at + COUNT] -= 1
            if self.updating and slots[at + LOCK_TIME] == self.lock_time:
                slots[at + UPDATING] = 0
            if self.error:
                slots[at + ERROR] = self.error
                if self.header.valid:
                    slots[at + VALID] = self.header.valid
            elif self.min_uses == 1:
                self.cache.drop_unused(at)
        self.updating = False

    def close(self) -> None:
        """Close the file."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def vary_of(self, values: list[bytes]) -> None:
        """What the response says it depends on; too much of it, or `*`, cannot be cached."""
        if b"*" in values:
            self.cacheable = False
            return
        vary = b", ".join(values)
        if len(vary) > VARY_MAX:
            self.cacheable = False
        else:
            self.header.vary = vary


def move(source: str, target: str, folder_mode: int = 0o700) -> None:
    """Rename, making folders, and copying where the two are on different file systems. Raises OSError.

    nginx: ngx_ext_rename_file
    """
    try:
        os.rename(source, target)
        return
    except FileNotFoundError:
        make_folders(os.path.dirname(target), folder_mode)
    except OSError as error:
        if error.errno != EXDEV:
            raise
        _copy(source, target)
        return
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != EXDEV:
            raise
        _copy(source, target)


def make_folders(folder: str, mode: int) -> None:
    """Make *folder* and what is missing above it, all with *mode*.   nginx: ngx_create_full_path"""
    if os.path.isdir(folder):
        return
    make_folders(os.path.dirname(folder), mode)
    try:
        os.mkdir(folder, mode)
    except FileExistsError:
        return


def _copy(source: str, target: str) -> None:
    beside = f"{target}.{os.getpid():010d}"
    with open(source, "rb") as old, open(beside, "wb") as new:
        while data := old.read(1 << 20):
            new.write(data)
        os.fchmod(new.fileno(), os.fstat(old.fileno()).st_mode & 0o777)
    os.rename(beside, target)
    os.unlink(source)
