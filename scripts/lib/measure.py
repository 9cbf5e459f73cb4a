"""The measuring itself: both servers up, each case by turns, CPU from the scheduler, memory from smaps."""

from __future__ import annotations

import gzip
import http.client
import os
import platform
import resource
import socket
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import cases, handshakes, processes, program, servers, wrk


@dataclass
class Side:
    """What one server gave in one case, over all rounds; CPU in µs per request, memory in bytes."""

    per_second: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    pss: int = 0
    errors: str = ""


@dataclass
class Result:
    case: cases.Case
    sides: dict[str, Side]

    @property
    def errors(self) -> str:
        return "; ".join(f"{name}: {side.errors}" for name, side in self.sides.items() if side.errors)

    def median(self, side: str, what: str) -> float:
        values: list[float] = getattr(self.sides[side], what)
        return statistics.median(values)

    def ratio(self, what: str) -> float:
        """geng's figure by nginx's. Never asked for where an answer was wrong."""
        assert not self.errors
        return self.median("geng", what) / self.median("nginx", what)


@dataclass
class Idle:
    """Memory for each idle connection, in bytes."""

    connections: int
    each: dict[str, float]
    errors: str = ""


class Bench:
    """The backend and one server per side; *folder* is theirs."""

    def __init__(self, folder: Path, sides: dict[str, list[str]], seconds: int, idle: int) -> None:
        self.folder, self.commands, self.seconds, self.idle = folder, sides, seconds, idle
        self.files = folder / "files"
        self.server_cores, self.load_cores = share_cores()
        self.backend_port = servers.free_port()
        self.running: dict[str, servers.Server] = {}
        self.real_ports: dict[str, int] = {}
        self.tls_ports: dict[str, int] = {}
        self.backend: servers.Server | None = None

    def start(self) -> None:
        cases.make_files(self.files)
        self.folder.chmod(0o755)
        self.backend = servers.Server(
            "backend",
            self.commands.get("nginx") or servers.nginx_command(),
            self.folder / "backend",
            cases.backend(self.backend_port, self.files),
            self.backend_port,
            self.load_cores,
        )
        self.backend.start()
        for name in self.commands:
            self.start_side(name)

    def start_side(self, name: str) -> servers.Server:
        port, real, tls = (servers.free_port() for _ in range(3))
        self.real_ports[name], self.tls_ports[name] = real, tls
        conf = cases.front(port, real, tls, self.backend_port, self.files, self.idle + 1000)
        server = servers.Server(name, self.commands[name], self.folder / name, conf, port, self.server_cores)
        self.running[name] = server
        server.start()
        return server

    def stop(self) -> None:
        for server in self.running.values():
            server.stop()
        if self.backend is not None:
            self.backend.stop()

    def run(self, chosen: Sequence[cases.Case], rounds: int, idle: bool) -> list[Result | Idle]:
        results: list[Result | Idle] = []
        for case in chosen:
            results.append(self.measure(case, rounds))
            _progress(f"{case.name} done")
        if idle:
            results.append(self.measure_idle())
        return results

    def measure(self, case: cases.Case, rounds: int) -> Result:
        result = Result(case, {name: Side() for name in self.running})
        for name in self.running:
            result.sides[name].errors = self.check(name, case)
            if not result.errors:
                self.load(name, case, 1)  # warm: caches filled, connections to the backend open
        if result.errors:
            return result
        for order in turns(list(self.running), rounds):
            for name in order:
                self._turn(name, case, result.sides[name])
        return result

    def _turn(self, name: str, case: cases.Case, side: Side) -> None:
        pids = self.running[name].pids()
        before = processes.cpu_ns(pids)
        load = self.load(name, case, self.seconds)
        spent = processes.cpu_ns(pids) - before
        if self.running[name].pids() != pids:
            load_errors = "a process ended while it was measured"
        else:
            load_errors = load.errors
        side.errors = side.errors or load_errors
        side.per_second.append(load.per_second)
        side.cpu_us.append(spent / 1000 / max(load.requests, 1))
        side.p99_ms.append(load.p99 / 1000)
        side.pss = processes.pss_bytes(pids)

    def url(self, name: str, case: cases.Case) -> str:
        if case.tls:
            return f"https://127.0.0.1:{self.tls_ports[name]}{case.uri}"
        port = self.real_ports[name] if case.name == "proxy-real" else self.running[name].port
        return f"http://127.0.0.1:{port}{case.uri}"

    def empty_log(self, name: str) -> None:
        log = self.running[name].folder / "access.log"
        if log.exists():
            os.truncate(log, 0)  # opened for appending: it goes on at the start

    def load(self, name: str, case: cases.Case, seconds: int) -> wrk.Load:
        self.empty_log(name)
        if case.handshakes:
            return handshakes.load(self.tls_ports[name], seconds, case.handshakes, case.body, self.load_cores)
        return wrk.load(
            self.url(name, case), seconds, case.connections, self.folder, case.body, self.load_cores, case.headers,
            case.send,
        )  # fmt: skip

    def check(self, name: str, case: cases.Case) -> str:
        """What is wrong with one answer, byte by byte; nothing when it is right."""
        host, _, uri = self.url(name, case).partition("://")[2].partition("/")
        connection = http.client.HTTPConnection(host, timeout=10)
        if case.tls:
            connection = http.client.HTTPSConnection(host, timeout=10, context=handshakes.unverified())
        try:
            headers = dict(line.split(": ", 1) for line in case.headers)
            connection.request("POST" if case.send else "GET", "/" + uri, b"x" * case.send or None, headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as reason:
            return f"{type(reason).__name__}: {reason}"
        finally:
            connection.close()
        if answer.status != 200:
            return f"status {answer.status}"
        if "gzip" in case.name:
            body = gzip.decompress(body)
        return "" if body == self.expected(case) else f"a wrong body of {len(body)} bytes"

    def expected(self, case: cases.Case) -> bytes:
        if case.uri == "/return":
            return b"ok\n"
        if case.body == len(cases.SMALL) + 1:
            return cases.SMALL.encode() + b"\n"
        return (self.files / case.uri.rsplit("/", 1)[1]).read_bytes()

    def measure_idle(self) -> Idle:
        """Opens many connections that asked once and stay; memory more than before, by each."""
        result = Idle(self.idle, {})
        needed, limit = self.idle + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if needed > limit:
            result.errors = f"{needed} descriptors needed, {limit} allowed (ulimit -n)"
            return result
        for name in list(self.running):
            self.running[name].stop()
            server = self.start_side(name)  # a fresh one: what others left free would hide the cost
            try:
                result.each[name] = self._idle_memory(server)
            except OSError as reason:
                result.errors = f"{name}: {reason}"
        return result

    def _idle_memory(self, server: servers.Server) -> float:
        opened: list[socket.socket] = []
        try:
            for _ in range(50):  # first requests load what is loaded once
                opened.append(_ask(server.port))
            before = processes.pss_bytes(server.pids())
            for _ in range(self.idle):
                opened.append(_ask(server.port))
            grown = processes.pss_bytes(server.pids()) - before
            for connection in opened[:: max(1, len(opened) // 100)]:
                ask_again(connection)  # they still serve
            return grown / self.idle
        finally:
            for connection in opened:
                connection.close()

    def describe(self) -> list[str]:
        cpu = next(
            (
                line.partition(":")[2].strip()
                for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")
            ),
            platform.machine(),
        )
        python = [program.python_version() + ", " + program.hot_summary()] if "-m" in self.commands["geng"] else []
        return [
            f"machine: {cpu}, {os.cpu_count()} cores, Linux {platform.release()}",
            f"pinned: server on {sorted(self.server_cores or ())}, load and backend on {sorted(self.load_cores or ())}",
            *(f"{name}: {servers.version(command)}" for name, command in self.commands.items()),
            *python,
        ]


def share_cores() -> tuple[set[int] | None, set[int] | None]:
    """One core for the server, the next for load and backend; with a single core nobody is bound."""
    cores = sorted(os.sched_getaffinity(0))
    return ({cores[0]}, set(cores[1:3])) if len(cores) > 1 else (None, None)


def turns(names: list[str], rounds: int) -> Iterator[list[str]]:
    """Who goes first changes each round, so that neither always finds the machine warm."""
    for number in range(rounds):
        yield names if number % 2 == 0 else names[::-1]


def _ask(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    ask_again(connection)
    return connection


def ask_again(connection: socket.socket) -> None:
    connection.sendall(b"GET /return HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = b""
    while not answer.endswith(b"ok\n"):
        more = connection.recv(4096)
        if not more:
            raise ConnectionError(f"closed after {answer[:60]!r}")
        answer += more
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise ConnectionError(f"answered {answer[:60]!r}")


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
