"""The error log: a line goes to every target whose level admits it.   nginx: ngx_log.c, ngx_cycle.c (open_files)

Line: `2026/11/20 22:00:00 [error] 123#0: *5 message (111: Connection refused), client: 127.0.0.1`.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from geng.core import clock, syslog
from geng.core.syslog import Lookup, Syslog
from geng.core.values import BadValue, parse_size
from geng.errors import ConfigError, Invalid

NAME = b"nginx: "  # what lines on the terminal begin with: tools look for nginx's name
MAX_LINE = 2048  # NGX_MAX_ERROR_STR
_ERRNO_ROOM = 50  # what a long message leaves for the error's number and text

EMERG, ALERT, CRIT, ERROR, WARN, NOTICE, INFO, DEBUG = range(1, 9)
LEVELS = ("emerg", "alert", "crit", "error", "warn", "notice", "info", "debug")
LEVEL_OF = {name: number for number, name in enumerate(LEVELS, 1)}
_TAGS = [b"", *(b" [%s] " % name.encode() for name in LEVELS)]

DEBUG_CORE, DEBUG_ALLOC, DEBUG_MUTEX, DEBUG_EVENT, DEBUG_HTTP, DEBUG_MAIL, DEBUG_STREAM = (1 << n for n in range(4, 11))
DEBUG_ALL = 0x7FFFFFF0
_DEBUG_OF = {
    "debug_core": DEBUG_CORE,
    "debug_alloc": DEBUG_ALLOC,
    "debug_mutex": DEBUG_MUTEX,
    "debug_event": DEBUG_EVENT,
    "debug_http": DEBUG_HTTP,
    "debug_mail": DEBUG_MAIL,
    "debug_stream": DEBUG_STREAM,
}

MEMORY = "memory:"
STDERR = 2
_CLOSED = -1
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class Context(Protocol):
    """Whose line it is: a connection, a request."""

    number: int

    def log_context(self) -> str:
        """`, client: 127.0.0.1, server: x`"""


# -- files -------------------------------------------------------------------------------------------------------------


class OpenFile:
    """One file that lines are appended to, shared by all logs of that name.   nginx: ngx_open_file_t

    *flush*, when set, writes out what a log keeps in memory for this file; called before it is opened anew or closed.
    """

    __slots__ = ("data", "fd", "flush", "name")

    def __init__(self, name: str, fd: int = _CLOSED) -> None:
        self.name = name
        self.fd = fd
        self.flush: Callable[[], None] | None = None
        self.data: Any = None

    def __repr__(self) -> str:
        return f"<OpenFile {self.name or 'stderr'} fd {self.fd}>"

    def write(self, data: bytes) -> int:
        """One write of *data*; raises OSError."""
        return os.write(self.fd, data)


class OpenFiles:
    """The log files of one configuration, each opened once.   nginx: cycle->open_files"""

    def __init__(self) -> None:
        self.files: dict[str, OpenFile] = {}
        self.stderr: OpenFile | None = None

    def __repr__(self) -> str:
        return f"<OpenFiles {', '.join(map(repr, self.files.values()))}>"

    def get(self, name: str) -> OpenFile:
        """The file of full path *name*, for open() to open; the standard error for "".   nginx: ngx_conf_open_file"""
        if not name:
            if self.stderr is None:
                self.stderr = OpenFile("", STDERR)
            return self.stderr
        file = self.files.get(name)
        if file is None:
            file = self.files[name] = OpenFile(name)
        return file

    def open(self) -> None:
        """Open what is not open yet; raises ConfigError without a place."""
        for file in self.files.values():
            if file.fd == _CLOSED:
                try:
                    file.fd = _append(file.name)
                except OSError as error:
                    raise ConfigError(f'open() "{file.name}" failed{errno_text(error.errno)}') from None

    def reopen(self, log: Log, user: int | None = None) -> None:
        """Open every file anew by its name; a new one is given to *user*.   nginx: ngx_reopen_files

        The master passes the workers' user, so that they can open the files too. What fails keeps its old descriptor.
        """
        for file in self.files.values():
            if file.flush is not None:
                file.flush()
            call = "open()"
            fd = _CLOSED
            try:
                fd = _append(file.name)
                if user is not None:
                    call = "chown()"
                    _give(fd, user)
            except OSError as error:
                log.emerg(f'{call} "{file.name}" failed', err=error.errno)
                if fd != _CLOSED:
                    os.close(fd)
                continue
            old, file.fd = file.fd, fd
            if old != _CLOSED:
                os.close(old)

    def close(self) -> None:
        """Flush and close all: no configuration uses them any more."""
        for file in self.files.values():
            if file.flush is not None:
                file.flush()
            fd, file.fd = file.fd, _CLOSED
            if fd != _CLOSED:
                os.close(fd)


def _append(name: str) -> int:
    return os.open(os.fsencode(name), _APPEND, 0o644)


def _give(fd: int, user: int) -> None:
    """Make *user* the owner of a file, and let the owner read and write it."""
    state = os.fstat(fd)
    if state.st_uid != user:
        os.fchown(fd, user, -1)
    both = stat.S_IRUSR | stat.S_IWUSR
    if state.st_mode & both != both:
        os.fchmod(fd, stat.S_IMODE(state.st_mode) | both)


class Memory:
    """A ring of *size* bytes for lines that only a debugger or a core dump shall show; behind a head that it is found by.

    nginx: ngx_log_memory_writer
    """

    __slots__ = ("_ring", "_start", "_written")

    def __init__(self, size: int, place: str) -> None:
        head = _bytes(f"MEMLOG {size} {place}\n")
        self._ring = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._ring[:] = head.ljust(size)
        self._start = len(head)
        self._written = 0

    def __repr__(self) -> str:
        return f"<Memory {len(self._ring)} bytes, {self._written} written>"

    def write(self, line: bytes) -> None:
        """Put *line* over the oldest ones."""
        ring, start = self._ring, self._start
        at = start + self._written % (len(ring) - start)
        self._written += len(line)
        fits = min(len(line), len(ring) - at)
        ring[at : at + fits] = line[:fits]
        ring[start : start + len(line) - fits] = line[fits:]


# -- targets -----------------------------------------------------------------------------------------------------------


class Target:
    """One `error_log`: where to, from which level, and which kinds of debug messages."""

    __slots__ = ("_full_second", "debug", "file", "level", "memory", "syslog")

    def __init__(self, to: OpenFile | Syslog | Memory, level: int = ERROR, debug: int = 0) -> None:
        self.file = to if isinstance(to, OpenFile) else None
        self.syslog = to if isinstance(to, Syslog) else None
        self.memory = to if isinstance(to, Memory) else None
        self.level = level
        self.debug = debug
        self._full_second = 0

    def __repr__(self) -> str:
        return f"<Target {self.file or self.syslog or self.memory!r} {LEVELS[self.level - 1]}>"

    def write(self, level: int, line: bytes) -> None:
        """Write *line*, which ends with a line feed. What cannot be written is lost: no other log could say so."""
        if self.syslog is not None:
            self.syslog.send(line[:-1], level - 1)
            return
        if self.memory is not None:
            self.memory.write(line)
            return
        file = self.file
        if file is None or file.fd == _CLOSED or self._full_second == clock.seconds():
            return
        try:
            file.write(line)
        except OSError as error:
            # a full disk may make each write slow; nginx leaves it alone for the rest of the second
            if error.errno == errno.ENOSPC:
                self._full_second = clock.seconds()


def parse_levels(words: Iterable[str]) -> tuple[int, int]:
    """The level and the debug kinds of an `error_log`'s words after the first; raises Invalid."""
    level = debug = 0
    for word in words:
        if word in LEVEL_OF:
            if level or debug:
                raise Invalid(f'duplicate log level "{word}"')
            level = LEVEL_OF[word]
        elif word in _DEBUG_OF and (debug or not level):
            level = DEBUG
            debug |= _DEBUG_OF[word]
        else:
            raise Invalid(f'invalid log level "{word}"')
    if level == DEBUG and not debug:
        debug = DEBUG_ALL
    return level or ERROR, debug


