"""Files and folders as a whole: walked, copied, moved.

nginx: ngx_file.c (ngx_walk_tree, ngx_copy_file, ngx_ext_rename_file, ngx_create_full_path)

What appears under its name is complete: a copy is made beside its place and then renamed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from errno import EACCES, EEXIST, ENOENT, EXDEV

FILE, ENTER, LEAVE, SPECIAL = range(4)
"""What walk() has come to: a file, a folder before and after what is in it, something else."""

COPY_SIZE = 1 << 20

_next = 0

Failed = Callable[[str, bytes, int], object]
"""Told of what cannot be read: (system call, path, errno)."""


def walk(top: bytes, failed: Failed) -> Iterator[tuple[int, bytes, os.stat_result]]:
    """All that is inside *top*, links not followed. Without recursion: who may make folders can make them deep."""
    pending: list[tuple[bytes, list[bytes], os.stat_result | None]] = [(top, _names(top, failed), None)]
    while pending:
        folder, names, seen = pending[-1]
        if not names:
            pending.pop()
            if seen is not None:
                yield LEAVE, folder, seen
            continue
        path = folder + b"/" + names.pop()
        try:
            info = os.lstat(path)
        except OSError as error:
            failed("lstat()", path, error.errno or 0)
            continue
        if stat.S_ISREG(info.st_mode):
            yield FILE, path, info
        elif stat.S_ISDIR(info.st_mode):
            yield ENTER, path, info
            pending.append((path, _names(path, failed), info))
        else:
            yield SPECIAL, path, info


def _names(folder: bytes, failed: Failed) -> list[bytes]:
    try:
        return sorted(os.listdir(folder), reverse=True)
    except OSError as error:
        failed("opendir()", folder, error.errno or 0)
        return []


def folder_access(access: int) -> int:
    """Who may read a file may look into its folder.   nginx: ngx_dir_access"""
    return access | (access & 0o444) >> 2


def copy(source: bytes, target: bytes, access: int = 0, mtime: float | None = None) -> None:
    """Make *target*, or replace it, with the content of *source*; 0 and None: as *source* has them. Raises OSError."""
    old = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        info = os.fstat(old)
        new, beside = _beside(target, access or info.st_mode & 0o777)
        try:
            _pour(old, new)
            when = info.st_mtime if mtime is None else mtime
            os.utime(new, (when, when))
            os.rename(beside, target)
        except BaseException:
            os.unlink(beside)
            raise
        finally:
            os.close(new)
    finally:
        os.close(old)


def _pour(old: int, new: int) -> None:
    while data := os.read(old, COPY_SIZE):
        view = memoryview(data)
        while view:
            view = view[os.write(new, view) :]


def move(source: bytes, target: bytes, folders: int | None) -> None:
    """Rename *source*; over the border of a file system by a copy. Missing folders are made with mode *folders*.

    Raises OSError; *source* is there then, as it was.
    """
    try:
        os.rename(source, target)
        return
    except OSError as error:
        if error.errno == ENOENT and folders is not None and os.path.lexists(source):
            make_folders(target, folders)
        elif error.errno != EXDEV:
            raise
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != EXDEV:
            raise
        copy(source, target)
        os.unlink(source)


def make_folders(path: bytes, mode: int) -> None:
    """Make what is missing of the folders above *path*. Raises OSError."""
    at = path.find(b"/", 1)
    while at > 0:
        try:
            os.mkdir(path[:at], mode)
        except OSError as error:
            if error.errno not in (EEXIST, EACCES):  # one that may not be written to may still hold the next
                raise
        at = path.find(b"/", at + 1)


def _beside(target: bytes, mode: int) -> tuple[int, bytes]:
    """A new file, `target.0000000001`, open for writing, and its name."""
    global _next
    while True:
        _next = (_next + 1) % 10_000_000_000
        name = b"%s.%010d" % (target, _next)
        try:
            return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), name
        except FileExistsError:  # another worker's
            continue
