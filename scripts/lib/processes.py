"""What processes cost, from /proc: CPU in nanoseconds, memory, children."""

from __future__ import annotations

import os
import re
from pathlib import Path

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def parents() -> dict[int, int]:
    """Every process of this machine with its parent."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended meanwhile
            found[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    return found


def children(pid: int) -> list[int]:
    return sorted(child for child, parent in parents().items() if parent == pid)


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    table = parents()
    found = [pid]
    for parent in found:  # grows while it is walked
        found += sorted(child for child, its_parent in table.items() if its_parent == parent)
    return found


def cpu_ns(pids: list[int]) -> int:
    """CPU time so far, user and system, all threads: what the scheduler counted, where the kernel tells."""
    return sum(_cpu_ns(pid) for pid in pids)


def _cpu_ns(pid: int) -> int:
    try:
        return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    except (FileNotFoundError, IndexError):
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) * TICK_NS


def pss_bytes(pids: list[int]) -> int:
    """Memory of these processes together; pages that several share are counted once in all."""
    return sum(_kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss") for pid in pids) * 1024


def rss_bytes(pid: int) -> int:
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmRSS") * 1024


def _kilobytes(path: Path, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", path.read_text(), re.MULTILINE)
    return int(found[1]) if found else 0
