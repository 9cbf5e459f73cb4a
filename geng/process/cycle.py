"""One configuration in use: read, its files and sockets opened, and what it takes over from the one before.

nginx: ngx_cycle.c (ngx_init_cycle)
"""

from __future__ import annotations

import contextlib
import gc
import glob
import os
import re
import resource
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from geng.conf.compiler import Cf, fresh
from geng.conf.convert import to_bytes
from geng.conf.directive import commands_of
from geng.conf.source import Sources
from geng.conf.tables import MAIN
from geng.core.log import Log, OpenFiles, errno_text, parse_target, say
from geng.core.zone import RESERVED, Zone, Zones
from geng.errors import ConfigError, Invalid
from geng.http import debug
from geng.modules import loading, main_confs
from geng.modules.core import PRODUCT, CoreConf, hostname
from geng.modules.events import EventsBlock, EventsConf
from geng.modules.threads import ThreadPools
from geng.net import sockaddr as sa
from geng.net.listen import BindFailed, Listening
from geng.stream import debug as stream_debug
from geng.tls.loading import Objects
from geng.upstream.debug import content

if TYPE_CHECKING:
    from geng.conf.convert import Path
    from geng.upstream.cache_zone import CacheZone

TRIES = 5
TRY_AGAIN = 0.5  # seconds
STAT_ROW = 8  # counters of a worker (geng.net.connection.STAT_SIZE)
MAX_WORKERS = 1024
UNLIMITED = -1  # worker_rlimit_nofile is not given
INHERITED = "NGINX"  # the environment variable with the descriptors of listening sockets


class Reported(ConfigError):
    """A ConfigError that the new configuration's own log has been told of already."""


