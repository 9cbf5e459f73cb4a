"""`return`, `rewrite`, `if`, `set`, `break`.   nginx: ngx_http_rewrite_module.c, ngx_http_script.c

The directives of a block become a tuple of functions that run in order; each returns None to go on, or the verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag, to_text
from geng.conf.directive import Conf, Level, command, directive, own, value
from geng.conf.tables import HSL, LIF, LOC, SIF, SRV
from geng.core.values import BadValue, atoi
from geng.errors import Invalid
from geng.hot.uri import ARGS, UNESCAPE_REDIRECT, escape_uri, unescape_uri
from geng.http.conf import CoreLoc
from geng.http.files import MISSING, examine
from geng.http.location import if_context, open_nameless
from geng.http.module import CHANGEABLE, DECLINED, WEAK, Handler, Module, Phase, Variable
from geng.http.phases import use_location
from geng.http.script import Regex, Value, VariableRef, compile_regex, compile_value, split, variable_name

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.request import Request

SL = SRV | LOC | SIF | LIF
REDIRECTS = frozenset((301, 302, 303, 307, 308))
URLS = ("http://", "https://", "$scheme")


class State:
    """What one run of a block's codes keeps: whether captures are escaped (ngx_http_script_engine_t)."""

    __slots__ = ("log", "quote", "status")

    def __init__(self, log: bool) -> None:
        self.quote = True
        self.status = DECLINED
        self.log = log


Code = Callable[["Request", State], "int | None"]
Get = Callable[["Request", State], bytes]
Test = Callable[["Request", State], bool]


class RewriteConf(Conf, level=Level.LOCATION):
    """The codes of one block; those of an `if` belong to the block around it."""

    log: bool = directive("rewrite_log", HSL | SIF | LIF, flag, default=False)
    uninitialized_warn: bool = directive("uninitialized_variable_warn", HSL | SIF | LIF, flag, default=True)
    codes: Any = value(None, own)

    def add(self, code: Code) -> None:
        if not self.codes:
            self.codes = []
        self.codes.append(code)

    @command("return", SL)
    def add_return(self, cf: Cf) -> None:
        """`return code [text] | code URL | URL`"""
        self.add(_return(cf))

    @command("break", SL)
    def add_break(self, cf: Cf) -> None:
        """`break`"""
        self.add(_break)

    @command("set", SL)
    def add_set(self, cf: Cf) -> None:
        """`set $variable value`"""
        self.add(_set(cf))

    @command("rewrite", SL)
    def add_rewrite(self, cf: Cf) -> None:
        """`rewrite regex replacement [flag]`"""
        self.add(_rewrite(cf))

    @command("if", SRV | LOC, block=True)
    def add_if(self, cf: Cf) -> None:
        """`if (condition) { … }`"""
        node = cf.node
        in_server = bool(cf.context & SRV)
        context = if_context(cf)
        confs = open_nameless(cf, cf[CoreLoc])
        test = _condition(cf)
        cf.walk(node.block or [], context, confs)
        inner = confs[RewriteConf]
        codes = tuple(inner.codes or ())
        inner.codes = None
        self.add(_if(test, codes, None if in_server else confs[CoreLoc]))


# ---- return


def _return(cf: Cf) -> Code:
    first, *rest = cf.args
    try:
        status = atoi(first)
    except BadValue:
        if rest or not first.startswith(URLS):
            raise Invalid(f'invalid return code "{first}"') from None
        status, rest = 302, [first]
    if status > 999:
        raise Invalid(f'invalid return code "{first}"')
    text = compile_value(cf, rest[0]) if rest else None

    def only_status(r: Request, state: State) -> int | None:
        return status

    if status >= 400 and (text is None or text.literal == b""):
        return only_status

    return Answer(status, text)


class Answer:
    """`return` with a text: the code of a block, and by itself the handler of a block that does nothing else."""

    __slots__ = ("redirects", "status", "text")

    def __init__(self, status: int, text: Value | None) -> None:
        self.status = status
        self.text = text
        self.redirects = status in REDIRECTS

    def __call__(self, r: Request, state: State) -> int | None:
        return self.handle(r)

    def handle(self, r: Request) -> int:
        rc = r.discard_body()
        if rc:
            return rc
        r.out.status = self.status  # the text may ask for $status
        text = self.text
        body: bytes = b"" if text is None else text.literal if text.literal is not None else text.fn(r)
        if self.redirects:
            if body:
                r.out.location = body
            else:
                r.out.headers.append((b"Location", b""))
            return self.status
        r.set_content_type()
        return r.respond(self.status, body)


# ---- break, set


def _break(r: Request, state: State) -> int | None:
    if r.uri_changed:
        r.valid_location = False
        r.uri_changed = False
    return state.status


