"""Prints what scripts/bench measured: as plain text, or as tables in Markdown. No ratio where an answer was wrong."""

from __future__ import annotations

from collections.abc import Sequence

from .measure import Idle, Result

MB = 1024 * 1024
LARGE = 100_000  # from this body on, throughput is printed beside requests

HEADINGS = ("case", "requests/s", "rate", "CPU µs/request", "ratio", "spread", "p99 ms", "memory MB")
NOTES = (
    "Every pair is nginx / geng, each the median of its rounds; rate is geng's requests per second by nginx's, "
    "ratio geng's CPU per request by nginx's, spread geng's lowest and highest round by the same.",
)


def plain(results: Sequence[Result | Idle], about: Sequence[str]) -> None:
    rows = [HEADINGS, *(row(result) for result in results if isinstance(result, Result))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if len(rows) > 1:
        for cells in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
    for line in closing(results):
        print(line)
    print("\n".join(("", *about, *NOTES)))


def markdown(results: Sequence[Result | Idle], about: Sequence[str]) -> None:
    print(f"| {' | '.join(HEADINGS)} |")
    print("|---" * len(HEADINGS) + "|")
    for result in results:
        if isinstance(result, Result):
            print(f"| {' | '.join((result.case.what, *row(result)[1:]))} |")
    print()
    for line in (*closing(results), *about, *NOTES):
        print(f"- {line}")


def row(result: Result) -> tuple[str, ...]:
    if result.errors:
        return (result.case.name, "wrong", *["-"] * (len(HEADINGS) - 2))
    nginx, geng = result.sides["nginx"], result.sides["geng"]
    base = result.median("nginx", "cpu_us")
    return (
        result.case.name,
        " / ".join(rate(result, side) for side in ("nginx", "geng")),
        f"{result.ratio('per_second'):.2f}",
        " / ".join(f"{result.median(side, 'cpu_us'):.1f}" for side in ("nginx", "geng")),
        f"{result.ratio('cpu_us'):.2f}",
        f"{min(geng.cpu_us) / base:.2f}-{max(geng.cpu_us) / base:.2f}",
        "-" if result.case.handshakes else " / ".join(f"{result.median(side, 'p99_ms'):.1f}" for side in ("nginx", "geng")),
        f"{nginx.pss / MB:.0f} / {geng.pss / MB:.0f}",
    )


def rate(result: Result, side: str) -> str:
    each = result.median(side, "per_second")
    return f"{each:.0f}" + (f" ({each * result.case.body / MB:.0f} MB/s)" if result.case.body >= LARGE else "")


def closing(results: Sequence[Result | Idle]) -> list[str]:
    """The lines below the table: wrong answers, and the memory of idle connections."""
    lines = [
        f"{result.case.name}: no ratio, {result.errors}"
        for result in results
        if isinstance(result, Result) and result.errors
    ]
    for result in results:
        if isinstance(result, Idle):
            lines.append(idle(result))
    return lines


def idle(result: Idle) -> str:
    if result.errors:
        return f"idle: not measured, {result.errors}"
    nginx, geng = result.each["nginx"], result.each["geng"]
    return (
        f"{result.connections} idle keepalive connections: {nginx:.0f} bytes each for nginx, {geng:.0f} for geng "
        "(more than at start, which holds what nginx allocates beforehand)"
    )
