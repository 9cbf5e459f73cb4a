"""`access_log` and `log_format`.   nginx: ngx_http_log_module.c

A line is one write, unless `buffer=` gathers several.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_text
from geng.conf.directive import UNSET, Conf, Level, command, group, value
from geng.conf.tables import HSL, HTTP, LIF, LMT
from geng.core import clock, escape, syslog
from geng.core.log import OpenFile
from geng.core.values import BadValue, atoi, parse_msec, parse_sec, parse_size
from geng.errors import Invalid, Refused
from geng.http import logline
from geng.http.logline import FileLog, LogLine, status_of
from geng.http.module import Getter, Handler, Module, Phase
from geng.http.script import Value, compile_value, split
from geng.http.variables import body_bytes_sent, request_time

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.request import Request

COMBINED = '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'
GZIP_BUFFER = 65536
QUIET = 60  # seconds between two complaints about one file

#: Variables that a log line takes in a form of its own, which needs no escaping: 0 bytes are shown, not "-".
OWN: dict[str, Getter] = {
    "pipe": lambda r: b"p" if r.hc.pipelined else b".",
    "time_local": lambda r: clock.http_log_time(),
    "time_iso8601": lambda r: clock.iso8601(),
    "msec": lambda r: b"%.3f" % time(),
    "status": status_of,
    "bytes_sent": lambda r: b"%d" % r.c.sent,
    "request_length": lambda r: b"%d" % r.request_length,
    "body_bytes_sent": body_bytes_sent,
    "request_time": request_time,
}
#: What is the same whenever it is asked for, and costs less than a look whether it was asked for before.
SAME = frozenset(("remote_addr", "remote_user", "request", "http_referer", "http_user_agent", "http_host", "request_uri"))
#: What cannot hold a byte that needs escaping.
SAFE = frozenset(("remote_addr", "remote_port", "server_addr", "server_port", "connection", "connection_requests"))


def _json(get: Getter) -> Getter:
    return lambda r: escape.json(get(r) or b"")


def _none(get: Getter) -> Getter:
    return lambda r: get(r) or b""


ESCAPINGS = {"json": _json, "none": _none}


class Format:
    """One log_format; `line` is there once the http block has been linked."""

    __slots__ = ("_line", "escaping", "name", "parts")

    def __init__(self, name: str, parts: list[Any], escaping: str) -> None:
        self.name = name
        self.parts = parts
        self.escaping = escaping
        self._line: LogLine | None = None

    def __repr__(self) -> str:
        return f"<Format {self.name}>"

    @property
    def line(self) -> LogLine:
        """Makes the line of a request, its end included."""
        if self._line is None:
            self._line = self._compile()
        return self._line

    def _compile(self) -> LogLine:
        made: list[tuple[int, Any]] = []
        literal = b""
        for part in self.parts:
            if isinstance(part, bytes):
                literal += part
                continue
            if literal:
                made.append((logline.LITERAL, literal))
                literal = b""
            made.append(self._variable(part))
        made.append((logline.LITERAL, literal + b"\n"))
        return LogLine(made)

    def _variable(self, ref: Any) -> tuple[int, Any]:
        """The kind of a variable's part, and its getter."""
        own = OWN.get(ref.name)
        kind = logline.KINDS.get(ref.name)
        if own is not None:
            return (logline.GET, own) if kind is None else (kind, own)
        if self.escaping != "default":
            return logline.GET, ESCAPINGS[self.escaping](ref.get)
        if ref.set is None and ref.name in SAME:
            return (logline.SAFE if ref.name in SAFE else logline.SHOWN, ref.source) if kind is None else (kind, ref.source)
        return (logline.SAFE if ref.name in SAFE else logline.SHOWN), ref.get


