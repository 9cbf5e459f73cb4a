"""A request's body: received into memory or a file, as a stream, or thrown away.

nginx: ngx_http_request_body.c
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from geng.core.tempfile import TempFile
from geng.errors import ConnectionClosed, GengError, TimedOut
from geng.http.filters import ClientGone, FileSlice
from geng.http.module import OK
from geng.http.request import bind
from geng.wire.http1 import CONTINUE, DONE, NEED_MORE, Chunked

if TYPE_CHECKING:
    from geng.http.request import Request

READ_SIZE = 65536
DISCARD_SIZE = 16384


class BodyFailed(GengError):
    """The body cannot be received; *status* is what the request ends with (already logged)."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class RequestBody:
    """A body that is all here. *file* holds all of it where it did not fit in memory."""

    __slots__ = ("file", "length", "memory")

    def __init__(self) -> None:
        self.memory: list[bytes] = []
        self.file: TempFile | None = None
        self.length = 0

    def __repr__(self) -> str:
        return f"<RequestBody {self.length} bytes{' in a file' if self.file else ''}>"

    def parts(self) -> list[Any]:
        """What to send on: bytes, or one FileSlice."""
        if self.file is not None:
            return [FileSlice(self.file.fd, 0, self.length)] if self.length else []
        return self.memory

    def data(self) -> bytes | None:
        """The bytes; None when they are in a file."""
        if self.file is not None:
            return None
        if len(self.memory) > 1:
            self.memory = [b"".join(self.memory)]
        return self.memory[0] if self.memory else b""


