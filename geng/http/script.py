"""Texts with variables, compiled: a template of literals and variables becomes one function that joins bytes.

nginx: ngx_http_script.c, ngx_http_variables.c (indexed variables), ngx_http_regex_compile.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import CodeType
from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_bytes
from geng.core.regex import Pattern, PatternError, compile_pattern
from geng.errors import ConfigError, Invalid
from geng.http.module import CHANGEABLE, NOCACHEABLE, PREFIX, WEAK, Getter, Setter, Variable

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.request import Request

_MISSING: Any = object()
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


class VariableRef:
    """One variable that the configuration uses. `get` is final once the http block has been linked."""

    __slots__ = ("flags", "get", "name", "set", "source")

    def __init__(self, name: str) -> None:
        self.name = name
        self.flags = 0
        self.source: Getter | None = None
        self.set: Setter | None = None
        self.get: Getter = _unlinked

    def __repr__(self) -> str:
        return f"<VariableRef ${self.name}>"

    def link(self, source: Getter, flags: int, setter: Setter | None) -> None:
        """Fix where the value comes from: cached per request unless NOCACHEABLE and never set."""
        self.source, self.flags, self.set = source, flags, setter
        name = self.name

        def fresh(r: Request) -> bytes | None:
            return _fresh(r, r.vars, name, source)

        def cached(r: Request) -> bytes | None:
            return _cached(r, r.vars, name, source)

        if setter is not None:
            self.get = source
        else:
            self.get = fresh if flags & NOCACHEABLE else cached


def _fresh(r: Request, values: dict[str, Any], name: str, source: Getter) -> Any:
    value = values.get(name, _MISSING)
    return source(r) if value is _MISSING else value


def _cached(r: Request, values: dict[str, Any], name: str, source: Getter) -> Any:
    value = values.get(name, _MISSING)
    if value is _MISSING:
        value = values[name] = source(r)
    return value


def _unlinked(r: Request) -> bytes | None:
    raise AssertionError("a variable was read before the configuration was linked")


def variable_name(word: str) -> str:
    """The name of the variable `$name` that a directive defines; raises Invalid for what is none."""
    if word[:1] != "$" or word == "$":
        raise Invalid(f'invalid variable name "{word}"')
    return word[1:].lower()


class Variables:
    """All variables of one http block: those that modules and directives define, and those in use."""

    def __init__(self) -> None:
        self.defined: dict[str, Variable] = {}
        self.prefixes: list[Variable] = []
        self.used: dict[str, VariableRef] = {}

    def add(self, variable: Variable) -> None:
        """Define *variable*; raises Invalid where nginx refuses the second definition, or an empty name."""
        if not variable.name:
            raise Invalid('invalid variable name "$"')
        if variable.flags & PREFIX:
            self.prefixes.append(variable)
            return
        known = self.defined.get(variable.name)
        if known is not None and not known.flags & CHANGEABLE:
            raise Invalid(f'the duplicate "{variable.name}" variable')
        if known is not None and variable.flags & WEAK:
            return
        self.defined[variable.name] = variable

    def reserve(self, name: str) -> None:
        """Refuse *name* where add() would, before the block is read that says what it is."""
        self.add(Variable(name, _not_found, CHANGEABLE))

    def ref(self, name: str) -> VariableRef:
        """The reference to variable *name* (lower case in nginx, so here); raises Invalid for none at all."""
        name = name.lower()
        if not name:
            raise Invalid('invalid variable name "$"')
        found = self.used.get(name)
        if found is None:
            found = self.used[name] = VariableRef(name)
        return found

    def link(self) -> None:
        """Bind every reference; raises ConfigError `unknown "x" variable`, which nginx gives no place."""
        for ref in self.used.values():
            variable = self.defined.get(ref.name)
            if variable is not None and variable.flags & WEAK:
                prefixed = self._by_prefix(ref.name)
                if prefixed is not None:  # `set $http_x`: where it did not run, the variable is what it always was
                    ref.link(*prefixed, None)
                    continue
            if variable is not None and variable.get is not None:
                ref.link(variable.get, variable.flags, variable.set)
                continue
            if variable is not None and variable.set is None and variable.flags & CHANGEABLE:
                ref.link(_not_found, variable.flags, None)
                continue
            ref.link(*self._prefixed(ref.name), None)

    def names(self) -> list[bytes]:
        """All that are defined by their whole names."""
        return [to_bytes(name) for name in self.defined]

    def getter(self, name: str) -> Getter | None:
        """A getter for a name that is only known while a request runs (ngx_http_get_variable)."""
        ref = self.used.get(name)
        if ref is not None:
            return ref.get
        variable = self.defined.get(name)
        if variable is not None:
            return variable.get
        try:
            return self._prefixed(name)[0]
        except ConfigError:
            return None

    def _prefixed(self, name: str) -> tuple[Getter, int]:
        found = self._by_prefix(name)
        if found is None:
            raise ConfigError(f'unknown "{name}" variable')
        return found

    def _by_prefix(self, name: str) -> tuple[Getter, int] | None:
        best = max((p for p in self.prefixes if name.startswith(p.name)), key=lambda p: len(p.name), default=None)
        return (best.prefix_get(name), best.flags) if best is not None and best.prefix_get is not None else None


def _not_found(r: Request) -> bytes | None:
    return None


@cache
def _joining(terms: str) -> CodeType:
    """`lambda r: b"".join(…)`, compiled: most values have one of a few shapes."""
    return compile(f"lambda r: b''.join(({terms},))", "<value>", "eval")


class Value:
    """A compiled text: `value(r) -> bytes`; `literal` holds the bytes where no variable occurs, else None.

    `fn` is final once the http block has been linked: links should keep `value.fn`, not the value.
    """

    __slots__ = ("fn", "literal", "parts", "text")

    def __init__(self, text: str, parts: list[Any]) -> None:
        self.text = text
        self.parts = parts
        self.literal: bytes | None = None
        if all(isinstance(p, bytes) for p in parts):
            literal = b"".join(parts)
            self.literal = literal
            self.fn: Callable[[Request], bytes] = lambda r: literal
        else:
            self.fn = self._late

    def __call__(self, r: Request) -> bytes:
        return self.fn(r)

    def __repr__(self) -> str:
        return f"<Value {self.text!r}>"

    def _late(self, r: Request) -> bytes:
        self.link()
        return self.fn(r)

    def link(self) -> None:
        """Generate the function that joins the parts."""
        if self.literal is not None:
            return
        if len(self.parts) == 1:
            get = _part(self.parts[0])
            self.fn = lambda r: get(r) or b""
            return
        names: dict[str, Any] = {}
        terms = []
        for i, part in enumerate(self.parts):
            if isinstance(part, bytes):
                terms.append(repr(part))
            else:
                names[f"p{i}"] = _part(part)
                terms.append(f"p{i}(r) or b''")
        self.fn = eval(_joining(", ".join(terms)), names)  # noqa: S307 - our own text


def _part(part: Any) -> Getter:
    """The getter of a variable or of a capture's number."""
    if isinstance(part, VariableRef):
        return part.get
    number: int = part

    def capture(r: Request) -> bytes | None:
        return r.capture(number)

    return capture


