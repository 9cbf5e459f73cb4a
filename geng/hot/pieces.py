"""`b"".join()` of many short bytes objects, without a buffer taken of each."""

from __future__ import annotations

PLAIN = __file__.endswith((".py", ".pyc"))


def join(pieces: list[bytes]) -> bytes:
    """The *pieces* as one; other objects with bytes are taken as well, only not as fast."""
    if PLAIN:
        return b"".join(pieces)
    size = 0
    for piece in pieces:
        if type(piece) is not bytes:
            return b"".join(pieces)
        size += PyBytes_GET_SIZE(piece)  # type: ignore[name-defined]  # noqa: F821
    made = PyBytes_FromStringAndSize(NULL, size)  # type: ignore[name-defined]  # noqa: F821
    at = PyBytes_AS_STRING(made)  # type: ignore[name-defined]  # noqa: F821
    for piece in pieces:
        size = PyBytes_GET_SIZE(piece)  # type: ignore[name-defined]  # noqa: F821
        memcpy(at, PyBytes_AS_STRING(piece), size)  # type: ignore[name-defined]  # noqa: F821
        at += size
    return made  # type: ignore[no-any-return]
