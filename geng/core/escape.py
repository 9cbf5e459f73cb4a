"""Texts inside HTML and JSON.   nginx: ngx_string.c (ngx_escape_html, ngx_escape_json)"""

from __future__ import annotations

import re

_HTML = re.compile(rb'[<>&"]')
_HTML_NAMES = {b"<": b"&lt;", b">": b"&gt;", b"&": b"&amp;", b'"': b"&quot;"}

_JSON = re.compile(rb'[\\"\x00-\x1f]')
_JSON_NAMES = {bytes((ch,)): b"\\u%04X" % ch for ch in range(0x20)}
_JSON_NAMES.update({b"\\": b"\\\\", b'"': b'\\"', b"\n": b"\\n", b"\r": b"\\r", b"\t": b"\\t", b"\b": b"\\b", b"\f": b"\\f"})


def html(text: bytes) -> bytes:
    """*text* with `<`, `>`, `&` and `"` as entities."""
    return _HTML.sub(lambda found: _HTML_NAMES[found[0]], text)


def json(text: bytes) -> bytes:
    """*text* as it may stand in a JSON string; what is no ASCII stays as it is."""
    return _JSON.sub(lambda found: _JSON_NAMES[found[0]], text)
