"""A network namespace of the benchmark's own: loopback without neighbours, with a congestion control that does not pace.

Where BBR is a machine's congestion control, each segment of a large body waits for a timer, on loopback too: what is
then measured is the kernel's timers on both cores. Linux's own default, CUBIC, and Reno send what the window allows.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

CLONE_NEWNET = 0x40000000  # linux/sched.h
SIOCSIFFLAGS, IFF_UP = 0x8914, 1  # netdevice(7)
SETTING = Path("/proc/sys/net/ipv4/tcp_congestion_control")
UNPACED = ("cubic", "reno")


def own(congestion: str | None) -> str:
    """Leaves for a new namespace with *congestion* (None: one that does not pace); says what the benchmark runs with.

    Without the right to do so everything stays as it is, and the line says so.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        why = os.strerror(ctypes.get_errno())
        if congestion:
            raise SystemExit(f"--congestion {congestion}: no network namespace of our own: {why}")
        return f"congestion control: {_current()}, the machine's (no network namespace of our own: {why})"
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    machine = _current()
    wanted = (congestion,) if congestion else UNPACED
    if machine not in wanted and not any(_set(name) for name in wanted):
        raise SystemExit(f"this kernel does not let us have {' or '.join(wanted)} as congestion control")
    return f"congestion control: {_current()}, in a network namespace of its own (the machine's is {machine})"


def _current() -> str:
    return SETTING.read_text().strip()


def _set(name: str) -> bool:
    try:
        SETTING.write_text(name)
    except OSError:
        return False
    return True
