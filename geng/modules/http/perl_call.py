"""One call of a Perl function for a request, and what the methods of $r do.

nginx: nginx.xs, ngx_http_perl_module.c (ngx_http_perl_call_handler)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from geng.conf.convert import to_text
from geng.errors import GengError
from geng.hot.uri import unescape_uri
from geng.http.files import opener, shown
from geng.http.filters import ClientGone, FileSlice, Writer
from geng.http.module import ERROR, OK
from geng.modules.http.perl_process import chopped
from geng.modules.http.perl_wire import pack

if TYPE_CHECKING:
    from geng.http.request import Request

_numbers = count(1)


class Croak(GengError):
    """A method fails, and so does the handler; *status* is what the request ends with, 0 for the connection."""

    def __init__(self, message: bytes, status: int = 0) -> None:
        super().__init__(message, status)
        self.message = message
        self.status = status


class State:
    """What Perl's calls for one request share.   nginx: ngx_http_perl_ctx_t"""

    __slots__ = ("header_sent", "number", "variables", "waits", "writer")

    def __init__(self) -> None:
        self.number = b"%d" % next(_numbers)
        self.header_sent = False
        self.waits = False  # a handler is kept by Perl for later
        self.writer: Writer | None = None
        self.variables: dict[str, bytes] = {}  # set by Perl, and nobody else's


def state(r: Request) -> State:
    """The state of *r*; another after an internal redirect."""
    found: State | None = r.ctx.get(State)
    if found is None:
        found = r.ctx[State] = State()
    return found


class Result(NamedTuple):
    """How a call ended: ok, died or error."""

    how: bytes
    value: bytes = b""
    after: bytes = b""  # "body", or so many ms: when the next handler is to be called
    redirect: bytes = b""
    status: int = 0


class Call:
    """A call of the function *code*: `#2` the third that was compiled, `=name`, `+` the one that waits."""

    def __init__(self, r: Request, code: bytes, args: Sequence[bytes] = (), variable: bool = False) -> None:
        self.r = r
        self.state = state(r)
        self.code = code
        self.args = args
        self.variable = variable

    def __repr__(self) -> str:
        return f"<Call {self.code!r} of {self.r!r}>"

    def frame(self) -> bytes:
        """What asks for it."""
        r = self.r
        has_body = r.content_length_n > 0 or r.chunked_body
        flags = bytes((self.variable, self.state.header_sent, has_body, r.header_only))
        known = r.uri, r.args, r.method, r.c.addr_text
        return pack(b"C", self.code, self.state.number, flags, *known, *self.args)

    def result(self, fields: list[bytes]) -> Result:
        """What the frame that ends it says."""
        how, value, after, redirect, status = fields
        if after:
            self.state.waits = True
        return Result(how, value, after, redirect, int(status))

    def answer(self, fields: list[bytes]) -> bytes:
        """The frame that answers a question."""
        name, *args = fields
        try:
            found = ANSWERS[name](self, *args)
        except Croak as croak:
            return pack(b"e", b"%d" % croak.status, croak.message)
        return pack(b"a") if found is None else pack(b"a", found)

    def do(self, fields: list[bytes]) -> None:
        """What is not asked but told."""
        name, *args = fields
        ORDERS[name](self, *args)

    def put(self, parts: Sequence[FileSlice | bytes], flush: bool = False) -> None:
        """Output, where there is somewhere to go."""


# ---- questions


def header_in(call: Call, name: bytes) -> bytes | None:
    """The header's values in one."""
    name = name.lower()
    return call.r.head.joined(name, b"; " if name == b"cookie" else b", ")


def filename(call: Call) -> bytes:
    """The file that the URI stands for."""
    return call.r.loc.path_of(call.r)


def variable(call: Call, name: bytes) -> bytes | None:
    """nginx's variable, or else Perl's own."""
    found, value = _variable(call, name)
    return call.state.variables.get(found) if value is None else value


