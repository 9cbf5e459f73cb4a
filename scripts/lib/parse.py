"""How long configurations take to read: a small one, a map of 100,000 lines, and what the linter is given; crossplane and
nginx beside geng.
"""

from __future__ import annotations

import importlib.util
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import program

LINES = 100_000

SMALL = """\
events {}
http {
    upstream app { server 127.0.0.1:8081; server 127.0.0.1:8082; }
    server {
        listen 127.0.0.1:18080;
        server_name example.com www.example.com;
        location / { proxy_pass http://app; proxy_set_header Host $host; }
        location /static/ { root html; expires 1h; }
    }
}
"""
MAP = """\
events {{}}
http {{
    map_hash_max_size 200000;
    map_hash_bucket_size 128;
    map $host $backend {{
{rows}
    }}
    server {{ listen 127.0.0.1:18080; return 200 $backend; }}
}}
"""
CROSSPLANE = "import sys, crossplane; sys.exit(crossplane.parse(sys.argv[1])['status'] != 'ok')"


@dataclass
class Time:
    """The best of some runs, in seconds; *code* is how they ended."""

    wall: float
    cpu: float
    code: int

    def __str__(self) -> str:
        return f"{self.wall:6.2f} s ({self.cpu:.2f} s of CPU)" + (f"  exit code {self.code}!" if self.code else "")


def show(folder: Path, commands: dict[str, list[str]], files: Sequence[str], rounds: int) -> int:
    """Print the times; 1 if anything was refused."""
    (folder / "logs").mkdir(exist_ok=True)
    small, large = folder / "small.conf", folder / "large.conf"
    small.write_text(SMALL)
    rows = "\n".join(f"        host{i}.example.com backend{i % 97};" for i in range(LINES))
    large.write_text(MAP.format(rows=rows))
    failed = 0
    for what, conf in (("-t, a small file", small), (f"-t, a map of {LINES:,} lines", large)):
        print(what)
        for name, command in _readers(commands, folder, conf):
            found = measure(command, rounds)
            failed |= found.code
            print(f"  {name:<12}{found}", flush=True)
    for linted in (*files, str(small)):
        print(f"lint, {linted} ({Path(linted).stat().st_size:,} bytes)")
        found = measure([*commands["geng"], "lint", linted], rounds)
        failed |= found.code not in (0, 1)
        found.code = 0
        print(f"  {'geng':<12}{found}", flush=True)
    return int(bool(failed))


def _readers(commands: dict[str, list[str]], folder: Path, conf: Path) -> Iterator[tuple[str, list[str]]]:
    for name in ("geng", "nginx"):
        yield name, [*commands[name], "-t", "-q", "-p", f"{folder}/", "-c", str(conf), "-e", "stderr"]
    if importlib.util.find_spec("crossplane") is not None:
        yield "crossplane", [sys.executable, "-c", CROSSPLANE, str(conf)]
    else:
        print("  crossplane  is not installed (pip install crossplane)")


def measure(command: list[str], rounds: int) -> Time:
    """One run to warm up, so that bytecode is there, then the best of *rounds*."""
    environment = {name: value for name, value in program.environment().items() if name != "PYTHONDONTWRITEBYTECODE"}
    best = Time(float("inf"), float("inf"), 0)
    for run in range(rounds + 1):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        code = subprocess.run(command, env=environment, capture_output=True, check=False).returncode
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        best.code |= code
        if run:
            best.wall, best.cpu = min(best.wall, wall), min(best.cpu, cpu)
    return best
