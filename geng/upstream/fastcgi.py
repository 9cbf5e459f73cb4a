"""FastCGI toward an application: requests in records, and responses read out of them.

nginx: ngx_http_fastcgi_module.c (ngx_http_fastcgi_create_request, …process_header, …input_filter)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_text
from geng.hot.http1 import CGI, DONE, HEAD, NEED_MORE, ResponseHead, parse_response
from geng.http.filters import FileSlice
from geng.upstream.cgi import CgiAdapter
from geng.upstream.engine import READING_HEAD, Exchange
from geng.upstream.framing import NOTHING, TOO_MUCH, Framing
from geng.upstream.pipe import READING
from geng.wire.fastcgi import (
    BODY_CONTENT,
    END_OF_BODY,
    END_REQUEST,
    ENDED,
    FAULT,
    HEADER,
    MORE,
    MOST_CONTENT,
    STDERR,
    STDIN,
    STDOUT,
    Records,
    begin,
    body_cuts,
    header,
    padding_of,
    params,
    record,
)

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.request import Request
    from geng.http.script import Value
    from geng.upstream.conf import UpstreamConf
    from geng.upstream.params import Params

END_OF_MESSAGE = b"\r\n. "
"""What nginx leaves off the end of what came in stderr."""


def complain(u: Exchange, text: bytes, action: str) -> bytes:
    """Log what an application said in its stderr; the message that was logged."""
    message = text[:1] + text[1:].rstrip(END_OF_MESSAGE)
    u.log_error(f'FastCGI sent in stderr: "{to_text(message)}"', action)
    return message


class FastcgiAdapter(CgiAdapter):
    """One location's way to its FastCGI application. *caught*: what in stderr makes a response invalid."""

    feeds = False

    def __init__(
        self, loc: CoreLoc, conf: UpstreamConf, params: tuple[Params, Params], target: Value | None,
        keep: bool, caught: Sequence[bytes],
    ) -> None:  # fmt: skip
        CgiAdapter.__init__(self, loc, conf, b"fastcgi://", params, target)
        self.keeps = keep
        self.caught = caught
        self.start = begin(keep)

    def wants_stream(self, r: Request) -> bool:
        return True

    # ---- the request

    def create_request(self, u: Exchange) -> Sequence[Any]:
        content = self.make_params(u)
        if len(content) > MOST_CONTENT:
            u.r.log.alert(f"fastcgi request record is too big: {len(content)}", ctx=u.r.c)
            return ()
        head = self.start + params(content)
        if u.stream is not None:
            return (head,)
        body = u.r.body
        if body is None or not body.length or not self.pass_body:
            return (head + END_OF_BODY,)
        data = body.data() if body.length <= BODY_CONTENT else None
        if data is not None:
            return (head + record(STDIN, data) + END_OF_BODY,)
        return [head, *self.in_records(body.parts()), END_OF_BODY]

    def in_records(self, parts: Sequence[Any]) -> list[Any]:
        """A body's parts in records. A part of a file stays one."""
        out: list[Any] = []
        for part in parts:
            in_file = type(part) is FileSlice
            view = None if in_file else memoryview(part)
            for offset, length in body_cuts(part.length if in_file else len(part)):
                padding = padding_of(length)
                out.append(header(STDIN, length, padding))
                if view is None:
                    out.append(FileSlice(part.fd, part.offset + offset, length))
                else:
                    out.append(view[offset : offset + length])
                if padding:
                    out.append(bytes(padding))
        return out

    def encode(self, u: Exchange, parts: list[bytes], last: bool) -> list[bytes]:
        """nginx: ngx_http_fastcgi_body_output_filter"""
        out = self.in_records(parts)
        if last:
            out.append(END_OF_BODY)
        return out

    # ---- the response

    def parse(self, u: Exchange, data: bytes) -> ResponseHead:
        reading = u.vars
        if reading is None or reading.attempt is not u.state:
            u.vars = reading = HeadReader(u.state, self.caught)
        head: ResponseHead = reading.read(u, data)
        return head

    def parse_stored(self, u: Exchange, data: bytes) -> ResponseHead:
        head = HeadReader(None, ()).read(u, data)
        u.fault = None  # what is wrong with a stored response is not the upstream's fault
        return head

    def spare(self, u: Exchange, data: bytes) -> bytes:
        """However much came in stderr before the response, the buffer is there for the response."""
        reading: HeadReader = u.vars
        return reading.forget(data)

    def head_start(self, u: Exchange) -> int:
        start: int = u.vars.before
        return start

    def headed(self, u: Exchange, head: ResponseHead) -> None:
        """A FastCGI application cannot change the protocol."""

    def framing(self, u: Exchange, head: ResponseHead) -> Framing:
        """nginx: ngx_http_fastcgi_input_filter_init"""
        rest = head.content_length_n
        if head.status == 204 or head.status == 304:
            rest = 0
        return InRecords(u, u.vars.records, rest, self.keeps)


