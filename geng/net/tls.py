"""Connections over TLS: what Connection has, with OpenSSL between it and the descriptor.

nginx: ngx_event_openssl.c (ngx_ssl_create_connection, ngx_ssl_handshake, ngx_ssl_recv, ngx_ssl_write, ngx_ssl_shutdown)

A connection becomes one of TLS by `secure()`, which makes the same object a TlsConnection: a plain one pays nothing for
it. OpenSSL works on the descriptor itself, not through memory: no byte is copied more often than nginx copies it.

A record that the socket did not take whole is OpenSSL's to send again, with the same bytes. Who sends may come back
with other pieces of them, so a TlsConnection keeps its own count of what went out and was not reported yet.
"""

from __future__ import annotations

import ctypes
import os
import select
import socket
from collections.abc import Callable, Sequence
from typing import Any

from geng.errors import ConnectionClosed, TimedOut
from geng.hot import tls as hot
from geng.hot.connection import Bytes, Link
from geng.hot.tls import pending, read, write
from geng.net.connection import Connection
from geng.tls.context import OP_NO_RENEGOTIATION, Context
from geng.tls.errors import (
    SSL_ERROR_SYSCALL,
    SSL_ERROR_WANT_READ,
    SSL_ERROR_WANT_WRITE,
    SSL_ERROR_ZERO_RETURN,
    TlsBroken,
    broken,
)
from geng.tls.openssl import library, raised, states

SENT_SHUTDOWN, RECEIVED_SHUTDOWN = 1, 2
POLLRDHUP = 0x2000
FILE_PIECE = 131072

DONE, WANTS_READ, WANTS_WRITE = range(3)

PLAIN = __file__.endswith((".py", ".pyc"))

EARLY_ERROR, EARLY_SUCCESS, EARLY_FINISH = range(3)  # SSL_READ_EARLY_DATA_…