def _set(cf: Cf) -> Code:
    word, text = cf.args
    name = variable_name(word)
    variables = cf.scope.variables
    variables.add(Variable(name, _uninitialized(name), CHANGEABLE | WEAK))
    variables.ref(name)
    setter = variables.defined[name].set
    get = _value(cf, text)
    if setter is not None:

        def run_setter(r: Request, state: State) -> int | None:
            setter(r, get(r, state))
            return None

        return run_setter

    def store(r: Request, state: State) -> int | None:
        r.vars[name] = get(r, state)
        return None

    return store


def _uninitialized(name: str) -> Callable[[Request], bytes | None]:
    def get(r: Request) -> bytes | None:
        if r.loc[RewriteConf].uninitialized_warn:
            r.log.warn(f'using uninitialized "{name}" variable', ctx=r.c)
        return b""

    return get


def _value(cf: Cf, text: str) -> Get:
    """A text whose captures are escaped while the engine says so."""
    parts = split(text, cf.scope.variables)
    if not any(isinstance(part, int) for part in parts):
        compiled = compile_value(cf, text)
        if compiled.literal is not None:
            literal = compiled.literal
            return lambda r, state: literal
        return lambda r, state: compiled(r)
    return lambda r, state: _join(r, parts, state.quote)


def _join(r: Request, parts: Sequence[Any], quote: bool) -> bytes:
    """*parts* as bytes; *quote*: captures are escaped if the URI came escaped."""
    escape = quote and (r.head.quoted_uri or r.head.plus_in_uri)
    made = []
    for part in parts:
        if isinstance(part, bytes):
            made.append(part)
        elif isinstance(part, VariableRef):
            made.append(part.get(r) or b"")
        else:
            text = r.capture(part) or b""
            made.append(escape_uri(text, ARGS) if escape else text)
    return b"".join(made)


# ---- rewrite


def _rewrite(cf: Cf) -> Code:
    pattern, replacement, *flags = cf.args
    if not replacement:
        raise Invalid("empty replacement")
    regex = compile_regex(cf, pattern)
    keep_args = replacement[-1] != "?"
    if not keep_args:
        replacement = replacement[:-1]
    status = 302 if replacement.startswith(URLS) else 0
    last, ends = bool(status), False
    if flags:
        if flags[0] == "last":
            last = True
        elif flags[0] == "break":
            last = ends = True
        elif flags[0] in ("redirect", "permanent"):
            last, status = True, 302 if flags[0] == "redirect" else 301
        else:
            raise Invalid(f'invalid parameter "{flags[0]}"')
    parts = split(replacement, cf.scope.variables)
    if status:
        has_args = any(isinstance(part, bytes) and b"?" in part for part in parts)
        return _redirecting(regex, pattern, parts, status, keep_args, has_args)
    path, args = _at_question_mark(parts)
    return _rewriting(regex, pattern, path, args, keep_args, last, ends)


def _at_question_mark(parts: list[Any]) -> tuple[list[Any], list[Any] | None]:
    """The parts before and behind the first literal `?`."""
    for i, part in enumerate(parts):
        if isinstance(part, bytes) and b"?" in part:
            before, _, behind = part.partition(b"?")
            return [*parts[:i], before], [behind, *parts[i + 1 :]]
    return parts, None


def _matches(r: Request, state: State, regex: Regex, pattern: str) -> bool:
    subject = r.uri
    if not regex.exec(r, subject):
        if state.log:
            r.log.notice(f'"{pattern}" does not match "{to_text(subject)}"', ctx=r.c)
        r.captures = None
        return False
    if state.log:
        r.log.notice(f'"{pattern}" matches "{to_text(subject)}"', ctx=r.c)
    return True


def _redirecting(regex: Regex, pattern: str, parts: list[Any], status: int, keep_args: bool, has_args: bool) -> Code:
    def code(r: Request, state: State) -> int | None:
        if not _matches(r, state, regex, pattern):
            return None
        state.status = status
        r.internal = True
        r.valid_unparsed_uri = False
        r.uri_changed = True
        location = unescape_uri(_join(r, parts, True), UNESCAPE_REDIRECT)
        state.quote = False
        if keep_args and r.args:
            location += (b"&" if has_args else b"?") + r.args
        if state.log:
            r.log.notice(f'rewritten redirect: "{to_text(location)}"', ctx=r.c)
        r.out.location = location
        return status

    return code


def _rewriting(
    regex: Regex, pattern: str, path: list[Any], args: list[Any] | None, keep_args: bool, last: bool, ends: bool
) -> Code:
    def code(r: Request, state: State) -> int | None:
        if not _matches(r, state, regex, pattern):
            return None
        r.internal = True
        r.valid_unparsed_uri = False
        if ends:
            r.valid_location = False
            r.uri_changed = False
        else:
            r.uri_changed = True
        uri = _join(r, path, False)
        if args is not None:
            new_args = _join(r, args, True)
            if keep_args and r.args:
                new_args += b"&" + r.args
            r.args = new_args
        elif not keep_args:
            r.args = b""
        state.quote = False
        if state.log:
            r.log.notice(f'rewritten data: "{to_text(uri)}", args: "{to_text(r.args)}"', ctx=r.c)
        r.uri = uri
        if not uri:
            r.log.error("the rewritten URI has a zero length", ctx=r.c)
            return 500
        return state.status if last else None

    return code