def parse_target(
    words: Sequence[str],
    files: OpenFiles,
    full_name: Callable[[str], str],
    lookup: Lookup,
    log: Log | None = None,
    place: str = "",
) -> Target:
    """The Target that the words of an `error_log` describe; raises Invalid.   nginx: ngx_log_set_log

    *full_name* is `cf.path`; *lookup* finds a syslog server's address; *log* hears of that server's failures; *place* is
    where the words stand, `file:line`.
    """
    name = words[0]
    to: OpenFile | Syslog | Memory
    if name in ("stderr", ""):
        to = files.get("")
    elif name.startswith(MEMORY):
        to = _memory(name[len(MEMORY) :], place)
    elif name.startswith(syslog.PREFIX):
        to = syslog.parse(name, lookup)
        to.log = log
    else:
        to = files.get(full_name(name))
    return Target(to, *parse_levels(words[1:]))


def _memory(text: str, place: str) -> Memory:
    try:
        size = parse_size(text)
    except BadValue:
        size = 0
    if size < len(place) + MAX_LINE + 64:
        raise Invalid(f'invalid buffer size "{text}"')
    return Memory(size, place)


# -- the log -----------------------------------------------------------------------------------------------------------


def errno_text(err: int | None) -> str:
    """` (111: Connection refused)`, nothing for none or 0."""
    return f" ({err}: {os.strerror(err)})" if err else ""


