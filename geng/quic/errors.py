"""What ends a QUIC connection."""

from __future__ import annotations

from geng.errors import GengError


class TransportError(GengError):
    """The client broke a rule: *code* and *reason* go into CONNECTION_CLOSE (RFC 9000, section 20)."""

    def __init__(self, code: int, reason: str = "", frame_type: int = 0) -> None:
        super().__init__(reason)
        self.code, self.reason, self.frame_type = code, reason, frame_type


class Silent(GengError):
    """The connection ends without a word to the client (it is logged already)."""
