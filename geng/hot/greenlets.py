"""Switching between greenlets: what every wait and every piece of work does, twice.   nginx has no such thing

A pool of raw greenlets whose parent is gevent's hub, and a switch to that hub. Compiled, both go through greenlet's C
interface: no method is looked up, no arguments are parsed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

PLAIN = __file__.endswith((".py", ".pyc"))

IDLE_GREENLETS = 1024  # at most so many wait in the pool (some 20 KB each); more end after their work

NOTHING: tuple[()] = ()


def load() -> None:
    """Find greenlet's C interface."""
    if not PLAIN:
        load_greenlets()  # type: ignore[name-defined]  # noqa: F821


def switch(target: Any, args: tuple[Any, ...]) -> Any:
    """target.switch(*args)"""
    if PLAIN:
        return target.switch(*args)
    return switch_to(target, args)  # type: ignore[name-defined]  # noqa: F821


def current() -> Any:
    """greenlet.getcurrent()"""
    if PLAIN:
        return getcurrent()
    return current_greenlet()  # type: ignore[name-defined]  # noqa: F821


class Greenlets:
    """The base of geng.net.hub.Hub: *hub* is gevent's, where parked greenlets give up control."""

    __slots__ = ("_gevent_hub", "_idle", "_park", "most_idle")

    def __init__(self, hub: Any) -> None:
        self._gevent_hub = hub
        self._idle: list[Any] = []
        self.most_idle = IDLE_GREENLETS
        # The plain greenlet method: gevent's own Hub.switch looks for a switch_out hook each time.
        self._park: Callable[[], Any] = greenlet.switch.__get__(hub)

    def park(self) -> Any:
        """Give up this greenlet until someone switches to it; what they pass."""
        if PLAIN:
            return self._park()
        return switch_to(self._gevent_hub, NOTHING)  # type: ignore[name-defined]  # noqa: F821

    def spawn(self, function: Callable[..., object], *args: Any) -> None:
        """Run function(*args) in a pooled greenlet: at once when called from the hub, else at the hub's next turn."""
        if current() is not self._gevent_hub:
            self._gevent_hub.loop.run_callback(self.spawn, function, *args)
            return
        self.start(function, args)

    def start(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        """The same, from the hub."""
        idle = self._idle
        worker = idle.pop() if idle else greenlet(self._work, self._gevent_hub)
        switch(worker, (function, args))

    def _work(self, function: Callable[..., object] | None, args: tuple[Any, ...] | None) -> None:
        """The life of a pooled greenlet: do what was brought, go back to the pool, wait for more."""
        me = current()
        idle = self._idle
        while True:
            try:
                function(*args)  # type: ignore[misc]
            except Exception as error:
                self.report(error)
            except GreenletExit:
                pass  # somebody killed this work on purpose
            function = args = None  # nothing of a request outlives it here
            if len(idle) >= self.most_idle:
                return
            idle.append(me)
            function, args = self.park()

    def report(self, error: BaseException) -> None:
        raise NotImplementedError  # the hub's


load()
