"""Where a request's microseconds go: samples of the worker by perf while wrk asks, by program and by function."""

from __future__ import annotations

import re
import signal
import subprocess

from . import cases, processes, program, wrk
from .measure import Bench
from .servers import wait_until

HERTZ = 4000
ROWS = 110
SAMPLE = re.compile(r"^\s*(?P<share>[\d.]+)%\s+(?P<where>\S+)\s+\[(?P<mode>[.k])\]\s+(?P<symbol>.+?)\s*$")


def show(bench: Bench, case: cases.Case) -> int:
    """Prints, for each side, microseconds per request by shared object and by function; 1 when an answer was wrong."""
    for name in bench.running:
        wrong = bench.check(name, case)
        if wrong:
            print(f"{case.name}: {name} is wrong, {wrong}")
            return 1
        bench.load(name, case, 1)
        each, rows = sample(bench, name, case)
        print(f"\n{name}, {case.name}: {each:.1f} µs per request")
        _print("", _sum((where, share * each) for share, where, _ in rows))
        _print("", _sum((f"{symbol}  ({where})", share * each) for share, where, symbol in rows))
    return 0


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


def _print(title: str, total: dict[str, float]) -> None:
    print(title)
    for key, value in sorted(total.items(), key=lambda row: -row[1])[:ROWS]:
        print(f"{value:8.2f}  {key}")
