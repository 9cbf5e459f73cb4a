"""Where a request's microseconds go: system calls, instructions, allocations, and samples of the worker while wrk asks.

strace counts the calls and valgrind the rest, both exactly; the microseconds are the samples of perf. py-spy draws the
flame graph: of Python's functions and C's where it can, else of Python's alone.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

from . import cases, instructions, processes, program, servers, strace, wrk
from .measure import Bench
from .servers import wait_until

HERTZ = 4000
ROWS = 60
LEAST = 0.05  # below which a row of the table says nothing
GEVENT = {"_greenlet", "corecext", "_gevent_c_greenlet_primitives", "_gevent_c_hub_primitives", "_gevent_cgreenlet"}
SAMPLE = re.compile(r"^\s*(?P<share>[\d.]+)%\s+(?P<where>\S+)\s+\[(?P<mode>[.k])\]\s+(?P<symbol>.+?)\s*$")


def show(bench: Bench, case: cases.Case) -> int:
    """Prints what a request costs each side, and where; 1 when an answer was wrong."""
    for name in bench.running:
        wrong = bench.check(name, case)
        if wrong:
            print(f"{case.name}: {name} is wrong, {wrong}")
            return 1
        bench.load(name, case, 1)
    samples = {name: sample(bench, name, case) for name in bench.running}
    parts = {name: _sum((part(where), share * each) for share, where, _ in rows) for name, (each, rows) in samples.items()}
    table(bench, case, {name: each for name, (each, _) in samples.items()}, parts)
    for name, (each, rows) in samples.items():
        print(f"\n{name}, {case.name}: {each:.1f} µs per request, by function")
        _print(_sum((f"{symbol}  ({where})", share * each) for share, where, symbol in rows))
    flame(bench, case)
    return 0


def table(bench: Bench, case: cases.Case, each: dict[str, float], parts: dict[str, dict[str, float]]) -> None:
    """Both sides beside one another: totals first, then microseconds by part of the program."""
    rows = [("CPU, µs", each)]
    rows.append(("system calls", {name: sum(strace.count(bench, name, case).values()) for name in bench.running}))
    if not case.tls and not case.handshakes:
        counts = instructions_of(bench, case)
        rows.append(("instructions in user space", {name: count.instructions for name, count in counts.items()}))
        rows.append(("allocations", {name: count.allocations for name, count in counts.items()}))
    names = {name for side in parts.values() for name in side}
    for name in sorted(names, key=lambda name: -max(side.get(name, 0) for side in parts.values())):
        rows.append((f"µs: {name}", {side: parts[side].get(name, 0) for side in parts}))
    print(f"| per request, {case.what} | nginx | geng | more |\n|---|---|---|---|")
    for what, row in rows:
        nginx, geng = row["nginx"], row["geng"]
        if max(nginx, geng) >= LEAST:
            print(f"| {what} | {_figure(nginx)} | {_figure(geng)} | {'+' if geng >= nginx else ''}{_figure(geng - nginx)} |")


def instructions_of(bench: Bench, case: cases.Case) -> dict[str, instructions.Count]:
    found = {}
    headers = dict(line.split(": ", 1) for line in case.headers)
    for name, command in bench.commands.items():
        port, real, tls = (servers.free_port() for _ in range(3))
        conf = cases.front(port, real, tls, bench.backend_port, bench.files, 600).replace("worker_processes 1;", "")
        with instructions.Counted(name, command, bench.folder / f"{name}-counted", conf, port) as server:
            at = real if case.name == "proxy-real" else port
            found[name] = server.count(instructions.Asker(at, case.uri, headers, b"x" * case.send or None))
    return found


def flame(bench: Bench, case: cases.Case) -> None:
    """Draws geng's worker into a file in the current folder: with C's functions, where py-spy can tell the stacks apart."""
    path = Path.cwd() / f"profile-{case.name}.svg"
    said = draw(bench, case, path, ["--native"])
    if said:
        print(f"\npy-spy --native: {said.splitlines()[0]}; so without the compiled functions")
        said = draw(bench, case, path, [])
    print(f"\nflame graph: {said or path}")


def draw(bench: Bench, case: cases.Case, path: Path, options: list[str]) -> str:
    """What py-spy says when it fails, else nothing."""
    beside = Path(sys.executable).parent / "py-spy"
    command = str(beside) if beside.exists() else program.require("py-spy")
    words = ["-r", "500", "-d", str(bench.seconds), "-o", str(path), "-p", str(bench.running["geng"].workers()[0])]
    drawer = subprocess.Popen(
        [command, "record", *options, *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    load = bench.load("geng", case, bench.seconds + 2)
    said = drawer.communicate(timeout=60)[0].strip()
    if load.errors:
        raise SystemExit(f"geng: {load.errors}")
    return (said or "failed") if drawer.returncode else ""


def part(where: str) -> str:
    """What a shared object belongs to."""
    if where.startswith("["):
        return "kernel"
    if ".cpython-" in where or where.startswith("_"):
        name = where.partition(".cpython-")[0]
        return "gevent, greenlet, libev" if name in GEVENT else f"geng, {name}"
    if where.startswith("python") or where.startswith("libpython"):
        return "CPython"
    return "C library" if where.startswith(("libc.", "libc-", "ld-", "libm.")) else where


def sample(bench: Bench, name: str, case: cases.Case) -> tuple[float, list[tuple[float, str, str]]]:
    """CPU per request in µs, and (share of it, shared object, function) by what the sampler saw."""
    output = bench.folder / f"{name}.perf"
    said = bench.folder / f"{name}.perf.said"
    pids = bench.running[name].workers()
    with said.open("wb") as errors:
        sampler = subprocess.Popen(
            [program.require("perf"), "record", "-e", "cpu-clock", "-F", str(HERTZ), "-o", str(output), "-p",
             ",".join(map(str, pids))],
            stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
        )  # fmt: skip
        try:
            before = processes.cpu_ns(pids)
            load: wrk.Load = bench.load(name, case, bench.seconds)
            spent = processes.cpu_ns(pids) - before
        finally:
            sampler.send_signal(signal.SIGINT)
            sampler.wait(20)
    wait_until(output.exists, "the samples")
    if load.errors:
        raise SystemExit(f"{name}: {load.errors}")
    text = subprocess.run(
        [program.require("perf"), "report", "-i", str(output), "--no-children", "--stdio", "--sort", "dso,symbol"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return spent / 1000 / load.requests, list(read(text))


def read(text: str) -> list[tuple[float, str, str]]:
    """Lines of perf report: share, shared object, function."""
    found = (SAMPLE.match(line) for line in text.splitlines())
    return [(float(m["share"]) / 100, m["where"], m["symbol"]) for m in found if m]


def _sum(rows: object) -> dict[str, float]:
    total: dict[str, float] = {}
    for key, value in rows:  # type: ignore[attr-defined]
        total[key] = total.get(key, 0.0) + value
    return total


def _print(total: dict[str, float]) -> None:
    for key, value in sorted(total.items(), key=lambda row: -row[1])[:ROWS]:
        print(f"{value:8.2f}  {key}")


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
