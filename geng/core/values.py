"""Numbers, sizes and times as they are written in a configuration.   nginx: ngx_parse.c, ngx_string.c (ngx_atoi …).

All take `str` or `bytes` and raise BadValue for what nginx answers with NGX_ERROR: signs, blanks, other scripts'
digits, and whatever does not fit 63 bits.
"""

from __future__ import annotations

import re

MAX = 2**63 - 1

_SIZE_UNITS = {"k": 1 << 10, "m": 1 << 20}
_OFFSET_UNITS = {**_SIZE_UNITS, "g": 1 << 30}

#: unit -> (rank, seconds); in a combination like `1h30m` the ranks must rise. A blank after a number stands for `s`
_TIME_UNITS = {
    "y": (1, 31_536_000),
    "M": (2, 2_592_000),
    "w": (3, 604_800),
    "d": (4, 86_400),
    "h": (5, 3_600),
    "m": (6, 60),
    "s": (7, 1),
    " ": (7, 1),
}
_MONTH, _MSEC, _LAST = 2, 8, 9
_TERM = re.compile(r"([0-9]*)(ms|[yMwdhms ]|\Z) *")


class BadValue(ValueError):
    """A text that is no such number."""


def atoi(text: str | bytes) -> int:
    """Digits and nothing else; raises BadValue.   nginx: ngx_atoi, ngx_atosz, ngx_atoof, ngx_atotm"""
    if not (text.isascii() and text.isdigit()):
        raise BadValue(text)
    if len(text) > 19 and len(text.lstrip(b"0" if isinstance(text, bytes) else "0")) > 19:  # type: ignore[arg-type]
        raise BadValue(text)
    number = int(text)
    if number > MAX:
        raise BadValue(text)
    return number


def hextoi(text: str | bytes) -> int:
    """Hexadecimal digits and nothing else; raises BadValue.   nginx: ngx_hextoi"""
    text = _text(text)
    if not text or text.strip("0123456789abcdefABCDEF"):
        raise BadValue(text)
    number = int(text, 16)
    if number > MAX:
        raise BadValue(text)
    return number


def atofp(text: str | bytes, point: int) -> int:
    """A decimal fraction times ten to the *point*: `atofp("10.5", 2)` is 1050; raises BadValue.   nginx: ngx_atofp"""
    whole, _, fraction = _text(text).partition(".")
    if not text or not point or len(fraction) > point:
        raise BadValue(text)
    return atoi((whole + fraction or "0") + "0" * (point - len(fraction)))


def parse_size(text: str | bytes) -> int:
    """Bytes from `512`, `8k`, `1M`; raises BadValue.   nginx: ngx_parse_size"""
    return _scaled(_text(text), _SIZE_UNITS)


def parse_offset(text: str | bytes) -> int:
    """Bytes from `512`, `8k`, `1M`, `2g`; raises BadValue.   nginx: ngx_parse_offset"""
    return _scaled(_text(text), _OFFSET_UNITS)


def parse_sec(text: str | bytes) -> int:
    """Seconds from `90`, `1h30m`, `1y 6M`; raises BadValue.   nginx: ngx_parse_time with is_sec"""
    return _time(_text(text), seconds=True)


def parse_msec(text: str | bytes) -> int:
    """Milliseconds from `90` (seconds), `1s500ms`, `1h30m`; raises BadValue.   nginx: ngx_parse_time without is_sec"""
    return _time(_text(text), seconds=False)


def _text(text: str | bytes) -> str:
    return text.decode("latin-1") if isinstance(text, bytes) else text


def _scaled(text: str, units: dict[str, int]) -> int:
    scale = units.get(text[-1:].lower(), 1) if text.isascii() else 1
    number = atoi(text[:-1] if scale > 1 else text) * scale
    if number > MAX:
        raise BadValue(text)
    return number


def _time(text: str, seconds: bool) -> int:
    """The sum of *text*'s terms; a last number without unit counts seconds."""
    if not any("0" <= c <= "9" for c in text):
        raise BadValue(text)
    in_second = 1 if seconds else 1000
    rank = 0 if seconds else _MONTH  # milliseconds know neither years nor months
    total = at = 0
    while at < len(text):
        term = _TERM.match(text, at)
        if term is None:
            raise BadValue(text)
        digits, unit = term.groups()
        at = term.end()
        scale = in_second
        if unit:
            rank, scale = _unit(text, unit, rank, in_second)
        total += atoi(digits or "0") * scale
        if total > MAX:
            raise BadValue(text)
    return total


def _unit(text: str, unit: str, rank: int, in_second: int) -> tuple[int, int]:
    """The rank reached with *unit* and what it multiplies by; raises BadValue where it stands in the wrong place."""
    if unit == "ms":
        if in_second == 1 or rank >= _MSEC:
            raise BadValue(text)
        return _MSEC, 1
    own, scale = _TIME_UNITS[unit]
    if rank >= own:
        raise BadValue(text)
    return _LAST if unit == " " else own, scale * in_second
