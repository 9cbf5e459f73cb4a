"""Log lines as datagrams to a syslog server: `syslog:server=…,facility=…,tag=…,severity=…,nohostname`.

nginx: ngx_syslog.c.   RFC 3164.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Protocol

from geng.core import clock
from geng.errors import Invalid

PREFIX = "syslog:"
PORT = 514
TAG_MAX = 32
QUIET = 60.0  # seconds between two complaints about one server

FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv", "ftp", "ntp",
    "audit", "alert", "cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
SEVERITIES = ("emerg", "alert", "crit", "error", "warn", "notice", "info", "debug")
LOCAL7, INFO = 23, 6


class Located(Protocol):
    """An address and its text, as geng.net.address.Address."""

    sockaddr: Any
    name: bytes


#: (host with or without port, or unix:path; the default port) -> its address; raises Invalid, "host not found" say.
Lookup = Callable[[str, int], Located]


class Alarm(Protocol):
    """What a Syslog needs of core.log.Log."""

    def alert(self, message: str, *, err: int | None = None, ctx: Any = None) -> None: ...


class Syslog:
    """One server and what every message to it begins with. Never waits: what cannot be sent is lost.

    The socket is opened by the first message, so in the process that sends it.
    """

    __slots__ = ("_last_failure", "busy", "facility", "hostname", "log", "number", "server", "severity", "sock", "tag")

    def __init__(self, server: Located, facility: int, severity: int, tag: bytes, hostname: bytes) -> None:
        self.server = server
        self.facility = facility
        self.severity = severity
        self.tag = tag
        self.hostname = hostname  # empty: nohostname
        self.log: Alarm | None = None
        self.sock: socket.socket | None = None
        self.number = 0
        self.busy = False
        self._last_failure = -QUIET

    def __repr__(self) -> str:
        name = f"{FACILITIES[self.facility]}.{SEVERITIES[self.severity]}"
        return f"<Syslog {self.server.name.decode()} {name} {self.tag.decode()}>"

    def log_context(self) -> str:
        """What a line about this server's failure ends with."""
        return f" while logging to syslog, server: {self.server.name.decode('utf-8', 'surrogateescape')}"

    def header(self, severity: int) -> bytes:
        """b"<190>Nov 20 22:00:00 host nginx: " """
        return b"<%d>%s %s%s: " % (
            self.facility * 8 + severity,
            clock.syslog_time(),
            self.hostname + b" " if self.hostname else b"",
            self.tag,
        )

    def send(self, message: bytes, severity: int = -1) -> bool:
        """Send *message* (no line end); False where it was lost. *severity*: 0 emerg to 7 debug, else as configured."""
        if self.busy:  # the message is about this server's own failure
            return False
        self.busy = True
        try:
            return self._send(self.header(self.severity if severity < 0 else severity) + message)
        finally:
            self.busy = False

    def close(self) -> None:
        """Close the socket; the next message opens another."""
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def _send(self, datagram: bytes) -> bool:
        call = "send()"
        try:
            if self.sock is None:
                call = "connect()"
                self._connect()
            call = "send()"
            assert self.sock is not None
            self.sock.send(datagram)
        except BlockingIOError:
            return False  # a full buffer; nginx says nothing either
        except OSError as error:
            self.close()
            self._complain(call, error)
            return False
        return True

    def _connect(self) -> None:
        address = self.server.sockaddr
        family = socket.AF_UNIX
        if isinstance(address, tuple):
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        self.sock = sock

    def _complain(self, call: str, error: OSError) -> None:
        """Say once a minute that the server does not take our messages, where nginx says it for every message."""
        now = clock.msec() / 1000
        if self.log is not None and now - self._last_failure >= QUIET:
            self._last_failure = now
            self.log.alert(f"{call} failed", err=error.errno, ctx=self)


class _Parameters:
    """What `name=value` parameters said so far; the names are nginx's."""

    def __init__(self, lookup: Lookup) -> None:
        self.lookup = lookup
        self.given: dict[str, Any] = {}

    def read(self, word: str) -> None:
        """Take one parameter; raises Invalid."""
        name, equals, text = word.partition("=")
        if word == "nohostname":
            self.given["nohostname"] = True
            return
        reader = _READERS.get(name) if equals else None
        if reader is None:
            raise Invalid(f'unknown syslog parameter "{word}"')
        if name in self.given:
            raise Invalid(f'duplicate syslog "{name}"')
        self.given[name] = reader(self, text)

    def server(self, text: str) -> Located:
        try:
            return self.lookup(text, PORT)
        except Invalid as invalid:
            raise Invalid(f'{invalid} in syslog server "{text}"') from None

    def facility(self, text: str) -> int:
        return _index("facility", FACILITIES, text)

    def severity(self, text: str) -> int:
        return _index("severity", SEVERITIES, text)

    def tag(self, text: str) -> bytes:
        tag = text.encode("utf-8", "surrogateescape")
        if len(tag) > TAG_MAX:
            raise Invalid(f"syslog tag length exceeds {TAG_MAX}")
        if not all(c.isascii() and (c.isalnum() or c == "_") for c in text):
            raise Invalid('syslog "tag" only allows alphanumeric characters and underscore')
        return tag


_READERS: dict[str, Callable[[_Parameters, str], Any]] = {
    "server": _Parameters.server,
    "facility": _Parameters.facility,
    "severity": _Parameters.severity,
    "tag": _Parameters.tag,
}


def _index(what: str, names: tuple[str, ...], text: str) -> int:
    if text not in names:
        raise Invalid(f'unknown syslog {what} "{text}"')
    return names.index(text)


def parse(word: str, lookup: Lookup) -> Syslog:
    """The Syslog that *word*, `syslog:…`, describes; raises Invalid in nginx's words."""
    parameters = _Parameters(lookup)
    for part in word[len(PREFIX) :].split(","):
        parameters.read(part)
    given = parameters.given
    if "server" not in given:
        raise Invalid("no syslog server specified")
    hostname = b"" if "nohostname" in given else socket.gethostname().lower().encode()
    facility, severity = given.get("facility", LOCAL7), given.get("severity", INFO)
    return Syslog(given["server"], facility, severity, given.get("tag", b"nginx"), hostname)
