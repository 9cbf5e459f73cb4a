"""Responses that are kept: written to a file while they pass to the client, and whether it stays or not.

nginx: ngx_event_pipe.c (cacheable pipes), ngx_http_upstream.c (ngx_http_upstream_store)

A client that goes does not end it: the response is fetched to its end.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_text
from geng.core.tempfile import TempFile
from geng.hot.dates import parse_http_time
from geng.http.filters import DISCARD, ClientGone, FileSlice, Writer
from geng.upstream.cache_access import move
from geng.upstream.pipe import READING, Buffered

if TYPE_CHECKING:
    from geng.hot.http1 import ResponseHead
    from geng.http.request import Request
    from geng.net.connection import Connection
    from geng.upstream.cache_access import CacheAccess
    from geng.upstream.engine import Exchange
    from geng.upstream.framing import Framing


class Keeper:
    """Where a response is kept. *file* is None once something went wrong."""

    def __init__(self, u: Exchange, file: TempFile) -> None:
        self.u = u
        self.r: Request = u.r
        self.file: TempFile | None = file
        self.fd = file.fd
        self.r.on_end(self.close)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.file!r}>"

    def write(self, parts: Sequence[Any]) -> None:
        """More of the body."""
        if self.file is None or not parts:
            return
        try:
            self.file.write(list(parts))
        except OSError as error:
            self.r.log.crit(f'pwritev() "{self.file.name}" failed', err=error.errno, ctx=self.r.hc.doing(READING))
            self.abandon()

    def commit(self, framing: Framing) -> None:
        """The response is whole."""
        raise NotImplementedError

    def abandon(self) -> None:
        """It will not be: nothing stays."""
        file, self.file = self.file, None
        if file is not None:
            try:
                os.unlink(file.name)
            except OSError as error:
                self.r.log.crit(f'unlink() "{file.name}" failed', err=error.errno, ctx=self.r.c)

    def close(self) -> None:
        """The request is over."""
        if self.file is not None:
            self.abandon()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class CacheKeeper(Keeper):
    """For the cache."""

    access: CacheAccess
    body_start = 0

    @classmethod
    def begin(cls, u: Exchange, access: CacheAccess, head: bytes) -> CacheKeeper | None:
        """A new file with its header; None where nothing can be stored."""
        beginning = access.begin_file(head)
        if beginning is None:
            return None
        cache = access.cache
        try:
            if cache.parameters.use_temp_path:
                file = TempFile(u.conf.temp_path, persistent=True)
            else:
                file = TempFile.beside(access.name)
        except OSError as error:
            u.r.log.crit(f'open() "{access.name}" failed', err=error.errno, ctx=u.r.c)
            return None
        made = cls(u, file)
        made.access = access
        made.write((beginning,))
        made.body_start = len(beginning)
        return made

    def commit(self, framing: Framing) -> None:
        if framing.left == -1 and not self._is_whole():
            self.abandon()
            return
        file, self.file = self.file, None
        if file is not None:
            self.access.commit(file)

    def _is_whole(self) -> bool:
        """Whether a body that the end of the connection ended has the length that was promised."""
        head = self.u.head
        if self.file is None or head is None or head.chunked:
            return True
        return head.content_length_n < 0 or head.content_length_n == self.file.size - self.body_start

    def abandon(self) -> None:
        super().abandon()
        self.access.release()


class StoreKeeper(Keeper):
    """For proxy_store."""

    head: ResponseHead

    @classmethod
    def begin(cls, u: Exchange, head: ResponseHead) -> StoreKeeper | None:
        """A new file; None where there can be none."""
        conf = u.conf
        try:
            file = TempFile(conf.temp_path, persistent=True, mode=conf.store_access)
        except OSError as error:
            u.r.log.crit("open() of a temporary file failed", err=error.errno, ctx=u.r.c)
            return None
        made = cls(u, file)
        made.head = head
        return made

    def commit(self, framing: Framing) -> None:
        file = self.file
        if file is None:
            return
        length = self.head.content_length_n
        if self.head.status != 200 or (length >= 0 and not self.head.chunked and length != file.size):
            self.abandon()
            return
        r = self.r
        value = self.u.conf.store_value
        path = r.loc.path_of(r) if value is None else value(r)
        if not path:
            self.abandon()
            return
        self.file = None
        name = to_text(path)
        modified = self.head.last_modified
        when = parse_http_time(modified) if modified is not None else -1
        try:
            os.fchmod(file.fd, self.u.conf.store_access)
            if when != -1:
                os.utime(file.fd, (when, when))
            move(file.name, name, folder_mode(self.u.conf.store_access))
        except OSError as error:
            r.log.crit(f'rename() "{file.name}" to "{name}" failed', err=error.errno, ctx=r.c)


def folder_mode(access: int) -> int:
    """Who may read a file may look into its folder.   nginx: ngx_dir_access"""
    return access | (access & 0o444) >> 2


class Storing(Buffered):
    """A buffered response whose parts go to *keeper* as well."""

    __slots__ = ("gone", "keeper")

    def __init__(self, u: Exchange, c: Connection, w: Writer, framing: Framing, keeper: Keeper) -> None:
        Buffered.__init__(self, u, c, w, framing)
        self.keeper = keeper
        self.gone = False

    def take(self, head: ResponseHead, data: bytes) -> int:
        """Pass on and keep the response that begins with *data*; the request's verdict."""
        u, framing = self.u, self.framing
        parts: Sequence[Any] = ()
        size = len(data) - head.end
        if size:
            parts = framing.feed(data[head.end :])
            u.state.response_length = size
        self.keeper.write(parts)
        if not self.ended:
            return self.run(parts)
        self.note_error()
        self.queue.extend(parts)
        self.held = sum(map(len, parts))
        self.settle()
        return self.pump()

    def receive(self, n: int) -> Sequence[Any]:
        parts = super().receive(n)
        self.keeper.write(parts)
        return parts

    def settle(self) -> None:
        super().settle()
        if self.failed:
            self.keeper.abandon()
        else:
            self.keeper.commit(self.framing)

    def write(self) -> None:
        try:
            super().write()
        except ClientGone:
            self.gone = True
            self.w = DISCARD

    def close(self, parts: Sequence[Any] = ()) -> int:
        rc = super().close(parts)
        if self.gone:
            raise ClientGone
        return rc

    def spill(self) -> bool:
        """What is held is in the kept file already."""
        file = self.keeper.file
        if file is None:
            return super().spill()
        size = self.held
        self.queue.clear()
        self.held = 0
        self.slices.append(FileSlice(file.fd, file.size - size, size))
        return True
