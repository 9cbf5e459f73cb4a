"""SCGI, uwsgi and memcached as bytes: geng/wire/scgi.py, uwsgi.py, memcached.py."""

from __future__ import annotations

import pytest

from geng.wire import memcached, scgi, uwsgi


def test_scgi_request() -> None:
    headers = scgi.pair(b"SCGI", b"1") + scgi.pair(b"EMPTY", b"")
    assert scgi.request(27, headers) == b"32:CONTENT_LENGTH\x0027\0SCGI\x001\0EMPTY\0\0,"


def test_uwsgi_packet() -> None:
    content = uwsgi.pair(b"PATH_INFO", b"/" + b"x" * 299) + uwsgi.pair(b"E", b"")
    expected = b"\x09\x00PATH_INFO\x2c\x01/" + b"x" * 299 + b"\x01\x00E\x00\x00"
    assert content == expected
    assert uwsgi.packet(0, 3, content) == bytes([0, len(content) & 255, len(content) >> 8, 3]) + content


def test_memcached_get() -> None:
    assert memcached.get(b"k%20k") == b"get k%20k\r\n"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"VALUE key 0 5\r", memcached.Found(5, 0)),
        (b"VALUE key 34 0\r", memcached.Found(0, 34)),
        (b"VALUE key 1 9223372036854775807\r", memcached.Found(9223372036854775807, 1)),
        (b"END\r", memcached.Found(-1)),
    ],
)
def test_memcached_answers(line: bytes, found: memcached.Found) -> None:
    assert memcached.parse_line(line, b"key", True) == found


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", 'memcached sent invalid response: ""'),
        (b"END", 'memcached sent invalid response: "END"'),
        (b"ERROR\r", 'memcached sent invalid response: "ERROR"'),
        (b"VALUE keyx 0 1\r", 'memcached sent invalid response: "VALUE keyx 0 1"'),
        (b"VALUE key 0\r", 'memcached sent invalid response: "VALUE key 0"'),
        (b"VALUE kex 0 1\r", 'memcached sent invalid key in response "VALUE kex 0 1" for key "key"'),
        (b"VALUE key -1 1\r", 'memcached sent invalid flags in response "VALUE key -1 1" for key "key"'),
        (b"VALUE key 0 -1\r", 'memcached sent invalid length in response "VALUE key 0 -1" for key "key"'),
        (b"VALUE key 0 \r", 'memcached sent invalid length in response "VALUE key 0 " for key "key"'),
        (b"VALUE key 0 1 2\r", 'memcached sent invalid length in response "VALUE key 0 1 2" for key "key"'),
        (
            b"VALUE key 0 9223372036854775808\r",
            'memcached sent invalid length in response "VALUE key 0 9223372036854775808" for key "key"',
        ),
    ],
)
def test_memcached_invalid(line: bytes, message: str) -> None:
    with pytest.raises(memcached.InvalidAnswer) as raised:
        memcached.parse_line(line, b"key", True)
    assert str(raised.value) == message


def test_memcached_flags_matter_only_where_they_are_asked_for() -> None:
    assert memcached.parse_line(b"VALUE key x 1\r", b"key", False) == memcached.Found(1, 0)
