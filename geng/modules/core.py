"""The directives of the main level: processes, user, limits, logs.

nginx: nginx.c (ngx_core_commands, ngx_core_module_init_conf), ngx_log.c
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
from typing import TYPE_CHECKING, Any

from geng import __version__
from geng.conf.convert import flag, msec, num, off, string, with_cf
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import MAIN
from geng.errors import Invalid, Refused

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

PRODUCT = f"geng/{__version__}"

PID = "logs/nginx.pid"
DEFAULT_USER = "nobody"
DEFAULT_GROUPS = ("nobody", "nogroup")


@with_cf
def product(cf: Cf, word: str) -> str:
    """The name and version for the Server header; what comes after it in the file shows it."""
    if cf.cycle.http is not None:
        raise Invalid('"server_product" must stand before "http"')
    return word


class CoreConf(Conf, level=Level.MAIN):
    """The main level. Times in ms, sizes in bytes; *cpu_affinity*: one set of CPUs per worker."""

    daemon: bool = directive("daemon", MAIN, flag, default=True)
    master: bool = directive("master_process", MAIN, flag, default=True)
    timer_resolution: int = directive("timer_resolution", MAIN, msec, default=0)
    pid: str = directive("pid", MAIN, string, default=PID)
    lock_file: str = directive("lock_file", MAIN, string, default="logs/nginx.lock")
    working_directory: str = directive("working_directory", MAIN, string, default="")
    rlimit_nofile: int = directive("worker_rlimit_nofile", MAIN, num, default=-1)
    rlimit_core: int = directive("worker_rlimit_core", MAIN, off, default=-1)
    shutdown_timeout: int = directive("worker_shutdown_timeout", MAIN, msec, default=0)
    server_product: str = directive("server_product", MAIN, product, default=PRODUCT)
    pcre_jit: bool = directive("pcre_jit", MAIN, flag, default=False)
    processes: int = value(1)
    debug_points: str = value("")
    priority: int = value(0)
    cpu_affinity: Any = value(())
    cpu_affinity_auto: bool = value(False)
    user: str = value("")
    uid: int = value(-1)
    gid: int = value(-1)
    environment: Any = value(())
    transparent: bool = value(False)  # some upstream is to be reached from addresses that are not this machine's

    @command("worker_processes", MAIN)
    def set_processes(self, cf: Cf) -> None:
        """`worker_processes number | auto`"""
        if self.processes is not UNSET:
            raise Refused("is duplicate")
        word = cf.args[0]
        try:
            self.processes = _cpus() if word == "auto" else num(word)
        except Refused:
            raise Refused("invalid value") from None

    @command("debug_points", MAIN)
    def set_debug_points(self, cf: Cf) -> None:
        """`debug_points stop | abort`: what a worker does when something is wrong inside"""
        if self.debug_points is not UNSET:
            raise Refused("is duplicate")
        if cf.args[0] not in ("stop", "abort"):
            raise Invalid(f'invalid value "{cf.args[0]}"')
        self.debug_points = cf.args[0]

    @command("user", MAIN)
    def set_user(self, cf: Cf) -> None:
        """`user name [group]`"""
        if self.user is not UNSET:
            raise Refused("is duplicate")
        name = cf.args[0]
        group = cf.args[1] if len(cf.args) > 1 else name
        if os.geteuid() != 0:
            cf.warn('the "user" directive makes sense only if the master process runs with super-user privileges, ignored')
            self.user, self.uid, self.gid = name, -1, -1
            return
        try:
            self.uid = pwd.getpwnam(name).pw_uid
        except KeyError:
            raise Invalid(f'getpwnam("{name}") failed') from None
        try:
            self.gid = grp.getgrnam(group).gr_gid
        except KeyError:
            raise Invalid(f'getgrnam("{group}") failed') from None
        self.user = name

    @command("worker_priority", MAIN)
    def set_priority(self, cf: Cf) -> None:
        """`worker_priority number`, which may be negative"""
        if self.priority is not UNSET:
            raise Refused("is duplicate")
        word = cf.args[0]
        number = num(word[1:] if word[:1] in ("+", "-") else word)
        self.priority = -number if word[:1] == "-" else number

    @command("worker_cpu_affinity", MAIN)
    def set_affinity(self, cf: Cf) -> None:
        """`worker_cpu_affinity mask ... | auto [mask]`"""
        if self.cpu_affinity is not UNSET:
            raise Refused("is duplicate")
        words = list(cf.args)
        self.cpu_affinity_auto = words[0] == "auto"
        if self.cpu_affinity_auto:
            words = words[1:]
            if len(words) > 1:
                raise Invalid('invalid number of arguments in "worker_cpu_affinity" directive')
            if not words:
                self.cpu_affinity = [frozenset(range(_cpus()))]
                return
        self.cpu_affinity = [_mask(word) for word in words]

    def cpus_of(self, worker: int) -> frozenset[int] | None:
        """Where a worker is to run; None where nothing says so.   nginx: ngx_get_cpu_affinity"""
        masks = self.cpu_affinity
        if not masks:
            return None
        if not self.cpu_affinity_auto:
            return masks[min(worker, len(masks) - 1)]
        there = sorted(masks[-1])
        return frozenset({there[worker % len(there)]}) if there else None

    @command("env", MAIN)
    def add_environment(self, cf: Cf) -> None:
        """`env name[=value]`"""
        have = [] if self.environment is UNSET else self.environment
        self.environment = [*have, cf.args[0]]

    @command("error_log", MAIN)
    def add_error_log(self, cf: Cf) -> None:
        """`error_log file | stderr | syslog:… [level]`"""
        cf.cycle.add_main_log(cf)

    @command("load_module", MAIN)
    def load_module(self, cf: Cf) -> None:
        """`load_module path/to/file.py`: a site's own module, written in Python."""
        from geng.modules.loading import load

        load(cf, cf.args[0])

    def check(self, cf: Cf) -> None:
        self.pid = self.pid or PID
        if self.uid == -1 and os.geteuid() == 0 and not self.user:
            self.user = DEFAULT_USER
            self.uid = pwd.getpwnam(DEFAULT_USER).pw_uid
            self.gid = _default_gid()
        masks = len(self.cpu_affinity)
        if masks and not self.cpu_affinity_auto and masks not in (1, self.processes):
            cf.log(
                "warn",
                'the number of "worker_processes" is not equal to the number of "worker_cpu_affinity" masks, '
                "using last mask for remaining worker processes",
            )


def _cpus() -> int:
    """Processors that are online.   nginx: ngx_ncpu"""
    return max(os.sysconf("SC_NPROCESSORS_ONLN"), 1)


def _default_gid() -> int:
    for name in DEFAULT_GROUPS:
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            continue
    return -1


def _mask(word: str) -> frozenset[int]:
    if len(word) > 1024:
        raise Invalid('"worker_cpu_affinity" supports up to 1024 CPUs only')
    bits = word.replace(" ", "")
    for ch in reversed(bits):  # nginx reads from the right
        if ch not in "01":
            raise Invalid(f'invalid character "{ch}" in "worker_cpu_affinity"')
    return frozenset(i for i, ch in enumerate(reversed(bits)) if ch == "1")


def hostname() -> str:
    """This machine's name, lower case ($hostname)."""
    return socket.gethostname().lower()
