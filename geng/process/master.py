"""The master: starts workers, replaces those that die, and does what signals ask.

nginx: ngx_process_cycle.c (ngx_master_process_cycle), ngx_process.c
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import Any

from geng.core.log import Log
from geng.errors import ConfigError
from geng.net.accept import AcceptMutex
from geng.process.cycle import INHERITED, MAX_WORKERS, Cycle, Options, make

SIGNALS = {
    signal.SIGHUP: ", reconfiguring",
    signal.SIGUSR1: ", reopening logs",
    signal.SIGUSR2: ", changing binary",
    signal.SIGWINCH: ", gracefully shutting down worker processes",
    signal.SIGTERM: ", exiting",
    signal.SIGINT: ", exiting",
    signal.SIGQUIT: ", shutting down",
    signal.SIGCHLD: "",
    signal.SIGALRM: "",
}
OLD_PID = ".oldbin"
FATAL = 2
SETTLE = 0.1  # seconds that new workers get before the old ones are told to leave
MANAGER, LOADER = -1, -2  # in the place of a worker's id: the processes of caches
KILL_AFTER = 1.0  # seconds that workers get to stop at TERM


@dataclass
class Child:
    """A process that the master has started."""

    pid: int
    id: int
    row: int
    cycle: Cycle
    respawn: bool = True
    exiting: bool = False
    detached: bool = False

    @property
    def name(self) -> str:
        """What the log calls it."""
        return {MANAGER: "cache manager process", LOADER: "cache loader process"}.get(self.id, "worker process")


class Master:
    """The master process of one binary."""

    def __init__(self, options: Options, cycle: Cycle) -> None:
        self.options = options
        self.cycle = cycle
        self.children: dict[int, Child] = {}
        self.new_binary = 0
        self.no_accept = False
        self.quitting = False
        self.terminating = False
        self.kill_at = 0.0
        self.mutex = self._mutex()

    def __repr__(self) -> str:
        return f"<Master {len(self.children)} workers>"

    @property
    def log(self) -> Log:
        return self.cycle.log

    def _mutex(self) -> AcceptMutex | None:
        events, core = self.cycle.events, self.cycle.core
        if not events.accept_mutex or core.processes < 2:
            return None
        return AcceptMutex(os.memfd_create("accept_mutex"))

    # ---- the loop

    def run(self) -> int:
        """Until told to stop; the exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        for number in SIGNALS:
            signal.signal(number, _noted)
        self.log.notice("start worker processes")
        self.start_workers(self.cycle)
        while True:
            info = self._next_signal()
            if info is not None:
                self._signalled(info)
            if self.terminating and time.monotonic() >= self.kill_at:
                self._send(signal.SIGKILL)
            if (self.quitting or self.terminating) and not self._alive():
                return self._leave()

    def _next_signal(self) -> Any:
        if not self.terminating:
            return signal.sigwaitinfo(SIGNALS)
        return signal.sigtimedwait(SIGNALS, max(self.kill_at - time.monotonic(), 0.05))

    def _alive(self) -> bool:
        return any(not child.detached for child in self.children.values())

    def _signalled(self, info: Any) -> None:
        number = signal.Signals(info.si_signo)
        sender = f" received from {info.si_pid}" if info.si_pid else " received"
        action = SIGNALS[number]
        if number == signal.SIGWINCH and not self.cycle.core.daemon:
            action = ", ignoring"
        if number == signal.SIGUSR2 and (os.getppid() == self.parent_binary or self.new_binary):
            action = ", ignoring"
            self.log.crit(
                "the changing binary signal is ignored: you should shutdown or terminate before either old or new "
                "binary's process"
            )
        self.log.notice(f"signal {number.value} ({number.name}){sender}{action}")
        if action == ", ignoring":
            return
        if number == signal.SIGCHLD:
            self._reap()
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._terminate()
        elif number == signal.SIGQUIT:
            self._quit()
        elif number == signal.SIGHUP:
            self._reload()
        elif number == signal.SIGUSR1:
            self._reopen()
        elif number == signal.SIGUSR2:
            self._change_binary()
        elif number == signal.SIGWINCH:
            self.no_accept = True
            self._retire(self.children.values())

    #: the parent's pid when that is the old binary, which handed over its sockets
    parent_binary = os.getppid() if os.environ.get(INHERITED) else -1

    # ---- workers

    def start_workers(self, cycle: Cycle) -> None:
        gc.collect()
        gc.freeze()
        for id in range(cycle.core.processes):
            self._spawn(cycle, id)
        if cycle.caches:
            self._spawn_cache(cycle, MANAGER)
            if any(cache.cold for cache in cycle.caches):
                self._spawn_cache(cycle, LOADER)

    def _spawn_cache(self, cycle: Cycle, kind: int) -> None:
        """The cache manager, or the cache loader, which is not started again."""
        pid = os.fork()
        if pid == 0:
            from geng.process.cache_processes import CacheProcess, run

            run(cycle, CacheProcess.manage if kind == MANAGER else CacheProcess.load)
        self.children[pid] = child = Child(pid, kind, -1, cycle, respawn=kind == MANAGER)
        self.log.notice(f"start {child.name} {pid}")

    def _spawn(self, cycle: Cycle, id: int) -> None:
        if id == MANAGER:
            self._spawn_cache(cycle, id)
            return
        row = self._free_row()
        self.cycle.stat_rows = max(self.cycle.stat_rows, row + 1)
        pid = os.fork()
        if pid == 0:
            from geng.process.worker import work

            work(cycle, id, row, self.mutex)
        self.children[pid] = Child(pid, id, row, cycle)
        self.log.notice(f"start worker process {pid}")

    def _free_row(self) -> int:
        """A row of counters that no process writes."""
        taken = {child.row for child in self.children.values()}
        return next(row for row in range(MAX_WORKERS) if row not in taken)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._ended(pid, status)

    def _ended(self, pid: int, status: int) -> None:
        if pid == self.new_binary:
            self._binary_ended(pid, status)
            return
        child = self.children.pop(pid, None)
        name = child.name if child is not None else "unknown process"
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            core = " (core dumped)" if os.WCOREDUMP(status) else ""
            self.log.alert(f"{name} {pid} exited on signal {-code}{core}")
        else:
            self.log.notice(f"{name} {pid} exited with code {code}")
        if child is None or not child.respawn or child.exiting or self.quitting or self.terminating or self.no_accept:
            return
        if code == FATAL:
            self.log.alert(f"{name} {pid} exited with fatal code {code} and cannot be respawned")
            return
        self._spawn(child.cycle, child.id)

    def _send(self, number: int) -> None:
        for child in self.children.values():
            if child.detached:
                continue
            try:
                os.kill(child.pid, number)
            except ProcessLookupError:
                continue

    def _retire(self, children: Any) -> None:
        """Tell workers to finish what they have and leave."""
        for child in list(children):
            if not child.exiting:
                child.exiting = True
                try:
                    os.kill(child.pid, signal.SIGQUIT)
                except ProcessLookupError:
                    continue

    # ---- what signals ask

    def _terminate(self) -> None:
        self.terminating = True
        self.kill_at = time.monotonic() + KILL_AFTER
        for child in self.children.values():
            child.exiting = True
        self._send(signal.SIGTERM)

    def _quit(self) -> None:
        self.quitting = True
        self._retire(self.children.values())
        for listening in self.cycle.listenings:
            listening.close(unlink=not self.new_binary)

    def _reload(self) -> None:
        """Read the configuration anew; when it is broken nothing changes."""
        if self.new_binary:
            self.start_workers(self.cycle)
            self.no_accept = False
            return
        self.log.notice("reconfiguring")
        old = self.cycle
        try:
            new = make(self.options, old.log, old)
        except ConfigError as error:
            old.log.log(error.level, str(error))
            return
        except Exception as error:
            from geng.net.hub import describe

            old.log.alert(f"the configuration could not be read: {describe(error)}")
            return
        if new.pid_path != old.pid_path:
            self._move_pid(old, new)
        before = list(self.children.values())
        self.cycle = new
        self.mutex = self._mutex()
        self.log.notice("start worker processes")
        self.start_workers(new)
        time.sleep(SETTLE)
        self._retire(before)
        old.close_unused(new)

    def _move_pid(self, old: Cycle, new: Cycle) -> None:
        try:
            new.write_pid()
            os.unlink(old.pid_path)
        except (ConfigError, OSError) as error:
            new.log.alert(f"the pid file could not be moved: {error}")

    def _reopen(self) -> None:
        self.log.notice("reopening logs")
        core = self.cycle.core
        self.cycle.files.reopen(self.log, core.uid if os.geteuid() == 0 and core.uid != -1 else None)
        self._send(signal.SIGUSR1)

    def _change_binary(self) -> None:
        """Start this program anew with the listening sockets (ngx_exec_new_binary)."""
        self.log.notice("changing binary")
        environment = dict(os.environ)
        fds = [listening.sock.fileno() for listening in self.cycle.listenings if listening.sock is not None]
        environment[INHERITED] = "".join(f"{fd};" for fd in fds)
        pid_path = self.cycle.pid_path
        try:
            os.rename(pid_path, pid_path + OLD_PID)
        except OSError as error:
            self.log.alert(f"rename {pid_path} to {pid_path}{OLD_PID} failed", err=error.errno)
            return
        argv = self.options.argv
        for fd in fds:
            os.set_inheritable(fd, True)
        pid = os.fork()
        if pid == 0:
            try:
                signal.pthread_sigmask(signal.SIG_SETMASK, ())
                os.execve(argv[0], argv, environment)
            except OSError as error:
                self.log.alert(f'execve() failed while executing new binary process "{argv[0]}"', err=error.errno)
            finally:
                os._exit(2)
        for fd in fds:
            os.set_inheritable(fd, False)
        self.new_binary = pid
        self.log.notice(f"start new binary process {pid}")

    def _binary_ended(self, pid: int, status: int) -> None:
        self.new_binary = 0
        code = os.waitstatus_to_exitcode(status)
        self.log.notice(f"new binary process {pid} exited with code {code}")
        pid_path = self.cycle.pid_path
        try:
            os.rename(pid_path + OLD_PID, pid_path)
        except OSError as error:
            self.log.alert(f"rename() {pid_path}{OLD_PID} back to {pid_path} failed", err=error.errno)
        if self.no_accept:
            self.no_accept = False
            self.start_workers(self.cycle)

    def _leave(self) -> int:
        name = self.cycle.pid_path + (OLD_PID if self.new_binary else "")
        try:
            os.unlink(name)
        except OSError as error:
            self.log.alert(f'unlink() "{name}" failed', err=error.errno)
        self.log.notice("exit")
        for listening in self.cycle.listenings:
            listening.close(unlink=not self.new_binary)
        return 0


def _noted(number: int, frame: Any) -> None:
    """The signal is blocked and taken by sigwaitinfo(); a handler keeps the kernel from ignoring it."""


def run_single(cycle: Cycle) -> int:
    """`master_process off`: this process is the one worker."""
    from geng.process.worker import FatalStart, Worker

    cycle.stat_rows = 1
    worker = Worker(cycle, 0, 0, None, single=True)
    try:
        worker.become()
    except FatalStart:
        return 2
    worker.run()
    worker.leave()
    try:
        os.unlink(cycle.pid_path)
    except OSError as error:
        cycle.log.alert(f'unlink() "{cycle.pid_path}" failed', err=error.errno)
    sys.stderr.flush()
    return 0
