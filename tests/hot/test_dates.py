"""Dates: the three formats of HTTP, and what is written, for both twins."""

from __future__ import annotations

import calendar
import email.utils
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DATES: list[tuple[bytes, int]] = [
    (b"Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
    (b"Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
    (b"Sun Nov  6 08:49:37 1994", 784111777),
    (b"Sun Nov 16 08:49:37 1994", 784975777),
    (b"Sun, 06 Nov 1994 08:49:37", 784111777),
    (b"x,06 Nov 1994 08:49:37 GMT", 784111777),
    (b"Thu, 01 Jan 1970 00:00:00 GMT", 0),
    (b"Thu, 29 Feb 2024 23:59:59 GMT", 1709251199),
    (b"Wed, 29 Feb 2023 23:59:59 GMT", -1),
    (b"Sun, 29 Feb 2100 00:00:00 GMT", -1),
    (b"Tue, 29 Feb 2000 00:00:00 GMT", 951782400),
    (b"Friday, 31-Dec-99 23:59:59 GMT", 946684799),
    (b"Friday, 31-Dec-69 23:59:59 GMT", 3155759999),
    (b"Sun, 31 Apr 1994 08:49:37 GMT", -1),
    (b"Sun, 06 Nov 1994 24:49:37 GMT", -1),
    (b"Sun, 06 Nov 1994 08:60:37 GMT", -1),
    (b"Sun, 06 Nov 1994 08:49:60 GMT", -1),
    (b"Sun, 6 Nov 1994 08:49:37 GMT", -1),
    (b"Sun, 06 Xov 1994 08:49:37 GMT", -1),
    (b"Sun, 06 Nov 94 08:49:37 GMT", -1),
    (b"Sun, 06-Nov 1994 08:49:37 GMT", -1),
    (b"Sun, 06 Nov 1994 08-49-37 GMT", -1),
    (b"Sun, 06 Nov 1994", -1),
    (b"Sun Nov  6 08:49:37", -1),
    (b"", -1),
    (b",", -1),
    (b"784111777", -1),
]


@pytest.mark.parametrize(("value", "seconds"), DATES)
def test_parse(dates: ModuleType, value: bytes, seconds: int) -> None:
    assert dates.parse_http_time(value) == seconds


def test_write(dates: ModuleType) -> None:
    assert dates.http_time(784111777) == b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert dates.cookie_time(784111777) == b"Sun, 06-Nov-94 08:49:37 GMT"
    assert dates.cookie_time(2145916800) == b"Fri, 01-Jan-2038 00:00:00 GMT"
    assert dates.http_time(-1) == b"Thu, 01 Jan 1970 00:00:00 GMT"
    assert dates.http_time(10**15) == b"Fri, 31 Dec 9999 23:59:59 GMT"


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seconds=st.integers(0, 253402300799))
def test_what_is_written_is_read(dates: ModuleType, seconds: int) -> None:
    text = dates.http_time(seconds)
    assert text == email.utils.formatdate(seconds, usegmt=True).encode()
    assert dates.parse_http_time(text) == seconds
    year, month, day, hour, minute, second, _ = dates.civil(seconds)
    assert calendar.timegm((year, month, day, hour, minute, second, 0, 0, 0)) == seconds
