"""A table of counters by key in memory that all workers share: what limits are counted in.

nginx has a red-black tree and a list of ages in a slab for this. Here a key's hash chooses a bucket of a few entries; a new
key takes the place of the one in its bucket that was not used for the longest time, if its owner lets it go.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from geng.core.zone import RESERVED, Zone

WIDTH = 8  # entries in a bucket


class SharedTable:
    """Entries of *words* 64-bit integers each, after the key's hash; whoever uses one holds `zone.lock`.

    `find(key, free)` is the index of the first word in `slots`; 0 when the bucket is full of entries that *free* keeps.
    """

    __slots__ = ("buckets", "size", "slots", "start", "zone")

    def __init__(self, zone: Zone, words: int, start: int = RESERVED) -> None:
        """*start*: the first slot that is the table's; those before it are its owner's."""
        self.zone = zone
        self.slots = zone.slots
        self.size = words + 1
        self.start = start
        self.buckets = (len(zone.slots) - start) // (self.size * WIDTH)

    def __repr__(self) -> str:
        return f"<SharedTable {self.zone.name} {self.buckets * WIDTH} entries>"

    def find(
        self, key: bytes, free: Callable[[int], int], create: bool = True, gone: Callable[[int], None] | None = None
    ) -> tuple[int, bool]:
        """(index, whether it is new). *free(index)* says how willingly an entry goes: the lowest does, below 0 it stays.

        *gone(index)* hears of the entry that makes room, before it is no more.
        """
        number = int.from_bytes(blake2b(key, digest_size=8).digest(), "little", signed=True) or 1
        slots, size = self.slots, self.size
        first = self.start + number % self.buckets * WIDTH * size
        empty = 0
        for at in range(first, first + WIDTH * size, size):
            there = slots[at]
            if there == number:
                return at + 1, False
            if not there and not empty:
                empty = at
        if not create:
            return 0, False
        if not empty:
            ages = [(free(at + 1), at) for at in range(first, first + WIDTH * size, size)]
            willing = [age for age in ages if age[0] >= 0]
            if not willing:
                return 0, False
            empty = min(willing)[1]
            if gone is not None:
                gone(empty + 1)
        slots[empty] = number
        for at in range(empty + 1, empty + size):
            slots[at] = 0
        return empty + 1, True

    def drop(self, index: int) -> None:
        """Forget the entry whose first word is at *index*."""
        self.slots[index - 1] = 0

    def entries(self) -> list[int]:
        """The indexes of all entries, as they are now; without the lock they may be others a moment later."""
        size = self.size
        stop = self.start + self.buckets * WIDTH * size
        return [self.start + i * size + 1 for i, number in enumerate(self.slots[self.start : stop : size]) if number]
