"""The 99th percentile of a proxied request's time at 70 % of nginx's own peak rate."""

from __future__ import annotations

import statistics
from dataclasses import replace

from . import cases
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
    peak = bench.load("nginx", case, bench.seconds).per_second
    print(f"nginx's peak with {case.connections} connections: {peak:.0f} requests/s")
    for connections in CONNECTIONS:
        one = replace(case, connections=connections)
        p99: dict[str, list[float]] = {name: [] for name in bench.running}
        rate: dict[str, list[float]] = {name: [] for name in bench.running}
        for number in range(rounds):
            for name in list(bench.running)[:: 1 if number % 2 == 0 else -1]:
                load = paced(bench, name, one, peak * SHARE)
                if load is None:
                    return 1
                p99[name].append(load[0])
                rate[name].append(load[1])
        mine, others = statistics.median(p99["geng"]), statistics.median(p99["nginx"])
        rates = " / ".join(f"{statistics.median(rate[name]):.0f}" for name in ("nginx", "geng"))
        print(f"{connections} connections: {rates} requests/s, p99 {others:.2f} / {mine:.2f} ms, ratio {mine / others:.2f}")
    return 0


def paced(bench: Bench, name: str, case: cases.Case, wanted: float) -> tuple[float, float] | None:
    """(p99 in ms, requests/s): each connection pauses between its requests, so that all together ask *wanted* times/s.

    What an answer takes is part of the pause: it is corrected once by what came out.
    """
    pause = case.connections / wanted * 1000
    first = bench.load(name, case, 1, pause)
    pause = max(pause - max(case.connections / first.per_second * 1000 - pause, 0), 0.01)
    load = bench.load(name, case, bench.seconds, pause)
    if load.errors:
        print(f"{name}: {load.errors}")
        return None
    return load.p99 / 1000, load.per_second
