"""What one try at one peer came to: what $upstream_addr, $upstream_status and their like show.

nginx: ngx_http_upstream_state_t
"""

from __future__ import annotations


class UpstreamState:
    """Times in ms from the start of the try, -1 while there is none. Without *peer* it parts two exchanges: " : "."""

    def __init__(self, start: int = 0) -> None:
        self.begin(start)

    def begin(self, start: int) -> None:
        """__init__(), for compiled callers."""
        self.start = start
        self.peer: bytes | None = None
        self.status = 0
        self.connect_time = -1
        self.header_time = -1
        self.response_time = -1
        self.response_length = 0
        self.bytes_received = 0
        self.bytes_sent = 0

    def __repr__(self) -> str:
        peer = "-" if self.peer is None else self.peer.decode("latin-1")
        return f"<UpstreamState {peer} {self.status} {self.response_time}>"


def separator() -> UpstreamState:
    """What stands between the tries of two exchanges of one request (an internal redirect, a subrequest)."""
    state = UpstreamState()
    state.connect_time = state.header_time = state.response_time = 0
    return state