class Log:
    """The targets of one place of the configuration, the most talkative first.

    `level` is the highest level that any target wants: `if log.level >= INFO:` before a costly message. While
    `to_stderr` is set, warnings and worse also go to the standard error, as nginx does until it has started.
    """

    __slots__ = ("everything", "level", "targets", "to_stderr")

    def __init__(self, targets: Iterable[Target] = ()) -> None:
        self.targets: list[Target] = []
        self.level = 0
        self.everything = False
        self.to_stderr = False
        for target in targets:
            self.add(target)

    def __repr__(self) -> str:
        return f"<Log {', '.join(map(repr, self.targets))}>"

    # -- what it is made of --------------------------------------------------------------------------------------------

    def add(self, target: Target) -> None:
        """Another `error_log` of the same block."""
        self.targets.append(target)
        self.targets.sort(key=lambda t: -t.level)
        self.level = max(self.level, target.level)

    def become(self, other: Log) -> None:
        """Take over *other*'s targets: whoever holds this log then writes to the new configuration's files."""
        self.targets, self.level, self.everything = other.targets, other.level, other.everything

    def verbose(self) -> Log:
        """This log with every message of every level to every target: for `debug_connection`."""
        log = Log(self.targets)
        log.everything = True
        log.level = DEBUG
        return log

    @property
    def file(self) -> OpenFile | None:
        """The first target that is a file or the standard error.   nginx: ngx_log_get_file_log"""
        return next((t.file for t in self.targets if t.file is not None), None)

    def add_default(self, file: OpenFile) -> None:
        """Log errors to *file* unless some target is a file already.   nginx: ngx_log_open_default"""
        if self.file is None:
            self.add(Target(file, ERROR))

    def redirect_stderr(self) -> None:
        """Let what the process writes to its standard error land in this log's first file; raises OSError.

        nginx: ngx_log_redirect_stderr, which does so unless an `error_log stderr` is there
        """
        files = [t.file for t in self.targets if t.file is not None]
        if files and not any(file.fd in (STDERR, _CLOSED) for file in files):
            os.dup2(files[0].fd, STDERR)

    # -- what is said --------------------------------------------------------------------------------------------------

    def enabled(self, level: int) -> bool:
        """Whether a message of *level* would be written anywhere."""
        return self.level >= level

    def emerg(self, message: str | bytes, *, err: int | None = None, ctx: Any = None) -> None:
        self._say(EMERG, message, err, ctx)

    def alert(self, message: str | bytes, *, err: int | None = None, ctx: Any = None) -> None:
        if self.level >= ALERT:
            self._say(ALERT, message, err, ctx)

    def crit(self, message: str | bytes, *, err: int | None = None, ctx: Any = None) -> None:
        if self.level >= CRIT:
            self._say(CRIT, message, err, ctx)

    def error(self, message: str | bytes, *, err: int | None = None, ctx: Any = None) -> None:
        if self.level >= ERROR:
            self._say(ERROR, message, err, ctx)

    def warn(self, message: str | bytes, *, err: int | None = None, ctx: Any = None) -> None:
        if self.level >= WARN:
            self._say(WARN, message, err, ctx)

    def notice(self, message: str | bytes, *, err: int | None = None, ctx: Any = None) -> None:
        if self.level >= NOTICE:
            self._say(NOTICE, message, err, ctx)

    def info(self, message: str | bytes, *, err: int | None = None, ctx: Any = None) -> None:
        if self.level >= INFO:
            self._say(INFO, message, err, ctx)

    def debug(self, message: str | bytes, *, kind: int = DEBUG_ALL, err: int | None = None, ctx: Any = None) -> None:
        """A debug message of *kind*, DEBUG_HTTP say; without the context, as in nginx."""
        if self.level >= DEBUG:
            self._say(DEBUG, message, err, ctx, kind)

    def log(self, level: str | int, message: str | bytes, *, err: int | None = None, ctx: Any = None) -> None:
        """A message of a level that is only known at run time: "warn", or WARN."""
        number = LEVEL_OF[level] if isinstance(level, str) else level
        if self.level >= number:
            self._say(number, message, err, ctx)

    def _say(self, level: int, message: str | bytes, err: int | None, ctx: Any, kind: int = DEBUG_ALL) -> None:
        head = b"%s%s%d#0: " % (clock.err_log_time(), _TAGS[level], os.getpid())
        number = getattr(ctx, "number", 0)
        if number:
            head += b"*%d " % number
        tail = _tail(len(head), message, err, ctx if level < DEBUG else None)
        line = head + tail
        on_terminal = False
        for target in self.targets:
            wanted = target.debug & kind if level == DEBUG else target.level >= level
            if wanted or self.everything:
                target.write(level, line)
                on_terminal = on_terminal or (target.file is not None and target.file.fd == STDERR)
        if self.to_stderr and level <= WARN and not on_terminal:
            write_stderr(NAME + _TAGS[level].lstrip() + tail)


