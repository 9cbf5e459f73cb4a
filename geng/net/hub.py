"""One worker's event loop: pooled greenlets, waits, timers.   nginx: ngx_event.c

Work runs either in the hub (callbacks of watchers and timers, which must not wait) or in a pooled greenlet, which may.
A greenlet is taken from a pool and goes back: from CPython 3.11 each new one costs an mmap and a munmap of its frame
chunk (27 µs per request beside 17 with a pool). They are raw greenlets whose parent is gevent's hub, so whatever gevent
offers (threadpool, sleep, events) works in them. Nothing is monkey patched.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
from greenlet import getcurrent, greenlet

from geng.hot.greenlets import Greenlets
from geng.net.timers import NEVER, Timer, Timers

if TYPE_CHECKING:
    from geng.net.connection import Connection


class Hub(Greenlets):
    """The loop of this process; to be made after the fork. *on_error(exc)* hears of what escapes a function."""

    __slots__ = (
        "loop",
        "timers",
        "on_error",
        "_alarm",
        "_keep",
        "_main",
        "_stopped",
        "__weakref__",
    )

    def __init__(self, on_error: Callable[[BaseException], object] | None = None) -> None:
        Greenlets.__init__(self, gevent.get_hub())
        self.loop = self._gevent_hub.loop
        self.on_error = on_error or self._complain
        self.timers = Timers(self._arm_alarm, on_error=self.report)
        self._alarm = self.loop.timer(0)
        self._keep = self.loop.async_()  # an active watcher: the loop does not end for want of work
        self._keep.start(_nothing)
        self._main: greenlet | None = None
        self._stopped = False

    def __repr__(self) -> str:
        return f"<Hub {len(self._idle)} greenlets idle, {len(self.timers)} timers>"

    # ---- running

    def run(self) -> None:
        """Run the loop from this greenlet (the process's main one) until stop()."""
        self._main = getcurrent()
        self._stopped = False
        try:
            while not self._stopped:
                self.park()
        finally:
            self._main = None

    def stop(self) -> None:
        """Let run() return, once the callback or greenlet that runs now has given up control."""
        self._stopped = True
        if self._main is not None:
            self.call_soon(self._main.switch)

    def close(self) -> None:
        """Stop what keeps the loop awake; the hub is of no use afterwards."""
        self._keep.stop()
        self._alarm.stop()

    def in_hub(self) -> bool:
        """Whether this code runs in the hub, where nothing may wait."""
        return getcurrent() is self._gevent_hub

    def report(self, error: BaseException) -> None:
        """Tell on_error; an error in there must not end the loop either."""
        try:
            self.on_error(error)
        except Exception as second:
            self._complain(error)
            self._complain(second)

    def _complain(self, error: BaseException) -> None:
        sys.stderr.write(f"[alert] {describe(error)}\n")

    # ---- waiting

    def sleep(self, ms: float) -> None:
        """Give up this greenlet for *ms*."""
        timer = Timer(getcurrent().switch)
        self.timers.set(timer, ms)
        try:
            self.park()
        finally:
            timer.deadline = NEVER

    def wait(self, ms: float | None, read: Sequence[Connection] = (), write: Sequence[Connection] = ()) -> Connection | None:
        """Park until one of *read* is readable or one of *write* writable: that one, or None after *ms*."""
        for c in read:
            if c.ready:
                return c
        me = getcurrent()
        timer = read[0].timer if read else write[0].write_timer()
        try:
            for c in read:
                c.expect_read(me)
            for c in write:
                c.expect_write(me)
            if ms is not None:
                timer.deadline = deadline = monotonic() + ms * 0.001
                if deadline < timer.due:
                    self.timers.arm(timer)
            return self.park()
        finally:
            timer.deadline = NEVER
            for c in read:
                c.forget_read()
            for c in write:
                c.forget_write()

    # ---- later

    def after(self, ms: float, callback: Callable[..., object], *args: Any) -> After:
        """Call callback(*args) in the hub after *ms*; `.cancel()` takes it back."""
        return After(self.timers, ms, callback, args)

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        """Call callback(*args) in the hub at its next turn."""
        self.loop.run_callback(self._guarded, callback, args)

    def call_from_thread(self, callback: Callable[..., object], *args: Any) -> None:
        """call_soon() for other threads."""
        self.loop.run_callback_threadsafe(self._guarded, callback, args)

    def _guarded(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        try:
            callback(*args)
        except Exception as error:
            self.report(error)

    def _arm_alarm(self, seconds: float) -> None:
        self._alarm.stop()
        # Rounded up to the millisecond that epoll_wait can tell apart, so that an alarm seldom comes too early.
        self._alarm = alarm = self.loop.timer(max(seconds, 0.0) + 0.0005)
        alarm.start(self.timers.run_due, update=True)


class After(Timer):
    """What Hub.after() returns: a timer with arguments."""

    __slots__ = ("_timers", "_callback", "_args")

    def __init__(self, timers: Timers, ms: float, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        Timer.__init__(self, After._run, self)
        self._timers = timers
        self._callback = callback
        self._args = args
        timers.set(self, ms)

    def _run(self) -> None:
        self.arg = None
        self._callback(*self._args)

    def reset(self, ms: float) -> None:
        """Fire *ms* from now instead; costs nothing when that is later than before."""
        self.arg = self
        self._timers.set(self, ms)

    def cancel(self) -> None:
        """Not to fire; may be called at any time, more than once."""
        if self.deadline != NEVER:
            self.deadline = NEVER
            self.arg = None
            self._timers.cancelled()


def _nothing() -> None:
    """The callback of a watcher that never fires."""


def describe(error: BaseException) -> str:
    """An error that nobody expected, in one line: `ValueError: bad (geng/net/hub.py:12 in run)`."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"
