"""The strings of this second."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from geng import core


@pytest.fixture(scope="module")
def clock() -> ModuleType:
    """The module as plain Python: its time can be set."""
    spec = importlib.util.spec_from_file_location("plain_clock", Path(core.__path__[0]) / "clock.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def set_time(clock: Any, patch: pytest.MonkeyPatch, seconds: float, zone: str = "UTC") -> None:
    patch.setenv("TZ", zone)
    time.tzset()
    patch.setattr(clock, "_time", lambda: seconds)
    clock._second = -1


CASES = [
    (1795212000.9, "UTC", b"Fri, 20 Nov 2026 22:00:00 GMT", b"20/Nov/2026:22:00:00 +0000", b"2026/11/20 22:00:00",
     b"2026-11-20T22:00:00+00:00", b"Nov 20 22:00:00"),
    (784111777.0, "UTC", b"Sun, 06 Nov 1994 08:49:37 GMT", b"06/Nov/1994:08:49:37 +0000", b"1994/11/06 08:49:37",
     b"1994-11-06T08:49:37+00:00", b"Nov  6 08:49:37"),
    (784111777.0, "AAA-5:45", b"Sun, 06 Nov 1994 08:49:37 GMT", b"06/Nov/1994:14:34:37 +0545", b"1994/11/06 14:34:37",
     b"1994-11-06T14:34:37+05:45", b"Nov  6 14:34:37"),
    (784111777.0, "AAA+3:30", b"Sun, 06 Nov 1994 08:49:37 GMT", b"06/Nov/1994:05:19:37 -0330", b"1994/11/06 05:19:37",
     b"1994-11-06T05:19:37-03:30", b"Nov  6 05:19:37"),
]  # fmt: skip


@pytest.mark.parametrize(("seconds", "zone", "http", "log", "err", "iso", "syslog"), CASES)
def test_strings(
    clock: Any,
    wall: pytest.MonkeyPatch,
    seconds: float,
    zone: str,
    http: bytes,
    log: bytes,
    err: bytes,
    iso: bytes,
    syslog: bytes,
) -> None:
    for first in (clock.http_time, clock.http_log_time, clock.err_log_time, clock.iso8601, clock.syslog_time):
        set_time(clock, wall, seconds, zone)
        first()
        assert (clock.http_time(), clock.http_log_time(), clock.err_log_time()) == (http, log, err)
        assert (clock.iso8601(), clock.syslog_time()) == (iso, syslog)


def test_one_object_per_second(clock: Any, wall: pytest.MonkeyPatch) -> None:
    set_time(clock, wall, 1000.0)
    first = clock.http_time()
    wall.setattr(clock, "_time", lambda: 1000.99)
    assert clock.http_time() is first
    wall.setattr(clock, "_time", lambda: 1001.0)
    assert clock.http_time() == b"Thu, 01 Jan 1970 00:16:41 GMT"


def test_other_seconds(clock: Any, wall: pytest.MonkeyPatch) -> None:
    set_time(clock, wall, 1000.0)
    assert clock.http_time_of(1000) == clock.http_time()
    assert clock.http_time_of(0) == b"Thu, 01 Jan 1970 00:00:00 GMT"


def test_clocks_go_on(clock: Any) -> None:
    assert abs(clock.now() - time.time()) < 5
    assert abs(clock.seconds() - time.time()) < 5
    before = clock.msec()
    assert isinstance(before, int)
    assert clock.msec() >= before
