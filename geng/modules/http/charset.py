"""`charset` and `charset_map`: what the Content-Type says of the letters, and other letters for them.

nginx: ngx_http_charset_filter_module.c
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag, to_bytes
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import HSL, HSLL, HTTP
from geng.core.values import BadValue, hextoi
from geng.errors import ConfigError, Invalid, Refused
from geng.http.files import in_memory, shown
from geng.http.filters import Parts, Writer
from geng.http.module import Module
from geng.http.script import VariableRef
from geng.http.types import mime_types, split_charset, tester

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.filters import Send
    from geng.http.module import Filter
    from geng.http.request import Request

DEFAULT_TYPES = frozenset(
    (b"text/html", b"text/xml", b"text/plain", b"text/vnd.wap.wml", b"application/javascript", b"application/rss+xml")
)
HTML_TYPES = frozenset((b"text/html",))  # of which charset_types makes more; the others go
UTF8 = b"utf-8"
LONGEST_UTF8 = 3  # bytes of a character that a map may name
UNKNOWN = 0x3F  # "?"

OFF = "off"  # no charset: neither a name nor a variable


class CharsetMain(Conf, level=Level.MAIN):
    """names: those that the configuration knows, as first written, by their lower case. maps: by (from, to)."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[bytes, bytes] = {}
        self.used = False
        self.maps: dict[tuple[bytes, bytes], Recode] = {}

    def add(self, name: bytes) -> bytes:
        """Make *name* known; its key."""
        self.used = True
        self.names.setdefault(name.lower(), name)
        return name.lower()

    @command("charset_map", HTTP, block=True)
    def charset_map(self, cf: Cf) -> None:
        """`charset_map charset1 charset2 { code code; ... }`"""
        first, second = cf.args
        source, target = self.add(to_bytes(first)), self.add(to_bytes(second))
        if source == target:
            raise Invalid(f'"charset_map" between the same charsets "{first}" and "{second}"')
        if source == UTF8:
            raise Invalid('"charset_map" with "utf-8" charset should be given in the second column')
        if (source, target) in self.maps or (target, source) in self.maps:
            raise Invalid(f'duplicate "charset_map" between "{first}" and "{second}"')
        rows = []

        def read(words: tuple[str, ...]) -> None:
            if len(words) != 2:
                raise Invalid("invalid parameters number")
            code = _code(cf, words[0])
            rows.append((code, _character(cf, words[1]) if target == UTF8 else bytes((_code(cf, words[1]),))))

        cf.table(read, opens=False)
        forth, back = (_utf8_maps if target == UTF8 else _byte_maps)(rows)
        self.maps[source, target] = forth
        self.maps[target, source] = back


def _code(cf: Cf, word: str) -> int:
    try:
        code = hextoi(word)
    except BadValue:
        code = 256
    if code > 255:
        raise cf.error(f'invalid value "{word}"')
    return code


def _character(cf: Cf, word: str) -> bytes:
    """A character in UTF-8, written in hexadecimal digits."""
    try:
        character = bytes(hextoi(word[i : i + 2]) for i in range(0, len(word), 2))
        if len(word) // 2 <= LONGEST_UTF8 and len(word) % 2 == 0 and decode(character, 0)[0] <= 0xFFFF:
            return character
    except BadValue:
        pass
    raise cf.error(f'invalid value "{word}"')


class CharsetConf(Conf, level=Level.LOCATION):
    """A charset is its key, a variable, or OFF."""

    charset: Any = value(OFF)
    source: Any = value(OFF)
    override: bool = directive("override_charset", HSLL, flag, default=False)
    types: frozenset[bytes] = directive("charset_types", HSL, mime_types(HTML_TYPES), default=DEFAULT_TYPES)

    @command("charset", HSLL)
    def set_charset(self, cf: Cf) -> None:
        """`charset charset | off`"""
        if self.charset is not UNSET:
            raise Refused("is duplicate")
        self.charset = OFF if cf.args[0] == "off" else _named(cf)

    @command("source_charset", HSLL)
    def set_source(self, cf: Cf) -> None:
        """`source_charset charset`"""
        if self.source is not UNSET:
            raise Refused("is duplicate")
        self.source = _named(cf)

    def check(self, cf: Cf) -> None:
        source, target = self.source, self.charset
        if not isinstance(source, bytes) or not isinstance(target, bytes) or source == target:
            return
        main = cf[CharsetMain]
        if (source, target) not in main.maps:
            first, second = (shown(main.names[key]) for key in (source, target))
            raise ConfigError(f'no "charset_map" between the charsets "{first}" and "{second}"')


