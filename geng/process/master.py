"""The master: starts workers, replaces those that die, and does what signals ask.

nginx: ngx_process_cycle.c (ngx_master_process_cycle), ngx_process.c
"""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from geng.core import environment
from geng.core.log import DEBUG_CORE, DEBUG_EVENT, Log
from geng.errors import ConfigError
from geng.net.accept import AcceptMutex
from geng.process import signals, title
from geng.process.cycle import INHERITED, MAX_WORKERS, Cycle, Options, Reported, make

OLD_PID = ".oldbin"
FATAL = 2
SETTLE = 0.1  # seconds that new workers get before the old ones are told to leave
MANAGER, LOADER = -1, -2  # in the place of a worker's id: the processes of caches
ASK_AGAIN = 0.05  # seconds after the first TERM until the workers are told again, which is doubled each time
PATIENCE = 1.0  # when the next time would be later than this, they are killed


@dataclass
class Child:
    """A process that the master has started."""

    pid: int
    id: int
    row: int
    cycle: Cycle
    respawn: bool = True
    exiting: bool = False

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
        self.delay = ASK_AGAIN
        self.ask_at = 0.0
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
        title.show(f"master process {' '.join(self.options.shown_argv)}")
        self.start_workers(self.cycle)
        while True:
            self.log.debug("sigsuspend", kind=DEBUG_EVENT)
            info = self._next_signal()
            try:
                if info is not None:
                    self._signalled(info)
            except Exception as error:
                self._unexpected(error)
            if self.terminating and time.monotonic() >= self.ask_at:
                self._ask()
            if (self.quitting or self.terminating) and not self.children:
                return self._leave()

    def _unexpected(self, error: Exception) -> None:
        """Whatever is wrong with one signal, the master stays."""
        from geng.net.hub import describe

        self.log.alert(describe(error))

    def _next_signal(self) -> Any:
        if not self.terminating:
            return signal.sigwaitinfo(signals.ALL)
        return signal.sigtimedwait(signals.ALL, max(self.ask_at - time.monotonic(), 0))

    def _signalled(self, info: Any) -> None:
        number = info.si_signo
        action = signals.MASTER.get(number, "")
        if number == signal.SIGWINCH and not self.options.daemonized:
            action = ""
        ignored = number == signal.SIGUSR2 and (os.getppid() == self.options.parent or self.new_binary > 0)
        signals.tell(self.log, info, ", ignoring" if ignored else action)
        if ignored:
            self.log.crit(
                "the changing binary signal is ignored: you should shutdown or terminate before either old or new "
                "binary's process"
            )
            return
        if number == signal.SIGCHLD:
            self.log.debug("reap children", kind=DEBUG_EVENT)
            self._reap()
        elif number in signals.EXIT:
            self._terminate()
        elif action and not self.terminating:
            self._do(number)

    def _do(self, number: int) -> None:
        """What a signal asks, unless the end is under way already."""
        if number == signal.SIGQUIT:
            self._quit()
        elif self.quitting:
            return
        elif number == signal.SIGHUP:
            self._reload()
        elif number == signal.SIGUSR1:
            self._reopen()
        elif number == signal.SIGUSR2:
            self._change_binary()
        elif number == signal.SIGWINCH:
            self.no_accept = True
            self._retire(self.children.values())

    # ---- workers

    def start_workers(self, cycle: Cycle) -> None:
        self.log.notice("start worker processes")
        gc.unfreeze()  # or configurations of the past would stay
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
        child = Child(0, kind, -1, cycle, respawn=kind == MANAGER)
        if self._fork(child):
            from geng.process.cache_processes import CacheProcess, run

            run(cycle, child.name, CacheProcess.manage if kind == MANAGER else CacheProcess.load)

    def _spawn(self, cycle: Cycle, id: int) -> None:
        if id == MANAGER:
            self._spawn_cache(cycle, id)
            return
        row = self._free_row()
        if row is None:
            self.log.alert(f"no more than {MAX_WORKERS} processes can be spawned")
            return
        self.cycle.stat_rows = max(self.cycle.stat_rows, row + 1)
        if self._fork(Child(0, id, row, cycle)):
            from geng.process.worker import work

            work(cycle, id, row, self.mutex)

    def _fork(self, child: Child) -> bool:
        """Start *child*; true in the new process."""
        try:
            child.pid = os.fork()
        except OSError as error:
            self.log.alert(f'fork() failed while spawning "{child.name}"', err=error.errno)
            return False
        if child.pid == 0:
            return True
        self.children[child.pid] = child
        self.log.notice(f"start {child.name} {child.pid}")
        return False

    def _free_row(self) -> int | None:
        """A row of counters that no process writes."""
        taken = {child.row for child in self.children.values()}
        return next((row for row in range(MAX_WORKERS) if row not in taken), None)

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
        child = self.children.pop(pid, None)
        name = child.name if child is not None else "unknown process"
        if pid == self.new_binary:
            name = "new binary process"
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            core = " (core dumped)" if os.WCOREDUMP(status) else ""
            self.log.alert(f"{name} {pid} exited on signal {-code}{core}")
        else:
            self.log.notice(f"{name} {pid} exited with code {code}")
        respawn = child is not None and child.respawn
        if code == FATAL and respawn:
            self.log.alert(f"{name} {pid} exited with fatal code {code} and cannot be respawned")
            respawn = False
        for zone in self.cycle.zones:
            if zone.lock.release_of(pid):
                self.log.alert(f'shared memory zone "{zone.name}" was locked by {pid}')
        if pid == self.new_binary:
            self._binary_ended()
        elif child is not None and respawn and not (child.exiting or self.quitting or self.terminating):
            self._spawn(child.cycle, child.id)

    def _send(self, number: int) -> None:
        for child in self.children.values():
            self._kill(child, number)

    def _retire(self, children: Iterable[Child]) -> None:
        """Tell workers to finish what they have and leave."""
        for child in list(children):
            if not child.exiting:
                child.exiting = True
                self._kill(child, signal.SIGQUIT)

    def _kill(self, child: Child, number: int) -> None:
        self.log.debug(f"kill ({child.pid}, {number})", kind=DEBUG_CORE)
        try:
            os.kill(child.pid, number)
        except OSError as error:
            self.log.alert(f"kill({child.pid}, {number}) failed", err=error.errno)

    # ---- what signals ask

    def _terminate(self) -> None:
        if not self.terminating:
            self.terminating = True
            self._ask()

    def _ask(self) -> None:
        """Tell all to stop at once, and again, and then kill them."""
        for child in self.children.values():
            child.exiting = True
        self._send(signal.SIGKILL if self.delay > PATIENCE else signal.SIGTERM)
        self.ask_at = time.monotonic() + self.delay
        self.delay *= 2

    def _quit(self) -> None:
        self.quitting = True
        self._retire(self.children.values())
        self._close_sockets()

    def _close_sockets(self) -> None:
        self.cycle.close_sockets(self.new_binary > 0, os.getppid() == self.options.parent)

    def _reload(self) -> None:
        """Read the configuration anew; when it is broken nothing changes."""
        if self.new_binary:
            self.start_workers(self.cycle)
            self.no_accept = False
            return
        old = self.cycle
        new = reread(old)
        if new is None:
            return
        before = list(self.children.values())
        self.cycle = new
        if self.mutex is not None:
            os.close(self.mutex.fd)  # the old workers have their own descriptors
        self.mutex = self._mutex()
        self.start_workers(new)
        time.sleep(SETTLE)
        self._retire(before)

    def _reopen(self) -> None:
        self.log.notice("reopening logs")
        core = self.cycle.core
        self.cycle.files.reopen(self.log, core.uid if core.uid != -1 else None)
        self._send(signal.SIGUSR1)

    def _change_binary(self) -> None:
        """Start this program anew with the listening sockets (ngx_exec_new_binary)."""
        self.log.notice("changing binary")
        listenings = [listening for listening in self.cycle.listenings if listening.sock is not None]
        given = environment.chosen(self.cycle.core.environment)
        given[INHERITED] = "".join(f"{listening.fd};" for listening in listenings)
        pid_path = self.cycle.pid_path
        program = self.options.argv[0]
        try:
            os.rename(pid_path, pid_path + OLD_PID)
        except OSError as error:
            what = f"rename() {pid_path} to {pid_path}{OLD_PID} failed before executing new binary process"
            self.log.alert(f'{what} "{program}"', err=error.errno)
            return
        try:
            pid = os.fork()
        except OSError as error:
            self.log.alert('fork() failed while spawning "new binary process"', err=error.errno)
            self._binary_ended()
            return
        if pid == 0:
            self._execute([listening.fd for listening in listenings], given)
        self.new_binary = pid
        self.log.notice(f"start new binary process {pid}")

    def _execute(self, fds: list[int], given: dict[str, str]) -> None:
        """In the child: become the new binary; does not return."""
        argv = self.options.argv
        try:
            for fd in fds:
                os.set_inheritable(fd, True)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execve(argv[0], argv, given)
        except OSError as error:
            self.log.alert(f'execve() failed while executing new binary process "{argv[0]}"', err=error.errno)
        finally:
            os._exit(1)

    def _binary_ended(self) -> None:
        pid_path = self.cycle.pid_path
        try:
            os.rename(pid_path + OLD_PID, pid_path)
        except OSError as error:
            what = f"rename() {pid_path}{OLD_PID} back to {pid_path} failed after the new binary process"
            self.log.alert(f'{what} "{self.options.argv[0]}" exited', err=error.errno)
        self.new_binary = 0
        if self.no_accept:
            self.no_accept = False
            if not (self.quitting or self.terminating):
                self.start_workers(self.cycle)

    def _leave(self) -> int:
        self.cycle.delete_pid(OLD_PID if self.new_binary else "")
        self.log.notice("exit")
        self._close_sockets()
        return 0


def reread(old: Cycle) -> Cycle | None:
    """The configuration anew, with all that the old one has open; None when it is broken: the log says why."""
    old.log.notice("reconfiguring")
    try:
        new = make(old.options, old.log, old)
    except Reported:
        return None
    except ConfigError as error:
        old.log.log(error.level, str(error))
        if error.note:
            old.log.notice(error.note)
        return None
    except Exception as error:
        from geng.net.hub import describe

        old.log.alert(f"the configuration could not be read: {describe(error)}")
        return None
    return new
