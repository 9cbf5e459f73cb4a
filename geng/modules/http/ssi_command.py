"""The bytes of an SSI command: where it ends, and its parameters.

nginx: ngx_http_ssi_filter_module.c (ngx_http_ssi_parse)
"""

from __future__ import annotations

import re

OPEN, CLOSE = b"<!--#", b"-->"
TOO_LONG = -2
LONGEST = 2048  # of what is no value in a command: names, blanks
MAX_PARAMS = 16

_SPACE = re.compile(rb"[ \t\r\n]*")
_KEY = re.compile(rb"[A-Za-z_]+")


class SsiError(Exception):
    """A command that cannot be done; its message is in the log already, or *message* goes there."""


def closing(data: bytes, at: int, limit: int = 255) -> int:
    """Where the command that begins at *at* ends, behind its `-->`; -1 when that has not come, TOO_LONG when nobody need
    wait for it: a value of more than *limit* bytes ends with the next `-->`, be that in quotes."""
    quote = 0
    begin = 0
    size = len(data)
    while at < size:
        ch = data[at]
        if quote:
            if ch == quote:
                quote = 0
            elif at - begin >= limit:
                end = data.find(CLOSE, at)
                return end + len(CLOSE) if end >= 0 else TOO_LONG
            elif ch == 0x5C:
                at += 1
        elif ch in (0x22, 0x27):
            quote = ch
            begin = at + 1
        elif data.startswith(CLOSE, at):
            return at + len(CLOSE)
        at += 1
    return -1


def parameters(
    text: bytes, command: str, many: bytes | None = None, repeated: list[bytes] | None = None, limit: int = 255
) -> dict[bytes, bytes]:
    """The `name="value"` pairs of a command, those of the name *many* in *repeated*; raises SsiError."""
    values = [] if repeated is None else repeated
    params: dict[bytes, bytes] = {}
    at = 0
    while True:
        match = _SPACE.match(text, at)
        at = match.end() if match is not None else at
        if at >= len(text):
            return params
        key = _KEY.match(text, at)
        if key is None:
            raise SsiError(f'unexpected "{chr(text[at])}" symbol in "{command}" SSI command')
        at = key.end()
        match = _SPACE.match(text, at)
        at = match.end() if match is not None else at
        name = key[0].lower()
        if text[at : at + 1] != b"=":
            raise SsiError(f'unexpected "{chr(text[at]) if at < len(text) else ">"}" symbol after '
                           f'"{name.decode()}" parameter in "{command}" SSI command')  # fmt: skip
        match = _SPACE.match(text, at + 1)
        at = match.end() if match is not None else at + 1
        quote = text[at : at + 1]
        if quote not in (b'"', b"'") or not quote:
            raise SsiError(f'unexpected "{quote.decode("latin-1")}" symbol before value '
                           f'of "{name.decode()}" parameter in "{command}" SSI command')  # fmt: skip
        stop = at + 1
        while stop < len(text) and text[stop : stop + 1] != quote:
            stop += 2 if text[stop : stop + 1] == b"\\" else 1
        value = text[at + 1 : stop]
        if len(value) > limit:
            begun = value[: limit + 1].decode("utf-8", "surrogateescape")
            raise SsiError(f'too long "{begun}..." value of "{name.decode()}" parameter in "{command}" SSI command')
        if b"\\" in value:
            value = value.replace(b"\\" + quote, quote)
        if name in params:
            raise SsiError(f'duplicate "{name.decode()}" parameter in "{command}" SSI command')
        if len(params) + len(values) == MAX_PARAMS:
            raise SsiError(f'too many SSI command parameters: "{command}"')
        if name == many:
            values.append(value)
        else:
            params[name] = value
        at = stop + 1
