"""Temporary files: request bodies and responses that do not fit in memory.

nginx: ngx_file.c (ngx_create_temp_file, ngx_create_hashed_filename)
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

_next = 0
COLLISIONS = 100


class TempFile:
    """One open temporary file. *name* is where it was made; it stays there only if it is *persistent*."""

    __slots__ = ("fd", "name", "persistent", "size")

    def __init__(self, path: Any, *, persistent: bool = False, mode: int = 0o600) -> None:
        """*path*: a geng.conf.convert.Path. Raises OSError."""
        self.size = 0
        self.fd, self.name = _create(lambda: _name(path.name, path.levels), mode)
        self.persistent = persistent
        if not persistent:
            os.unlink(self.name)

    @classmethod
    def beside(cls, name: str) -> TempFile:
        """A persistent one, `name.0000000001`, that shall become the file *name*. Raises OSError."""
        made = cls.__new__(cls)
        made.size = 0
        made.fd, made.name = _create(lambda: f"{name}.{_number()}", 0o600)
        made.persistent = True
        return made

    def __repr__(self) -> str:
        return f"<TempFile fd {self.fd} {self.size} bytes>"

    def write(self, parts: list[bytes]) -> int:
        """Append *parts*; how many bytes that were. Raises OSError."""
        total = 0
        for part in parts:
            view = memoryview(part)
            while view:
                n = os.pwrite(self.fd, view, self.size)
                self.size += n
                total += n
                view = view[n:]
        return total

    def read(self, n: int, offset: int) -> bytes:
        """Up to *n* bytes from *offset*."""
        return os.pread(self.fd, n, offset)

    def close(self, delete: bool = False) -> None:
        """Close it; *delete* takes a persistent one away too."""
        if self.fd < 0:
            return
        os.close(self.fd)
        self.fd = -1
        if delete and self.persistent:
            os.unlink(self.name)


def _create(make_name: Callable[[], str], mode: int) -> tuple[int, str]:
    for attempt in range(COLLISIONS):
        name = make_name()
        try:
            return _open(name, mode), name
        except FileExistsError:
            if attempt == COLLISIONS - 1:
                raise
    raise AssertionError("unreachable")


def _open(name: str, mode: int) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(name, flags, mode)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(name), 0o700, exist_ok=True)
        return os.open(name, flags, mode)


def _number() -> str:
    global _next
    _next = (_next + 1) % 10_000_000_000
    return f"{_next:010d}"


def _name(folder: str, levels: tuple[int, ...]) -> str:
    """`folder/4/23/0000000234` for levels 1 and 2: the last digits, from the end."""
    number = _number()
    parts = [folder]
    end = len(number)
    for level in levels:
        parts.append(number[end - level : end])
        end -= level
    return "/".join([*parts, number])


def start_numbers_at(number: int) -> None:
    """Where the numbers of this process begin: workers must not take each other's names all the time."""
    global _next
    _next = number % 10_000_000_000