def _tail(used: int, message: str | bytes, err: int | None, ctx: Any) -> bytes:
    """Message, error, context and line end, cut so that with the *used* bytes before it a line keeps its limit."""
    text = _bytes(message)[: MAX_LINE - used]
    if err:
        if used + len(text) > MAX_LINE - _ERRNO_ROOM:
            text = text[: MAX_LINE - _ERRNO_ROOM - used] + b"..."
        text += _bytes(errno_text(err))
    if ctx is not None:
        text += _bytes(ctx.log_context())
    return text[: MAX_LINE - 1 - used] + b"\n"


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


# -- before there is a configuration -----------------------------------------------------------------------------------


def write_stderr(line: bytes) -> None:
    """One write to the standard error, wherever that leads; it may be closed."""
    try:
        os.write(STDERR, line)
    except OSError:
        pass  # there is nobody left to tell


def say(message: str, err: int | None = None) -> None:
    """`nginx: message` on the standard error, where there is no log yet.   nginx: ngx_log_stderr"""
    write_stderr(NAME + _tail(len(NAME), message, err, None))


def first_log(name: str, level: int = NOTICE) -> Log:
    """The log until the configuration is read: *level* and worse to the file *name*; "" is the standard error.

    Where it cannot be opened, says so and takes the standard error.   nginx: ngx_log_init
    """
    file = OpenFile("", STDERR)
    if name:
        try:
            file = OpenFile(name, _append(name))
        except OSError as error:
            say(f'[alert] could not open error log file: open() "{name}" failed', error.errno)
    log = Log([Target(file, level)])
    log.to_stderr = True
    return log
