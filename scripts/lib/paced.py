#!/usr/bin/env python3
"""A load generator that keeps a rate: so many requests per second over many connections, evenly, whatever they take.

    paced.py PORT URI RATE CONNECTIONS SECONDS

wrk asks as fast as it gets answers, and pauses in whole milliseconds; h2load sends what is due every 10 ms in one go.
Here each request has a moment at which it is due, and its time counts from then on, also while no connection was free:
a server that stands still for a moment is not spared those who would have come meanwhile. Prints one line of JSON.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import socket
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from time import perf_counter

TICK_NS = 100_000  # no request is later than this for want of waking up
WARM = 0.5  # seconds before it counts
PATIENCE = 5.0
TOLERANCE = 0.03  # by how much the rate may be missed


@dataclass(frozen=True)
class Paced:
    """One run: requests per second that were answered, and the percentiles of their times in ms."""

    rate: float
    p50: float
    p99: float
    error: str = ""


def load(command: list[str], port: int, uri: str, rate: float, connections: int, seconds: float) -> Paced:
    """Runs this file in a process of its own, started by *command* (taskset and its like)."""
    words = [*command, sys.executable, __file__, str(port), uri, str(rate), str(connections), str(seconds)]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        return Paced(0, 0, 0, done.stderr.strip().rpartition("\n")[2])
    return Paced(**json.loads(done.stdout))


class Generator:
    """The connections, and what is due. *late*: when the requests that wait for a free connection were due."""

    def __init__(self, port: int, uri: str, connections: int) -> None:
        self.request = f"GET {uri} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        self.epoll = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self.size = 0  # of an answer, which is always the same
        for _ in range(connections):
            c = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.size = self.first(c)
            c.setblocking(False)
            self.sockets[c.fileno()] = c
            self.epoll.register(c, select.EPOLLIN)
        self.free = deque(self.sockets)
        self.due: dict[int, float] = {}  # by connection under way
        self.got: dict[int, int] = {}  # of an answer that came in pieces
        self.times: list[float] = []
        self.answered = 0

    def first(self, c: socket.socket) -> int:
        """Ask once; the size of the answer."""
        c.sendall(self.request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += received(c.recv(65536))
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        while len(body) < length:
            body += received(c.recv(65536))
        if not head.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"answered {head[:40]!r}")
        return len(head) + 4 + length

    def run(self, rate: float, seconds: float) -> Paced:
        timer = ticks(TICK_NS)
        self.epoll.register(timer, select.EPOLLIN)
        poll, sockets, request, free, due_of = self.epoll.poll, self.sockets, self.request, self.free, self.due
        began = perf_counter()
        counted, until = began + WARM, began + WARM + seconds
        interval = 1 / rate
        due = began
        gc.disable()
        while True:
            now = perf_counter()
            while due <= now and free and due < until:
                fd = free.popleft()
                sockets[fd].send(request)
                due_of[fd] = due
                due += interval
            if now >= until and (not due_of or now > until + PATIENCE):
                break
            for fd, _ in poll(1, 256):
                if fd == timer:
                    os.read(timer, 8)
                elif self.take(fd):
                    began = due_of.pop(fd)
                    now = perf_counter()
                    if began >= counted:
                        self.times.append(now - began)
                        if now <= until:
                            self.answered += 1
                    free.append(fd)
        if due_of:
            raise SystemExit(f"{len(due_of)} requests without an answer after {PATIENCE:.0f} s")
        return self.outcome(seconds)

    def take(self, fd: int) -> bool:
        """Whether the answer is complete."""
        data = received(self.sockets[fd].recv(65536))
        got = len(data) + self.got.pop(fd, 0)
        if got == len(data) and not data.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"answered {data[:40]!r}")
        if got < self.size:
            self.got[fd] = got
            return False
        if got > self.size:
            raise SystemExit(f"an answer of {got} bytes where {self.size} are due")
        return True

    def outcome(self, seconds: float) -> Paced:
        times = sorted(self.times)
        if not times:
            raise SystemExit("no answers")
        at = [times[min(int(len(times) * share), len(times) - 1)] * 1000 for share in (0.5, 0.99)]
        return Paced(self.answered / seconds, at[0], at[1])


def received(data: bytes) -> bytes:
    if not data:
        raise SystemExit("the server closed a connection")
    return data


def ticks(ns: int) -> int:
    """A descriptor that becomes readable every *ns* (timerfd; Python has it since 3.13)."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = int(libc.timerfd_create(1, os.O_NONBLOCK))  # CLOCK_MONOTONIC
    spec = (ctypes.c_long * 4)(0, ns, 0, ns)
    if fd < 0 or libc.timerfd_settime(fd, 0, spec, None):
        raise OSError(ctypes.get_errno(), "timerfd")
    return fd


def main(words: list[str]) -> None:
    port, uri, rate, connections, seconds = words
    done = Generator(int(port), uri, int(connections)).run(float(rate), float(seconds))
    print(json.dumps(done.__dict__))


if __name__ == "__main__":
    main(sys.argv[1:])