def _named(cf: Cf) -> bytes | VariableRef:
    word = cf.args[0]
    if word[:1] == "$":
        cf[CharsetMain].used = True
        ref: VariableRef = cf.scope.variables.ref(word[1:])
        return ref
    return cf[CharsetMain].add(to_bytes(word))


# ---- recoding


class Recode:
    """From one charset to another: call it with data and whether more is to come; (what it made, what it kept)."""

    __slots__ = ("call", "same_length")

    def __init__(self, call: Callable[[bytes], tuple[bytes, bytes]], same_length: bool) -> None:
        self.call = call
        self.same_length = same_length

    def __repr__(self) -> str:
        return f"<Recode {'byte by byte' if self.same_length else 'UTF-8'}>"


def _byte_maps(rows: list[tuple[int, bytes]]) -> tuple[Recode, Recode]:
    forth, back = (bytearray([*range(128), *[UNKNOWN] * 128]) for _ in range(2))
    for code, other in rows:
        forth[code] = other[0]
        back[other[0]] = code
    return _by_table(bytes(forth)), _by_table(bytes(back))


def _by_table(table: bytes) -> Recode:
    return Recode(lambda data: (data.translate(table), b""), True)


def _utf8_maps(rows: list[tuple[int, bytes]]) -> tuple[Recode, Recode]:
    forth = [bytes((i,)) if i < 128 else b"?" for i in range(256)]
    back: dict[int, int] = {}
    for code, character in rows:
        forth[code] = character
        back[decode(character, 0)[0]] = code
    same = bytes(i for i in range(256) if forth[i] == bytes((i,)))
    other = re.compile(b"[^%s]" % re.escape(same), re.S)

    def to_utf8(data: bytes) -> tuple[bytes, bytes]:
        return other.sub(lambda found: forth[found[0][0]], data), b""

    return Recode(to_utf8, False), Recode(lambda data: from_utf8(data, back), False)


_HIGH = re.compile(rb"[\x80-\xff]")

INVALID, INCOMPLETE = 0xFFFFFFFF, 0xFFFFFFFE


def decode(data: bytes, at: int) -> tuple[int, int]:
    """(character, where the next one begins) at *at*, or INVALID or INCOMPLETE for it. nginx: ngx_utf8_decode"""
    lead = data[at]
    if lead < 0x80:
        return lead, at + 1
    if lead >= 0xF8 or lead < 0xC2:
        return INVALID, at + 1
    if lead >= 0xF0:
        character, least, more = lead & 0x07, 0xFFFF, 3
    elif lead >= 0xE0:
        character, least, more = lead & 0x0F, 0x7FF, 2
    else:
        character, least, more = lead & 0x1F, 0x7F, 1
    if len(data) - at - 1 < more:
        return INCOMPLETE, at
    for i in range(at + 1, at + 1 + more):
        if data[i] < 0x80:
            return INVALID, i + 1
        character = character << 6 | data[i] & 0x3F
    return (character if character > least else INVALID), at + 1 + more


def from_utf8(data: bytes, back: dict[int, int]) -> tuple[bytes, bytes]:
    """*data* in the charset of *back*, what is not in it as `&#1234;`; and the beginning of a character at its end."""
    found = _HIGH.search(data)
    if found is None:
        return data, b""
    made = bytearray()
    at = 0
    while found is not None:
        start = found.start()
        made += data[at:start]
        character, at = decode(data, start)
        if character == INCOMPLETE:
            return bytes(made), data[start:]
        code = back.get(character)
        if code:
            made.append(code)
        elif character > 0x10FFFF:
            made.append(UNKNOWN)
        else:
            made += b"&#%d;" % character
        found = _HIGH.search(data, at)
    made += data[at:]
    return bytes(made), b""


