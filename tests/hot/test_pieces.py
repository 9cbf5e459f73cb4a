"""Pieces joined, for both twins."""

from __future__ import annotations

import pytest

from tests.hot.conftest import TWINS, twin


@pytest.mark.parametrize("kind", TWINS)
@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b""],
        [b"one"],
        [b"HTTP/1.1 ", b"", b"200 OK", b"\r\n"],
        [b"a" * 70000, b"\0", b"b" * 70000],
        [b"x", bytearray(b"yz"), memoryview(b"1234")[1:3]],
    ],
)
def test_join(kind: str, pieces: list[bytes]) -> None:
    assert twin("pieces", kind).join(pieces) == b"".join(pieces)


@pytest.mark.parametrize("kind", TWINS)
def test_no_bytes(kind: str) -> None:
    with pytest.raises(TypeError, match="expected a bytes-like object, NoneType found"):
        twin("pieces", kind).join([b"a", None])
