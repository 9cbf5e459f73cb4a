"""A log that waits for what a test expects in it: a server may answer first and write afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scripts.lib.servers import wait_until


class Log(str):
    """What a log holds. What is not there yet (`in`, `==`, `startswith`) is waited for; `lacks()` looks once."""

    path: Path

    @classmethod
    def of(cls, path: Path) -> Log:
        log = cls(_read(path))
        log.path = path
        return log

    __hash__ = str.__hash__

    def __contains__(self, text: object) -> bool:
        assert isinstance(text, str)
        return str.__contains__(self, text) or self._comes(lambda now: text in now)

    def __eq__(self, text: object) -> bool:
        return str.__eq__(self, text) or self._comes(lambda now: now == text)

    def __ne__(self, text: object) -> bool:
        return not self == text

    def startswith(self, text: str) -> bool:  # type: ignore[override]
        return str.startswith(self, text) or self._comes(lambda now: now.startswith(text))

    def times(self, count: int, text: str) -> bool:
        """Whether *text* is there *count* times, which is waited for, and no more."""
        return self._comes(lambda now: now.count(text) >= count) and _read(self.path).count(text) == count

    def lines(self, count: int) -> list[str]:
        """The lines, when there are at least *count*."""
        self._comes(lambda now: now.count("\n") >= count)
        return _read(self.path).splitlines()

    def lacks(self, text: str) -> bool:
        """Whether *text* is not there now. Nothing is waited for: what shall have come first must be waited for before."""
        return text not in _read(self.path)

    def _comes(self, met: Callable[[str], bool]) -> bool:
        try:
            wait_until(lambda: met(_read(self.path)), "the log")
        except TimeoutError:
            return False
        return True


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
