"""SCGI requests; responses are those of CGI.   https://python.ca/scgi/protocol.txt   nginx: ngx_http_scgi_module.c"""

from __future__ import annotations


def pair(name: bytes, value: bytes) -> bytes:
    """One header."""
    return b"%s\0%s\0" % (name, value)


def request(content_length: int, headers: bytes) -> bytes:
    """What goes before the body: a netstring of *headers* (pairs, joined), CONTENT_LENGTH before them."""
    headers = b"CONTENT_LENGTH\0%d\0%s" % (content_length, headers)
    return b"%d:%s," % (len(headers), headers)
