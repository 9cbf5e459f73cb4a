"""Other reverse proxies on the small proxied case, beside nginx and geng: one process each, on the same core."""

from __future__ import annotations

import http.client
import importlib.util
import os
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from . import cases, processes, servers, wrk
from .measure import Bench

HERE = Path(__file__).parent / "proxies"

HAPROXY = """
global
    nbthread 1
defaults
    mode http
    option httplog
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen front
    bind 127.0.0.1:{port} backlog 1024
    http-reuse always
    server backend 127.0.0.1:{backend}
"""


def commands(folder: Path) -> dict[str, Callable[[int, int], list[str] | None]]:
    """By name: what starts it for a port and a backend's port; None when it is not installed."""

    def haproxy(port: int, backend: int) -> list[str] | None:
        conf = folder / "haproxy.cfg"
        conf.write_text(HAPROXY.format(port=port, backend=backend))
        found = shutil.which("haproxy", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
        return [found, "-db", "-f", str(conf)] if found else None

    def script(module: str) -> Callable[[int, int], list[str] | None]:
        def command(port: int, backend: int) -> list[str] | None:
            if importlib.util.find_spec(module) is None:
                return None
            return [sys.executable, str(HERE / f"with_{module}.py"), str(port), str(backend)]

        return command

    def pywsgi(port: int, backend: int) -> list[str] | None:
        return [sys.executable, str(HERE / "with_pywsgi.py"), str(port), str(backend)]

    def mitmproxy(port: int, backend: int) -> list[str] | None:
        found = shutil.which("mitmdump")
        mode = f"reverse:http://127.0.0.1:{backend}"
        return [found, "-q", "--mode", mode, "--listen-host", "127.0.0.1", "-p", str(port)] if found else None

    return {
        "HAProxy": haproxy,
        "aiohttp": script("aiohttp"),
        "Twisted": script("twisted"),
        "gevent.pywsgi": pywsgi,
        "mitmproxy": mitmproxy,
        "proxy.py": script("proxy"),
    }


def show(bench: Bench, rounds: int) -> int:
    """Prints a line for each: requests/s, CPU per request, p99. 1 when one of them gave a wrong answer."""
    case = next(case for case in cases.CASES if case.name == "proxy")
    failed = 0
    print(f"{'proxied, 61 bytes':<16}{'requests/s':>12}{'CPU µs':>10}{'p99 ms':>10}{'memory MB':>12}")
    for name in bench.running:
        port = bench.running[name].port
        failed |= measure(bench, name, port, bench.running[name].pids, case, rounds)
    for name, command in commands(bench.folder).items():
        port = servers.free_port()
        words = command(port, bench.backend_port)
        if words is None:
            print(f"{name:<16}not installed")
            continue
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if bench.server_cores:
                os.sched_setaffinity(process.pid, bench.server_cores)
            servers.wait_until(lambda: servers.listens(port), f"{name} on its port", 20)  # noqa: B023
            failed |= measure(bench, name, port, lambda: processes.family(process.pid), case, rounds)  # noqa: B023
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    return failed


def measure(bench: Bench, name: str, port: int, pids: Callable[[], list[int]], case: cases.Case, rounds: int) -> int:
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    c.request("GET", case.uri)
    if c.getresponse().read() != bench.expected(case):
        print(f"{name:<16}wrong answer")
        return 1
    c.close()
    url = f"http://127.0.0.1:{port}{case.uri}"
    rows = []
    for number in range(rounds + 1):  # the first is a warm-up
        before = processes.cpu_ns(pids())
        load = wrk.load(url, bench.seconds, case.connections, bench.folder, case.body, bench.load_cores)
        spent = processes.cpu_ns(pids()) - before
        if load.errors:
            print(f"{name:<16}{load.errors}")
            return 1
        if number:
            rows.append((load.per_second, spent / 1000 / load.requests, load.p99 / 1000))
    rate, cpu, p99 = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"{name:<16}{rate:>12.0f}{cpu:>10.1f}{p99:>10.1f}{processes.pss_bytes(pids()) / (1 << 20):>12.0f}", flush=True)
    return 0