class LogMain(Conf, level=Level.MAIN):
    """The formats, by name."""

    combined = True  # whether there is one from the start
    format = Format

    def __init__(self) -> None:
        super().__init__()
        self.formats: dict[str, Format] = {}

    @command("log_format", HTTP)
    def add_format(self, cf: Cf) -> None:
        """`log_format name [escape=default|json|none] string ...`"""
        name, *words = cf.args
        if name in self.formats or (name == "combined" and self.combined):
            raise Invalid(f'duplicate "log_format" name "{name}"')
        escaping = "default"
        if words and words[0].startswith("escape="):
            escaping = words.pop(0)[7:]
            if escaping != "default" and escaping not in ESCAPINGS:
                raise Invalid(f'unknown log format escaping "{escaping}"')
        self.formats[name] = _format(cf, name, words, escaping, self.format)

    def find(self, cf: Cf, name: str) -> Format:
        """The format *name*; raises Invalid."""
        if name.lower() == "combined" and self.combined:  # nginx's first; made for those who ask for it
            if "combined" not in self.formats:
                self.formats["combined"] = _format(cf, "combined", [COMBINED], "default", self.format)
            return self.formats["combined"]
        for known, found in self.formats.items():
            if known.lower() == name.lower():
                return found
        raise Invalid(f'unknown log format "{name}"')


def _format(cf: Cf, name: str, words: list[str], escaping: str, kind: type[Format]) -> Format:
    parts: list[Any] = []
    for word in words:
        try:
            found = split(word, cf.scope.variables)
        except Invalid as invalid:
            if "closing bracket" in str(invalid):
                raise
            raise Invalid(f'invalid parameter "{word[word.find("$") :]}"') from None
        for part in found:  # a log has no captures: $1 is a variable that nobody defines
            parts.append(cf.scope.variables.ref(str(part)) if isinstance(part, int) else part)
    return kind(name, parts, escaping)


class Buffer:
    """Lines of one file that wait to be written together.   nginx: ngx_http_log_buf_t"""

    __slots__ = ("file", "flush_ms", "gzip", "hub", "held", "lines", "log", "size", "timer")

    def __init__(self, file: OpenFile, size: int, flush_ms: int, gzip: int, log: Any) -> None:
        self.file = file
        self.size = size
        self.flush_ms = flush_ms
        self.gzip = gzip
        self.log = log
        self.lines: list[bytes] = []
        self.held = 0
        self.hub: Any = None
        self.timer: Any = None

    def add(self, r: Request, line: bytes) -> None:
        if self.held + len(line) > self.size:
            self.flush()
        if len(line) > self.size:
            self.write(line)
            return
        self.lines.append(line)
        self.held += len(line)
        if self.flush_ms and self.timer is None:
            self.timer = r.c.hub.after(self.flush_ms, self.flush)

    def flush(self) -> None:
        """Write what is held."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.lines:
            lines, self.lines, self.held = self.lines, [], 0
            self.write(b"".join(lines))

    def write(self, data: bytes) -> None:
        if self.gzip:
            packer = zlib.compressobj(self.gzip, zlib.DEFLATED, 15 + 16, 9)
            data = packer.compress(data) + packer.flush()
        try:
            self.file.write(data)
        except OSError as error:
            self.log.alert(f'write() to "{self.file.name}" failed', err=error.errno)


class AccessLog:
    """One access_log directive."""

    __slots__ = ("cache", "complained", "condition", "file", "format", "path", "syslog")

    def __init__(self, format: Format) -> None:
        self.format = format
        self.file: OpenFile | None = None
        self.path: Value | None = None
        self.syslog: syslog.Syslog | None = None
        self.condition: Value | None = None
        self.complained = 0.0
        self.cache: PathCache | None = None

    def __repr__(self) -> str:
        return f"<AccessLog {self.file or self.path or self.syslog} {self.format.name}>"

    def link(self) -> Callable[[Request], None]:
        """What logs one request here."""
        write = self._writer()
        condition = self.condition
        if condition is None:
            return write

        def tested(r: Request) -> None:
            if condition(r) not in (b"", b"0"):
                write(r)

        return tested

    def _writer(self) -> Callable[[Request], None]:
        line = self.format.line.make
        if self.syslog is not None:
            send = self.syslog.send

            def to_syslog(r: Request) -> None:
                send(line(r)[:-1])

            return to_syslog
        file = self.file
        if file is None:
            return self._write_to_path
        if isinstance(file.data, Buffer):
            add = file.data.add

            def to_buffer(r: Request) -> None:
                add(r, line(r))

            return to_buffer
        if file.name == os.devnull:  # as nginx, which does not even write

            def nowhere(r: Request) -> None:
                line(r)

            return nowhere
        return self.to_file(file)

    def to_file(self, file: OpenFile) -> Callable[[Request], None]:
        """What writes a request's line to *file* at once."""
        return FileLog(self.format.line, file, self._complain).write

    def _complain(self, r: Request, message: str, error: OSError | None) -> None:
        now = time()
        if now - self.complained > QUIET - 1:
            self.complained = now
            r.log.alert(message, err=error.errno if error is not None else None, ctx=r.c)

    def _write_to_path(self, r: Request) -> None:
        """A file whose name depends on the request."""
        assert self.path is not None
        if not self.may_open(r):
            return
        name = self.path(r)
        data = self.format.line.make(r)
        try:
            if self.cache is not None:
                self.cache.write(name, data)
                return
            fd = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.write(fd, data)
            finally:
                os.close(fd)
        except OSError as error:
            r.log.crit(f'open() "{to_text(name)}" failed', err=error.errno, ctx=self.context(r))

    def may_open(self, r: Request) -> bool:
        """Whether the root is there; nginx makes no logs otherwise."""
        if not r.root_tested:
            root = r.loc.root(r)
            if not os.path.isdir(root):
                errno = 20 if os.path.exists(root) else 2
                r.log.error(f'testing "{to_text(root)}" existence failed', err=errno, ctx=r.c)
                return False
            r.root_tested = True
        return True

    def context(self, r: Request) -> Any:
        """Whose line in the error log it is that a file could not be opened."""
        return r.hc.doing("logging request")


