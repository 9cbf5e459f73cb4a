"""Accepting connections in a worker.   nginx: ngx_event_accept.c

accept_mutex on: only the worker that holds the mutex watches the listening sockets; it tries for it at each turn of its
loop, and gives it back once it has accepted. Off, with several workers: *exclusive*, so that a connection wakes one of
them (geng/net/exclusive.py); every 16 connections a worker goes to the end of the queue, or the first would get all.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from errno import EAGAIN, ECONNABORTED, EMFILE, ENFILE
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from geng.net import datagram
from geng.net import exclusive as ex
from geng.net.connection import ACCEPTED, ACTIVE, HANDLED, READ, ConnectionPool, Logger
from geng.net.listen import Listening

if TYPE_CHECKING:
    from geng.net.hub import Hub

AT_ONCE = 16  # datagrams of QUIC: many belong to one connection, which answers them together

LEVELS = {ECONNABORTED: "error", EMFILE: "crit", ENFILE: "crit"}


class AcceptMutex:
    """A lock between the workers, over any file (a memfd will do): a record lock falls with its process."""

    __slots__ = ("fd", "held")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.held = False

    def __repr__(self) -> str:
        return f"<AcceptMutex {'held' if self.held else 'not held'}>"

    def try_lock(self) -> bool:
        """Whether this process has it now."""
        if not self.held:
            try:
                fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (EAGAIN, 13):  # POSIX allows EACCES as well
                    raise
                return False
            self.held = True
        return True

    def unlock(self) -> None:
        if self.held:
            self.held = False
            fcntl.lockf(self.fd, fcntl.LOCK_UN)


class Acceptor:
    """Accepts from *listenings* into *pool* in this worker and hands each connection to its Listening's handler."""

    def __init__(
        self,
        hub: Hub,
        pool: ConnectionPool,
        listenings: Iterable[Listening],
        log: Logger,
        *,
        multi_accept: bool = False,
        mutex: AcceptMutex | None = None,
        mutex_delay: int = 500,
        exclusive: bool = False,
    ) -> None:
        self.hub = hub
        self.pool = pool
        self.listenings = list(listenings)
        self.log = log
        self.multi_accept = multi_accept
        self.mutex = mutex
        self.mutex_delay = mutex_delay
        self.exclusive = exclusive and mutex is None
        self._forked: Any = None
        self._registered: dict[int, int] = {}  # descriptor: what epoll knows it by
        self._watchers: list[tuple[Listening, Any]] = []
        self._waiting: list[tuple[Listening, Any]] = []
        self._pause: Any = None
        self._prepare: Any = None
        self._retry: Any = None
        self._skip = 0  # turns of the loop in which this worker, being full, leaves the mutex alone
        pool.reserve(len(self.listenings))

    def __repr__(self) -> str:
        state = "paused" if self._pause else "accepting" if any(w.active for _, w in self._watchers) else "idle"
        return f"<Acceptor {len(self.listenings)} sockets, {state}>"

    def start(self) -> None:
        """Begin to accept."""
        for listening in self.listenings:
            # after the connections there are: who closed one before it opened another is counted once
            self._watchers.append((listening, self.hub.loop.io(listening.fd, READ, priority=-1)))
        if self.exclusive:
            # libev makes all registrations anew when it finds that the process has forked, or one that it did not make
            self._forked = self.hub.loop.fork()
            self._forked.start(self._renewed)
        if self.mutex is None:
            self._enable()
            return
        self._enable(own=True)
        self._prepare = self.hub.loop.prepare()
        self._prepare.start(self._turn)
        self._turn()

    def stop(self, keep_quic: bool = False) -> None:
        """Accept no more; the sockets stay open (the caller closes them).

        *keep_quic*: QUIC's sockets are read on, for all its connections live behind them.
        """
        for watcher in (self._prepare, self._forked):
            if watcher is not None:
                watcher.stop()
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._retry is not None:
            self._retry.cancel()
        self._disable(everything=True)
        if self.mutex is not None:
            self.mutex.unlock()
            self.mutex = None
        self.pool.reserve(-len(self.listenings))
        self._watchers = []
        for listening in self.listenings if keep_quic else ():
            if listening.quic:
                # another descriptor: epoll shall know it as one that wakes other workers too
                watcher = self.hub.loop.io(os.dup(listening.fd), READ)
                watcher.start(self._receive, listening)
                self._watchers.append((listening, watcher))

    def _enable(self, own: bool = False) -> None:
        """Watch the sockets; *own*: only those that no other worker has (reuseport)."""
        at_once = self.mutex is not None or len(self.listenings) == 1
        for listening, watcher in self._watchers:
            if not watcher.active and not (own and not listening.options.reuseport):
                if not listening.listens:
                    watcher.start(self._receive, listening)
                elif at_once:
                    watcher.start(self._accept, listening)
                else:
                    watcher.start(self._accept_later, listening, watcher)

        if self.exclusive:
            # libev registers a descriptor at the loop's next turn
            self.hub.after(0, self._make_exclusive)

    def _renewed(self) -> None:
        self._registered.clear()
        self.hub.after(0, self._make_exclusive)

    def _make_exclusive(self) -> None:
        epoll_fd = self.hub.loop.fileno()
        for listening, watcher in self._watchers:
            if not watcher.active or listening.options.reuseport:
                continue
            data = ex.registered(epoll_fd, listening.fd)
            if data is not None and ex.make_exclusive(epoll_fd, listening.fd, data):
                self._registered[listening.fd] = data

    def _disable(self, everything: bool = False) -> None:
        for listening, watcher in self._watchers:
            if everything or not listening.options.reuseport:
                watcher.stop()
                self._registered.pop(listening.fd, None)

    # ---- the mutex

    def _turn(self) -> None:
        """Before each wait for events.   nginx: ngx_process_events_and_timers, ngx_trylock_accept_mutex"""
        mutex = self.mutex
        assert mutex is not None
        if self._pause is not None:
            return
        if self._skip > 0:
            self._skip -= 1
        elif mutex.try_lock():
            self._enable()
            return
        self._disable()
        if self._retry is None:
            self._retry = self.hub.after(self.mutex_delay, self._again)

    def _again(self) -> None:
        """Only to wake the loop: _turn() does the work."""
        self._retry = None

    # ---- accepting

    def _accept_later(self, listening: Listening, watcher: Any) -> None:
        """One of several sockets is readable: libev tells of them from the last to the first, nginx hears it as it came."""
        if not self._waiting:
            self.hub.call_soon(self._accept_all)
        self._waiting.append((listening, watcher))

    def _accept_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for listening, watcher in reversed(waiting):
            if watcher.active:
                self._accept(listening)

    def _accept(self, listening: Listening) -> None:
        """A listening socket is readable."""
        try:
            while self._accept_one(listening) and self.multi_accept:
                pass
            if self._registered and (listening.accepted % 16 == 1 or self.pool.accept_disabled > 0):
                self._reorder(listening)
        except Exception as error:
            # gevent stops a watcher whose callback fails: this worker would never accept again
            self.hub.report(error)
        finally:
            if self.mutex is not None:
                self.mutex.unlock()

    def _receive(self, listening: Listening) -> None:
        """A datagram has come."""
        try:
            receive = listening.receiver or datagram.receive
            left = AT_ONCE if listening.quic else 1
            while receive(listening, self.pool, self.log) and (self.multi_accept or left > 1):
                left -= 1
            if self.mutex is not None:
                self._skip = self.pool.accept_disabled
        except Exception as error:
            self.hub.report(error)
        finally:
            if self.mutex is not None:
                self.mutex.unlock()

    def _reorder(self, listening: Listening) -> None:
        """Let other workers have the next connections."""
        data = self._registered.get(listening.fd)
        if data is not None:
            ex.make_exclusive(self.hub.loop.fileno(), listening.fd, data)

    def _accept_one(self, listening: Listening) -> bool:
        """Accept one connection and hand it on; False: no more for now."""
        sock = listening.sock
        if sock is None:
            return False
        try:
            # Not accept(): it makes a socket object, with a getsockname() each.
            fd, address = sock._accept()  # type: ignore[attr-defined]
        except BlockingIOError:
            return False
        except OSError as error:
            return self._refused(listening, error.errno or 0)
        os.set_blocking(fd, False)
        listening.accepted += 1
        pool = self.pool
        stat = pool.stat
        stat.add(ACCEPTED, 1)
        if self.mutex is not None:
            self._skip = pool.accept_disabled
        c = pool.get(fd)
        if c is None:
            os.close(fd)
            return False
        stat.add(ACTIVE, 1)
        stat.add(HANDLED, 1)
        c.listening = listening
        c.start_msec = monotonic_ns() // 1_000_000
        if type(address) is tuple:
            c.addr_text = address[0].encode()
            c.port = address[1]
            if len(address) == 4:  # IPv6: the scope is in no text
                c.sockaddr = address
        else:
            c.addr_text = b"unix:"
        try:
            listening.handler(c)  # type: ignore[misc]
        except Exception as error:
            c.close()
            self.hub.report(error)
        return True

    def _refused(self, listening: Listening, errno: int) -> bool:
        """accept() failed; whether to try on at once."""
        log = getattr(self.log, LEVELS.get(errno, "alert"))
        log("accept4() failed", err=errno, ctx=listening)
        if errno == ECONNABORTED:
            return True
        if errno in (EMFILE, ENFILE):
            self._disable(everything=True)
            if self.mutex is not None:
                self.mutex.unlock()
            self._pause = self.hub.after(self.mutex_delay, self._resume)
        return False

    def _resume(self) -> None:
        self._pause = None
        self._enable(own=self.mutex is not None)
