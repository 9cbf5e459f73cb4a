"""What grows: start time and memory with many servers, names, idle connections and upstreams; both sides by turns."""

from __future__ import annotations

import multiprocessing
import os
import resource
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from . import measure, processes, program, servers, wrk

MB = 1 << 20
FILES = 41_000  # descriptors of a server and of its clients

SMALL = """
events {{ worker_connections {connections}; }}
worker_processes {workers};
worker_rlimit_nofile {files};
http {{
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 100000000;
    server_names_hash_max_size 65536;
    server_names_hash_bucket_size 128;
    {more}
    server {{
        listen 127.0.0.1:{port} default_server backlog=4096;
        location = /return {{ return 200 "ok\\n"; }}
        {inside}
    }}
}}
"""

BACKEND = """
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ return 200 "ok\\n"; }} }}
}}
"""


class Scale:
    """Both commands, a folder, and where the load runs."""

    def __init__(self, folder: Path, commands: dict[str, list[str]], seconds: int, rounds: int) -> None:
        self.folder, self.commands, self.seconds, self.rounds = folder, commands, seconds, rounds
        self.server_cores, self.load_cores = measure.share_cores()
        self.failed = 0

    def show(self) -> int:
        self.start_time("start to first answer, small configuration", "")
        names = [" ".join(f"n{n}.s{s}.example.com" for n in range(10)) for s in range(2000)]
        many = "\n".join(f"server {{ listen 127.0.0.1:{{port}}; server_name {ten}; return 200 ok; }}" for ten in names)
        self.start_time("the same with 2,000 servers and 20,000 names", many)
        few = "\n".join(many.splitlines()[:10])
        self.two("2,000 servers against 10", many, "", few, "", "/return", "n3.s5.example.com")
        self.idle_cost(10_000)
        self.upstreams()
        self.memory(30_000)
        self.workers()
        return self.failed

    # ---- how a server is run

    @contextmanager
    def run(
        self, name: str, more: str = "", inside: str = "", workers: int = 1, cores: set[int] | None = None
    ) -> Iterator[servers.Server]:
        port = servers.free_port()
        conf = SMALL.format(
            connections=40_000,
            files=FILES,
            workers=workers,
            port=port,
            more=more.replace("{port}", str(port)),
            inside=inside,
        )
        server = servers.Server(
            name, self.commands[name], self.folder / f"{name}{port}", conf, port, cores or self.server_cores
        )
        server.start()
        try:
            yield server
        finally:
            server.stop()

    def cost(self, server: servers.Server, uri: str = "/return", host: str = "localhost") -> tuple[float, float]:
        """(CPU µs per request, requests/s) of one turn."""
        url = f"http://127.0.0.1:{server.port}{uri}"
        before = processes.cpu_ns(server.pids())
        load = wrk.load(url, self.seconds, 64, self.folder, 3, self.load_cores, (f"Host: {host}",))
        spent = processes.cpu_ns(server.pids()) - before
        if load.errors:
            print(f"{server.name}: {load.errors}")
            self.failed = 1
        return spent / 1000 / max(load.requests, 1), load.per_second

    def each(self, what: str, measured: Callable[[str], tuple[float, ...]], form: str) -> None:
        """One line: *what*, and for each side the medians of what *measured* gave."""
        found: dict[str, list[tuple[float, ...]]] = {name: [] for name in self.commands}
        for number in range(self.rounds):
            for name in list(found)[:: 1 if number % 2 == 0 else -1]:
                found[name].append(measured(name))
        said = (
            f"{name} " + form.format(*(statistics.median(column) for column in zip(*rows, strict=True)))
            for name, rows in found.items()
        )
        print(f"{what}: {', '.join(said)}", flush=True)

    # ---- what is measured

    def start_time(self, what: str, more: str) -> None:
        self.each(what, lambda name: (self._start(name, more),), "{:.2f} s")

    def _start(self, name: str, more: str) -> float:
        """Seconds from the command to its first answer."""
        port = servers.free_port()
        conf = SMALL.format(
            connections=1024, files=2000, workers=1, port=port, more=more.replace("{port}", str(port)), inside=""
        )
        server = servers.Server(name, self.commands[name], self.folder / f"{name}{port}", conf, port)
        began = time.monotonic()
        server.process = subprocess.Popen(
            [*server.command, "-p", f"{server.folder}/", "-c", "nginx.conf", "-e", "error.log"],
            env=program.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        try:
            while True:
                try:
                    with socket.create_connection(("127.0.0.1", port), timeout=30) as c:
                        measure.ask_again(c)
                    return time.monotonic() - began
                except ConnectionRefusedError:
                    if server.pid_exited() or time.monotonic() - began > 60:
                        raise SystemExit(f"{name} did not start") from None
                    time.sleep(0.002)
        finally:
            server.stop()

    def two(self, what: str, more: str, inside: str, less: str, inside_less: str, uri: str, host: str) -> None:
        """CPU per request with the one configuration and with the other."""

        def measured(name: str) -> tuple[float, ...]:
            with self.run(name, more, inside) as large:
                a = self.cost(large, uri, host)[0]
            with self.run(name, less, inside_less) as small:
                b = self.cost(small, uri, host)[0]
            return a, b, a / b

        self.each(what, measured, "{:.1f} and {:.1f} µs, ratio {:.2f}")

    def upstreams(self) -> None:
        port = servers.free_port()
        backend = servers.Server(
            "backend", self.commands["nginx"], self.folder / "backend", BACKEND.format(port=port), port, self.load_cores
        )
        backend.start()
        try:
            texts = [f"upstream backend {{ {f'server 127.0.0.1:{port};' * n} keepalive 64; }}" for n in (1000, 3)]
            inside = 'location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }'
            self.two("1,000 upstream servers against 3", texts[0], inside, texts[1], inside, "/proxied", "localhost")
        finally:
            backend.stop()

    def idle_cost(self, count: int) -> None:
        def measured(name: str) -> tuple[float, ...]:
            with self.run(name) as server:
                alone = self.cost(server)[0]
                with idle(server.port, count):
                    beside = self.cost(server)[0]
            return beside, alone, beside / alone

        self.each(f"beside {count} idle connections, against none", measured, "{:.1f} and {:.1f} µs, ratio {:.2f}")

    def memory(self, count: int) -> None:
        def measured(name: str) -> tuple[float, ...]:
            with self.run(name, workers=2, cores=set(os.sched_getaffinity(0))) as server, idle(server.port, count):
                return (processes.pss_bytes(server.pids()) / MB,)

        self.each(f"{count} idle connections on two workers, memory of all processes", measured, "{:.0f} MB")

    def workers(self) -> None:
        def measured(name: str) -> tuple[float, ...]:
            every = set(os.sched_getaffinity(0))
            rates = []
            for number in (2, 1):
                with self.run(name, workers=number, cores=every) as server:
                    url = f"http://127.0.0.1:{server.port}/return"
                    rates.append(wrk.load(url, self.seconds, 64, self.folder, 3).per_second)
            return rates[0], rates[1], rates[0] / rates[1]

        self.each("two workers against one, nobody bound to a core", measured, "{:.0f} and {:.0f} requests/s, ratio {:.2f}")


@contextmanager
def idle(port: int, count: int) -> Iterator[None]:
    """*count* connections that have asked once and stay; in as many processes as their limits of descriptors demand."""
    each = min(count, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200)
    context = multiprocessing.get_context("fork")
    holders = []
    try:
        for first in range(0, count, each):
            ours, theirs = context.Pipe()
            holder = context.Process(target=hold, args=(theirs, port, first, min(each, count - first)))
            holder.start()
            theirs.close()
            holders.append((holder, ours))
            told(ours)
        yield
        for _, ours in holders:
            ours.send(True)
            told(ours)
    finally:
        for holder, ours in holders:
            with suppress(OSError):
                ours.send(False)
            holder.join()


def told(pipe: Connection) -> None:
    """Wait for a holder to have done what it does; what went wrong there goes wrong here."""
    try:
        wrong = pipe.recv()
    except EOFError:
        wrong = "a process that holds connections ended"
    if wrong:
        raise SystemExit(f"idle connections: {wrong}")


def hold(pipe: Connection, port: int, first: int, count: int) -> None:
    """In a process of its own: open them, and ask some again when told True; until told False."""
    opened: list[socket.socket] = []
    try:
        for number in range(first, first + count):
            c = socket.socket()
            opened.append(c)
            c.setsockopt(socket.SOL_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            c.bind((f"127.0.1.{1 + number // 20_000}", 0))  # each loopback address has ports for 20,000
            c.settimeout(10)
            c.connect(("127.0.0.1", port))
            measure.ask_again(c)
        pipe.send("")
        while pipe.recv():
            for c in opened[:: max(1, count // 100)]:
                measure.ask_again(c)  # they still serve
            pipe.send("")
    except OSError as reason:
        pipe.send(f"{reason} after {len(opened)}")
        pipe.recv()
