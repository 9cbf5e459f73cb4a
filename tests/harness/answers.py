"""What the clients of HTTP/2 and HTTP/3 gather of an answer that comes in frames."""

from __future__ import annotations

from dataclasses import dataclass, field

Lines = list[tuple[str, str]]


@dataclass
class Answer:
    """What a stream brought. *sizes*: of DATA frames; *rest*: of a frame that is not whole yet."""

    heads: list[Lines] = field(default_factory=list)
    body: bytes = b""
    sizes: list[int] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None
    rest: bytes = b""

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.heads[0])

    @property
    def status(self) -> int:
        return int(self.headers[":status"])

    @property
    def text(self) -> str:
        return self.body.decode()
