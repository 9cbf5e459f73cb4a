"""Files for those who serve them: which one a URI means, opened once, from the open file cache where there is one.

nginx: ngx_open_file_cache.c, ngx_http_core_module.c (ngx_http_map_uri_to_path, ngx_http_set_disable_symlinks)

What fails comes back as an OpenFile with `err` set: a file that is not there is no exception for `try_files`.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from errno import EACCES, ELOOP, EMLINK, ENAMETOOLONG, ENOENT, ENOTDIR
from typing import TYPE_CHECKING, Any

from geng.core import clock
from geng.http.filters import ClientGone, FileSlice, Parts

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.request import Request

FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # not to hang on a FIFO; no effect on regular files
SEARCH = os.O_PATH | os.O_DIRECTORY | FLAGS
MIN_READ_AHEAD = 128 * 1024
UNLIMITED = (1 << 63) - 1  # directio off

OFF, ON, NOT_OWNER = range(3)
"""disable_symlinks"""

MISSING = frozenset((ENOENT, ENOTDIR, ENAMETOOLONG))
FORBIDDEN = frozenset((EACCES, EMLINK, ELOOP))
LINKS = frozenset((EMLINK, ELOOP))


class OpenFile:
    """A file as it was found. err: 0, or the errno of *failed* (`open()`, `openat()`, `stat()`, `fstat()`).

    fd: -1 for directories and where only a look was asked for. Whoever opened it closes it; cached ones are released.
    """

    __slots__ = ("err", "failed", "fd", "is_dir", "is_exec", "is_file", "mtime", "size", "uniq")

    def __init__(self, fd: int, info: os.stat_result | None, err: int = 0, failed: str = "") -> None:
        self.fd = fd
        self.err = err
        self.failed = failed
        if info is None:
            self.is_dir = self.is_file = self.is_exec = False
            self.size = self.mtime = self.uniq = 0
            return
        mode = info[0]
        kind = mode & 0o170000
        self.is_dir = kind == 0o040000
        self.is_file = kind == 0o100000
        self.is_exec = mode & 0o100 != 0
        self.uniq = info[1]
        self.size = info[6]
        self.mtime = int(info[8])

    def __repr__(self) -> str:
        if self.err:
            return f"<OpenFile {self.failed} failed: {os.strerror(self.err)}>"
        return f"<OpenFile fd {self.fd} {'directory' if self.is_dir else f'{self.size} bytes'}>"

    def close(self) -> None:
        """Close the descriptor, if there is one."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


Lookup = Callable[["Request", bytes], OpenFile]
Mapper = Callable[["Request"], bytes]


def shown(path: bytes) -> str:
    """*path* as a log line has it."""
    return path.decode("utf-8", "surrogateescape")


def in_memory(r: Request, parts: Parts) -> Iterator[Any]:
    """*parts* as bytes for a filter that must see them; files are read one of `output_buffers` at a time.

    Raises ClientGone, with a line in the log, where a file has become shorter: the answer cannot be completed.
    """
    for part in parts:
        if type(part) is not FileSlice:
            yield part
            continue
        size: int = r.loc.output_buffers[1]
        offset, left = part.offset, part.length
        while left > 0:
            data = os.pread(part.fd, min(left, size), offset)
            if not data:
                r.log.crit(f"pread() read only 0 of {left} bytes of a file while sending to client", ctx=r.c)
                raise ClientGone
            yield data
            offset += len(data)
            left -= len(data)


# ---- URI to path


def mapper(loc: CoreLoc) -> Mapper:
    """The function that gives the path of a request's URI in *loc*, by `root` or `alias`."""
    literal = loc.root.literal
    if literal is None or loc.alias:
        return loc.path_of
    return lambda r: literal + r.uri


def rooter(loc: CoreLoc) -> Mapper:
    """The function that gives what stands before the URI (or what remains of it) in those paths."""
    literal = loc.root.literal
    if literal is None or loc.alias:
        return loc.root_of
    return lambda r: literal


# ---- plain files


def open_plain(path: bytes) -> OpenFile:
    """Open *path* and look at it; directories are closed again."""
    try:
        fd = os.open(path, FLAGS)
    except OSError as error:
        return OpenFile(-1, None, error.errno or 0, "open()")
    except ValueError:  # a NUL in it, from a variable: nginx would take what is before it, which nobody can want
        return OpenFile(-1, None, ENOENT, "open()")
    try:
        found = OpenFile(fd, os.fstat(fd))
    except OSError as error:
        os.close(fd)
        return OpenFile(-1, None, error.errno or 0, "fstat()")
    if found.is_dir:
        found.close()
    return found


def stat_plain(path: bytes) -> OpenFile:
    """Only look at *path*."""
    try:
        return OpenFile(-1, os.stat(path))
    except OSError as error:
        return OpenFile(-1, None, error.errno or 0, "stat()")
    except ValueError:
        return OpenFile(-1, None, ENOENT, "stat()")


# ---- disable_symlinks