class PathCache:
    """Descriptors of logs with variables in their names (open_log_file_cache); times in seconds."""

    __slots__ = ("files", "inactive", "least", "most", "valid")

    def __init__(self, most: int, inactive: int, valid: int, least: int) -> None:
        self.most = most
        self.inactive = inactive
        self.valid = valid
        self.least = least
        self.files: dict[bytes, list[float]] = {}  # name -> [fd or -1, opened, used, uses]; oldest use first

    def __repr__(self) -> str:
        return f"<PathCache {len(self.files)} of {self.most}>"

    def write(self, name: bytes, data: bytes) -> None:
        """Append *data* to the file; it stays open once it has been used often enough. Raises OSError."""
        now = time()
        entry = self.files.pop(name, None)
        fd = -1
        uses = 1
        opened = now
        if entry is not None:
            fd, opened, used, uses = int(entry[0]), entry[1], entry[2], int(entry[3]) + 1
            if now - used > self.inactive:
                uses = 1
            if fd >= 0 and now - opened > self.valid and not _same_file(fd, name):
                os.close(fd)
                fd = -1
        if fd < 0:
            fd = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            opened = now
        os.write(fd, data)
        if uses < self.least:
            os.close(fd)
            fd = -1
        self.files[name] = [fd, opened, now, uses]
        self._shrink(now)

    def _shrink(self, now: float) -> None:
        for name in list(self.files)[:2]:
            entry = self.files[name]
            if len(self.files) > self.most or now - entry[2] > self.inactive:
                if entry[0] >= 0:
                    os.close(int(entry[0]))
                del self.files[name]


def _same_file(fd: int, name: bytes) -> bool:
    try:
        there, here = os.stat(name), os.fstat(fd)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


class LogConf(Conf, level=Level.LOCATION):
    """The logs of one location: all of them are inherited, or none."""

    logs: Any = value(None, group("logs", "off"))
    off: bool = value(False, group("logs", "off"))
    cache: Any = value(None)
    kind = AccessLog

    @command("access_log", HSL | LIF | LMT)
    def add_log(self, cf: Cf) -> None:
        """`access_log path [format [buffer=size] [gzip[=level]] [flush=time] [if=condition]] | off`"""
        if cf.args[0] == "off":
            if len(cf.args) > 1:
                raise Invalid(f'invalid parameter "{cf.args[1]}"')
            self.off = True
            self.given.add("off")
            return
        made = _access_log(cf, self.kind)
        self.logs = [made] if self.logs is UNSET else [*self.logs, made]
        self.given.add("logs")

    @command("open_log_file_cache", HSL)
    def set_cache(self, cf: Cf) -> None:
        """`open_log_file_cache max=N [inactive=time] [min_uses=N] [valid=time] | off`"""
        if self.cache is not UNSET:
            raise Refused("is duplicate")
        self.cache = _path_cache(cf)

    def check(self, cf: Cf) -> None:
        if self.off:
            self.logs = None
        elif self.logs is None:
            made = AccessLog(cf.confs[LogMain].find(cf, "combined"))
            made.file = cf.cycle.files.get(cf.path("logs/access.log"))
            self.logs = [made]


