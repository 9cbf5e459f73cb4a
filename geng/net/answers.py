"""What a resolver says: addresses and until when they hold, or why there are none.   nginx: ngx_resolver.h

Beside the resolver itself, so that who only names its answers does not load what reads DNS messages.
"""

from __future__ import annotations

from dataclasses import dataclass

from geng.errors import GengError
from geng.net.sockaddr import SockAddr

FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(1, 6)
TIMED_OUT = 110
ERRORS = {
    FORMERR: "Format error",
    SERVFAIL: "Server failure",
    NXDOMAIN: "Host not found",
    NOTIMP: "Unimplemented",
    REFUSED: "Operation refused",
    TIMED_OUT: "Operation timed out",
}


class ResolveFailed(GengError):
    """`name could not be resolved (3: Host not found)`; *valid*: when asking again makes sense (seconds, wall)."""

    def __init__(self, name: str, code: int, valid: float = 0) -> None:
        super().__init__(name, code)
        self.name = name
        self.code = code
        self.valid = valid

    @property
    def reason(self) -> str:
        return ERRORS.get(self.code, "Unknown error")

    def __str__(self) -> str:
        return f"{self.name} could not be resolved ({self.code}: {self.reason})"


@dataclass(frozen=True)
class Address:
    """One address of an answer; priority, weight and the target's name only from SRV."""

    sockaddr: SockAddr
    name: str = ""
    priority: int = 0
    weight: int = 1


@dataclass(frozen=True)
class Answer:
    """All addresses, in the order to use them, and until when they hold (seconds, wall)."""

    addresses: tuple[Address, ...]
    valid: float
