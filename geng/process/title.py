"""What `ps` shows: "geng: master process …", "geng: worker process".   nginx: ngx_setproctitle.c

Linux shows the memory where the arguments of the process were, and what follows it as far as that is its environment.
As nginx does, this writes there, having moved the environment elsewhere; but through /proc/self/mem, where a wrong
address is an error and no crash, and only after what is read there has proved to be the arguments. Where any of this
cannot be had, titles stay as they are: nothing depends on them.
"""

from __future__ import annotations

import os

NAME = "geng"
ARG_START, ARG_END, ENV_START, ENV_END = range(45, 49)  # fields of /proc/self/stat, counted from behind the name


class _Area:
    """Where the title is, and this process's way to write there."""

    start = 0
    room = 0
    pid = 0
    fd = -1


def prepare() -> None:
    """Find the place; once, before the first show()."""
    if _Area.room:
        return
    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        arg_start, arg_end, env_start, env_end = (int(fields[n]) for n in (ARG_START, ARG_END, ENV_START, ENV_END))
        with open("/proc/self/cmdline", "rb") as file:
            arguments = file.read()
        fd = _open()
        if not arguments or os.pread(fd, arg_end - arg_start, arg_start) != arguments:
            return
        with open("/proc/self/comm", "w", encoding="ascii") as file:
            file.write(NAME)  # children have it too
    except (OSError, ValueError, IndexError, OverflowError):
        return
    _Area.start = arg_start
    _Area.room = (env_end if env_start == arg_end else arg_end) - arg_start
    for name, value in os.environb.items():
        os.putenv(name, value)  # the C library now has it in new memory


def show(title: str) -> None:
    """Be called "geng: *title*"."""
    if not _Area.room:
        return
    text = f"{NAME}: {title}".encode("utf-8", "surrogateescape")[: _Area.room - 1]
    try:
        os.pwrite(_open(), text.ljust(_Area.room, b"\0"), _Area.start)
    except OSError:
        _Area.room = 0


def _open() -> int:
    """This process's memory. A child needs its own; it stays open, for without privileges it could not be opened."""
    if _Area.pid != os.getpid():
        if _Area.fd >= 0:
            os.close(_Area.fd)
        _Area.fd, _Area.pid = -1, os.getpid()
        _Area.fd = os.open("/proc/self/mem", os.O_RDWR | os.O_CLOEXEC)
    return _Area.fd
