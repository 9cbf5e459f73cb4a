"""A row of 64-bit counters, which may lie in shared memory: what stub_status shows of one worker.

Nothing here is atomic: only one process writes a row. Compiled, an addition costs 0.003 us; through a memoryview 0.1.
"""

from __future__ import annotations

from array import array
from typing import Any

PLAIN = __file__.endswith((".py", ".pyc"))


class Counters:
    """Over *slots*, a writable buffer of signed 64-bit integers; or *size* fresh ones."""

    __slots__ = ("_slots",)

    def __init__(self, slots: Any = None, size: int = 0) -> None:
        self._slots: Any = array("q", bytes(8 * size)) if slots is None else slots

    def __repr__(self) -> str:
        return f"<Counters {list(self._slots)}>"

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, i: int) -> int:
        return self._slots[i]  # type: ignore[no-any-return]

    def add(self, i: int, n: int) -> None:
        """Counter *i* grows by *n*."""
        self._slots[i] += n

    def put(self, i: int, value: int) -> None:
        """Counter *i* is *value* now."""
        self._slots[i] = value