class Tls:
    """What TLS keeps with a connection; `c.ssl`.

    context: of the address (sessions belong to it, whatever server SNI chooses); buffer_size: of the records sent;
    servername, regex: what SNI chose by; rejected, accepted: what was said to SNI;
    misdirected: the request names another server than SNI did; revoked: what OCSP has against the client's
    certificate; on_session(session): one for the next time has come, and is the callee's; data: the protocol's own.
    """

    __slots__ = (
        "accepted", "blocked", "buffer_size", "connection", "context", "credit", "data", "early", "early_byte",
        "handshaked", "library", "misdirected", "no_send_shutdown", "on_session",
        "pointer", "regex", "rejected", "revoked", "servername",
        "session_start", "session_timeout", "unclean", "wants_read", "wants_write",
    )  # fmt: skip

    def __init__(self, c: Connection, context: Context, *, client: bool) -> None:
        self.library = ssl = library()
        self.connection = c
        self.context = context
        self.pointer: int = ssl.SSL_new(context.pointer) or 0
        if not self.pointer:
            raise broken(0, 0, "SSL_new()")
        states[self.pointer] = self
        self.buffer_size = context.buffer_size
        self.handshaked = False
        self.accepted = self.rejected = self.misdirected = False
        self.servername: bytes | None = None
        self.regex: Any = None
        self.early = context.early_data and not client
        self.early_byte = b""
        self.revoked = ""  # what OCSP says against the client's certificate
        self.on_session: Callable[[int], None] | None = None
        self.data: Any = None
        self.blocked: tuple[Any, int, int] | None = None  # the record that the socket did not take: data, offset, length
        self.credit = 0  # bytes that went out and that the sender does not know of
        self.wants_read = False  # to send, OpenSSL must receive first
        self.wants_write = False  # and the other way round
        self.unclean = False  # broken or timed out: no close_notify any more
        self.no_send_shutdown = False
        self.session_start = self.session_timeout = 0
        ssl.SSL_set_fd(self.pointer, c.fd)
        if client:
            ssl.SSL_set_connect_state(self.pointer)
        else:
            ssl.SSL_set_accept_state(self.pointer)
            ssl.SSL_set_options(self.pointer, OP_NO_RENEGOTIATION)

    def __repr__(self) -> str:
        return f"<Tls {'established' if self.handshaked else 'handshaking'}>"

    @property
    def early_data_open(self) -> bool:
        """Whether what comes now is early data: it may be a replay."""
        return not self.library.SSL_is_init_finished(self.pointer)

    def handshake(self) -> int:
        """Go on with the handshake: DONE, WANTS_READ or WANTS_WRITE; raises TlsBroken."""
        ssl = self.library
        if self.early:
            rc = self._try_early()
            if rc >= 0:
                return rc
        ssl.ERR_clear_error()
        ctypes.set_errno(0)
        rc = ssl.SSL_do_handshake(self.pointer)
        if rc == 1:
            self.handshaked = True
            return DONE
        return self._not_yet(rc, "SSL_do_handshake()")

    def _try_early(self) -> int:
        """Look for early data: what handshake() shall return, or -1 to go on.   nginx: ngx_ssl_try_early_data"""
        ssl = self.library
        buffer = ctypes.create_string_buffer(1)
        size = ctypes.c_size_t()
        ssl.ERR_clear_error()
        rc = ssl.SSL_read_early_data(self.pointer, buffer, 1, ctypes.byref(size))
        if rc == EARLY_FINISH:
            self.early = False
            return -1
        if rc == EARLY_SUCCESS:
            self.early_byte = buffer.raw[: size.value]
            self.handshaked = True
            return DONE
        return self._not_yet(rc, "SSL_read_early_data()")

    def _not_yet(self, rc: int, call: str) -> int:
        errno = ctypes.get_errno()
        code = self.library.SSL_get_error(self.pointer, rc)
        if code == SSL_ERROR_WANT_READ:
            return WANTS_READ
        if code == SSL_ERROR_WANT_WRITE:
            return WANTS_WRITE
        self.unclean = True
        error = errno if code == SSL_ERROR_SYSCALL else 0
        if code == SSL_ERROR_ZERO_RETURN or not self.library.ERR_peek_error():
            raise TlsBroken("peer closed connection in SSL handshake", error=error, call=call)
        if self.rejected:
            self.library.ERR_clear_error()
            raise TlsBroken("handshake rejected", error=error, call=call)
        raise broken(code, errno, call)

    # ---- what is known of the peer

    def alpn(self) -> bytes:
        """The protocol that ALPN chose, b"" without."""
        data, size = ctypes.c_void_p(), ctypes.c_uint()
        self.library.SSL_get0_alpn_selected(self.pointer, ctypes.byref(data), ctypes.byref(size))
        return ctypes.string_at(data.value, size.value) if data.value else b""

    def has_peer_certificate(self) -> bool:
        pointer = self.library.SSL_get1_peer_certificate(self.pointer)
        if pointer:
            self.library.X509_free(pointer)
        return bool(pointer)

    def verify_result(self) -> tuple[int, str]:
        """What is wrong with the peer's certificate: (0, …) nothing."""
        result = self.library.SSL_get_verify_result(self.pointer)
        return result, self.library.X509_verify_cert_error_string(result).decode("ascii", "replace")

    # ---- early data

    def read_early(self, n: int) -> bytes | int:
        """read() until the early data has ended.   nginx: ngx_ssl_recv_early"""
        data, self.early_byte = self.early_byte, b""
        buffer = ctypes.create_string_buffer(n)
        size = ctypes.c_size_t()
        while len(data) < n:
            self.library.ERR_clear_error()
            rc = self.library.SSL_read_early_data(self.pointer, buffer, n - len(data), ctypes.byref(size))
            if rc == EARLY_SUCCESS:
                data += buffer.raw[: size.value]
                continue
            if rc == EARLY_FINISH:
                self.early = False
                return data or hot.read(self.pointer, n)
            if data:
                return data
            return int(self.library.SSL_get_error(self.pointer, 0))
        return data

    def write_early(self, data: Any, offset: int, n: int) -> int:
        """write() until the early data has ended."""
        part = bytes(memoryview(data).cast("B")[offset : offset + n])
        size = ctypes.c_size_t()
        self.library.ERR_clear_error()
        rc = self.library.SSL_write_early_data(self.pointer, part, n, ctypes.byref(size))
        return size.value if rc > 0 else -int(self.library.SSL_get_error(self.pointer, rc))

    # ---- the end

    def shutdown(self) -> None:
        """Say close_notify, unless the connection is broken; the peer's is not waited for.   nginx: ngx_ssl_shutdown"""
        ssl = self.library
        pointer = self.pointer
        if ssl.SSL_in_init(pointer):
            return
        mode = ssl.SSL_get_shutdown(pointer) | RECEIVED_SHUTDOWN
        if self.unclean or self.no_send_shutdown or self.blocked is not None:
            mode |= SENT_SHUTDOWN
            ssl.SSL_set_quiet_shutdown(pointer, 1)
        ssl.SSL_set_shutdown(pointer, mode)
        ssl.ERR_clear_error()
        ssl.SSL_shutdown(pointer)
        ssl.ERR_clear_error()

    def free(self) -> None:
        """Give OpenSSL's memory back."""
        pointer, self.pointer = self.pointer, 0
        if pointer:
            states.pop(pointer, None)
            self.library.SSL_free(pointer)


