"""`ssi`: pages that include others, with variables and conditions.   nginx: ngx_http_ssi_filter_module.c

A page is read as it comes: text goes on at once, a command when all of it is there. What it includes is a subrequest that
runs at that moment, so that everything is in its place by itself.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag, size
from geng.conf.directive import Conf, Level, directive
from geng.conf.tables import HSL, LIF
from geng.core import escape
from geng.core.regex import PatternError, compile_pattern
from geng.hot.uri import HTML, escape_uri, parse_unsafe_uri
from geng.http import subrequest
from geng.http.files import in_memory
from geng.http.filters import ClientGone, Parts, Send, Writer
from geng.http.module import ERROR, NOCACHEABLE, OK, Filter, Module, Variable
from geng.http.types import mime_types, tester
from geng.modules.http import perl
from geng.modules.http.ssi_command import CLOSE, LONGEST, MAX_PARAMS, OPEN, TOO_LONG, SsiError, closing, parameters

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.request import Request

TIMEFMT = b"%A, %d-%b-%Y %H:%M:%S %Z"
ERRMSG = b"[an error occurred while processing the directive]"
NONE = b"(none)"
MAX_COMMAND = 32
IN_IF, IN_ELSE = 1, 2

#: command -> its parameters, and which of them must be there
COMMANDS: dict[bytes, tuple[frozenset[bytes], frozenset[bytes]]] = {
    b"include": (frozenset((b"virtual", b"file", b"wait", b"set", b"stub")), frozenset()),
    b"echo": (frozenset((b"var", b"default", b"encoding")), frozenset((b"var",))),
    b"config": (frozenset((b"errmsg", b"timefmt")), frozenset()),
    b"set": (frozenset((b"var", b"value")), frozenset((b"var", b"value"))),
    b"if": (frozenset((b"expr",)), frozenset((b"expr",))),
    b"elif": (frozenset((b"expr",)), frozenset((b"expr",))),
    b"else": (frozenset(), frozenset()),
    b"endif": (frozenset(), frozenset()),
    b"block": (frozenset((b"name",)), frozenset((b"name",))),
    b"endblock": (frozenset(), frozenset()),
    b"perl": (frozenset((b"sub", b"arg")), frozenset((b"sub",))),
}
#: what may be said more than once
MANY = {b"perl": b"arg"}
#: up to which state a command may come inside an `if`
CONTEXT = {b"elif": IN_IF, b"else": IN_IF, b"endif": IN_ELSE}

_NAME = re.compile(rb"\s*([A-Za-z]*)")
_LEFT = re.compile(rb"[A-Za-z0-9_${}\"']*")
_VARIABLE = re.compile(rb"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))|\$")


class SsiConf(Conf, level=Level.LOCATION):
    """A location's pages. ssi_min_file_chunk and ssi_ignore_recycled_buffers tune nginx's own buffers."""

    enable: bool = directive("ssi", HSL | LIF, flag, default=False)
    silent_errors: bool = directive("ssi_silent_errors", HSL, flag, default=False)
    ignore_recycled_buffers: bool = directive("ssi_ignore_recycled_buffers", HSL, flag, default=False)
    min_file_chunk: int = directive("ssi_min_file_chunk", HSL, size, default=1024)
    last_modified: bool = directive("ssi_last_modified", HSL, flag, default=False)
    value_length: int = directive("ssi_value_length", HSL, size, default=255)
    types: Any = directive("ssi_types", HSL, mime_types(), default=frozenset((b"text/html",)))


class Shared:
    """What all pages of one request share: variables by name, blocks by name, and the time format."""

    __slots__ = ("blocks", "timefmt", "variables")

    def __init__(self) -> None:
        self.variables: dict[bytes, bytes] = {}
        self.blocks: dict[bytes, bytes] = {}
        self.timefmt = TIMEFMT


def shared(r: Request) -> Shared:
    found: Shared | None = r.main.ctx.get(Shared)
    if found is None:
        found = r.main.ctx[Shared] = Shared()
    return found


def link(loc: CoreLoc) -> Filter | None:
    """The filter of one location."""
    conf: SsiConf = loc[SsiConf]
    if not conf.enable:
        return None
    handles = tester(conf.types)

    def ssi(r: Request, next: Send) -> Writer:
        if not r.out.content_type or not handles(r.out):
            return next(r)
        if r.main is r:
            r.out.clear_validators(weak=conf.last_modified)
        writer = next(r)
        return writer if r.header_only else Page(writer, r, conf)

    return ssi


class Page(Writer):
    """Reads one page."""

    __slots__ = ("block", "block_text", "chosen", "conditional", "conf", "encoding", "errmsg", "held", "lost", "output",
                 "r", "repeated", "shared")  # fmt: skip

    def __init__(self, inner: Writer, r: Request, conf: SsiConf) -> None:
        self.inner = inner
        self.r = r
        self.conf = conf
        self.shared = shared(r)
        self.held = b""
        self.encoding = b"entity"
        self.errmsg = ERRMSG
        self.output = True
        self.chosen = False
        self.conditional = 0
        self.block: bytes | None = None
        self.block_text = b""
        self.lost = False
        self.repeated: list[bytes] = []  # values of the parameter that a command may have more than once

    # ---- reading

    def write(self, parts: Parts, flush: bool = False) -> None:
        for data in in_memory(self.r, parts):
            self.feed(bytes(data))
        if flush:
            self.inner.write((), True)

    def end(self) -> None:
        rest, self.held = self.held, b""
        self.text(rest)
        self.inner.end()

    def feed(self, data: bytes) -> None:
        """More of the page."""
        data = self.held + data
        self.held = b""
        at = 0
        while True:
            if self.lost:
                stop = data.find(CLOSE, at)
                if stop < 0:
                    self.held = data[max(at, len(data) - len(CLOSE) + 1) :]
                    return
                at = stop + len(CLOSE)
                self.lost = False
                self.complain()
            start = data.find(OPEN, at)
            if start < 0:
                keep = next((n for n in range(len(OPEN) - 1, 0, -1) if data.endswith(OPEN[:n], at)), 0)
                self.text(data[at : len(data) - keep])
                self.held = data[len(data) - keep :]
                return
            stop = closing(data, start + len(OPEN), self.conf.value_length)
            self.text(data[at:start])
            if stop == TOO_LONG or (stop < 0 and len(data) - start > LONGEST + MAX_PARAMS * self.conf.value_length):
                self.too_long(data[start + len(OPEN) :])
                at = len(data)
                continue
            if stop < 0:
                self.held = data[start:]
                return
            self.command(data[start:stop], data[start + len(OPEN) : stop - len(CLOSE)])
            at = stop

    def text(self, data: bytes) -> None:
        """Text that is no command."""
        if self.block is not None:
            self.block_text += data
        elif data and self.output:
            self.inner.write((data,))

    def command(self, raw: bytes, inside: bytes) -> None:
        """A whole command, and what stands inside of it."""
        try:
            self.run(raw, inside)
        except SsiError as error:
            if error.args:
                self.log(str(error))
            self.complain()

    def complain(self) -> None:
        if not self.conf.silent_errors:
            self.text(self.errmsg)

    def too_long(self, begun: bytes) -> None:
        """A command that has not ended and must not grow: what follows is skipped, to the next `-->` whatever is quoted."""
        match = _NAME.match(begun)
        name = match[1].decode("latin-1") if match is not None else ""
        try:
            parameters(begun[match.end() :] if match is not None else b"", name, limit=self.conf.value_length)
            self.log(f'too long "{name}" SSI command')
        except SsiError as error:
            self.log(str(error))
        self.lost = True

    def log(self, message: str) -> None:
        self.r.log.error(message, ctx=self.r.c)

    def run(self, raw: bytes, inside: bytes) -> None:
        match = _NAME.match(inside)
        name = match[1] if match is not None else b""
        shown = name.decode("latin-1")
        known = COMMANDS.get(name)
        if known is None or (name == b"perl" and not perl.ready(self.r)):
            if self.output and self.block is None:
                raise SsiError(f'invalid SSI command: "{shown}"')
            self.text(raw)
            return
        if self.block is not None and name != b"endblock":
            self.block_text += raw
            return
        if not self.output and name not in (b"if", b"elif", b"else", b"endif", b"endblock"):
            return
        context = CONTEXT.get(name)
        if context is not None and (not self.conditional or self.conditional > context):
            raise SsiError(f'invalid context of SSI command: "{shown}"')
        self.repeated = []
        rest = inside[match.end() :] if match is not None else b""
        params = parameters(rest, shown, MANY.get(name), self.repeated, self.conf.value_length)
        allowed, needed = known
        for key in params:
            if key not in allowed:
                raise SsiError(f'invalid parameter name: "{key.decode("latin-1")}" in "{shown}" SSI command')
        for key in needed:
            if key not in params:
                raise SsiError(f'mandatory "{key.decode("latin-1")}" parameter is absent in "{shown}" SSI command')
        getattr(self, f"do_{shown}")(params)

    # ---- values

    def variable(self, name: bytes) -> bytes | None:
        """A variable of the page, a capture, or one of the configuration's."""
        if len(name) == 1 and name.isdigit():
            return self.r.capture(int(name)) if int(name) or self.r.captures is not None else None
        name = name.lower()
        found = self.shared.variables.get(name)
        if found is not None:
            return found
        getter = self.r.loc.main.variables.getter(name.decode("latin-1"))
        return getter(self.r) if getter is not None else None

    def evaluate(self, text: bytes, prefix: bool = False) -> bytes:
        """*text* with its variables; with *prefix* a relative one begins where the page is."""
        if b"$" in text or b"\\" in text:
            made = self.expand(text)
        else:
            made = text
        if prefix and made[:1] != b"/":
            made = self.r.uri[: self.r.uri.rfind(b"/") + 1] + made
        return made

    def expand(self, text: bytes) -> bytes:
        out = bytearray()
        at = 0
        while at < len(text):
            ch = text[at : at + 1]
            if ch == b"\\" and at + 1 < len(text):
                following = text[at + 1 : at + 2]
                out += following if following in b"\\'\"$" else ch + following
                at += 2
            elif ch == b"$":
                match = _VARIABLE.match(text, at)
                name = (match[1] or match[2]) if match is not None else None
                if match is None or name is None:
                    raise SsiError(f'invalid variable name in "{text.decode("utf-8", "surrogateescape")}"')
                if match[1] is None and name[:1].isdigit():
                    name = name[:1]
                    at += 2
                else:
                    at = match.end()
                out += self.variable(name) or b""
            else:
                out += ch
                at += 1
        return bytes(out)

    # ---- commands

    def do_include(self, params: dict[bytes, bytes]) -> None:
        uri, file = params.get(b"virtual"), params.get(b"file")
        if uri is not None and file is not None:
            shown = [text.decode("utf-8", "surrogateescape") for text in (uri, file)]
            raise SsiError(f'inclusion may be either virtual="{shown[0]}" or file="{shown[1]}"')
        path = uri if uri is not None else file
        if path is None:
            raise SsiError('no parameter in "include" SSI command')
        wait = params.get(b"wait")
        if b"set" in params and b"stub" in params:
            raise SsiError('"set" and "stub" cannot be used together in "include" SSI command')
        if wait is not None and wait.lower() not in (b"yes", b"no"):
            shown_wait = wait.decode("utf-8", "surrogateescape")
            raise SsiError(f'invalid value "{shown_wait}" in the "wait" parameter')
        parsed = parse_unsafe_uri(self.evaluate(path, prefix=True))
        if parsed is None:
            raise SsiError(f'unsafe URI "{path.decode("utf-8", "surrogateescape")}" was detected')
        self.include(*parsed, params.get(b"stub"), params.get(b"set"))

    def include(self, uri: bytes, args: bytes, stub: bytes | None, variable: bytes | None) -> None:
        try:
            sub = subrequest.make(self.r, uri, args, memory=variable is not None)
        except subrequest.SubrequestsCycle:
            raise SsiError from None
        if stub is not None:
            block = self.shared.blocks.get(stub)
            if block is None:
                self.log(f'"stub"="{stub.decode("latin-1")}" for "include" not found')
            else:
                sub.on_result = _stub(self, block)
        self.inner.write((), False)
        subrequest.run(sub)
        if variable is not None:
            kept = b"".join(sub.memory or ())
            self.shared.variables[variable.lower()] = kept

    def do_echo(self, params: dict[bytes, bytes]) -> None:
        found = self.variable(params[b"var"])
        if found is None:
            default = params.get(b"default")
            if default is None:
                found = NONE
            elif not default:
                return
            else:
                self.text(default)
                return
        encoding = params.get(b"encoding")
        if encoding in (b"entity", b"url", b"none"):
            self.encoding = encoding  # also for the echoes that follow
        elif encoding is not None:
            self.log(f'unknown encoding "{encoding.decode("latin-1")}" in the "echo" command')
        if self.encoding == b"entity":
            found = escape.html(found)
        elif self.encoding == b"url":
            found = escape_uri(found, HTML)
        self.text(found)

    def do_config(self, params: dict[bytes, bytes]) -> None:
        if b"timefmt" in params:
            self.shared.timefmt = params[b"timefmt"]
        if b"errmsg" in params:
            self.errmsg = params[b"errmsg"]

    def do_set(self, params: dict[bytes, bytes]) -> None:
        self.shared.variables[params[b"var"].lower()] = self.evaluate(params[b"value"])

    def do_if(self, params: dict[bytes, bytes]) -> None:
        if self.conditional:
            raise SsiError('the "if" command inside the "if" command')
        self.decide(params[b"expr"])

    def do_elif(self, params: dict[bytes, bytes]) -> None:
        self.decide(params[b"expr"])

    def decide(self, expr: bytes) -> None:
        if self.chosen:
            self.output = False
            return
        self.output = self.chosen = self.holds(expr)
        self.conditional = IN_IF

    def do_else(self, params: dict[bytes, bytes]) -> None:
        self.output = not self.chosen
        self.conditional = IN_ELSE

    def do_endif(self, params: dict[bytes, bytes]) -> None:
        self.output, self.chosen, self.conditional = True, False, 0

    def do_block(self, params: dict[bytes, bytes]) -> None:
        self.block, self.block_text = params[b"name"], b""

    def do_perl(self, params: dict[bytes, bytes]) -> None:
        rc = perl.ssi(self.r, params[b"sub"], self.repeated, self.inner)
        if rc == ERROR:
            self.r.hc.broken = True
            raise ClientGone
        if rc != OK:
            raise SsiError

    def do_endblock(self, params: dict[bytes, bytes]) -> None:
        if self.block is not None:
            self.shared.blocks[self.block] = self.block_text
        self.block = None

    def holds(self, expr: bytes) -> bool:
        """`$a`, `$a = text`, `$a != text`, `$a = /regex/`."""
        match = _LEFT.match(expr)
        end = match.end() if match is not None else 0
        left = self.evaluate(expr[:end].lower())
        rest = expr[end:].lstrip(b" ")
        if not rest:
            return bool(left)
        if rest[:1] == b"=":
            negative, right = False, rest[1:]
        elif rest[:2] == b"!=":
            negative, right = True, rest[2:]
        else:
            raise SsiError(f'invalid expression in "{expr.decode("utf-8", "surrogateescape")}"')
        right = right.lstrip(b" ")
        if len(right) > 1 and right[:1] == b"/":
            if right[-1:] != b"/" or len(right) < 2:
                raise SsiError(f'invalid expression in "{expr.decode("utf-8", "surrogateescape")}"')
            return self.matches(right[1:-1], left) != negative
        if right[:2] == b"\\/":
            right = right[1:]
        return (left == self.evaluate(right)) != negative

    def matches(self, pattern: bytes, subject: bytes) -> bool:
        try:
            compiled = compile_pattern(self.evaluate(pattern) if b"$" in pattern[:-1] else pattern)
        except PatternError as error:
            shown = pattern.decode("utf-8", "surrogateescape")
            raise SsiError(f'pcre2_compile() failed: {error.message} in "{shown}"') from None
        found = compiled.search(subject)
        if found is None:
            return False
        self.r.captures = found
        for name, number in compiled.names.items():
            self.shared.variables[name.lower().encode()] = found.group(number) or b""
        return True


def _stub(page: Page, block: bytes) -> Callable[[Request, int], int]:
    """What to do when the included request has ended: a failure or nothing brings the block instead."""

    def ended(sub: Request, rc: int) -> int:
        if sub.wrote:
            return rc
        page.feed(block)
        return 0

    return ended


def _date(local: bool) -> Callable[[Request], bytes]:
    def get(r: Request) -> bytes:
        found: Shared | None = r.main.ctx.get(Shared)
        fmt = found.timefmt if found is not None else TIMEFMT
        now = time.time()
        if fmt == b"%s":
            return b"%d" % now
        moment = time.localtime(now) if local else time.gmtime(now)
        return time.strftime(fmt.decode("utf-8", "surrogateescape"), moment).encode("utf-8", "surrogateescape")

    return get


module = Module(
    name="http_ssi_filter",
    confs=(SsiConf,),
    variables=(
        Variable("date_local", _date(True), NOCACHEABLE),
        Variable("date_gmt", _date(False), NOCACHEABLE),
    ),
    header_filter=link,
)
