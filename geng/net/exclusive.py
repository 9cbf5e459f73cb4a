"""One connection wakes one worker: EPOLLEXCLUSIVE for listening sockets.   nginx: ngx_reorder_accept_events

Workers that share a listening socket all wake when a connection comes, and all but one find nothing. The kernel wakes
one only if the socket was added to epoll with EPOLLEXCLUSIVE, which libev does not know. So the registration that
libev has made is replaced by one of the same content with that flag. What libev keeps in it (the descriptor and a
generation count) is read back from /proc; where that is not possible the socket stays shared, which costs only the
needless wakes.
"""

from __future__ import annotations

import ctypes
import functools
import re
import select
from typing import Any

EPOLL_CTL_ADD, EPOLL_CTL_DEL = 1, 2


class _Event(ctypes.Structure):
    """struct epoll_event"""

    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("events", ctypes.c_uint32), ("data", ctypes.c_uint64)]


@functools.cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def registered(epoll_fd: int, fd: int) -> int | None:
    """What the epoll instance *epoll_fd* gives back for *fd*; None if it does not watch it (or nobody can tell)."""
    try:
        with open(f"/proc/self/fdinfo/{epoll_fd}", encoding="ascii") as info:
            found = re.search(rf"^tfd:\s+{fd} events:.*? data:\s*([0-9a-f]+)", info.read(), re.M)
    except OSError:
        return None
    return int(found[1], 16) if found else None


def make_exclusive(epoll_fd: int, fd: int, data: int) -> bool:
    """Register *fd* anew, at the end of the queue of those who wait for it; False: it is watched as before, or not."""
    event = _Event(select.EPOLLIN | select.EPOLLEXCLUSIVE, data)
    libc = _libc()
    if libc.epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, ctypes.byref(event)) != 0:
        return False
    if libc.epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, ctypes.byref(event)) == 0:
        return True
    event.events = select.EPOLLIN  # a kernel before 4.5
    libc.epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, ctypes.byref(event))
    return False
