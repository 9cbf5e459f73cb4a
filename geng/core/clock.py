"""The time as lines of logs and heads need it, made anew once a second.   nginx: ngx_times.c

Each call asks for the time once and, within a second, returns the same object.
"""

from __future__ import annotations

import time
from time import monotonic_ns
from time import time as _time

from geng.hot import dates

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

PLAIN = __file__.endswith((".py", ".pyc"))

_second = -(1 << 62)  # no second at all
_http = _http_log = _err_log = _iso8601 = _syslog = b""


def now() -> float:
    """Seconds since the epoch."""
    return _time()


def seconds() -> int:
    """Whole seconds since the epoch.   nginx: ngx_time"""
    if PLAIN:
        return int(_time())
    clock_gettime(CLOCK_REALTIME, at)  # type: ignore[name-defined]  # noqa: F821
    return at[0].tv_sec  # type: ignore[name-defined,no-any-return]  # noqa: F821


def msec() -> int:
    """Milliseconds of a clock that nobody sets.   nginx: ngx_current_msec"""
    if PLAIN:
        return monotonic_ns() // 1_000_000
    clock_gettime(CLOCK_MONOTONIC, at)  # type: ignore[name-defined]  # noqa: F821
    return at[0].tv_sec * 1000 + at[0].tv_nsec // 1_000_000  # type: ignore[name-defined,no-any-return]  # noqa: F821


def http_time() -> bytes:
    """b"Fri, 20 Nov 2026 22:00:00 GMT" """
    second = seconds()
    if second != _second:
        _update(second)
    return _http


def http_log_time() -> bytes:
    """b"20/Nov/2026:22:00:00 +0000", local time: $time_local"""
    second = seconds()
    if second != _second:
        _update(second)
    return _http_log


def err_log_time() -> bytes:
    """b"2026/11/20 22:00:00", local time"""
    second = seconds()
    if second != _second:
        _update(second)
    return _err_log


def iso8601() -> bytes:
    """b"2026-11-20T22:00:00+00:00", local time: $time_iso8601"""
    second = seconds()
    if second != _second:
        _update(second)
    return _iso8601


def syslog_time() -> bytes:
    """b"Nov 20 22:00:00", local time (RFC 3164 4.1.2)"""
    second = seconds()
    if second != _second:
        _update(second)
    return _syslog


def http_time_of(second: int) -> bytes:
    """As http_time(), of any second: Last-Modified, Expires."""
    return _http if second == _second else dates.http_time(second)


def _update(second: int) -> None:
    """Make every string of *second*; the second itself last, since other threads may log."""
    global _second, _http, _http_log, _err_log, _iso8601, _syslog
    t = time.localtime(second)
    month = _MONTHS[t.tm_mon - 1]
    minutes = abs(t.tm_gmtoff) // 60
    sign = "-" if t.tm_gmtoff < 0 else "+"
    zone = f"{sign}{minutes // 60:02d}", f"{minutes % 60:02d}"
    clock = f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}"
    _http = dates.http_time(second)
    _http_log = f"{t.tm_mday:02d}/{month}/{t.tm_year}:{clock} {zone[0]}{zone[1]}".encode()
    _err_log = f"{t.tm_year}/{t.tm_mon:02d}/{t.tm_mday:02d} {clock}".encode()
    _iso8601 = f"{t.tm_year}-{t.tm_mon:02d}-{t.tm_mday:02d}T{clock}{zone[0]}:{zone[1]}".encode()
    _syslog = f"{month} {t.tm_mday:2d} {clock}".encode()
    _second = second
