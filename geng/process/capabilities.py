"""What a worker may do after it has given up root.   nginx: ngx_process_cycle.c (ngx_worker_process_init); capset(2)"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Any

PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
VERSION_1 = 0x19980330  # _LINUX_CAPABILITY_VERSION_1: one word each of effective, permitted, inheritable
CAP_NET_RAW = 13


def allow_core_dumps() -> int:
    """Let the kernel write a core file also after the user has changed; the errno, or 0."""
    return ctypes.get_errno() if _libc().prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == -1 else 0


def keep() -> None:
    """Capabilities survive the coming setuid(); raises OSError."""
    _checked(_libc().prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))


def only_raw_sockets() -> None:
    """Have CAP_NET_RAW, which `proxy_bind ... transparent` needs, and nothing else; raises OSError."""
    wanted = 1 << CAP_NET_RAW
    _checked(_libc().capset(struct.pack("=Ii", VERSION_1, 0), struct.pack("=III", wanted, wanted, 0)))


def _checked(rc: int) -> None:
    if rc == -1:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)