class Recoder(Writer):
    """Recodes what is written."""

    __slots__ = ("call", "kept", "r")

    def __init__(self, inner: Writer, r: Request, recode: Recode) -> None:
        self.inner = inner
        self.r = r
        self.call = recode.call
        self.kept = b""

    def write(self, parts: Parts, flush: bool = False) -> None:
        sent = []
        for data in in_memory(self.r, parts):
            made, self.kept = self.call(self.kept + bytes(data) if self.kept else bytes(data))
            if made:
                sent.append(made)
        if sent or flush:
            self.inner.write(sent, flush)


# ---- the filter


def link(loc: CoreLoc) -> Filter | None:
    """The filter of *loc*: also where it names no charset itself, if the configuration knows any (for subrequests)."""
    main: CharsetMain = loc.main[CharsetMain]
    if not main.used:
        return None
    conf = loc[CharsetConf]
    of_type = tester(conf.types)
    target_of = _reader(main, conf.charset)
    source_of = _reader(main, conf.source)

    def known(name: bytes) -> tuple[bytes, bytes]:
        key = name.lower()
        return (key if key in main.names else b"", name)

    def wanted(r: Request, own: bytes) -> tuple[bytes, bytes] | None:
        """The charset that the answer shall have. nginx: ngx_http_destination_charset"""
        out = r.out
        if not out.content_type:
            return None
        if out.override_charset:
            found = known(out.override_charset)
            if found[0]:
                return found
            r.log.error(f'unknown charset "{shown(found[1])}" to override', ctx=r.c)
            return None
        if target_of is None or (not conf.override if own else not of_type(out)):
            return None
        return target_of(r)

    def of_main(r: Request) -> tuple[bytes, bytes] | None:
        """The charset of the answer that a subrequest is a part of."""
        whole = r.main
        known_already: tuple[bytes, bytes] | None = whole.ctx.get(CharsetConf)
        if known_already is None:
            name = whole.out.charset or split_charset(whole.out.content_type)[1]
            if name:
                known_already = whole.ctx[CharsetConf] = known(name)
        return known_already

    def charset(r: Request, next: Send) -> Writer:
        out = r.out
        bare, own = split_charset(out.content_type)
        own = own or out.charset
        target = wanted(r, own) if r.main is r else of_main(r)
        if target is None:
            return next(r)
        source = known(own) if own else source_of(r) if source_of is not None else None
        if source is None:
            name(r, out.content_type, target[1])
            return next(r)
        if not target[0] or not source[0]:
            if target[0] == source[0] and target[1].lower() == source[1][: len(target[1])].lower():
                name(r, out.content_type, target[1])
                return next(r)
            return unmapped(r, source, target, next)
        if source[0] == target[0]:
            name(r, bare, target[1])
            return next(r)
        if out.content_encoding:
            return next(r)
        recode = main.maps.get((source[0], target[0]))
        if recode is None:
            return unmapped(r, source, target, next)
        name(r, bare, target[1])
        r.ctx[CharsetConf] = (target[0], main.names[target[0]])
        if r.main is r and not recode.same_length:
            out.content_length = -1
        inner = next(r)
        return inner if r.header_only else Recoder(inner, r, recode)

    return charset


def _reader(main: CharsetMain, named: Any) -> Callable[[Request], tuple[bytes, bytes] | None] | None:
    """What gives the charset that a directive names; None: it is off."""
    if named == OFF:
        return None
    if isinstance(named, bytes):
        constant = (named, main.names[named])
        return lambda r: constant
    get = named.get

    def read(r: Request) -> tuple[bytes, bytes] | None:
        made: bytes | None = get(r)
        if made is None:  # nginx closes the connection
            return None
        key = made.lower()
        return (key if key in main.names else b"", made)

    return read


def name(r: Request, content_type: bytes, charset: bytes) -> None:
    """Say *charset* in the head, but for redirects: old browsers took it for the next page's."""
    if r.main is not r:
        return
    out = r.out
    if out.status in (301, 302):
        out.charset = b""
        return
    out.content_type = content_type
    if not split_charset(content_type)[1]:
        out.charset = charset


def unmapped(r: Request, source: tuple[bytes, bytes], target: tuple[bytes, bytes], next: Send) -> Writer:
    """There is no map: the answer stays as it is."""
    r.log.error(f'no "charset_map" between the charsets "{shown(source[1])}" and "{shown(target[1])}"', ctx=r.c)
    return next(r)


module = Module(name="http_charset_filter", confs=(CharsetMain, CharsetConf), header_filter=link)
