"""Signals: what each of them is in whose log, and a descriptor by which an event loop hears of them.

nginx: ngx_process.c (ngx_signal_handler)
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from geng.core.log import Log
    from geng.net.hub import Hub

ALL = frozenset({
    signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT,
    signal.SIGCHLD, signal.SIGALRM, signal.SIGIO,
})  # fmt: skip
"""Those that every process of the server blocks, and takes when it is ready."""

EXIT = frozenset({signal.SIGTERM, signal.SIGINT})

MASTER: dict[int, str] = {
    signal.SIGHUP: ", reconfiguring",
    signal.SIGUSR1: ", reopening logs",
    signal.SIGUSR2: ", changing binary",
    signal.SIGWINCH: ", stop accepting connections",
    signal.SIGTERM: ", exiting",
    signal.SIGINT: ", exiting",
    signal.SIGQUIT: ", shutting down",
}
WORKER: dict[int, str] = {
    signal.SIGHUP: ", ignoring",
    signal.SIGUSR1: ", reopening logs",
    signal.SIGUSR2: ", ignoring",
    signal.SIGWINCH: ", shutting down",
    signal.SIGTERM: ", exiting",
    signal.SIGINT: ", exiting",
    signal.SIGQUIT: ", shutting down",
    signal.SIGIO: ", ignoring",
}
"""What the log says that comes of a signal; nothing for those that are not here."""


class Received(NamedTuple):
    """A signal and the process that sent it, 0 for the kernel."""

    si_signo: int
    si_pid: int


def tell(log: Log, info: Any, action: str) -> None:
    """`signal 15 (SIGTERM) received from 123, exiting`"""
    number = signal.Signals(info.si_signo)
    sender = f" from {info.si_pid}" if info.si_pid else ""
    log.notice(f"signal {number.value} ({number.name}) received{sender}{action}")


def block() -> None:
    """From now on signals wait to be taken; a handler keeps the kernel from dropping those it would ignore."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ALL)
    for number in ALL:
        signal.signal(number, _never)
    for number in (signal.SIGPIPE, signal.SIGSYS):
        signal.signal(number, signal.SIG_IGN)


def _never(number: int, frame: Any) -> None:
    """Not called: the signal is blocked."""


class Watch:
    """Calls *handler*(received) in the hub for each blocked signal that arrives; by a signalfd, which tells the sender."""

    SIZE = 128
    HEAD = struct.Struct("=IiiI")  # ssi_signo, ssi_errno, ssi_code, ssi_pid

    def __init__(self, hub: Hub, handler: Callable[[Received], object]) -> None:
        self.handler = handler
        self.fd = _signalfd()
        self._watcher = hub.loop.io(self.fd, 1)
        self._watcher.start(self._readable)
        self._report = hub.report

    def __repr__(self) -> str:
        return f"<Watch fd {self.fd}>"

    def _readable(self) -> None:
        try:
            data = os.read(self.fd, self.SIZE * 8)
        except BlockingIOError:
            return
        for at in range(0, len(data), self.SIZE):
            number, _, _, sender = self.HEAD.unpack_from(data, at)
            try:
                self.handler(Received(number, sender))
            except Exception as error:
                self._report(error)


def _signalfd() -> int:
    """A descriptor for all signals of this process's; raises OSError."""
    libc = _libc()
    mask = ctypes.create_string_buffer(Watch.SIZE)
    libc.sigemptyset(mask)
    for number in ALL:
        libc.sigaddset(mask, int(number))
    fd = int(libc.signalfd(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC))
    if fd < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return fd


@lru_cache(maxsize=1)
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)
