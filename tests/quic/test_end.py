"""How a connection ends when packets come meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from geng.quic import input
from geng.quic.frames import APPLICATION


@pytest.mark.parametrize(("by_application", "left"), [(True, (0x100, "keepalive timeout")), (False, (0, ""))])
def test_a_packet_does_not_change_why_it_ends(by_application: bool, left: tuple[int, str]) -> None:
    """finalize() has said why, and the turn of the loop is not over: a datagram may come first."""
    c: Any = SimpleNamespace(error=0x100, error_reason="keepalive timeout", error_app=by_application, keys=None)
    c.log = SimpleNamespace(info=lambda message, ctx: None)
    packet: Any = SimpleNamespace(level=APPLICATION)
    assert input._payload(c, packet, ("127.0.0.1", 1)) is False
    assert (c.error, c.error_reason) == left