class TlsConnection(Connection):
    """A Connection whose bytes go through TLS."""

    __slots__ = ()

    ssl: Tls

    # ---- waiting

    def listen(self, handler: Callable[[Any], object] | None) -> None:
        """Also hear of bytes that OpenSSL has taken from the socket already: no event will tell of them."""
        Link.listen(self, handler)
        if hot.pending(self.ssl.pointer):
            self.ready = True
            if handler is not None:
                self.hub.call_soon(self._stir)

    def _stir(self) -> None:
        if not self.closed and self._on_read is not None and self._waiter is None and self.ready:
            self._readable()

    def wait_read(self, ms: float | None) -> bool:
        tls = self.ssl
        if tls.wants_write:
            tls.wants_write = False
            return Connection.wait_write(self, ms)
        if not self.ready and hot.pending(tls.pointer):
            self.ready = True
        return Link.wait_read(self, ms)

    def wait_write(self, ms: float | None) -> bool:
        tls = self.ssl
        if tls.wants_read:
            tls.wants_read = False
            return Link.wait_read(self, ms)
        return Connection.wait_write(self, ms)

    # ---- reading

    def recv(self, n: int) -> bytes | None:
        return _receive(self, self.ssl, n)

    def recv_into(self, view: memoryview | bytearray) -> int:
        tls = self.ssl
        if tls.early:
            data = self.recv(len(view))
            if data is None:
                return -1
            view[: len(data)] = data
            return len(data)
        n = hot.read_into(tls.pointer, view)
        if n < 0:
            return 0 if self._ended(-n) else -1
        self.ready = hot.pending(tls.pointer)
        return n

    def _ended(self, code: int) -> bool:
        """What an error of reading means: True the end, False would block; raises TlsBroken."""
        tls = self.ssl
        self.ready = False
        if code == SSL_ERROR_WANT_READ:
            return False
        if code == SSL_ERROR_WANT_WRITE:
            tls.wants_write = True
            return False
        tls.unclean = True
        if code == SSL_ERROR_ZERO_RETURN or not tls.library.ERR_peek_error():
            self.eof = True
            return True
        raise self._broken(code, "SSL_read()")

    def _broken(self, code: int, call: str) -> TlsBroken:
        self.ssl.unclean = True
        self.ready = False
        error = broken(code, hot.error_number(), call)
        self.error = error.error
        self.eof = True
        return error

    def peek_closed(self) -> bool:
        """Whether the peer has closed: there may be records before its end, so the socket is asked for its state."""
        poll = select.poll()
        poll.register(self.fd, POLLRDHUP)
        events = poll.poll(0)
        if events and events[0][1] & (POLLRDHUP | select.POLLHUP | select.POLLERR):
            self.eof = True
            return True
        return False

    # ---- writing

    def try_send(self, parts: Sequence[Bytes]) -> int:
        tls = self.ssl
        if tls.blocked is not None and not self._send_blocked():
            return 0
        return _send(self, tls, parts)

    def _send_blocked(self) -> bool:
        """Try again what the socket did not take."""
        tls = self.ssl
        assert tls.blocked is not None
        data, offset, n = tls.blocked
        sent = _write(self, tls, data, offset, n)
        if not sent:
            return False
        tls.credit += sent
        tls.blocked = None
        return True

    def _blocked_by(self, code: int) -> int:
        """What an error of writing means: 0, it would block; raises TlsBroken."""
        if code == SSL_ERROR_WANT_WRITE:
            return 0
        if code == SSL_ERROR_WANT_READ:
            self.ssl.wants_read = True
            return 0
        raise self._broken(SSL_ERROR_SYSCALL if code == SSL_ERROR_ZERO_RETURN else code, "SSL_write()")

    def try_sendfile(self, fd: int, offset: int, n: int) -> int:
        """A file's bytes are read and encrypted here; the kernel could do so only with kTLS."""
        data = os.pread(fd, min(n, self.ssl.buffer_size), offset)
        if not data:
            return 0
        return self.try_send((data,)) or -1

    def sendfile(self, fd: int, offset: int, n: int, ms: float | None) -> None:
        while n > 0:
            data = os.pread(fd, min(n, FILE_PIECE), offset)
            if not data:
                raise ConnectionClosed(0, "sendfile()")
            self.send((data,), ms)
            offset += len(data)
            n -= len(data)

    # ---- the end

    def shutdown_write(self) -> None:
        """close_notify and the end of the stream; what still comes is read as it is (lingering close)."""
        self._leave()
        Connection.shutdown_write(self)

    def _leave(self) -> None:
        tls = self.ssl
        if self.timedout or self.error:
            tls.unclean = True
        tls.shutdown()
        tls.free()
        self.__class__ = Connection  # type: ignore[assignment]

    def close(self) -> None:
        if not self.closed:
            self._leave()
            Connection.close(self)

    def detach(self) -> int:
        raise AssertionError("a TLS connection cannot be passed on")


