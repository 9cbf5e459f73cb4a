"""The errors that cross a floor's edge: each is raised low, translated once and shown to a person once."""

from __future__ import annotations

LONGEST_MESSAGE = 1024
"""Bytes of a configuration error's message that are shown (nginx: NGX_MAX_CONF_ERRSTR)."""


class GengError(Exception):
    """What every error of geng's own derives from."""


class ConfigError(GengError):
    """A configuration that cannot be used; the words and the place are nginx's (ngx_conf_log_error).

    *line* counts from 1; 0 or an empty *file* means that the fault has no place in a file. *note* is what geng has to add;
    *unsaid*: nginx would not say a word.
    """

    note = ""
    unsaid = False

    def __init__(self, message: str, file: str = "", line: int = 0, level: str = "emerg") -> None:
        super().__init__(message, file, line)
        self.message = message
        self.file = file
        self.line = line
        self.level = level

    def __str__(self) -> str:
        message = self.message
        if len(message) > LONGEST_MESSAGE // 4:  # characters, each of four bytes at most
            message = message.encode("utf-8", "surrogateescape")[:LONGEST_MESSAGE].decode("utf-8", "surrogateescape")
        if not self.file:
            return message
        if not self.line:
            return f"{message} in {self.file}"
        return f"{message} in {self.file}:{self.line}"


class Invalid(GengError):
    """A word of a directive that its converter refuses; the compiler adds the directive's place."""


class Unsaid(Invalid):
    """What nginx refuses without a word: only `geng -t --as-nginx` says nothing either."""


class UnknownDirective(Invalid):
    """A name that no module has."""


class ProtocolError(GengError):
    """A peer broke its protocol: *status* is what the request gets, *message* what the log gets."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


class TimedOut(GengError):
    """A wait on a connection reached its limit."""


class ConnectionClosed(GengError):
    """The peer is gone (end of file, reset, broken pipe). *error* is the errno, 0 for an orderly close."""

    def __init__(self, error: int = 0, call: str = "recv()") -> None:
        super().__init__(error, call)
        self.error = error
        self.call = call

    @property
    def message(self) -> str:
        """What the log says of it."""
        return f"{self.call} failed"

    def level(self, ordinary: str) -> str:
        """How loud; *ordinary* is for what a network does every day."""
        return ordinary


class Refused(Invalid):
    """An Invalid whose words follow the directive's name: `"x" directive invalid value` (a slot setter's rv)."""


class Abandoned(GengError):
    """The client of a request went away while the request waited for something else; *error* is the errno or 0."""

    def __init__(self, error: int = 0) -> None:
        super().__init__(error)
        self.error = error