class HeadReader:
    """Reads one response's head, which records may cut anywhere. *attempt*: the try that it belongs to; *before*: where
    the first record of it begins; *text*: what there is of a head that is not complete.

    The ResponseHead reads the received bytes where they are, if one piece of one record holds it, as most do; else a
    copy of them that has the records' headers before it instead of between, so that it ends at the same place.
    """

    __slots__ = ("attempt", "before", "caught", "head", "records", "settled", "text")

    def __init__(self, attempt: Any, caught: Sequence[bytes]) -> None:
        self.attempt = attempt
        self.caught = caught
        self.records = Records()
        self.before = 0
        self.text = b""
        self.head = parse_response(b"", 0, -1, CGI)
        self.settled = False

    def __repr__(self) -> str:
        return f"<HeadReader {self.records!r} {self.head!r}>"

    def read(self, u: Exchange, data: bytes) -> ResponseHead:
        """Go on in *data*, which begins with what it began with before; sets u.fault where that cannot be."""
        records = self.records
        while not self.settled and u.fault is None:
            kind = records.step(data)
            if kind == MORE:
                break
            if kind == FAULT:
                u.fault = records.fault
            elif kind == STDERR:
                self._stderr(u, data[records.start : records.stop])
            elif kind != STDOUT:
                u.fault = f"upstream sent unexpected FastCGI record: {kind}"
            elif records.start == records.stop:
                u.fault = "upstream prematurely closed FastCGI stdout"
            else:
                self._stdout(data, records.start, records.stop)
        return self.head

    def _stderr(self, u: Exchange, text: bytes) -> None:
        if not text:
            return
        message = complain(u, text, READING_HEAD)
        if any(pattern in message for pattern in self.caught):
            u.fault = ""

    def _stdout(self, data: bytes, start: int, stop: int) -> None:
        if self.text:
            self.text += data[start:stop]
            self.head.feed(self.text)
        else:
            self.before = start - HEADER
            self.head = parse_response(data, start, stop, CGI)
        head = self.head
        if head.rc == NEED_MORE:
            if not self.text:
                self.text = data[start:stop]
                self.head = parse_response(self.text, 0, -1, CGI)
            return
        self.settled = True
        if head.rc != DONE:
            return
        if self.text:
            end = stop - (len(self.text) - head.end)
            before = end - head.end
            self.head = head = parse_response(bytes(before) + self.text[: head.end], before, -1, CGI)
        self.records.length += stop - head.end

    def forget(self, data: bytes) -> bytes:
        """What of *data*, all of which is read, is needed from now on."""
        records = self.records
        if self.text:
            data = data[self.before :]
        else:
            data = records.rest()
        self.before = 0
        records.pos = len(data)
        return data


class InRecords(Framing):
    """A body in records. *rest*: what is left of Content-Length, -1 without one, -2 where it may also be left out."""

    __slots__ = ("buffered", "failure", "first", "keep", "records", "rest", "u")

    plain = False

    def __init__(self, u: Exchange, records: Records, rest: int, keep: bool) -> None:
        Framing.__init__(self, 8 if keep and u.buffering else -1)
        self.u = u
        self.records = records
        self.rest = -2 if rest and u.r.method_id == HEAD else rest
        self.keep = keep
        self.buffered = u.buffering
        self.first = True
        self.failure = "invalid"

    def feed(self, data: bytes) -> Sequence[Any]:
        """nginx: ngx_http_fastcgi_input_filter, …non_buffered_filter"""
        if self.done:
            self.over = True
            return NOTHING
        records = self.records
        records.pos = 0
        parts: list[bytes] = []
        while not self.done and not self.error:
            kind = records.step(data)
            if kind == MORE:
                break
            if kind == FAULT:
                self.error = records.fault
            elif kind == STDERR:
                if records.start != records.stop:
                    complain(self.u, data[records.start : records.stop], READING)
            elif kind == ENDED:
                self._end(records.pos != len(data))
            elif kind == END_REQUEST:
                self._last_record()
            elif records.start == records.stop:
                self._stdout_closed()
            else:
                self._take(data[records.start : records.stop], parts)
        self.first = False
        return parts

    def _end(self, over: bool) -> None:
        self.done = True
        self.over = over
        self.left = 0 if self.keep else -1

    def _last_record(self) -> None:
        if self.rest > 0:
            self._cut("upstream prematurely closed FastCGI request")

    def _stdout_closed(self) -> None:
        """Where the connection will be closed anyway, nobody waits for the rest if all of this came with the head.

        Later it is waited for, as nginx does: an application need not bear to see the connection closed before it has
        sent its last record.
        """
        if not self.buffered:
            return
        if self.rest > 0:
            self._cut("upstream prematurely closed FastCGI stdout")
        elif not self.keep and self.first:
            self._end(False)

    def _cut(self, message: str) -> None:
        """The response is not all there; what there is of it passes."""
        self.error = message
        self.failure = "error"

    def _take(self, piece: bytes, parts: list[bytes]) -> None:
        rest = self.rest
        if rest == -2:
            self.rest = rest = self.u.head.content_length_n if self.u.head is not None else -1
        if rest >= 0 and len(piece) > rest:
            self.warning = TOO_MUCH
            self._end(True)
            piece = piece[:rest]
        elif rest > 0:
            self.rest = rest - len(piece)
        if piece:
            parts.append(piece)
