"""`perl`, `perl_set`: handlers and variables that are written in Perl.   nginx: ngx_http_perl_module.c

Perl runs in a process of its own beside each worker (perl_channel.py); nginx has it inside. Nothing of it is imported, and
no process is started, unless the configuration uses it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from geng.conf.convert import string, to_bytes, to_text
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import HTTP, LMT, LOC
from geng.core import environment
from geng.errors import ConfigError, Invalid
from geng.hot.uri import parse_unsafe_uri
from geng.http.conf import CoreLoc
from geng.http.module import CHANGEABLE, DONE, ERROR, OK, Getter, Handler, Module, Variable
from geng.http.script import variable_name

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.filters import Writer
    from geng.http.request import Request
    from geng.modules.http.perl_call import Result
    from geng.modules.http.perl_channel import Perl, RunningCall
    from geng.modules.http.perl_process import BlockingPerl, Program

NEEDS_PERL = "needs perl, which is not installed"
MOST_STATUS = 600  # what a handler returns beyond that means nothing


class PerlMain(Conf, level=Level.MAIN):
    """What http{} says. program: what is loaded, None where nothing is; perl: this worker's process."""

    modules: Any = directive("perl_modules", HTTP, string, default=(), repeat=True)
    requires: Any = directive("perl_require", HTTP, string, default=(), repeat=True)

    def __init__(self) -> None:
        super().__init__()
        self.program: Program | None = None
        self.perl: Perl | None = None
        self._trial: BlockingPerl | None = None

    @command("perl_set", HTTP)
    def set_variable(self, cf: Cf) -> None:
        """`perl_set $variable module::function|code`"""
        word, text = cf.args
        name = variable_name(word)
        variables = cf.scope.variables
        variables.reserve(name)
        variables.ref(name)
        get = getter(self, self.compile(cf, text), text)
        variables.add(Variable(name, get, CHANGEABLE))

    def compile(self, cf: Cf, text: str) -> bytes:
        """What calls *text*, a function's name or an anonymous one, which is tried; raises ConfigError."""
        program = self._begin(cf)
        if not is_code(text):
            return b"=" + to_bytes(text)
        program.texts.append(text)
        if self._trial is not None:
            self._load(cf, f'eval_pv("{text}") failed', list(program.frames())[-1][1])
        return b"#%d" % (len(program.texts) - 1)

    def _begin(self, cf: Cf) -> Program:
        """The program; at its first use perl starts, with what perl_modules and perl_require have said until now.

        nginx: ngx_http_perl_init_interpreter
        """
        if self.program is not None:
            return self.program
        from geng.modules.http.perl_process import BlockingPerl, PerlDied, Program, find_perl

        modules, requires = (() if words is UNSET else words for words in (self.modules, self.requires))
        self.program = program = Program([cf.path(name) for name in modules], list(requires))
        if not cf.executes:
            return program
        if find_perl() is None:
            cf.note_unable(f'"{cf.node.name}" directive {NEEDS_PERL}')
            return program
        try:
            self._trial = BlockingPerl(program, environment.chosen(_environment(cf)))
        except (OSError, PerlDied) as error:
            raise ConfigError(f"perl process failed: {error}") from None
        for what, frame in program.frames():
            self._load(cf, f"{what} failed", frame)
        return program

    def _load(self, cf: Cf, failure: str, frame: bytes) -> None:
        from geng.modules.http.perl_process import PerlDied, PerlFault

        assert self._trial is not None
        try:
            self._trial.load(frame)
        except PerlFault as fault:
            self._end_trial()
            if failure.startswith("require"):
                raise ConfigError(f'{failure}: "{fault}"') from None
            error = ConfigError(failure, cf.file, cf.line, level="error")
            error.note = f"perl says: {fault}"
            raise error from None
        except PerlDied as died:
            self._trial = None
            raise ConfigError(f"{failure}: perl {died}", cf.file, cf.line) from None

    def _end_trial(self) -> None:
        trial, self._trial = self._trial, None
        if trial is not None:
            trial.end()

    def check(self, cf: Cf) -> None:
        """perl_require alone is reason enough to start perl."""
        if self.requires:
            self._begin(cf)
        self._end_trial()


def _environment(cf: Cf) -> Any:
    words = cf.cycle.core.environment
    return () if words is UNSET else words


def is_code(text: str) -> bool:
    """Whether it is Perl, not the name of a function.   nginx: ngx_http_perl_eval_anon_sub"""
    return text.lstrip(" \t\r\n").startswith(("sub ", "sub{", "use "))


class PerlConf(Conf):
    """A location's handler, and what calls it."""

    handler: str = value()
    code: bytes = value(b"")

    @command("perl", LOC | LMT)
    def set_handler(self, cf: Cf) -> None:
        """`perl module::function|code`"""
        text = cf.args[0]
        if self.handler is not UNSET:
            raise Invalid(f'duplicate perl handler "{text}"')
        self.handler = text
        self.code = cf[PerlMain].compile(cf, text)
        cf[CoreLoc].content = link


# ---- handlers


