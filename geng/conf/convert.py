"""From the words of a directive to its value: what stands third in `directive(name, contexts, convert)`.

nginx: ngx_conf_file.c (the slot setters), ngx_file.c (path and access slots), ngx_http_script.c (complex values).

A converter takes the words as `str`, after *cf* when it has the attribute `takes_cf`, and returns the value. It raises
Refused with what follows the directive's name (`"x" directive invalid value`), or Invalid with the whole message.
With the attribute `extends` it also gets `have=`, what an earlier directive of that name made, or None: then a second
one is no duplicate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from geng.core import values
from geng.core.values import BadValue
from geng.errors import ConfigError, Invalid, Refused

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def to_bytes(text: str) -> bytes:
    """The bytes that *text* was in the file."""
    return text.encode("utf-8", "surrogateescape")


def to_text(data: bytes) -> str:
    """What to_bytes() takes back to *data*."""
    return data.decode("utf-8", "surrogateescape")


def with_cf(convert: F) -> F:
    """Mark a converter that wants *cf* before the words."""
    convert.takes_cf = True  # type: ignore[attr-defined]
    return convert


def extending(convert: F) -> F:
    """Mark a converter to whose value a second directive adds: it wants *cf*, and *have*, None or the value so far."""
    convert.extends = True  # type: ignore[attr-defined]
    return with_cf(convert)


# -- one word, one value -----------------------------------------------------------------------------------------------


def _fold(word: str) -> bytes:
    """As ngx_strcasecmp sees it: ASCII letters only."""
    return to_bytes(word).lower()


def _shown(word: str) -> str:
    """As `%s` shows it: up to a NUL."""
    return word.partition("\0")[0]


def string(word: str) -> str:
    """The word itself.   nginx: ngx_conf_set_str_slot"""
    return word


def octets(word: str) -> bytes:
    """The word as it was in the file."""
    return to_bytes(word)


@with_cf
def flag(cf: Cf, word: str) -> bool:
    """`on` or `off`.   nginx: ngx_conf_set_flag_slot"""
    folded = _fold(word)
    if folded not in (b"on", b"off"):
        raise Invalid(f'invalid value "{_shown(word)}" in "{cf.node.name}" directive, it must be "on" or "off"')
    return folded == b"on"


def num(word: str) -> int:
    """A number.   nginx: ngx_conf_set_num_slot"""
    try:
        return values.atoi(word)
    except BadValue:
        raise Refused("invalid number") from None


def bounded(low: int, high: int = -1) -> Callable[[str], int]:
    """A number from *low* to *high* (-1: without limit).   nginx: ngx_conf_check_num_bounds"""

    def convert(word: str) -> int:
        number = num(word)
        if number < low and high == -1:
            raise Invalid(f"value must be equal to or greater than {low}")
        if high != -1 and not low <= number <= high:
            raise Invalid(f"value must be between {low} and {high}")
        return number

    return convert


def _valued(parse: Callable[[str], int], doc: str) -> Callable[[str], int]:
    def convert(word: str) -> int:
        try:
            return parse(word)
        except BadValue:
            raise Refused("invalid value") from None

    convert.__doc__ = doc
    return convert


size = _valued(values.parse_size, "Bytes: `512`, `8k`, `1m`.   nginx: ngx_conf_set_size_slot")
off = _valued(values.parse_offset, "Bytes, also with `g`.   nginx: ngx_conf_set_off_slot")
msec = _valued(values.parse_msec, "A time in milliseconds: `60`, `1m`, `500ms`.   nginx: ngx_conf_set_msec_slot")
sec = _valued(values.parse_sec, "A time in seconds: `60`, `1h 30m`, `1y`.   nginx: ngx_conf_set_sec_slot")


def enum(choices: Mapping[str, T]) -> Callable[[str], T]:
    """One of *choices*, whatever its case: `enum({"on": 1, "off": 0})`.   nginx: ngx_conf_set_enum_slot"""
    table = {_fold(name): value for name, value in choices.items()}

    def convert(word: str) -> T:
        try:
            return table[_fold(word)]
        except KeyError:
            raise Invalid(f'invalid value "{_shown(word)}"') from None

    convert.choices = choices  # type: ignore[attr-defined]  # for who describes the directive
    return convert


# -- several words -----------------------------------------------------------------------------------------------------


def keyval(key: str, value: str) -> tuple[str, str]:
    """A pair; declare it with repeat=True.   nginx: ngx_conf_set_keyval_slot"""
    return key, value


def bufs(number: str, each: str) -> tuple[int, int]:
    """`8 4k`: how many, and of how many bytes.   nginx: ngx_conf_set_bufs_slot"""
    try:
        made = values.atoi(number), values.parse_size(each)
    except BadValue:
        raise Refused("invalid value") from None
    if not all(made):
        raise Refused("invalid value")
    return made


class bitmask:  # noqa: N801 - stands among functions
    """Several of *masks*, or-ed; also over several directives: `bitmask({"error": 2, "timeout": 4})`.

    nginx: ngx_conf_set_bitmask_slot
    """

    takes_cf = True
    extends = True

    def __init__(self, masks: Mapping[str, int]) -> None:
        self.masks = {_fold(name): mask for name, mask in masks.items()}

    def __call__(self, cf: Cf, *words: str, have: int | None = None) -> int:
        bits = have or 0
        for word in words:
            mask = self.masks.get(_fold(word))
            if mask is None:
                raise Invalid(f'invalid value "{_shown(word)}"')
            if bits & mask:
                cf.warn(f'duplicate value "{_shown(word)}"')
            else:
                bits |= mask
        return bits


_RIGHTS = {"rw": 6, "r": 4}
_CLASSES = {"user": 6, "group": 3, "all": 0}


def access(*words: str) -> int:
    """`user:rw group:r all:r` as a file mode; the user may write unless told.   nginx: ngx_conf_set_access_slot"""
    mode = 0
    user = 0o600
    for word in words:
        name, colon, rights = word.partition(":")
        if not colon or name not in _CLASSES or rights not in _RIGHTS:
            raise Invalid(f'invalid value "{word}"')
        if name == "user":
            user = 0
        mode |= _RIGHTS[rights] << _CLASSES[name]
    return mode | user


# -- folders -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Path:
    """A folder for temporary or cached files, with the digits of its nested levels.   nginx: ngx_path_t

    Without *file* it is a default. *data* is the cache that owns it: no two may share a folder.
    """

    name: str
    levels: tuple[int, ...] = ()
    file: str = ""
    line: int = 0
    data: Any = field(default=None, repr=False)


@with_cf
def path(cf: Cf, name: str, *levels: str) -> Path:
    """`proxy_temp_path proxy_temp 1 2`; the cycle makes the folders in its `paths`.   nginx: ngx_conf_set_path_slot"""
    try:
        depths = tuple(values.atoi(level) for level in levels)
    except BadValue:
        raise Refused("invalid value") from None
    if not all(depths) or sum(depths) > 10:
        raise Refused("invalid value")
    return add_path(cf, Path(cf.path(name.removesuffix("/")), depths, cf.file, cf.line))


def default_path(cf: Cf, name: str, *levels: int) -> Path:
    """The Path that a conf has by default; call it when confs are resolved.   nginx: ngx_conf_merge_path_value"""
    return add_path(cf, Path(cf.path(name), levels))


def add_path(cf: Cf, new: Path) -> Path:
    """*new*, or what `cf.cycle.paths` has for that folder; raises Invalid where they differ.   nginx: ngx_add_path"""
    paths: list[Path] = cf.cycle.paths
    known = next((p for p in paths if p.name == new.name), None)
    if known is None:
        paths.append(new)
        return new
    place = f"{known.file}:{known.line}"
    if known.data is not new.data:
        raise Invalid(f'the same path name "{known.name}" used in {place} and')
    if known.levels == new.levels:
        return known
    if new.file:
        raise Invalid(f'the same path name "{known.name}" in {place} has the different levels than')
    if known.file:
        raise ConfigError(
            f'the path name "{known.name}" in {place} has the same name as default path, but the different levels,'
            " you need to define default path in http section"
        )
    raise ConfigError(
        f'the default path name "{known.name}" has the same name as another default path, but the different levels,'
        " you need to redefine one of them in http section"
    )


# -- texts with variables ----------------------------------------------------------------------------------------------
# What a variable is only the subsystem knows: its `cf.scope` has `value(cf, text)`, which returns an object with
# `literal` (bytes, or None where variables occur) and `__call__(r) -> bytes`, as geng.http.script.Value.


@with_cf
def complex_value(cf: Cf, text: str) -> Any:
    """A compiled text: `value(r) -> bytes`.   nginx: ngx_http_set_complex_value_slot, …_zero_slot"""
    return cf.scope.value(cf, text)


@dataclass(slots=True)
class Sized:
    """A size that may depend on the request: `sized(r) -> int`; *fixed* is set where it does not.

    nginx: ngx_http_complex_value_size
    """

    fixed: int | None
    value: Any

    def __call__(self, r: Any, default: int = 0) -> int:
        if self.fixed is not None:
            return self.fixed
        made: bytes = self.value(r)
        try:
            return values.parse_size(made)
        except BadValue:
            r.log.error(f'invalid size "{to_text(made)}"', ctx=r)
            return default


@with_cf
def complex_text(cf: Cf, text: str) -> Any:
    """A text with variables.   nginx: ngx_http_set_complex_value_slot"""
    return cf.scope.value(cf, text)


@with_cf
def complex_size(cf: Cf, text: str) -> Sized:
    """A size, with variables or without, as a Sized.   nginx: ngx_http_set_complex_value_size_slot"""
    value = cf.scope.value(cf, text)
    return Sized(None if value.literal is None else size(text), value)


class _Predicates:
    """Texts of which any may hold, gathered over several directives: `proxy_no_cache $a $b`.

    nginx: ngx_http_set_predicate_slot; ask with holds().
    """

    takes_cf = True
    extends = True

    def __call__(self, cf: Cf, *words: str, have: tuple[Any, ...] | None = None) -> tuple[Any, ...]:
        return (have or ()) + tuple(cf.scope.value(cf, word) for word in words)


predicates = _Predicates()


def holds(tests: tuple[Any, ...], r: Any) -> bool:
    """Whether one of *tests* is neither empty nor `0`.   nginx: ngx_http_test_predicates, which declines then"""
    return any(test(r) not in (b"", b"0") for test in tests)


@with_cf
def lowat(cf: Cf, word: str) -> int:
    """A size that Linux has no use for.   nginx: ngx_http_core_lowat_check and its like"""
    size(word)
    cf.warn(f'"{cf.node.name}" is not supported, ignored')
    return 0


# -- what wraps a converter --------------------------------------------------------------------------------------------


def deprecated(old: str, new: str, convert: Callable[..., T]) -> Callable[..., T]:
    """*convert*, with a warning that *new* should be used.   nginx: ngx_conf_deprecated"""

    @with_cf
    def warned(cf: Cf, *words: str) -> T:
        value = convert(cf, *words) if getattr(convert, "takes_cf", False) else convert(*words)
        cf.warn(f'the "{old}" directive is deprecated, use the "{new}" directive instead')
        return value

    return warned


# -- what a directive has in whichever block it stands -----------------------------------------------------------------


@extending
def error_log(cf: Cf, *words: str, have: Any = None) -> Any:
    """`error_log file | stderr | syslog:… [level]`: the log, with one more target."""
    return cf.cycle.add_log(cf, have)
