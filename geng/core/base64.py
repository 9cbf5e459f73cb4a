"""Base64 as nginx reads it: what follows the first "=" does not count, nor whether there is one.

nginx: ngx_string.c (ngx_decode_base64)
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64

_ALPHABET = re.compile(rb"[A-Za-z0-9+/]*")


def decode(text: bytes) -> bytes | None:
    """The bytes behind *text*; None where it is no base64."""
    text = text.partition(b"=")[0]
    if len(text) % 4 == 1 or _ALPHABET.fullmatch(text) is None:
        return None
    return a2b_base64(text + b"=" * (-len(text) % 4))


def encode(data: bytes) -> bytes:
    """*data* in base64, padded."""
    return b2a_base64(data, newline=False)
