"""Whole numbers as decimal digits: lengths, statuses and sizes in heads and log lines.

Compiled, a number costs 0.02 us; formatting bytes with % costs 0.12.
"""

from __future__ import annotations

PLAIN = __file__.endswith((".py", ".pyc"))

SMALL = 1024

_known = tuple(b"%d" % n for n in range(SMALL))


def decimal(n: int) -> bytes:
    """b"%d" % n"""
    if 0 <= n < SMALL:
        return _known[n]
    if PLAIN or n < 0:
        return b"%d" % n
    i = 20
    while n:
        i -= 1
        digits[i] = 48 + n % 10  # type: ignore[name-defined]  # noqa: F821
        n = n // 10
    return digits[i:20]  # type: ignore[name-defined,no-any-return]  # noqa: F821