@dataclass
class Options:
    """What the command line says. Paths are as given; see prefix_path() and full().

    *argv* starts this program again, *shown_argv* is how a person would; *parent*: the process that started this one;
    *daemonized*: it runs in the background, or took over from one that does.
    """

    prefix: str = ""
    conf: str = "conf/nginx.conf"
    error_log: str = "logs/error.log"
    directives: str = ""
    test: bool = False
    as_nginx: bool = False
    dump: bool = False
    quiet: bool = False
    signal: str = ""
    argv: list[str] = field(default_factory=list)
    shown_argv: list[str] = field(default_factory=list)
    parent: int = -1
    daemonized: bool = False

    def prefix_path(self) -> str:
        """The prefix, with a slash at the end."""
        prefix = self.prefix or os.getcwd()
        return prefix if prefix.endswith("/") else prefix + "/"

    def full(self, name: str) -> str:
        return name if name.startswith("/") else self.prefix_path() + name

    def log_path(self) -> str:
        """The first log's file, "" for the standard error."""
        return "" if self.error_log in ("", "stderr") else self.full(self.error_log)


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """The garbage collector rests meanwhile, and leaves alone what was made."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was:
            gc.enable()


class Cycle:
    """A configuration and what belongs to it. *http*, *stream*, *mail*: the linked blocks, or None."""

    def __init__(self, options: Options, log: Log) -> None:
        self.options = options
        self.first_log = log
        self.log = Log()
        self.files = OpenFiles()
        self.paths: list[Path] = []
        self.caches: list[CacheZone] = []
        self.zones = Zones()
        self.http: Any = None
        self.stream: Any = None
        self.mail: Any = None
        self.hostname = hostname()
        self.core: CoreConf = None  # type: ignore[assignment]
        self.events: EventsConf = None  # type: ignore[assignment]
        self.thread_pools = ThreadPools()
        self.listenings: list[Listening] = []
        self.sources: Sources = None  # type: ignore[assignment]
        self.stat: Zone = None  # type: ignore[assignment]
        self.site_modules: list[Any] = []  # by load_module
        self.unable: ConfigError | None = None  # what of this configuration geng does not run yet
        self.tls_objects = Objects(lambda name: self.sources.full_name(name, True))  # certificates and keys

    @staticmethod
    def lookup(text: str, port: int) -> Any:
        """The address of a syslog server; raises Invalid."""
        return lookup(text, port)

    def __repr__(self) -> str:
        return f"<Cycle {self.options.conf} {len(self.listenings)} listenings>"

    # ---- reading

    def read(self) -> None:
        """Read and link the configuration; raises ConfigError. Nothing is opened yet."""
        with no_collection():  # it would go through all that is made, again and again, and find nothing
            self._compile()

    def _compile(self) -> None:
        options = self.options
        self.sources = Sources(_read, glob.glob, options.prefix_path())
        classes = main_confs()
        cf = Cf(self.sources, commands_of(classes), self._tell)
        cf.cycle = self
        if not options.as_nginx:
            loading.add_others(cf)
        confs = fresh(classes)
        self.core, self.events, self.thread_pools = confs[CoreConf], confs[EventsConf], confs[ThreadPools]
        conf = options.full(options.conf)
        if options.directives:
            self.sources.conf_prefix = os.path.dirname(conf) + "/"
            cf.walk(self.sources.parameter(options.directives), MAIN, confs)
        cf.walk(self.sources.main(conf), MAIN, confs)
        cf.file = ""
        if options.test and not options.quiet:
            say(f"the configuration file {conf} syntax is ok")
        try:
            for cls in classes:
                confs[cls].resolve(cf)
        except Invalid as invalid:
            raise ConfigError(str(invalid)) from None
        if not confs[EventsBlock].seen:
            raise ConfigError('no "events" section in configuration')
        self.unable = cf.unable
        listenings = [ls for block in (self.http, self.stream, self.mail) if block is not None for ls in block.listenings]
        self._check_connections(len(listenings))
        if self.http is not None:
            debug.link(self.http, self.events.debug_connection, content)
        if self.stream is not None:
            stream_debug.link(self.stream, self.events.debug_connection)
        if self.mail is not None and self.events.debug_connection:
            self.mail.main.debugging = debug.Debugging(self.events.debug_connection)
        self.listenings = self._with_clones(listenings)

    def _tell(self, level: str, message: str) -> None:
        self.first_log.log(level, message)

    @property
    def product(self) -> bytes:
        """What the Server header says: `server_product` as far as it has been read."""
        return to_bytes(self.core.server_product or PRODUCT)

    def add_main_log(self, cf: Cf) -> None:
        """`error_log` at the main level."""
        self.log.add(parse_target(cf.args, self.files, cf.path, lookup, self.log, f"{cf.file}:{cf.line}"))

    def add_log(self, cf: Cf, log: Log | None) -> Log:
        """`error_log` inside http: *log* with one more target."""
        log = log or Log()
        log.add(parse_target(cf.args, self.files, cf.path, lookup, self.log, f"{cf.file}:{cf.line}"))
        return log

    def _check_connections(self, listening: int) -> None:
        connections = self.events.connections
        if connections < listening + 1:  # one more, for the channel to the master
            raise ConfigError(f"{connections} worker_connections are not enough for {listening} listening sockets")

    def _check_limits(self) -> None:
        """nginx: ngx_event_module_init"""
        connections, own = self.events.connections, self.core.rlimit_nofile
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit != resource.RLIM_INFINITY and connections > limit and (own == UNLIMITED or connections > own):
            limit = limit if own == UNLIMITED else own
            self._tell("warn", f"{connections} worker_connections exceed open file resource limit: {limit}")

    def _with_clones(self, listenings: list[Listening]) -> list[Listening]:
        """A socket for each worker where `reuseport` says so."""
        made = []
        for listening in listenings:
            made.append(listening)
            if listening.options.reuseport and self.core.master:
                listening.worker = 0
                made += [listening.clone(worker) for worker in range(1, self.core.processes)]
        return made

    # ---- opening

    def open(self, old: Cycle | None, inherited: list[Listening]) -> None:
        """Make folders, open logs, zones and sockets; raises ConfigError, and then the old cycle is as it was."""
        test = self.options.test
        if test:
            self._try_pid()
        if old is not None and old.core.lock_file != self.core.lock_file:
            self._tell("emerg", '"lock_file" could not be changed, ignored')
        try:
            if old is not None and old.pid_path != self.pid_path:
                self.write_pid()
            self._make_paths()
            self._open_logs()
            self.zones.create(old.zones if old is not None else None)
            if not test:
                self._make_stat(old)
            self._open_sockets(old, inherited)
        except ConfigError as error:
            said = self.first_log is self.log
            if said:
                self.log.log(error.level, str(error))
            self._undo(old)
            if said:
                raise Reported(str(error)) from None
            raise
        self._check_limits()
        if not test:
            self.redirect_stderr()
            self.log.notice(f'using the "{self.events.use}" event method')

    def _open_logs(self) -> None:
        """From here on the configuration's own log is told what happens."""
        if self.log.file is None:
            self.log.add_default(self.files.get(self.options.log_path()))
        self.files.open()
        self.log.to_stderr = self.first_log.to_stderr
        self.first_log = self.log

    def redirect_stderr(self) -> None:
        """What the process or a library writes there goes to the log, unless an `error_log stderr` is in use."""
        if self.log.to_stderr or self.files.stderr is not None:
            return
        try:
            self.log.redirect_stderr()
        except OSError as error:
            self.log.alert("dup2(STDERR) failed", err=error.errno)

    def _make_paths(self) -> None:
        uid = self.core.uid
        for path in self.paths:
            try:
                os.mkdir(path.name, 0o700)
            except FileExistsError:
                pass
            except OSError as error:
                raise ConfigError(f'mkdir() "{path.name}" failed{errno_text(error.errno)}') from None
            if uid != -1 and os.geteuid() == 0:
                _give_folder(path.name, uid)

    def _make_stat(self, old: Cycle | None) -> None:
        """Counters that all workers share: stub_status shows their sums, whatever configuration they run."""
        if old is not None:
            self.stat = old.stat
        else:
            self.stat = Zone("stat", (MAX_WORKERS * STAT_ROW + 1 + RESERVED) * 8)
            self.stat.map()
            self.stat.take(1)

    def stat_row(self, row: int) -> Any:
        """The counters of one worker, as 64-bit integers."""
        first = self.stat.used + row * STAT_ROW
        return self.stat.slots[first : first + STAT_ROW]

    @property
    def stat_rows(self) -> int:
        """How many rows have ever been in use."""
        return int(self.stat.slots[self.stat.used - 1])

    @stat_rows.setter
    def stat_rows(self, rows: int) -> None:
        self.stat.slots[self.stat.used - 1] = rows

    def _open_sockets(self, old: Cycle | None, inherited: list[Listening]) -> None:
        there = list(inherited) if old is None else list(old.listenings)
        for listening in self.listenings:
            for other in there:
                if _same(listening, other):
                    listening.take_over(other, self.first_log)
                    if not listening.beside:
                        there.remove(other)
                    break
        for _ in range(TRIES):
            failed = self._try_sockets()
            if not failed:
                break
            self._tell("notice", "try again to bind() after 500ms")
            time.sleep(TRY_AGAIN)
        else:
            raise ConfigError("still could not bind()")
        for listening in self.listenings:
            if listening.sock is not None and not self.options.test:
                listening.configure(self.first_log)
        if old is None:
            for other in there:
                self._let_go(other)

    def _let_go(self, unused: Listening) -> None:
        """Close a socket that no server listens on any more."""
        unused.close()
        if not isinstance(unused.sockaddr, tuple):
            self._tell("warn", f"deleting socket {unused.text.removeprefix('unix:')}")
            unused.remove(self.first_log)

    def _try_sockets(self) -> bool:
        failed = False
        for listening in self.listenings:
            if listening.sock is not None:
                continue
            try:
                listening.open(test=self.options.test)
            except BindFailed as error:
                if not error.retry:
                    raise
                self._tell("emerg", str(error))
                failed = True
        return failed

    def _undo(self, old: Cycle | None) -> None:
        kept = {id(listening.sock) for listening in old.listenings} if old is not None else set()
        for listening in self.listenings:
            if listening.sock is not None and id(listening.sock) not in kept:
                listening.close()
        if old is not None and old.pid_path != self.pid_path:
            with contextlib.suppress(OSError):  # it may be what could not be made
                os.unlink(self.pid_path)
        self.files.close()

    def close_unused(self, new: Cycle) -> None:
        """After a reload: close the sockets that the new cycle has not taken over."""
        kept = {id(listening.sock) for listening in new.listenings}
        for listening in self.listenings:
            if listening.sock is not None and id(listening.sock) not in kept:
                new._let_go(listening)

    def close_sockets(self, new_binary: bool, old_binary: bool) -> None:
        """The master leaves. Unix sockets stay for the new binary, or for the old one that gave them to this one."""
        for listening in self.listenings:
            if listening.sock is None:
                continue
            listening.close()
            if not new_binary and not (listening.inherited and old_binary):
                listening.remove(self.log)

    # ---- the pid file

    @property
    def pid_path(self) -> str:
        return self.options.full(self.core.pid)

    def delete_pid(self, extension: str = "") -> None:
        """Remove the file, whose name now has *extension*."""
        name = self.pid_path + extension
        try:
            os.unlink(name)
        except OSError as error:
            self.log.alert(f'unlink() "{name}" failed', err=error.errno)

    def _try_pid(self) -> None:
        """`-t`: whether the pid file could be written."""
        name = self.pid_path
        try:
            os.close(os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))
        except OSError as error:
            raise ConfigError(f'open() "{name}" failed{errno_text(error.errno)}') from None

    def write_pid(self) -> None:
        """Write this process's number; raises ConfigError."""
        name = self.pid_path
        try:
            with open(name, "w", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")
        except OSError as error:
            raise ConfigError(f'open() "{name}" failed{errno_text(error.errno)}') from None


def _read(name: str) -> bytes:
    with open(name, "rb") as file:
        return file.read()


def lookup(text: str, port: int) -> Any:
    from geng.net.address import parse_url, resolve_host

    return parse_url(text, port, resolve=resolve_host).addresses[0]


def _give_folder(name: str, uid: int) -> None:
    try:
        info = os.stat(name)
        if info.st_uid != uid:
            os.chown(name, uid, -1)
        if info.st_mode & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(name, info.st_mode | stat.S_IRWXU)
    except OSError as error:
        raise ConfigError(f'chown("{name}", {uid}) failed{errno_text(error.errno)}') from None


def _same(new: Listening, old: Listening) -> bool:
    return old.sock is not None and new.kind == old.kind and sa.text(new.sockaddr) == sa.text(old.sockaddr)


def inherited_listenings(log: Log) -> list[Listening]:
    """The sockets that an older geng hands over in the environment (ngx_add_inherited_sockets)."""
    text = os.environ.get(INHERITED)
    if text is None:
        return []
    log.notice(f'using inherited sockets from "{text}"')
    found: list[Listening] = []
    *words, last = re.split(r"[:;]", text)
    for word in words:
        if not word.isdigit():
            rest = "environment variable, ignoring the rest of the variable"
            log.emerg(f'invalid socket number "{word}" in {INHERITED} {rest}')
            return found
        try:
            found.append(Listening.inherit(int(word)))
        except OSError as error:
            log.crit(f"getsockname() of the inherited socket #{word} failed", err=error.errno)
    if last:
        log.emerg(f'invalid socket number "{last}" in {INHERITED} environment variable, ignoring')
    return found


def make(options: Options, log: Log, old: Cycle | None = None) -> Cycle:
    """Read the configuration and open everything, and close what only the *old* one needs; raises ConfigError.

    A test opens everything first, as nginx's does, and only then finds out what geng is not able to run.
    """
    cycle = Cycle(options, log)
    cycle.tls_objects.before = old.tls_objects if old is not None else None
    cycle.read()
    cycle.tls_objects.before = None
    if cycle.unable is not None and not options.test:
        raise cycle.unable
    cycle.open(old, inherited_listenings(log) if old is None and not options.test else [])
    if cycle.unable is not None and not options.as_nginx:
        raise cycle.unable
    if old is not None:
        if old.pid_path != cycle.pid_path:
            old.delete_pid()
        old.close_unused(cycle)
        if cycle.core.master:
            old.files.close()
    return cycle