def open_checked(path: bytes, mode: int, start: int) -> OpenFile:
    """As open_plain(), but refuses symbolic links (ON), or those of another owner (NOT_OWNER), after *start*.

    Every component is opened relative to the one before, so that nobody can put a link in the way in between.
    """
    if b"\0" in path:
        return OpenFile(-1, None, ENOENT, "openat()")
    if start:
        first, rest = path[:start], path[start + 1 :]
    elif path[:1] == b"/":
        first, rest = b"/", path[1:]
    else:
        first, rest = b".", path
    try:
        at = os.open(first, SEARCH)
    except OSError as error:
        return OpenFile(-1, None, error.errno or 0, "open()" if start else "openat()")
    try:
        *folders, last = rest.split(b"/")
        for name in folders:
            if name:
                inner = _open_at(at, name, mode, SEARCH)
                os.close(at)
                at = inner
        fd = _open_at(at, last, mode, FLAGS) if last else os.open(b".", FLAGS, dir_fd=at)
    except OSError as error:
        return OpenFile(-1, None, error.errno or 0, "openat()")
    finally:
        os.close(at)
    found = OpenFile(fd, os.fstat(fd))
    if found.is_dir:
        found.close()
    return found


def _open_at(at: int, name: bytes, mode: int, flags: int) -> int:
    """Open one component; raises OSError with ELOOP for a link that is not allowed."""
    if mode == ON:
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=at)
    fd = os.open(name, flags, dir_fd=at)
    try:
        link = os.stat(name, dir_fd=at, follow_symlinks=False)
        if os.fstat(fd).st_uid != link.st_uid:
            raise OSError(ELOOP, os.strerror(ELOOP))
    except OSError:
        os.close(fd)
        raise
    return fd


def _symlinks_from(loc: CoreLoc, r: Request, path: bytes) -> tuple[int, int]:
    """(mode, how much of *path* is trusted) by disable_symlinks (ngx_http_set_disable_symlinks)."""
    mode: int = loc.disable_symlinks
    if loc.disable_symlinks_from is None:
        return mode, 0
    start: bytes = loc.disable_symlinks_from(r)
    if not start or not path.startswith(start):
        return mode, 0
    size = len(start)
    if size == len(path):
        return OFF, 0
    if path[size : size + 1] == b"/":
        return mode, size
    return mode, size - 1 if start.endswith(b"/") else 0


# ---- what a location does


def opener(loc: CoreLoc) -> Lookup:
    """`open(r, path) -> OpenFile` for content in *loc*; the file is closed when the request is over."""
    cache: OpenFileCache | None = loc.open_file_cache
    if cache is not None:
        return _sparing(loc, _cached(loc, cache))
    look = _looker(loc)

    def open_file(r: Request, path: bytes) -> OpenFile:
        of = look(r, path)
        if of.fd >= 0:
            r.on_end(of.close)
        return of

    return _sparing(loc, open_file)


def _sparing(loc: CoreLoc, open_file: Lookup) -> Lookup:
    """`directio`: large files do not push others out of the page cache.

    Not as in nginx, which reads with O_DIRECT and so cannot use sendfile: here the pages go once they were sent.
    """
    least: int = loc.directio
    if least == UNLIMITED:
        return open_file

    def open_sparingly(r: Request, path: bytes) -> OpenFile:
        of = open_file(r, path)
        if of.fd >= 0 and of.size >= least:
            fd = of.fd
            r.on_end(lambda: os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED))  # runs before what closes it
        return of

    return open_sparingly


def tester(loc: CoreLoc, cached: bool = True) -> Lookup:
    """`test(r, path) -> OpenFile` in *loc*, to see what is there without using its content."""
    cache: OpenFileCache | None = loc.open_file_cache
    if cached and cache is not None:
        return _cached(loc, cache)
    if loc.disable_symlinks == OFF:
        return lambda r, path: stat_plain(path)
    look = _looker(loc)

    def test(r: Request, path: bytes) -> OpenFile:
        of = look(r, path)
        of.close()
        return of

    return test


def examine(r: Request, path: bytes) -> OpenFile:
    """What is at *path*, by the rules of the location where *r* is: for those who know it only then (`if (-f …)`)."""
    loc = r.loc
    if loc.open_file_cache is None and loc.disable_symlinks == OFF:
        return stat_plain(path)
    return tester(loc)(r, path)


def _looker(loc: CoreLoc) -> Lookup:
    """Open and look, without a cache."""
    if not loc.disable_symlinks and not loc.read_ahead:
        return lambda r, path: open_plain(path)

    def look(r: Request, path: bytes) -> OpenFile:
        mode, start = _symlinks_from(loc, r, path) if loc.disable_symlinks else (OFF, 0)
        return open_checked(path, mode, start) if mode != OFF else open_plain(path)

    if not loc.read_ahead:
        return look
    ahead = loc.read_ahead

    def look_ahead(r: Request, path: bytes) -> OpenFile:
        of = look(r, path)
        if of.fd >= 0 and of.size > MIN_READ_AHEAD:
            os.posix_fadvise(of.fd, 0, ahead, os.POSIX_FADV_SEQUENTIAL)
        return of

    return look_ahead


