"""The chain of filters: one function per filter sees the head, and may wrap the writer that takes the body.

nginx: ngx_http_core_module.c (ngx_http_send_header, ngx_http_output_filter), ngx_http_postpone_filter_module.c
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from geng.errors import GengError
from geng.http import special
from geng.http.request import bind
from geng.http.response import new_response

if TYPE_CHECKING:
    from geng.http.module import Filter
    from geng.http.request import Request
    from geng.net.connection import Connection


class ClientGone(GengError):
    """The client of this request cannot be written to any more; the connection is to be closed, nothing to be said."""


class FileSlice:
    """Bytes of an open file as a part of a body: *length* bytes of *fd* from *offset*."""

    __slots__ = ("fd", "length", "offset")

    def __init__(self, fd: int, offset: int, length: int) -> None:
        self.fd = fd
        self.offset = offset
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __repr__(self) -> str:
        return f"<FileSlice fd {self.fd} {self.offset}+{self.length}>"

    def read(self) -> bytes:
        """All of it as bytes (filters that must see the body)."""
        from os import pread

        data = pread(self.fd, self.length, self.offset)
        while len(data) < self.length:
            more = pread(self.fd, self.length - len(data), self.offset + len(data))
            if not more:
                break
            data += more
        return data


Parts = Sequence[Any]
"""bytes-like objects and FileSlices."""


class Writer:
    """Takes a response's body. A filter's writer passes on to *inner* what it does not keep.

    write(parts, flush): parts of the body; *flush* asks that nothing be held back.
    end(): the body is complete.  abort(): it will not be completed: whoever reads it must notice.
    splice_target(): the client's connection when bytes may go there past every writer (head already sent), else None.
    spliced(n): n bytes went that way.
    """

    __slots__ = ("inner",)

    def __init__(self, inner: Writer) -> None:
        self.inner = inner

    def write(self, parts: Parts, flush: bool = False) -> None:
        self.inner.write(parts, flush)

    def end(self) -> None:
        self.inner.end()

    def abort(self) -> None:
        self.inner.abort()

    def splice_target(self) -> Connection | None:
        return None

    def spliced(self, n: int) -> None:
        raise NotImplementedError("nothing is spliced past this writer")


class Discard(Writer):
    """Takes a body that nobody wants."""

    __slots__ = ()

    def __init__(self) -> None:
        pass

    def write(self, parts: Parts, flush: bool = False) -> None:
        pass

    def end(self) -> None:
        pass

    def abort(self) -> None:
        pass


class Memory(Writer):
    """Collects the body of a subrequest that was asked for in memory; for one that is too long all of the request ends.

    nginx: ngx_http_postpone_filter_in_memory
    """

    __slots__ = ("kept", "room", "sub")

    def __init__(self, sub: Request, kept: list[bytes]) -> None:
        self.sub = sub
        self.kept = kept
        self.room = sub.loc.subrequest_output_buffer_size

    def write(self, parts: Parts, flush: bool = False) -> None:
        for part in parts:
            data = part.read() if type(part) is FileSlice else bytes(part)
            if len(data) > self.room:
                raise self.too_big()
            self.room -= len(data)
            self.kept.append(data)

    def too_big(self) -> ClientGone:
        """Say so."""
        sub = self.sub
        length = sub.out.content_length
        known = f": {length}" if length > sub.loc.subrequest_output_buffer_size else ""
        sub.log.error(f"too big subrequest response{known}", ctx=sub.c)
        return ClientGone()

    def end(self) -> None:
        pass

    def abort(self) -> None:
        pass


class Postpone(Writer):
    """A subrequest's body goes where the main request's goes, below the main's own filters of content."""

    __slots__ = ("sub",)

    def __init__(self, inner: Writer, sub: Request) -> None:
        self.inner = inner
        self.sub = sub

    def write(self, parts: Parts, flush: bool = False) -> None:
        if parts:
            self.sub.wrote = True
        self.inner.write(parts, flush)

    def end(self) -> None:
        self.inner.write((), True)

    def abort(self) -> None:
        self.inner.abort()


class Joint(Writer):
    """Below the upper filters of a request whose body goes on with that of subrequests: their end is not its end."""

    __slots__ = ()

    def end(self) -> None:
        pass


DISCARD = Discard()

Send = Callable[["Request"], Writer]


def chain(filters: Iterable[Filter], last: Send) -> Send:
    """One function out of *filters* (the first sees the head first) and what stands behind them."""
    send = last
    for each in reversed(list(filters)):
        send = _linked(each, send)
    return send


def _linked(each: Filter, following: Send) -> Send:
    return lambda r: each(r, following)


def below_postpone(lower: Send) -> Send:
    """The main request's filters below the one where subrequests join; remembers the writer for them."""

    def send(r: Request) -> Writer:
        r.sink = writer = lower(r)
        return Joint(writer) if r.joins_pieces and r.main is r else writer

    return send


def subrequest_sink(r: Request) -> Writer:
    """Where the upper filters of a subrequest end."""
    r.header_sent = True
    inside: Request | None = r
    while inside is not None:  # what a subrequest in memory includes is in memory with it
        if inside.memory is not None:
            return Memory(inside, inside.memory)
        if inside.background:
            return DISCARD
        inside = inside.parent
    sink = r.main.sink
    return DISCARD if sink is None else Postpone(sink, r)


def refuse(r: Request, status: int, keep: bool = False) -> Writer:
    """From a header filter: answer with *status* in place of what was being sent (ngx_http_filter_finalize_request).

    The head made so far is forgotten unless *keep*; the writer takes the body that nobody wants now.
    """
    if not keep:
        r.out = new_response()
    special.respond(r, status)
    return DISCARD


def send_head(r: Request) -> Writer:
    """Send the head of *r* through its location's filters (ngx_http_send_header)."""
    if r.post_action:
        r.header_sent = True
        return DISCARD
    if r.header_sent:
        r.log.alert("header already sent", ctx=r.c)
        raise ClientGone
    if r.err_status:
        r.out.status = r.err_status
        r.out.line = b""
    if r.main is r:
        return r.hot.send_head(r)
    return r.loc.send_subhead(r)


bind(send_head=send_head)