def split(text: str, variables: Variables) -> list[Any]:
    """Literals (bytes), VariableRefs and capture numbers of *text*; raises Invalid as ngx_http_script_compile."""
    parts: list[Any] = []
    i, n = 0, len(text)
    while i < n:
        j = text.find("$", i)
        if j < 0:
            parts.append(to_bytes(text[i:]))
            break
        if j > i:
            parts.append(to_bytes(text[i:j]))
        i = j + 1
        if i == n:
            raise Invalid("invalid variable name")
        if "1" <= text[i] <= "9":
            parts.append(int(text[i]))
            i += 1
            continue
        braced = text[i] == "{"
        if braced:
            i += 1
            if i == n:
                raise Invalid("invalid variable name")
        j = i
        while j < n and text[j] in _NAME:
            j += 1
        if braced:
            if j == n or text[j] != "}":
                raise Invalid(f'the closing bracket in "{text[i:j]}" variable is missing')
        name = text[i:j]
        if not name:
            raise Invalid("invalid variable name")
        parts.append(variables.ref(name))  # ${1} is no capture
        i = j + braced
    return parts


def count_variables(text: str) -> int:
    """How many variables *text* holds (ngx_http_script_variables_count)."""
    return text.count("$")


def compile_value(cf: Cf, text: str) -> Value:
    """Compile *text*; variables are resolved when the http block ends."""
    value = Value(text, split(text, cf.scope.variables) or [b""])
    cf.scope.values.append(value)
    return value


class Regex:
    """A pattern of the configuration with its named captures bound to variables (ngx_http_regex_t)."""

    __slots__ = ("names", "pattern", "search")

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        self.search = pattern.search
        self.names = [(name.lower(), number) for name, number in pattern.names.items()]

    def exec(self, r: Request, subject: bytes) -> bool:
        """Match; on success the captures ($1 …) and the named variables are this match's."""
        match = self.search(subject)
        if match is None:
            return False
        r.captures = match
        for name, number in self.names:
            r.vars[name] = match.group(number)
        return True

    def __repr__(self) -> str:
        return f"<Regex {self.pattern.source!r}>"


def plain_regex(source: str, caseless: bool = False) -> Pattern:
    """Compile *source*, whose captures nobody sees; raises Invalid in nginx's words."""
    raw = to_bytes(source)
    try:
        return compile_pattern(raw, caseless)
    except PatternError as error:
        rest = raw[error.offset :].decode("utf-8", "surrogateescape")
        tail = f' at "{rest}"' if rest else ""
        raise Invalid(f'pcre2_compile() failed: {error.message} in "{source}"{tail}') from None


def compile_regex(cf: Cf, source: str, caseless: bool = False) -> Regex:
    """Compile *source*, defining the variables of its named captures; raises Invalid in nginx's words."""
    regex = Regex(plain_regex(source, caseless))
    for name, _ in regex.names:
        cf.scope.variables.add(Variable(name, _not_found, CHANGEABLE))
        cf.scope.variables.ref(name)
    return regex