class BodyReader:
    """Takes a body's bytes from the connection: first what came with the head, then what arrives."""

    __slots__ = ("c", "chunked", "done", "limit", "r", "received", "rest")

    def __init__(self, r: Request, limit: int = 0) -> None:
        self.r = r
        self.c = r.c
        self.limit = limit  # client_max_body_size, 0 for none; a length has been compared with it already
        self.received = 0  # bytes of body, decoded
        self.chunked = Chunked() if r.chunked_body else None
        self.rest = max(r.content_length_n, 0)
        self.done = self.chunked is None and self.rest == 0

    def __repr__(self) -> str:
        return f"<BodyReader {self.received} bytes{' done' if self.done else ''}>"

    def take(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Body parts in *data*, and what of it comes after the body. Raises BodyFailed."""
        chunked = self.chunked
        if chunked is None:
            rest = self.rest
            size = len(data)
            if size <= rest:
                self.rest = rest - size
                self.done = size == rest
                self.received += size
                self.r.request_length += size
                return ([data] if data else []), b""
            self.rest = 0
            self.done = True
            self.received += rest
            self.r.request_length += rest
            return ([data[:rest]] if rest else []), data[rest:]
        return self._take_chunks(chunked, data)

    def _take_chunks(self, chunked: Chunked, data: bytes) -> tuple[list[bytes], bytes]:
        spans = chunked.feed(data)
        parts = [data[start:stop] for start, stop in spans]
        before = self.received
        self.received += sum(map(len, parts))
        if chunked.rc not in (NEED_MORE, DONE):
            self.r.log.error("client sent invalid chunked body", ctx=self.r.c)
            raise BodyFailed(400)
        if self.limit and self.limit < self.received + chunked.length:
            self.r.log.error(
                f"client intended to send too large chunked body: {before}+{self.received + chunked.length - before} bytes",
                ctx=self.r.c,
            )
            raise BodyFailed(413)
        if chunked.rc == DONE:
            self.done = True
            self.r.request_length += chunked.pos
            return parts, data[chunked.pos :]
        self.r.request_length += len(data)
        return parts, b""

    def preread(self) -> list[bytes]:
        """What came with the head."""
        hc = self.r.hc
        data = hc.take_buffer()
        if not data:
            return []
        parts, rest = self.take(data)
        hc.give_back(rest)
        return parts

    def read(self, size: int, ms: int) -> list[bytes]:
        """The next parts, waiting at most *ms* for them; [] when the body is complete. Raises BodyFailed."""
        r = self.r
        while not self.done:
            if self.chunked is None and self.rest < size:
                size = self.rest  # not into the next request
            try:
                data = self.c.read(size, ms)
            except TimedOut:
                r.log.info("client timed out", err=110, ctx=self.context())
                raise self._broken(408) from None
            except ConnectionClosed as error:
                r.log.info("recv() failed", err=error.error, ctx=self.context())
                raise self._broken(400) from None
            if not data:
                r.log.info("client prematurely closed connection", ctx=self.context())
                raise self._broken(400)
            parts, rest = self.take(data)
            r.hc.give_back(rest)
            if parts:
                return parts
        return []

    def poll(self, size: int) -> list[bytes] | None:
        """The next parts without waiting: None when they are not here yet, [] when the body is complete."""
        r = self.r
        while not self.done:
            n = min(size, self.rest) if self.chunked is None else size  # not into the next request
            try:
                data = self.c.recv(n)
            except ConnectionClosed as error:
                r.log.info("recv() failed", err=error.error, ctx=self.context())
                raise self.refuse(400) from None
            if data is None:
                return None
            if not data:
                r.log.info("client prematurely closed connection", ctx=self.context())
                raise self.refuse(400)
            parts, rest = self.take(data)
            r.hc.give_back(rest)
            if parts:
                return parts
        return []

    def context(self) -> Any:
        """What a log line says of where the request stood: nginx has no words for reading a body."""
        hc = self.r.hc
        upstream = self.r.upstream
        return hc.c if upstream is None or upstream.connection is None else hc.doing("sending request to upstream")

    def refuse(self, status: int) -> BodyFailed:
        """The body will not be complete: what the request ends with."""
        return self._broken(status)

    def _broken(self, status: int) -> BodyFailed:
        hc = self.r.hc
        hc.broken = True
        hc.timed_out = status == 408
        return BodyFailed(status)


# What takes BodyReader's place for HTTP/2 and HTTP/3, by version, and throws bodies away; bound by geng.http.v2.body and
# geng.http.v3.body.
framed_readers: dict[int, Callable[[Request, int, bool], BodyReader]] = {}
framed_discards: dict[int, Callable[[Any], object]] = {}


def bind_framed(version: int, reader: Callable[[Request, int, bool], BodyReader], discard: Callable[[Any], object]) -> None:
    """Read the bodies of requests of *version* (2000, 3000) with *reader*; discard(c) where nobody wants one."""
    framed_readers[version] = reader
    framed_discards[version] = discard


def open_reader(r: Request, limit: int, stream: bool) -> BodyReader:
    """The reader of *r*'s body. *limit*: client_max_body_size; *stream*: parts are taken when somebody has use for them."""
    version = r.head.http_version
    return BodyReader(r, limit) if version < 2000 else framed_readers[version](r, limit, stream)


def test_expect(r: Request) -> None:
    """Say `100 Continue` to a client that waits for it (ngx_http_test_expect). Raises BodyFailed."""
    if r.expect_tested or not 11 <= r.http_version < 20:
        return
    expect = r.head.expect
    if expect is None:
        return
    r.expect_tested = True
    if expect.lower() != b"100-continue":
        return
    try:
        r.c.send((CONTINUE,), r.loc.send_timeout)
    except (ConnectionClosed, TimedOut):
        r.hc.broken = True
        raise BodyFailed(500) from None


def has_body(r: Request) -> bool:
    return r.content_length_n > 0 or r.chunked_body


def read_body(r: Request) -> int:
    """Receive all of the body (ngx_http_read_client_request_body): OK, or the status to end with."""
    if r.main is not r or r.discarded:
        r.body = r.main.body or RequestBody()
        return OK
    loc = r.loc
    try:
        test_expect(r)
        r.body = body = RequestBody()
        if r.content_length_n < 0 and not r.chunked_body:
            return OK
        reader = open_reader(r, loc.client_max_body_size, False)
        r.hc.reading_body = True
        _collect(r, reader, body)
    except BodyFailed as failed:
        r.body = None
        return failed.status
    except OSError as error:
        r.log.crit("write() to the temporary file of the request body failed", err=error.errno, ctx=r.c)
        r.body = None
        return 500
    r.hc.reading_body = False
    return OK


def _collect(r: Request, reader: BodyReader, body: RequestBody) -> None:
    loc = r.loc
    buffer_size = loc.client_body_buffer_size
    plain = not r.chunked_body and r.head.http_version < 2000
    in_memory = buffer_size + (buffer_size >> 2) if plain else buffer_size
    room = _header_buffer(r) - r.request_length  # of what came with the head, so much would have been in nginx's buffer
    chunked, length = r.chunked_body, r.content_length_n  # reading may tell more
    parts = reader.preread()
    with_head = min(reader.received, room) if plain and room > 0 else 0
    whole = not chunked and length - with_head < in_memory
    held = 0
    while True:
        for part in parts:
            held += len(part)
            body.length += len(part)
        body.memory += parts
        if held > buffer_size and not whole:
            _to_file(r, body)
            held = 0
        if reader.done:
            break
        parts = reader.read(READ_SIZE if not whole else max(reader.rest, 1) if not r.chunked_body else READ_SIZE,
                            loc.client_body_timeout)  # fmt: skip
    if loc.client_body_in_file_only or r.body_in_file or (body.file is not None and body.memory):
        _to_file(r, body)


def _header_buffer(r: Request) -> int:
    """The size of the buffer that nginx would have read the head into."""
    small: int = r.srv.client_header_buffer_size
    return small if r.request_length <= small else r.srv.large_client_header_buffers[1]


def _to_file(r: Request, body: RequestBody) -> None:
    loc = r.loc
    if body.file is None:
        always = bool(loc.client_body_in_file_only)
        keep = always or r.body_in_file or r.names_body_file
        body.file = file = TempFile(loc.client_body_temp_path, persistent=keep)
        log = r.log.notice if always else r.log.warn
        name = file.name or loc.client_body_temp_path.name
        if not r.body_in_file and not (always and r.names_body_file):
            log(f"a client request body is buffered to a temporary file {name}", ctx=r.c)
        clean = loc.client_body_in_file_only == 2 or r.body_in_file or r.names_body_file
        r.on_end(lambda: file.close(delete=clean))
    body.file.write(body.memory)
    body.memory = []


class BodyStream:
    """A body that is passed on as it arrives (proxy_request_buffering off)."""

    __slots__ = ("pending", "r", "reader")

    def __init__(self, r: Request) -> None:
        """Raises BodyFailed."""
        self.r = r
        test_expect(r)
        self.reader = open_reader(r, r.loc.client_max_body_size, True)
        r.hc.reading_body = not self.reader.done
        self.pending = self.reader.preread()
        self._finish()

    def __repr__(self) -> str:
        return f"<BodyStream {self.reader!r}>"

    @property
    def done(self) -> bool:
        return self.reader.done and not self.pending

    def read(self, size: int = READ_SIZE) -> list[bytes]:
        """The next parts, [] at the end; waits for them. Raises BodyFailed."""
        if self.pending:
            parts, self.pending = self.pending, []
            return parts
        parts = self.reader.read(size, self.r.loc.client_body_timeout)
        self._finish()
        return parts

    def poll(self) -> list[bytes] | None:
        """The next parts without waiting, None when there are none yet, [] at the end. Raises BodyFailed."""
        if self.pending:
            parts, self.pending = self.pending, []
            return parts
        more = self.reader.poll(READ_SIZE)
        self._finish()
        return more

    def take_what_is_here(self) -> None:
        """Receive what has arrived already, up to client_body_buffer_size. Raises BodyFailed."""
        r = self.r
        most = r.loc.client_body_buffer_size
        while not self.reader.done and r.c.ready and self.reader.received < most:
            self.pending += self.reader.read(most, r.loc.client_body_timeout)
        self._finish()

    def whole(self) -> RequestBody:
        """The body as one that was read at once; only where all of it has come and nothing was taken yet."""
        body = RequestBody()
        body.memory, self.pending = self.pending, []
        body.length = self.reader.received
        return body

    def _finish(self) -> None:
        if self.reader.done:
            self.r.hc.reading_body = False


def discard_body(r: Request) -> int:
    """Read the body away (ngx_http_discard_request_body): what is here now, the rest after the response."""
    if r.main is not r or r.discarded or r.body is not None or r.hc.reading_body:
        return OK
    try:
        test_expect(r)
        if not has_body(r):
            return OK
        r.discarded = True
        if r.head.http_version > 1999:
            framed_discards[r.head.http_version](r.c)
            return OK
        reader = BodyReader(r)
        length = r.request_length
        reader.preread()
        r.request_length = length  # what nobody wanted does not count
    except BodyFailed as failed:
        return failed.status
    if reader.done:
        r.lingering = False
    else:
        r.hc.discarding = reader
    return OK


def finish_discard(r: Request, reader: BodyReader) -> bool:
    """After the response: read what is left of an unwanted body. False: the connection must be closed."""
    loc = r.loc
    until = monotonic() + loc.lingering_time / 1000
    try:
        while not reader.done:
            left = until - monotonic()
            if left <= 0:
                return False
            reader.read(DISCARD_SIZE, int(min(loc.lingering_timeout, left * 1000)) or 1)
    except (BodyFailed, ClientGone):
        return False
    r.lingering = False
    return True


bind(read_body=read_body, discard_body=discard_body)
