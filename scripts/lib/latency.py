"""How long a proxied request takes at 70 % of nginx's own peak rate, with few connections and with many."""

from __future__ import annotations

import statistics
from dataclasses import replace

from . import cases, measure, paced, program
from .measure import Bench

SHARE = 0.7
CONNECTIONS = (64, 1000)


def show(bench: Bench, rounds: int) -> int:
    """Prints a line per number of connections; 1 when an answer was wrong."""
    case = next(case for case in cases.CASES if case.name == "proxy")
    wrong = [bench.check(name, case) for name in bench.running]
    if any(wrong):
        print(f"proxy: wrong answers, {wrong}")
        return 1
    for connections in CONNECTIONS:
        one = replace(case, connections=connections)
        bench.load("nginx", one, 1)
        peak = statistics.median(bench.load("nginx", one, bench.seconds).per_second for _ in range(rounds))
        print(f"{connections} connections: nginx's peak is {peak:.0f} requests/s, {SHARE:.0%} of it are asked", flush=True)
        found = measured(bench, one, peak * SHARE, rounds)
        if found is None:
            return 1
        report(peak * SHARE, found)
    return 0


def measured(bench: Bench, case: cases.Case, wanted: float, rounds: int) -> dict[str, paced.Paced] | None:
    """For each side the medians of its rounds; None when something went wrong."""
    found: dict[str, list[paced.Paced]] = {name: [] for name in bench.running}
    for order in measure.turns(list(bench.running), rounds):
        for name in order:
            bench.empty_log(name)
            port = bench.running[name].port
            load = paced.load(bound_to(bench.load_cores), port, case.uri, wanted, case.connections, bench.seconds)
            if load.error:
                print(f"{name}: {load.error}")
                return None
            found[name].append(load)
    return {name: median(loads) for name, loads in found.items()}


def median(loads: list[paced.Paced]) -> paced.Paced:
    rows = [(load.rate, load.p50, load.p99) for load in loads]
    return paced.Paced(*(statistics.median(column) for column in zip(*rows, strict=True)))


def report(wanted: float, found: dict[str, paced.Paced]) -> None:
    nginx, geng = found["nginx"], found["geng"]
    print(
        f"  wanted {wanted:.0f}/s, reached {nginx.rate:.0f} / {geng.rate:.0f}; p50 {nginx.p50:.2f} / {geng.p50:.2f} ms; "
        f"p99 {nginx.p99:.2f} / {geng.p99:.2f} ms, ratio {geng.p99 / nginx.p99:.2f}"
    )
    short = [name for name, load in found.items() if load.rate < wanted * (1 - paced.TOLERANCE)]
    if short:
        print(f"  {' and '.join(short)} did not reach the rate: these times are those of a queue")


def bound_to(cores: set[int] | None) -> list[str]:
    return [program.require("taskset"), "-c", ",".join(map(str, sorted(cores)))] if cores else []
