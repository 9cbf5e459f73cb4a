"""Numbers, sizes and times: each text with what nginx makes of it, None where it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geng.core import values
from geng.core.values import MAX, BadValue

BIG = str(MAX)
BIGGER = str(MAX + 1)


def read(parse: Any, *args: Any) -> int | None:
    """None for BadValue."""
    try:
        return parse(*args)
    except BadValue:
        return None


NUMBERS = [
    ("0", 0),
    ("007", 7),
    (BIG, MAX),
    ("0" * 30 + "5", 5),
    (BIGGER, None),
    ("9" * 5000, None),
    ("", None),
    ("-1", None),
    ("+1", None),
    (" 1", None),
    ("1_0", None),
    ("1.0", None),
    ("٣", None),
    ("²", None),
    ("\udcff", None),
]


@pytest.mark.parametrize(("text", "expected"), NUMBERS)
def test_atoi(text: str, expected: int | None) -> None:
    assert read(values.atoi, text) == expected
    assert read(values.atoi, text.encode("utf-8", "surrogateescape")) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ff", 255), ("FF", 255), ("7fffffffffffffff", MAX), ("8000000000000000", None), ("", None), ("0x1", None),
     ("g", None), ("1_0", None), (" 1", None)],
)  # fmt: skip
def test_hextoi(text: str, expected: int | None) -> None:
    assert read(values.hextoi, text) == expected
    assert read(values.hextoi, text.encode()) == expected


@pytest.mark.parametrize(
    ("text", "point", "expected"),
    [
        ("10.5", 2, 1050),
        ("10.5", 1, 105),
        ("10", 2, 1000),
        ("10.", 2, 1000),
        (".5", 1, 5),
        (".", 1, 0),
        ("1.25", 2, 125),
        ("1.250", 2, None),
        ("1.2.3", 3, None),
        ("1", 0, None),
        ("", 2, None),
        ("1a", 2, None),
        ("-1", 2, None),
        (BIG, 1, None),
        (BIG[:-1], 1, MAX // 10 * 10),
    ],
)
def test_atofp(text: str, point: int, expected: int | None) -> None:
    assert read(values.atofp, text, point) == expected


#: text, as a size, as an offset
SIZES = [
    ("0", 0, 0),
    ("512", 512, 512),
    ("8k", 8192, 8192),
    ("8K", 8192, 8192),
    ("1m", 1 << 20, 1 << 20),
    ("1M", 1 << 20, 1 << 20),
    ("2g", None, 2 << 30),
    ("2G", None, 2 << 30),
    (BIG, MAX, MAX),
    (BIGGER, None, None),
    (f"{MAX >> 10}k", (MAX >> 10) << 10, (MAX >> 10) << 10),
    (f"{(MAX >> 10) + 1}k", None, None),
    (f"{(MAX >> 30) + 1}g", None, None),
    ("", None, None),
    ("k", None, None),
    ("8kb", None, None),
    ("8 k", None, None),
    ("-1", None, None),
    ("8\u212a", None, None),  # the kelvin sign, whose lower case is k
]


@pytest.mark.parametrize(("text", "size", "offset"), SIZES)
def test_sizes(text: str, size: int | None, offset: int | None) -> None:
    assert read(values.parse_size, text) == size
    assert read(values.parse_offset, text) == offset
    assert read(values.parse_size, text.encode()) == size


#: text, in seconds, in milliseconds
TIMES = [
    ("0", 0, 0),
    ("90", 90, 90_000),
    ("90s", 90, 90_000),
    ("1m", 60, 60_000),
    ("1h", 3600, 3_600_000),
    ("1d", 86400, 86_400_000),
    ("1w", 604800, 604_800_000),
    ("1M", 2_592_000, None),
    ("1y", 31_536_000, None),
    ("1y1M", 34_128_000, None),
    ("1h30m", 5400, 5_400_000),
    ("1h 30m", 5400, 5_400_000),
    ("1h  30m  ", 5400, 5_400_000),
    ("1h 30", 3630, 3_630_000),
    ("1d2h3m4s", 93784, 93_784_000),
    ("500ms", None, 500),
    ("1s500ms", None, 1500),
    ("1m 500ms", None, 60_500),
    ("10ms5", None, 5010),
    ("1s2", 3, 3000),
    ("1 2", 3, 3000),
    ("10 ", 10, 10_000),
    (" 5", 5, 5000),
    ("1hm", 3600, 3_600_000),
    ("ms1", None, 1000),
    ("1m1h", None, None),
    ("1h1h", None, None),
    ("1s1s", None, None),
    ("1 s", None, None),
    ("1s 1 ", None, None),
    ("1ms1ms", None, None),
    ("1ms1s", None, None),
    ("1ms 1 ", None, None),
    ("", None, None),
    (" ", None, None),
    ("h", None, None),
    ("-1", None, None),
    ("1x", None, None),
    ("1.5h", None, None),
    ("1H", None, None),
    ("1\n", None, None),
    ("\u0663", None, None),
    (BIG, MAX, None),
    (BIGGER, None, None),
    (f"{MAX // 1000}", MAX // 1000, MAX // 1000 * 1000),
    (f"{MAX // 60 + 1}m", None, None),
    (f"1m{BIG}s", None, None),
]


@pytest.mark.parametrize(("text", "seconds", "milliseconds"), TIMES)
def test_times(text: str, seconds: int | None, milliseconds: int | None) -> None:
    assert read(values.parse_sec, text) == seconds
    assert read(values.parse_msec, text) == milliseconds
    assert read(values.parse_msec, text.encode()) == milliseconds


@given(st.text(alphabet="0123456789yMwdhms kgG.-", max_size=12))
def test_nothing_but_numbers_or_bad_value(text: str) -> None:
    for parse in (values.atoi, values.parse_size, values.parse_offset, values.parse_sec, values.parse_msec):
        number = read(parse, text)
        assert number is None or 0 <= number <= MAX