def _variable(call: Call, name: bytes) -> tuple[str, bytes | None]:
    found = to_text(name).lower()
    get = call.r.loc.main.variables.getter(found)
    return found, get(call.r) if get is not None else None


def set_variable(call: Call, name: bytes, value: bytes) -> None:
    """Only a variable that the configuration uses, and that has a value, changes for others too."""
    r = call.r
    found, before = _variable(call, name)
    if before is None:
        call.state.variables[found] = value
    elif found in r.loc.main.variables.used:
        r.vars[found] = value


def unescape(call: Call, text: bytes, kind: bytes) -> bytes:
    return unescape_uri(text, int(kind))


def request_body(call: Call) -> bytes | None:
    """A body that is in memory."""
    body = call.r.body
    return (body.data() or None) if body is not None else None


def request_body_file(call: Call) -> bytes | None:
    """The name of the file that a body is in."""
    body = call.r.body
    return body.file.name.encode("utf-8", "surrogateescape") if body is not None and body.file is not None else None


def discard_request_body(call: Call) -> None:
    rc = call.r.discard_body()
    if rc != OK:
        raise Croak(b"ngx_http_discard_request_body() failed", rc)


def send_http_header(call: Call, *content_type: bytes) -> bytes:
    """Send the head; whether that is all that the client wants."""
    r = call.r
    if r.out.status == 0:
        r.out.status = 200
    if content_type:
        r.out.content_type = content_type[0]
    else:
        r.set_content_type()
    call.state.header_sent = True
    r.disable_not_modified = True
    try:
        call.state.writer = r.send_head()
    except ClientGone:
        r.hc.broken = True
        raise Croak(b"ngx_http_send_header() failed", ERROR) from None
    return b"1" if r.header_only else b"0"


def sendfile(call: Call, name: bytes, offset: bytes, size: bytes) -> None:
    """A file, or a part of one."""
    r = call.r
    of = opener(r.loc)(r, name.partition(b"\0")[0])
    if of.fd < 0:
        if of.err:
            r.log.crit(f'{of.failed} "{shown(name)}" failed', err=of.err, ctx=r.c)
        raise Croak(b"ngx_open_cached_file() failed")
    start = max(int(offset), 0)
    length = int(size) or of.size - start
    if length > 0:
        call.put((FileSlice(of.fd, start, length),))


ANSWERS: dict[bytes, Callable[..., bytes | None]] = {
    b"header_in": header_in,
    b"filename": filename,
    b"variable": variable,
    b"set_variable": set_variable,
    b"unescape": unescape,
    b"request_body": request_body,
    b"request_body_file": request_body_file,
    b"discard_request_body": discard_request_body,
    b"send_http_header": send_http_header,
    b"sendfile": sendfile,
}


# ---- orders


def status(call: Call, code: bytes) -> None:
    call.r.out.status = int(code)


def header_out(call: Call, name: bytes, value: bytes, number: bytes) -> None:
    """One more line; those that filters look at have fields of their own."""
    out = call.r.out
    known = name.lower()
    if known == b"content-length":
        out.content_length = int(number)
    elif known == b"content-encoding":
        out.content_encoding = value
    else:
        out.add(name, value)


def allow_ranges(call: Call) -> None:
    call.r.allow_ranges = True


def log_error(call: Call, number: bytes, message: bytes) -> None:
    text = to_text(message.partition(b"\0")[0])
    call.r.log.error(f"perl: {text}", err=int(number) or None, ctx=call.r.c)


ORDERS: dict[bytes, Callable[..., None]] = {
    b"status": status,
    b"header_out": header_out,
    b"allow_ranges": allow_ranges,
    b"log_error": log_error,
}


def failed(call: Call, name: str, result: Result) -> int:
    """Say why a call failed; what the request ends with."""
    if result.how == b"error":
        return result.status or ERROR
    call.r.log.error(f'call_sv("{name}") failed: "{chopped(result.value)}"', ctx=call.r.c)
    return ERROR if call.state.header_sent or call.variable else 500
