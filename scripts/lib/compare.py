"""Two revisions of geng by turns: what did this work tree's changes cost, or gain?"""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path

from . import cases, program
from .measure import Bench

WORSE = 1.03  # no case may cost more than this, for another's sake


def build(folder: Path, revision: str) -> list[str]:
    """The command of geng at *revision*, compiled in a clone of its own."""
    clone = folder / "revision"
    interpreter = program.python()
    for words in (
        ["git", "clone", "-q", str(program.ROOT), str(clone)],
        ["git", "-C", str(clone), "checkout", "-q", revision],
        [interpreter, "setup.py", "-q", "build_ext", "--inplace"],
    ):
        where = clone if words[0] == interpreter else program.ROOT
        done = subprocess.run(words, cwd=where, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)}:\n{done.stdout}{done.stderr}")
    script = folder / "geng-at-revision"
    script.write_text(f"#!/bin/sh\nPYTHONPATH='{clone}' exec '{interpreter}' -m geng \"$@\"\n")
    script.chmod(0o755)
    return [str(script)]


def show(bench: Bench, chosen: Sequence[cases.Case], rounds: int) -> int:
    """A line per case: CPU per request before and now. 1 when a case costs more than 3 % more, or answers were wrong."""
    failed = 0
    for case in chosen:
        result = bench.measure(case, rounds)
        if result.errors:
            print(f"{case.name:<16}{result.errors}")
            failed = 1
            continue
        before, now = (statistics.median(result.sides[name].cpu_us) for name in ("before", "geng"))
        if now / before > WORSE:
            failed = 1
        print(f"{case.name:<16}{before:>10.1f} -> {now:>8.1f} µs  {now / before:.3f}", flush=True)
    return failed
