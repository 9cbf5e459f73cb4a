"""System calls per request of both servers, counted by strace while wrk asks."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from . import cases, program
from .measure import Bench
from .servers import wait_until

RARE = 0.005  # calls per request below which a line says nothing


def compare(bench: Bench, case: cases.Case) -> int:
    """Prints one line per system call; 1 when a side gave wrong answers."""
    counted = {}
    for name in bench.running:
        wrong = bench.check(name, case)
        if wrong:
            print(f"{case.name}: {name} is wrong, {wrong}")
            return 1
        bench.load(name, case, 1)
        counted[name] = count(bench, name, case)
    calls = sorted({call for side in counted.values() for call in side}, key=lambda call: -counted["geng"].get(call, 0))
    print(f"{'per request, ' + case.name:<28}{'nginx':>9}{'geng':>9}")
    for call in calls:
        each = [counted[name].get(call, 0.0) for name in ("nginx", "geng")]
        if max(each) >= RARE:
            print(f"{call:<28}{each[0]:>9.2f}{each[1]:>9.2f}")
    print(f"{'all':<28}{sum(counted['nginx'].values()):>9.2f}{sum(counted['geng'].values()):>9.2f}")
    return 0


def count(bench: Bench, name: str, case: cases.Case) -> dict[str, float]:
    output = bench.folder / f"{name}.strace"
    attach = [word for pid in bench.running[name].workers() for word in ("-p", str(pid))]
    said = bench.folder / f"{name}.strace.said"
    with said.open("wb") as errors:
        tracer = subprocess.Popen(
            [program.require("strace"), "-c", "-f", *attach, "-o", str(output)],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
        )
        try:
            wait_until(lambda: b"attached" in said.read_bytes() or tracer.poll() is not None, "strace attaching")
            load = bench.load(name, case, bench.seconds)
        finally:
            if tracer.poll() is None:
                tracer.send_signal(signal.SIGINT)
            tracer.wait(10)
    if not output.exists() or load.errors:
        raise SystemExit(f"{name}: {load.errors or said.read_text()}")
    return {call: number / load.requests for call, number in read(output).items()}


def read(path: Path) -> dict[str, int]:
    """strace's table: `% time, seconds, usecs/call, calls, [errors,] syscall`. Failed calls stand on their own."""
    found: dict[str, int] = {}
    for line in path.read_text().splitlines():
        words = line.split()
        if len(words) not in (5, 6) or not words[3].isdigit() or words[-1] == "total":
            continue
        failed = int(words[4]) if len(words) == 6 else 0
        found[words[-1]] = int(words[3]) - failed
        if failed:
            found[f"{words[-1]} (failed)"] = failed
    return found
