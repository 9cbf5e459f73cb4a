"""`geng`: nginx's command line.   nginx: nginx.c (main, ngx_get_options, ngx_process_options)"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from geng.core.log import INFO, NOTICE, first_log, say, write_stderr
from geng.errors import ConfigError

if TYPE_CHECKING:
    from geng.core.log import Log
    from geng.process.cycle import Cycle, Options

SIGNALS = {"stop": signal.SIGTERM, "quit": signal.SIGQUIT, "reopen": signal.SIGUSR1, "reload": signal.SIGHUP}
WITH_VALUE = {
    "p": ("prefix", "directory name"),
    "e": ("error_log", "file name"),
    "c": ("conf", "file name"),
    "g": ("directives", "parameter"),
    "s": ("signal", "parameter"),
}
AS_NGINX = "--as-nginx"
"""With -t: say what nginx would say, also of what geng does not run yet."""


PROGRAM = "geng"
PID_ROOM = 22  # bytes of a pid file that are read


class BadOption(Exception):
    """A command line that nginx refuses; str() is its message."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    fill_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0][:1] not in ("-", ""):
        from geng.cli import tools

        if words[0] in tools.TOOLS:
            return tools.tool(words[0])(words[1:])
    try:
        shown, options = parse(words)
    except BadOption as error:
        say(str(error))
        return 1
    if shown:
        show(shown)
        if not options.test:
            return 0
    try:
        return run(options)
    except KeyboardInterrupt:
        return 0


def fill_streams() -> None:
    """Open what of the three standard streams the caller has closed, lest a socket or a log gets its descriptor."""
    for name, mode, descriptor in (("stdin", "r", 0), ("stdout", "w", 1), ("stderr", "w", 2)):
        if getattr(sys, name) is not None:
            continue
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != descriptor:
            os.dup2(opened, descriptor)
            os.close(opened)
        setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


def parse(words: Sequence[str]) -> tuple[str, Options]:
    """Which of `?hvV` were given, and the rest; raises BadOption."""
    from geng.process.cycle import Options

    options = Options(argv=command(), shown_argv=[PROGRAM, *words], parent=os.getppid())
    shown = ""
    rest = iter(words)
    for word in rest:
        if word == AS_NGINX:
            options.as_nginx = True
            continue
        if word[:1] != "-":
            raise BadOption(f'invalid option: "{word}"')
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in "?hvV":
                shown += letter
            elif letter in "tT":
                options.test = True
                options.dump = options.dump or letter == "T"
            elif letter == "q":
                options.quiet = True
            elif letter in WITH_VALUE:
                field, what = WITH_VALUE[letter]
                value = letters or next(rest, None)
                if value is None:
                    raise BadOption(f'option "-{letter}" requires {what}')
                if letter == "s" and value not in SIGNALS:
                    raise BadOption(f'invalid option: "-s {value}"')
                setattr(options, field, value)
                letters = ""
            else:
                raise BadOption(f'invalid option: "{letter}"')
    options.as_nginx = options.as_nginx and options.test  # there is no running as nginx
    return shown, options


def command() -> list[str]:
    """How this program was started, the interpreter's own options too, for the binary upgrade."""
    return [sys.executable, *sys.orig_argv[1:]]


def show(shown: str) -> None:
    """-v, -V, -h."""
    from geng.cli import version

    text = version.version()
    if "?" in shown or "h" in shown:
        text += version.USAGE
    if "V" in shown:
        text += version.details()
    write_stderr(text.encode())


def run(options: Options) -> int:
    """Everything but showing versions."""
    from geng.process import cycle as cycles

    log = first_log(options.log_path(), INFO if options.test else NOTICE)
    if options.signal and not options.test:
        return send_signal(options, log)
    if options.test:
        gc.disable()  # nothing lives long enough: a fifth of the time that a large file takes
    try:
        cycle = cycles.make(options, log)
    except ConfigError as error:
        if not isinstance(error, cycles.Reported) and not (error.unsaid and options.as_nginx):
            log.log(error.level, str(error))
            if error.note:
                log.notice(error.note)
                if log.to_stderr and options.test and not options.as_nginx:
                    sys.stderr.write(f"nginx: [notice] {error.note}\n")
        if options.test:
            say(f"configuration file {options.full(options.conf)} test failed")
        return 1
    except RecursionError:
        log.emerg("blocks are nested too deeply")
        return 1
    if options.test:
        return tested(options, cycle)
    return start(options, cycle, log)


def tested(options: Options, cycle: Cycle) -> int:
    """-t and -T went well."""
    name = options.full(options.conf)
    if not options.quiet:
        say(f"configuration file {name} test is successful")
    if options.dump:
        sys.stdout.flush()
        for file, content in cycle.sources.files.items():
            os.write(1, f"# configuration file {file}:\n".encode("utf-8", "surrogateescape"))
            os.write(1, content + b"\n")
    return 0


def start(options: Options, cycle: Cycle, log: Log) -> int:
    """Become the server."""
    from geng.process import master, signals, title
    from geng.process.cycle import INHERITED

    core = cycle.core
    _introduce(cycle.log, core.server_product)
    inherited = INHERITED in os.environ
    try:
        if core.daemon and not inherited:
            options.parent = os.getpid()
            daemonize()
        options.daemonized = core.daemon or inherited
        signals.block()  # whoever reads the pid file may send some
        cycle.write_pid()
    except ConfigError as error:
        cycle.log.log(error.level, str(error))
        return 1
    log.to_stderr = cycle.log.to_stderr = False
    cycle.redirect_stderr()
    title.prepare()
    if core.master:
        return master.Master(options, cycle).run()
    from geng.process import single

    return single.run(cycle)


def _introduce(log: Log, product: str) -> None:
    """Who runs where.   nginx: ngx_os_status"""
    system = os.uname()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    log.notice(product)
    log.notice(f"built by Python {sys.version.split()[0]}")
    log.notice(f"OS: {system.sysname} {system.release}")
    log.notice(f"getrlimit(RLIMIT_NOFILE): {limits[0]}:{limits[1]}")


def daemonize() -> None:
    """nginx: ngx_daemon.c"""
    if os.fork():
        os._exit(0)
    os.setsid()
    os.umask(0)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    if null > 2:
        os.close(null)


def send_signal(options: Options, log: Log) -> int:
    """-s: tell the process of the pid file.   nginx: ngx_signal_process"""
    from geng.process import cycle as cycles

    cycle = cycles.Cycle(options, log)
    try:
        cycle.read()
    except ConfigError as error:
        log.log(error.level, str(error))
        return 1
    except RecursionError:
        log.emerg("blocks are nested too deeply")
        return 1
    name = cycle.pid_path
    log.notice("signal process started")
    try:
        with open(name, "rb") as file:
            content = file.read(PID_ROOM).rstrip(b"\r\n")
    except OSError as error:
        log.error(f'open() "{name}" failed', err=error.errno)
        return 1
    if not content.isdigit() or not 0 < int(content) < 1 << 31:
        log.error(f'invalid PID number "{content.decode("utf-8", "replace")}" in "{name}"')
        return 1
    number = SIGNALS[options.signal]
    try:
        os.kill(int(content), number)
    except OSError as error:
        log.alert(f"kill({int(content)}, {int(number)}) failed", err=error.errno)
        return 1
    return 0