# ---- open_file_cache


class CachedFile:
    """An entry of the cache: a file (open, or not used often enough for it), a directory or a failure."""

    __slots__ = ("accessed", "checked", "count", "gone", "of", "path", "symlinks", "uses")

    def __init__(self, path: bytes, of: OpenFile, now: int, symlinks: tuple[int, int]) -> None:
        self.path = path
        self.of = of
        self.checked = now
        self.accessed = now
        self.symlinks = symlinks
        self.uses = 1
        self.count = 0  # requests that use the descriptor now
        self.gone = False  # not in the cache any more: the last one closes it

    def __repr__(self) -> str:
        return f"<CachedFile {self.of!r} used {self.uses} times, by {self.count} now>"


class OpenFileCache:
    """What `open_file_cache max=N inactive=time` keeps; each worker has its own."""

    def __init__(self, most: int, inactive: int) -> None:
        self.most = most
        self.inactive = inactive
        self.files: OrderedDict[bytes, CachedFile] = OrderedDict()  # the one used last stands last

    def __repr__(self) -> str:
        return f"<OpenFileCache {len(self.files)} of {self.most}>"

    def get(self, r: Request, loc: CoreLoc, look: Lookup, path: bytes) -> OpenFile:
        """The file at *path*, held for *r* while it lasts. nginx: ngx_open_cached_file"""
        now = clock.seconds()
        symlinks = _symlinks_from(loc, r, path) if loc.disable_symlinks else (0, 0)
        file = self.files.get(path)
        if file is None:
            return self._add(r, loc, look, path, now, symlinks)
        file.uses += 1
        closed = file.of.fd < 0 and not file.of.err and not file.of.is_dir
        if closed or now - file.checked >= loc.open_file_cache_valid or file.symlinks != symlinks:
            found = self._check(r, loc, look, path, file, now, symlinks)
            if isinstance(found, OpenFile):
                return found
            file = found
        file.accessed = now
        self.files.move_to_end(path)
        return self._hold(r, loc, file)

    def _add(self, r: Request, loc: CoreLoc, look: Lookup, path: bytes, now: int, symlinks: tuple[int, int]) -> OpenFile:
        of = look(r, path)
        if of.err and not loc.open_file_cache_errors:
            return of
        if len(self.files) >= self.most:
            self._expire(0, now)
        file = self.files[path] = CachedFile(path, of, now, symlinks)
        return self._hold(r, loc, file)

    def _check(
        self, r: Request, loc: CoreLoc, look: Lookup, path: bytes, file: CachedFile, now: int,
        symlinks: tuple[int, int],
    ) -> CachedFile | OpenFile:  # fmt: skip
        """Look again; the entry, brought up to date, or what was found where that is not to be kept."""
        old = file.of
        if old.is_dir or old.fd >= 0:
            of = tester(loc, cached=False)(r, path)  # most often nothing has changed
            if not of.err and of.is_dir == old.is_dir and of.uniq == old.uniq:
                of.fd = old.fd
                file.of, file.checked, file.symlinks = of, now, symlinks
                return file
        of = look(r, path)
        if of.err and not loc.open_file_cache_errors:
            del self.files[path]
            self._forget(file)
            return of
        if old.fd >= 0:
            self._forget(file)
            uses, file = file.uses, CachedFile(path, of, now, symlinks)
            file.uses = uses
            self.files[path] = file
        file.of, file.checked, file.symlinks = of, now, symlinks
        return file

    def _hold(self, r: Request, loc: CoreLoc, file: CachedFile) -> OpenFile:
        of = file.of
        if of.fd >= 0:
            file.count += 1
            least = loc.open_file_cache_min_uses
            r.on_end(lambda: self._release(file, least))
        return of

    def _release(self, file: CachedFile, least: int) -> None:
        """A request does not need it any more. nginx: ngx_open_file_cleanup, ngx_close_cached_file"""
        file.count -= 1
        if not file.gone:
            file.accessed = clock.seconds()
            self.files.move_to_end(file.path)
        if file.count == 0 and (file.gone or file.uses < least):
            file.of.close()
        self._expire(1, clock.seconds())

    def _forget(self, file: CachedFile) -> None:
        file.gone = True
        if file.count == 0:
            file.of.close()

    def _expire(self, forced: int, now: int) -> None:
        """Drop up to two that were not used for long; with *forced* 0 first the oldest. As ngx_expire_old_…"""
        files = self.files
        n = forced
        while n < 3 and files:
            path = next(iter(files))
            file = files[path]
            if n > 0 and now - file.accessed <= self.inactive:
                return
            n += 1
            del files[path]
            self._forget(file)

    def clear(self) -> None:
        """Close everything that nobody uses (the worker ends)."""
        for file in self.files.values():
            self._forget(file)
        self.files.clear()


def _cached(loc: CoreLoc, cache: OpenFileCache) -> Lookup:
    look = _looker(loc)
    return lambda r, path: cache.get(r, loc, look, path)