# ---- if


def _if(test: Test, codes: tuple[Code, ...], loc: CoreLoc | None) -> Code:
    def code(r: Request, state: State) -> int | None:
        if not test(r, state):
            return None
        if loc is not None:
            before = r.loc.content_handler
            use_location(r, loc)
            if before is not None and r.loc.content_handler is None:
                r.left_handler = before
        for inner in codes:
            rc = inner(r, state)
            if rc is not None:
                return rc
        return None

    return code


def _condition(cf: Cf) -> Test:
    """The words of an `if`, parentheses included; raises Invalid."""
    words = list(cf.args)
    if words[0][:1] != "(":
        raise Invalid(f'invalid condition "{words[0]}"')
    words[0] = words[0][1:]
    if not words[0]:
        words.pop(0)
    if not words or words[-1][-1:] != ")":
        raise Invalid(f'invalid condition "{words[-1] if words else "("}"')
    words[-1] = words[-1][:-1]
    if not words[-1]:
        words.pop()
    if not words:
        raise Invalid('invalid condition ")"')
    first = words[0]
    if len(first) > 1 and first[0] == "$":
        if len(words) not in (1, 3):
            raise Invalid(f'invalid condition "{first}"')
        return _variable_test(cf, words)
    if first in ("-f", "-d", "-e", "-x", "!-f", "!-d", "!-e", "!-x") or _is_odd_file_test(first):
        if len(words) != 2:
            raise Invalid(f'invalid condition "{first}"')
        return _file_test(cf, first, words[1])
    raise Invalid(f'invalid condition "{first}"')


def _is_odd_file_test(word: str) -> bool:
    return (len(word) == 2 and word[0] == "-") or (len(word) == 3 and word[:2] == "!-")


def _variable_test(cf: Cf, words: list[str]) -> Test:
    ref = cf.scope.variables.ref(words[0][1:])
    if len(words) == 1:
        return lambda r, state: (ref.get(r) or b"") not in (b"", b"0")
    operator, text = words[1], words[2]
    if operator == "=":
        get = _value(cf, text)
        return lambda r, state: (ref.get(r) or b"") == get(r, state)
    if operator == "!=":
        get = _value(cf, text)
        return lambda r, state: (ref.get(r) or b"") != get(r, state)
    if operator in ("~", "~*", "!~", "!~*"):
        regex = compile_regex(cf, text, caseless=operator[-1] == "*")
        return _regex_test(ref, regex, text, negative=operator[0] == "!")
    raise Invalid(f'unexpected "{operator}" in condition')


def _regex_test(ref: VariableRef, regex: Regex, pattern: str, negative: bool) -> Test:
    def test(r: Request, state: State) -> bool:
        subject = ref.get(r) or b""
        found = regex.exec(r, subject)
        if not found:
            r.captures = None
        if state.log:
            verb = "matches" if found else "does not match"
            r.log.notice(f'"{pattern}" {verb} "{to_text(subject)}"', ctx=r.c)
        return found != negative

    return test


def _file_test(cf: Cf, operator: str, text: str) -> Test:
    negative = operator[0] == "!"
    kind = operator[-1]
    if kind not in "fdex":
        raise Invalid(f'invalid condition "{operator}"')
    get = _value(cf, text)

    def test(r: Request, state: State) -> bool:
        path = get(r, state)
        of = examine(r, path)
        if of.err:
            if of.err not in MISSING:
                r.log.crit(f'{of.failed} "{to_text(path)}" failed', err=of.err, ctx=r.c)
            return negative
        if kind == "f":
            holds = of.is_file
        elif kind == "d":
            holds = of.is_dir
        elif kind == "e":
            holds = of.is_file or of.is_dir
        else:
            holds = of.is_exec
        return holds != negative

    return test


# ---- linking


def link_server(loc: CoreLoc) -> Handler | None:
    conf: RewriteConf = loc[RewriteConf]
    return _runner(tuple(conf.codes), conf.log) if conf.codes else None


def link_location(loc: CoreLoc) -> Handler | None:
    return None if loc is loc.srv.default else link_server(loc)


def _runner(codes: tuple[Code, ...], log: bool) -> Handler:
    first = codes[0]
    if isinstance(first, Answer):
        return first.handle

    def run(r: Request) -> int:
        state = State(log)
        for code in codes:
            rc = code(r, state)
            if rc is not None:
                return rc
        return state.status

    return run


module = Module(
    name="http_rewrite",
    confs=(RewriteConf,),
    handlers={Phase.SERVER_REWRITE: link_server, Phase.REWRITE: link_location},
)
