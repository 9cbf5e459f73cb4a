"""`master_process off`: one process that is master and worker at once, for development.

nginx: ngx_process_cycle.c (ngx_single_process_cycle)
"""

from __future__ import annotations

import signal
import sys

from geng.core import environment
from geng.process import signals
from geng.process.cycle import Cycle
from geng.process.master import reread
from geng.process.worker import FatalStart, Worker

LOOK_AGAIN = 1000  # ms: how often is looked whether the last client of an old configuration has gone


class Single:
    """The process. It keeps its user, its limits and its folder, as in nginx."""

    def __init__(self, cycle: Cycle) -> None:
        self.worker = Worker(cycle, 0, 0, None, single=True)

    def __repr__(self) -> str:
        return f"<Single {self.worker!r}>"

    def run(self) -> int:
        """Until told to stop; the exit code."""
        hub = self.worker.hub
        signals.Watch(hub, self._signalled)
        self.worker.serve()
        worker = self.worker  # perhaps of another configuration than the first
        worker.leave()
        worker.cycle.delete_pid()
        worker.cycle.close_sockets(False, False)
        sys.stderr.flush()
        return 0

    def _signalled(self, info: signals.Received) -> None:
        number = info.si_signo
        worker = self.worker
        action = signals.MASTER.get(number, "")
        if number == signal.SIGWINCH and not worker.cycle.options.daemonized:
            action = ""
        signals.tell(worker.log, info, action)
        if number in signals.EXIT or number == signal.SIGQUIT:
            worker.stopped = True
            worker.hub.stop()
        elif number == signal.SIGHUP:
            self._reload()
        elif number == signal.SIGUSR1:
            worker.reopen()

    def _reload(self) -> None:
        """Serve new connections by the configuration as it is now; requests that are here end as they began."""
        old = self.worker
        cycle = reread(old.cycle)
        if cycle is None:
            return
        old.acceptor.stop()
        old.exiting = True
        self.worker = new = Worker(cycle, 0, 0, None, old.hub, single=True)
        new.begin()
        old.finish()
        _forget(old)


def _forget(old: Worker) -> None:
    """Close the logs of an old configuration once its last client has gone."""
    if old.busy:
        old.hub.after(LOOK_AGAIN, _forget, old)
    else:
        old.let_go()
        old.cycle.files.close()


def run(cycle: Cycle) -> int:
    """The life of the process; the exit code."""
    environment.apply(cycle.core.environment)
    cycle.stat_rows = 1
    try:
        return Single(cycle).run()
    except FatalStart:
        return 2
