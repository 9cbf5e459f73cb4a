"""uwsgi packets; responses are those of CGI.   uWSGI's docs/Protocol.rst   nginx: ngx_http_uwsgi_module.c"""

from __future__ import annotations

from struct import Struct

MOST_CONTENT = 65535

_SIZE = Struct("<H")
_PACKET = Struct("<BHB")


def pair(name: bytes, value: bytes) -> bytes:
    """One variable. Lengths have 16 bits: what is longer does not fit into a packet anyway."""
    return _SIZE.pack(len(name) & 0xFFFF) + name + _SIZE.pack(len(value) & 0xFFFF) + value


def packet(modifier1: int, modifier2: int, content: bytes) -> bytes:
    """A packet of at most MOST_CONTENT bytes: variables, with modifier1 0."""
    return _PACKET.pack(modifier1, len(content), modifier2) + content