def link(loc: CoreLoc) -> Handler:
    """The handler of *loc*."""
    return partial(handle, loc.main[PerlMain], loc[PerlConf])


def handle(main: PerlMain, conf: PerlConf, r: Request) -> int:
    """Call the location's function, and those that it wants to be called later.   nginx: ngx_http_perl_handle_request"""
    from geng.modules.http.perl_call import failed, state
    from geng.modules.http.perl_channel import RunningCall

    perl = main.perl
    assert perl is not None
    of = state(r)
    code, name = conf.code, conf.handler
    while True:
        call = RunningCall(r, code)
        result = run(perl, call, name)
        if result is None:
            return ERROR if of.header_sent else 500
        if result.how != b"ok":
            rc = failed(call, name, result)
            if rc == ERROR and of.writer is not None:
                of.writer.abort()
            return rc
        if not result.after:
            break
        rc = wait(perl, call, result.after)
        if rc != OK:
            return rc
        code, name = b"+", ""
    rc = int(result.value)
    if rc > MOST_STATUS:
        rc = OK
    if result.redirect and rc != ERROR:
        return redirect(r, result.redirect)
    if rc in (OK, 200) and of.writer is not None:
        of.writer.end()
    return rc


def run(perl: Perl, call: RunningCall, name: str) -> Result | None:
    """The result of *call*; None, having said so, where the process died of it."""
    from geng.modules.http.perl_process import PerlDied

    try:
        return perl.run(call)
    except PerlDied as died:
        call.r.log.error(f'call_sv("{name}") failed: "{died}"', ctx=call.r.c)
        return None


def wait(perl: Perl, call: RunningCall, after: bytes) -> int:
    """Until the next handler may be called: OK, or what the request ends with."""
    r = call.r
    rc = OK
    try:
        if after == b"body":
            r.names_body_file = True
            rc = r.read_body()
        else:
            perl.hub.sleep(max(int(after), 0))
    except BaseException:
        perl.forget(call.state.number)
        raise
    if rc != OK:
        perl.forget(call.state.number)
    return rc


def redirect(r: Request, uri: bytes) -> int:
    """Serve what internal_redirect() names."""
    if uri[:1] == b"@":
        return r.named_location(uri)
    parsed = parse_unsafe_uri(uri)
    if parsed is None:
        r.log.error(f'unsafe URI "{to_text(uri)}" was detected', ctx=r.c)
        return 500
    r.internal_redirect(*parsed)
    return DONE


# ---- variables


def getter(main: PerlMain, code: bytes, name: str) -> Getter:
    """A variable's value is what a function returns.   nginx: ngx_http_perl_variable"""

    def get(r: Request) -> bytes | None:
        from geng.modules.http.perl_call import failed
        from geng.modules.http.perl_channel import RunningCall

        perl = main.perl
        if perl is None:  # a tool that only looks at configurations
            return None
        call = RunningCall(r, code, variable=True)
        result = run_blocking(perl, call, name) if perl.hub.in_hub() else run(perl, call, name)
        if result is None:
            return None
        if result.how != b"ok":
            failed(call, name, result)
            return None
        return result.value

    return get


def run_blocking(perl: Perl, call: RunningCall, name: str) -> Result | None:
    """As run(), where nothing can wait: in the middle of a TLS handshake."""
    from geng.modules.http.perl_process import PerlDied

    try:
        return perl.run_blocking(call)
    except PerlDied as died:
        call.r.log.error(f'call_sv("{name}") failed: "{died}"', ctx=call.r.c)
        return None


# ---- SSI


def ready(r: Request) -> bool:
    """Whether the configuration has anything of Perl: pages may call functions only then."""
    return r.loc.main[PerlMain].perl is not None


def ssi(r: Request, name: bytes, args: list[bytes], writer: Writer) -> int:
    """`<!--# perl sub="…" arg="…" -->`: what it prints goes to *writer*.   nginx: ngx_http_perl_ssi"""
    from geng.modules.http.perl_call import failed, state
    from geng.modules.http.perl_channel import RunningCall

    perl = r.loc.main[PerlMain].perl
    assert perl is not None
    state(r).header_sent = True
    call = RunningCall(r, b"=" + name, args, target=writer)
    result = run(perl, call, to_text(name))
    if result is None:
        return ERROR
    return int(result.value) if result.how == b"ok" else failed(call, to_text(name), result)


# ---- the worker


def start(worker: Any) -> None:
    """Start perl where the configuration has any, so that it has loaded what it needs when the first request comes."""
    main = worker.cycle.http.main[PerlMain]
    if main.program is None:
        return
    from geng.modules.http.perl_channel import Perl
    from geng.modules.http.perl_process import PerlDied

    main.perl = perl = Perl(worker, main.program)
    worker.on_leave.append(perl.end)
    try:
        perl.start()
    except PerlDied:
        return  # which has been logged; requests try again


module = Module(
    name="http_perl",
    configure_flag="--with-http_perl_module",
    confs=(PerlMain, PerlConf),
    init_worker=start,
)
