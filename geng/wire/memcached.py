"""The one command of memcached's text protocol that is used, `get`, and its answers.

memcached's doc/protocol.txt   nginx: ngx_http_memcached_module.c (ngx_http_memcached_process_header)
"""

from __future__ import annotations

from dataclasses import dataclass

END = b"\r\nEND\r\n"
"""What follows a value."""


class InvalidAnswer(Exception):
    """What nginx says about the first line of an answer."""


@dataclass(slots=True)
class Found:
    """`VALUE key flags length`; *length* is -1 where there is no such key. *flags* are only read when asked for."""

    length: int
    flags: int = 0


def get(key: bytes) -> bytes:
    """The command; *key* is escaped."""
    return b"get %s\r\n" % key


def parse_line(line: bytes, key: bytes, with_flags: bool) -> Found:
    """The first line of the answer to get(key), without its LF. Raises InvalidAnswer."""
    if line[-1:] != b"\r":
        raise _invalid("memcached sent invalid response: %s", line)
    line = line[:-1]
    if line == b"END":
        return Found(-1)
    if not line.startswith(b"VALUE "):
        raise _invalid("memcached sent invalid response: %s", line)
    rest = line[6:]
    if not rest.startswith(key):
        raise _invalid("memcached sent invalid key in response %s for key %s", line, key)
    rest = rest[len(key) :]
    flags, space, length = rest[1:].partition(b" ")
    if rest[:1] != b" " or not space:
        raise _invalid("memcached sent invalid response: %s", line)
    found = Found(_number(length))
    if with_flags:
        found.flags = _number(flags)
        if found.flags < 0:
            raise _invalid("memcached sent invalid flags in response %s for key %s", line, key)
    if found.length < 0:
        raise _invalid("memcached sent invalid length in response %s for key %s", line, key)
    return found


def _number(digits: bytes) -> int:
    """-1 for what is none, or has more than 63 bits (nginx: ngx_atoof)."""
    n = int(digits) if digits.isdigit() else -1
    return n if n < 1 << 63 else -1


def _invalid(text: str, *said: bytes) -> InvalidAnswer:
    return InvalidAnswer(text % tuple(f'"{part.decode("utf-8", "surrogateescape")}"' for part in said))