def _receive(c: Any, tls: Tls, n: int) -> bytes | None:
    """TlsConnection.recv(), with types where it is compiled."""
    if n <= 0:
        return b""
    data = tls.read_early(n) if tls.early else read(tls.pointer, n)
    if type(data) is not bytes:
        return b"" if c._ended(data) else None
    c.ready = pending(tls.pointer)
    return data


def _send(c: Any, tls: Tls, parts: Sequence[Bytes]) -> int:
    """TlsConnection.try_send() once nothing is blocked, with types where it is compiled."""
    taken = 0
    skip = tls.credit
    room = tls.buffer_size
    for data, offset, n in _records(parts, room) if len(parts) != 1 else _record(parts[0], room):
        if skip:
            done = min(skip, n)
            skip -= done
            tls.credit = skip
            taken += done
            if done == n:
                continue
            offset += done
            n -= done
        sent = _write(c, tls, data, offset, n)
        if not sent:
            tls.blocked = (data, offset, n)
            break
        taken += sent
        if sent < n:
            break
    c.sent += taken
    return taken


def _write(c: Any, tls: Tls, data: Any, offset: int, n: int) -> int:
    """One record: how many bytes it took, 0 would block; raises TlsBroken."""
    sent = tls.write_early(data, offset, n) if tls.early else write(tls.pointer, data, offset, n)
    return sent if sent > 0 else c._blocked_by(-sent)


def _record(data: Any, room: int) -> Sequence[tuple[Any, int, int]]:
    """One piece cut into records: (data, offset, length)."""
    n = len(data)
    if n <= room:
        return ((data, 0, n),) if n else ()
    return [(data, start, min(room, n - start)) for start in range(0, n, room)]


def _records(parts: Sequence[Bytes], room: int) -> list[tuple[Any, int, int]]:
    """The same for several pieces: small ones share a record, for each has its price.

    nginx: ngx_ssl_send_chain, which fills its buffer
    """
    made: list[tuple[Any, int, int]] = []
    small: list[Bytes] = []
    size = 0
    for part in parts:
        n = len(part)
        start = 0
        while n - start:
            taken = min(room - size, n - start)
            if taken == room:
                made.append((part, start, room))
            else:
                small.append(part if taken == n else memoryview(part)[start : start + taken])
                size += taken
                if size == room:
                    made.append((b"".join(small), 0, size))
                    small, size = [], 0
            start += taken
    if small:
        made.append((b"".join(small), 0, size))
    return made


def secure(c: Connection, context: Context, *, client: bool = False) -> TlsConnection:
    """Make *c* a TLS connection whose handshake is still to come; raises TlsBroken."""
    c.ssl = Tls(c, context, client=client)
    c.__class__ = TlsConnection
    return c  # type: ignore[return-value]


def peek(c: Connection, n: int) -> bytes:
    """Up to *n* bytes that stay where they are, b"" at the end; raises BlockingIOError, OSError."""
    if PLAIN or n > 1:
        return c.sock.recv(n, socket.MSG_PEEK)
    # a socket object costs four system calls more
    return peek_byte(c.fd)  # type: ignore[name-defined]  # noqa: F821


def set_nodelay(c: Connection) -> None:
    """Connection.set_nodelay(), which makes a socket object."""
    if PLAIN or c._nodelay or not c.is_tcp:
        c.set_nodelay()
    elif tcp_nodelay(c.fd):  # type: ignore[name-defined]  # noqa: F821
        c._nodelay = True


def connect_tls(c: TlsConnection, ms: float | None) -> None:
    """A client's handshake, in a greenlet; each wait at most *ms*. Raises TimedOut, TlsBroken."""
    while True:
        rc = c.ssl.handshake()
        if rc == DONE:
            c.ready = hot.pending(c.ssl.pointer)
            return
        c.ready = False
        if not (Link.wait_read(c, ms) if rc == WANTS_READ else Connection.wait_write(c, ms)):
            raise TimedOut


def start() -> None:
    """Find OpenSSL, for geng.hot.tls as well; raises NoOpenSsl. May be called again."""
    hot.load(library())


def take_raised() -> list[Exception]:
    """What callbacks of OpenSSL have raised since the last call."""
    found = list(raised)
    raised.clear()
    return found
