"""Deadlines in a heap that is touched as rarely as can be.   nginx: ngx_event_timer.c

A server sets a timeout for nearly every wait and nearly none of them is ever reached. So a Timer that is set to a
*later* time than its entry in the heap only stores the number; the entry is moved when its old time comes. A cancelled
one stores infinity. The heap is rebuilt when more than half of its entries are dead, so that a flood of short-lived
timers with distant deadlines does not grow it.

One libev timer is armed, for the earliest entry. Times are seconds of time.monotonic() inside, milliseconds outside.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from time import monotonic

from geng.hot.connection import NEVER, Timer

__all__ = ["NEVER", "Timer", "Timers"]

COMPACT_FROM = 64  # a smaller heap is not worth a rebuild


class Entry(float):
    """A time in the heap and the timer that it is of; that timer's own entry only while it is the timer's *due*."""

    __slots__ = ("timer",)

    timer: Timer


class Timers:
    """All deadlines of one hub. *arm_alarm(seconds)* asks for one call of run_due() after that long (0: at once)."""

    __slots__ = ("_heap", "_alarm_at", "_arm_alarm", "_now", "_dead", "_running", "on_error")

    def __init__(
        self,
        arm_alarm: Callable[[float], object],
        now: Callable[[], float] = monotonic,
        on_error: Callable[[BaseException], object] | None = None,
    ) -> None:
        self._heap: list[Entry] = []
        self._alarm_at = NEVER
        self._arm_alarm = arm_alarm
        self._now = now
        self._dead = 0  # a guess from below: how many entries lead nowhere
        self._running = False
        self.on_error = on_error

    def __len__(self) -> int:
        """How many timers will fire."""
        return sum(1 for entry in self._heap if entry.timer.due is entry and entry.timer.deadline != NEVER)

    def __repr__(self) -> str:
        return f"<Timers {len(self)} set, {len(self._heap)} in heap>"

    def set(self, timer: Timer, ms: float) -> None:
        """Let *timer* fire *ms* from now, whatever it was set to before."""
        timer.deadline = deadline = self._now() + ms * 0.001
        if deadline < timer.due:
            self.arm(timer)

    def arm(self, timer: Timer) -> None:
        """Enter *timer* at its deadline; to be called after storing a deadline that lies before timer.due."""
        if timer.due != NEVER:
            self._dead += 1  # the later entry stays behind
        heap = self._heap
        timer.due = due = Entry(timer.deadline)
        due.timer = timer
        heappush(heap, due)
        if due < self._alarm_at and not self._running:
            self._alarm_at = due
            self._arm_alarm(due - self._now())

    def cancelled(self) -> None:
        """To be called when a timer that will not be used again was disarmed: its entry may be dropped early."""
        self._dead += 1
        if self._dead > COMPACT_FROM and self._dead * 2 > len(self._heap):
            self._compact()

    def _compact(self) -> None:
        live = []
        for entry in self._heap:
            timer = entry.timer
            if timer.due is not entry:
                continue
            if timer.deadline == NEVER:
                timer.due = NEVER
                continue
            live.append(entry)
        heapify(live)
        self._heap[:] = live
        self._dead = 0

    def run_due(self) -> None:
        """Fire what is due, in the order of the deadlines; then ask for the next alarm."""
        heap = self._heap
        self._alarm_at = NEVER
        self._running = True  # callbacks that arm timers need no alarm of their own: one is asked for below
        try:
            now = self._now()
            while heap and heap[0] <= now:
                due = heappop(heap)
                timer = due.timer
                if timer.due is not due:
                    self._dead -= self._dead > 0
                    continue  # left behind by an earlier deadline
                timer.due = NEVER
                if timer.deadline > due:
                    if timer.deadline != NEVER:
                        self.arm(timer)
                    else:
                        self._dead -= self._dead > 0
                    continue
                timer.deadline = NEVER
                self._fire(timer)
        finally:
            self._running = False
            if heap:
                self._alarm_at = due = heap[0]
                self._arm_alarm(max(due - self._now(), 0.0))

    def _fire(self, timer: Timer) -> None:
        try:
            timer.callback(timer.arg)
        except Exception as error:
            if self.on_error is None:
                raise
            self.on_error(error)