def _path_cache(cf: Cf) -> PathCache | None:
    most, inactive, valid, least, there = 0, 10, 60, 1, True
    for word in cf.args:
        name, _, text = word.partition("=")
        try:
            if word == "off":
                there = False
            elif name == "max":
                most = atoi(text)
            elif name == "inactive":
                inactive = parse_sec(text)
            elif name == "min_uses":
                least = atoi(text)
            elif name == "valid":
                valid = parse_sec(text)
            else:
                raise BadValue
        except BadValue:
            raise Invalid(f'invalid "open_log_file_cache" parameter "{word}"') from None
    if not there:
        return None
    if not most:
        raise Invalid('"open_log_file_cache" must have "max" parameter')
    return PathCache(most, inactive, valid, least)


def _access_log(cf: Cf, kind: type[AccessLog]) -> AccessLog:
    path, *words = cf.args
    target: Any = None
    if path.startswith("syslog:"):
        target = syslog.parse(path, cf.cycle.lookup)
        target.log = cf.cycle.log
    elif "$" in path:
        path = cf.path(path)
        target = compile_value(cf, path)
    made = kind(cf[LogMain].find(cf, words[0] if words else "combined"))
    if target is None:
        made.file = cf.cycle.files.get(cf.path(path) if path else "")
    elif isinstance(target, Value):
        made.path = target
    else:
        made.syslog = target
    size, flush, gzip = _parameters(cf, made, words[1:])
    if flush and not size:
        raise Invalid(f'no buffer is defined for access_log "{path}"')
    if size:
        _buffer(cf, made, path, size, flush, gzip)
    return made


def _parameters(cf: Cf, made: AccessLog, words: list[str]) -> tuple[int, int, int]:
    size = flush = gzip = 0
    for word in words:
        name, equals, text = word.partition("=")
        if name == "buffer" and equals:
            size = _positive(parse_size, text, f'invalid buffer size "{text}"')
        elif name == "flush" and equals:
            flush = _positive(parse_msec, text, f'invalid flush time "{text}"')
        elif name == "gzip":
            size = size or GZIP_BUFFER
            gzip = _positive(atoi, text, f'invalid compression level "{text}"') if equals else 1
            if gzip > 9:
                raise Invalid(f'invalid compression level "{text}"')
        elif name == "if" and equals:
            made.condition = compile_value(cf, text)
        else:
            raise Invalid(f'invalid parameter "{word}"')
    return size, flush, gzip


def _positive(parse: Callable[[str], int], text: str, message: str) -> int:
    try:
        number = parse(text)
    except BadValue:
        number = 0
    if number <= 0:
        raise Invalid(message)
    return number


def _buffer(cf: Cf, made: AccessLog, path: str, size: int, flush: int, gzip: int) -> None:
    if made.path is not None:
        raise Invalid("buffered logs cannot have variables in name")
    if made.syslog is not None:
        raise Invalid("logs to syslog cannot be buffered")
    file = made.file
    assert file is not None
    if isinstance(file.data, Buffer):
        known = file.data
        if (known.size, known.flush_ms, known.gzip) != (size, flush, gzip):
            raise Invalid(f'access_log "{path}" already defined with conflicting parameters')
        return
    file.data = buffer = Buffer(file, size, flush, gzip, cf.cycle.log)
    file.flush = buffer.flush


def link(loc: CoreLoc) -> Handler | None:
    """What logs a request whose last location is *loc*; nothing for `access_log off`."""
    conf: LogConf = loc[LogConf]
    if not conf.logs:
        return None
    for log in conf.logs:
        log.cache = conf.cache
    writers = tuple(log.link() for log in conf.logs)
    if len(writers) == 1:
        return writers[0]

    def log_all(r: Request) -> int:
        for write in writers:
            write(r)
        return 0

    return log_all


module = Module(name="http_log", confs=(LogMain, LogConf), handlers={Phase.LOG: link})
