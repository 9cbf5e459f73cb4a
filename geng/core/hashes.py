"""Whether nginx could build one of its hash tables: geng's own tables need no sizes, but nginx's verdict depends on them.

nginx: ngx_hash.c (ngx_hash_init, ngx_hash_wildcard_init)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import mul
from typing import Any

from geng.errors import ConfigError

POINTER = 8
CACHE_LINE = 64
_WRAP = 0xFFFFFFFFFFFFFFFF


def aligned(bucket_size: int) -> int:
    """*bucket_size* in whole lines of the processor's cache, as nginx uses it."""
    return -(-bucket_size // CACHE_LINE) * CACHE_LINE


def key_hash(key: bytes) -> int:
    """nginx: ngx_hash_key"""
    made: int = sum(map(mul, key, _powers(len(key))))  # four times as fast as a step for each octet
    return made & _WRAP


@cache
def _powers(length: int) -> tuple[int, ...]:
    return tuple(pow(31, length - 1 - i, _WRAP + 1) for i in range(length))


@cache
def element_size(length: int) -> int:
    """Bytes that an entry takes in its bucket whose key has *length* bytes."""
    return POINTER + -(-(length + 2) // POINTER) * POINTER


@dataclass(slots=True)
class Hash:
    """One of nginx's tables by its name, with the sizes that the configuration gives it.

    *warn* hears what is not ideal; without it nobody asks how full the buckets are.
    """

    name: str
    max_size: int
    bucket_size: int
    warn: Callable[[str], None] | None = None

    def build(self, keys: Sequence[bytes]) -> None:
        """Raises ConfigError where nginx could not build the table of *keys*."""
        name = self.name
        if self.max_size == 0:
            raise ConfigError(f"could not build {name}, you should increase {name}_max_size: {self.max_size}")
        if self.bucket_size > 65536 - CACHE_LINE:
            raise ConfigError(f"could not build {name}, too large {name}_bucket_size: {self.bucket_size}")
        sizes = [element_size(length) for length in map(len, keys)]
        if self.bucket_size < max(sizes, default=0) + POINTER:
            raise ConfigError(f"could not build {name}, you should increase {name}_bucket_size: {self.bucket_size}")
        if self.warn is not None and keys and not self._fits(keys, sizes):
            self.warn(
                f"could not build optimal {name}, you should increase either {name}_max_size: {self.max_size} or"
                f" {name}_bucket_size: {self.bucket_size}; ignoring {name}_bucket_size"
            )

    def _fits(self, keys: Sequence[bytes], sizes: Sequence[int]) -> bool:
        """Whether some number of buckets, up to the greatest allowed, leaves none too full."""
        room = self.bucket_size - POINTER
        start = len(keys) // (room // (2 * POINTER)) or 1
        if self.max_size > 10000 and self.max_size // len(keys) < 100:
            start = self.max_size - 1000
        if start > self.max_size:
            return False
        entries = [(key_hash(key), size) for key, size in zip(keys, sizes, strict=True)]
        return any(_distributed(entries, buckets, room) for buckets in range(start, self.max_size + 1))

    def build_wildcards(self, keys: Iterable[bytes]) -> None:
        """The same for names with wildcards, `com.example.` for `*.example.com`: a table for each level of labels."""
        self._build_levels(sorted(keys, key=lambda key: key.replace(b".", b" ")))

    def _build_levels(self, keys: list[bytes]) -> None:
        labels: list[bytes] = []
        at = 0
        while at < len(keys):
            label, dot, rest = keys[at].partition(b".")
            labels.append(label)
            prefix = label + dot
            below = [rest] if rest else []
            at += 1
            while at < len(keys) and keys[at].startswith(prefix):
                if not dot and keys[at][len(prefix) : len(prefix) + 1] not in (b"", b"."):
                    break
                below.append(keys[at][len(label) + 1 :])
                at += 1
            if below:
                self._build_levels(below)
        self.build(labels)


def sized(conf: Any, name: str, warn: Callable[[str], None] | None = None) -> Hash:
    """The table *name* with the sizes that *conf* says."""
    return Hash(name, getattr(conf, f"{name}_max_size"), aligned(getattr(conf, f"{name}_bucket_size")), warn)


def _distributed(entries: Sequence[tuple[int, int]], buckets: int, room: int) -> bool:
    left = [room] * buckets
    for number, size in entries:
        bucket = number % buckets
        rest = left[bucket] - size
        if rest < 0:
            return False
        left[bucket] = rest
    return True


def build_names(table: Hash, names: Iterable[bytes]) -> None:
    """Raises ConfigError where nginx could not build its tables of these hosts' *names*, wildcards among them."""
    exact, heads, tails = [], [], []
    for name in names:
        if name[:2] == b"*.":
            heads.append(b".".join(reversed(name[2:].split(b"."))) + b".")
        elif name[:1] == b"." and len(name) > 1:
            heads.append(b".".join(reversed(name[1:].split(b"."))))
        elif name[-2:] == b".*":
            tails.append(name[:-2])
        else:
            exact.append(name)
    if exact:
        table.build(exact)
    for wildcards in (heads, tails):
        if wildcards:
            table.build_wildcards(wildcards)
