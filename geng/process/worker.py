"""A worker: one event loop, one pool of connections, and the signals that end it.

nginx: ngx_process_cycle.c (ngx_worker_process_init, ngx_worker_process_cycle)
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from geng.core import environment, tempfile
from geng.core.log import Log
from geng.http.connection import cut_off
from geng.net.accept import AcceptMutex, Acceptor
from geng.net.connection import ConnectionPool
from geng.net.hub import Hub, describe
from geng.process import capabilities, signals, title
from geng.process.cycle import STAT_ROW, UNLIMITED

if TYPE_CHECKING:
    from geng.process.cycle import Cycle

SHUTS_DOWN = "worker process is shutting down"
LOOK_AGAIN = 20  # ms: how often a worker that shuts down looks whether its last connection has gone


class FatalStart(Exception):
    """The worker cannot run (already logged); the master must not start another."""


class Worker:
    """What this process is, for the modules: `hub`, `pool`, `log`, `cycle`, `id`, `exiting`."""

    def __init__(
        self,
        cycle: Cycle,
        id: int,
        row: int,
        mutex: AcceptMutex | None,
        hub: Hub | None = None,
        single: bool = False,
    ) -> None:
        self.cycle = cycle
        self.id = id
        self.log: Log = cycle.log
        self.exiting = False
        self.stopped = False
        self.aborting = False  # debug_points shall be reached at the end
        self.stat = cycle.stat_row(row)
        if hub is None:
            hub = Hub(on_error=self._unexpected)
            for i in range(3, STAT_ROW):  # ACTIVE, READING, WRITING, WAITING: a worker before may have died
                self.stat[i] = 0
        self.hub = hub
        workers = 1 if single else cycle.core.processes
        self.pool = ConnectionPool(
            self.hub, cycle.events.connections, cycle.log, stat=self.stat, number=1 + id, step=workers
        )
        if not single:
            self.pool.reserve()  # nginx's workers have a channel to the master; here it is the descriptor for signals
        listenings = [ls for ls in cycle.listenings if ls.sock is not None and ls.worker in (None, id)]
        self.acceptor = Acceptor(
            self.hub,
            self.pool,
            listenings,
            cycle.log,
            multi_accept=cycle.events.multi_accept,
            mutex=mutex,
            mutex_delay=cycle.events.accept_mutex_delay,
            exclusive=mutex is None and workers > 1,
        )
        self.on_quit: list[Callable[[], object]] = []  # called when it begins to shut down
        self.on_leave: list[Callable[[], object]] = []  # called when it has served the last client

    def __repr__(self) -> str:
        return f"<Worker {self.id} pid {os.getpid()} {self.pool!r}>"

    @property
    def stats(self) -> list[Any]:
        """The counters of every worker of this server."""
        return [self.cycle.stat_row(row) for row in range(self.cycle.stat_rows)]

    def _unexpected(self, error: BaseException) -> None:
        self.log.alert(describe(error))
        self.debug_point()

    def debug_point(self) -> None:
        """What `debug_points` wants to happen where something is wrong inside.   nginx: ngx_debug_point"""
        wanted = self.cycle.core.debug_points
        if wanted == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif wanted == "abort":
            os.abort()

    # ---- the process

    def become(self) -> None:
        """Give up privileges and set limits; raises FatalStart."""
        core = self.cycle.core
        environment.apply(core.environment)
        try:
            if core.priority and self.id >= 0:
                os.setpriority(os.PRIO_PROCESS, 0, core.priority)
        except OSError as error:
            self.log.alert(f"setpriority({core.priority}) failed", err=error.errno)
        if core.rlimit_nofile != UNLIMITED:
            self._limit("RLIMIT_NOFILE", resource.RLIMIT_NOFILE, core.rlimit_nofile)
        if core.rlimit_core >= 0:
            self._limit("RLIMIT_CORE", resource.RLIMIT_CORE, core.rlimit_core)
        if os.geteuid() == 0:
            self._drop_root()
        if core.cpu_affinity and self.id >= 0:
            self._affinity()
        failed = capabilities.allow_core_dumps()
        if failed:
            self.log.alert("prctl(PR_SET_DUMPABLE) failed", err=failed)
        if core.working_directory:
            try:
                os.chdir(core.working_directory)
            except OSError as error:
                self.log.alert(f'chdir("{core.working_directory}") failed', err=error.errno)
                raise FatalStart from None

    def _limit(self, name: str, which: int, value: int) -> None:
        try:
            resource.setrlimit(which, (value, value))
        except (OSError, ValueError) as error:
            self.log.alert(f"setrlimit({name}, {value}) failed", err=getattr(error, "errno", 1))

    def _drop_root(self) -> None:
        core = self.cycle.core
        call = f"setgid({core.gid})"
        try:
            os.setgid(core.gid)
            try:
                os.initgroups(core.user, core.gid)
            except OSError as error:
                self.log.emerg(f"initgroups({core.user}, {core.gid}) failed", err=error.errno)
            call = "prctl(PR_SET_KEEPCAPS, 1)"
            if core.transparent and core.uid:
                capabilities.keep()
            call = f"setuid({core.uid})"
            os.setuid(core.uid)
            call = "capset()"
            if core.transparent and core.uid:
                capabilities.only_raw_sockets()
        except OSError as error:
            self.log.emerg(f"{call} failed", err=error.errno)
            raise FatalStart from None

    def _affinity(self) -> None:
        cpus = self.cycle.core.cpus_of(self.id)
        if cpus is None:
            return
        for cpu in sorted(cpus):
            self.log.notice(f"sched_setaffinity(): using cpu #{cpu}")
        try:
            os.sched_setaffinity(0, cpus)
        except (OSError, ValueError) as error:
            self.log.alert("sched_setaffinity() failed", err=getattr(error, "errno", 22))

    # ---- running

    def run(self) -> None:
        """Serve until told to stop, by signals."""
        signals.Watch(self.hub, self._signalled)  # what the master has sent since the fork waited for this
        self.serve()

    def serve(self) -> None:
        """Serve until somebody stops the hub."""
        tempfile.start_numbers_at(os.getpid() * 1000)
        self.begin()
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        self.hub.run()

    def begin(self) -> None:
        """Modules start what they need, and connections are accepted. Raises FatalStart: it would not go better again."""
        try:
            if self.cycle.http is not None:
                self.cycle.http.start_worker(self)
            if self.cycle.stream is not None:
                self.cycle.stream.start_worker(self)
            if self.cycle.mail is not None:
                self.cycle.mail.start_worker(self)
            self.acceptor.start()
        except Exception as error:
            self.log.alert(f"worker process could not start: {describe(error)}")
            raise FatalStart from None

    def _signalled(self, info: signals.Received) -> None:
        number = info.si_signo
        known = number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1)
        if not (known and info.si_pid == os.getppid()):  # the master's own orders need no words
            action = signals.WORKER.get(number, "")
            if number == signal.SIGWINCH and not self.cycle.options.daemonized:
                action = ""
            signals.tell(self.log, info, action)
        if number in signals.EXIT:
            self._terminate()
        elif number == signal.SIGQUIT:
            self._quit()
        elif number == signal.SIGUSR1:
            self.reopen()
        elif number == signal.SIGWINCH and self.cycle.options.daemonized:
            self.aborting = True
            self._quit()

    def _terminate(self) -> None:
        self.stopped = True
        self.log.notice("exiting")
        self.hub.stop()

    def reopen(self) -> None:
        """Open the logs anew: they may have been moved away."""
        self.log.notice("reopening logs")
        self.cycle.files.reopen(self.log)

    def _quit(self) -> None:
        """Graceful: accept no more, let requests end, close what is idle."""
        if self.exiting:
            return
        self.exiting = True
        self.log.notice("gracefully shutting down")
        title.show(SHUTS_DOWN)
        timeout = self.cycle.core.shutdown_timeout
        if timeout:
            self.hub.after(timeout, self._close_all)
        self.acceptor.stop(keep_quic=True)
        for listening in self.cycle.listenings:
            if not listening.quic:
                listening.close()
        self.finish()
        self._look()

    def finish(self) -> None:
        """Nothing new any more: what is idle is closed."""
        for callback in self.on_quit:
            callback()
        self.pool.close_idle()

    def _look(self) -> None:
        """Leave when no client is left."""
        if self.stopped:
            return
        if self.busy:
            self.hub.after(LOOK_AGAIN, self._look)
            return
        self.stopped = True
        self.log.notice("exiting")
        self.hub.stop()

    @property
    def busy(self) -> bool:
        """Whether a client is connected."""
        return any(c.listening is not None for c in self.pool.connections)

    def _close_all(self) -> None:
        """worker_shutdown_timeout has passed."""
        for c in list(self.pool.connections):
            if c.listening is not None and not c.closed:
                shut_down = getattr(c.data, "shut_down", None)  # a session of stream{} has its own way
                if shut_down is not None:
                    shut_down()
                else:
                    cut_off(c)

    def leave(self) -> None:
        """After run(): what is buffered goes to the logs."""
        if self.aborting:
            self.log.alert("aborting")
            self.debug_point()
        self.let_go()
        for file in self.cycle.files.files.values():
            if file.flush is not None:
                file.flush()
        self.log.notice("exit")

    def let_go(self) -> None:
        """What modules have beside this process ends."""
        for callback in self.on_leave:
            callback()


def work(cycle: Cycle, id: int, row: int, mutex: AcceptMutex | None) -> None:
    """The life of a forked worker; does not return."""
    code = 0
    try:
        title.show("worker process")
        worker = Worker(cycle, id, row, mutex)
        worker.become()
        worker.run()
        worker.leave()
    except FatalStart:
        code = 2
    except BaseException as error:
        cycle.log.alert(f"worker process died: {describe(error)}")
        code = 1
    finally:
        sys.stderr.flush()
        os._exit(code)
