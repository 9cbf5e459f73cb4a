"""One stream of a QUIC connection: to the protocol above, a Connection like any other.

nginx: ngx_event_quic_streams.c; RFC 9000, sections 2 to 4

What a reader must know: `recv(n)` gives bytes, None (none now) or b"" (the end); it raises ConnectionClosed when the
client has reset the stream (`reset_code`) or the connection is over. `on_read` is called in the hub when something (or
an end of any kind) comes and no greenlet waits; `wait_read(ms)`, `read(n, ms)` park. A writer: `try_send(parts)` takes
what the stream's buffer has room for (0: would block), `send(parts, ms)` all; `end()` closes the sending side, `reset(code)`
breaks it off, `stop_sending(code)` asks the client to. `close()` when done: what was sent still goes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from errno import ECONNABORTED
from os import pread
from typing import TYPE_CHECKING, Any

from geng.errors import ConnectionClosed
from geng.hot.connection import NEVER, Bytes, Link
from geng.net.carried import CarriedStream
from geng.net.connection import ACTIVE, Connection
from geng.quic import frames
from geng.quic.buffers import Arrived, Outgoing

if TYPE_CHECKING:
    from geng.quic.connection import QuicConnection

SERVER_INITIATED = 1
UNIDIRECTIONAL = 2
FILE_PIECE = 65536
MAX_STREAM_SIZE = (1 << 62) - 1
MOST_GAPS = 1000  # in what has come: a client that leaves so many means no good


class Send(IntEnum):
    """RFC 9000, 3.1"""

    READY = 0
    SEND = 1
    DATA_SENT = 2
    DATA_RECVD = 3
    RESET_SENT = 4
    RESET_RECVD = 5


class Recv(IntEnum):
    """RFC 9000, 3.2"""

    RECV = 0
    SIZE_KNOWN = 1
    DATA_RECVD = 2
    DATA_READ = 3
    RESET_RECVD = 4
    RESET_READ = 5


class QuicStream(CarriedStream):
    """A stream; made by the connection only.

    id: the stream's number, whose bits say SERVER_INITIATED and UNIDIRECTIONAL; connection: the QuicConnection;
    reset_code: the code that the client has reset its sending side with, None; stop_code: that it asked us to stop with.
    """

    __slots__ = (
        "_flowed", "_queued", "acked", "arrived", "cancelable", "connection", "fin_acked", "id", "outgoing", "recv_final",
        "recv_last", "recv_max", "recv_state", "recv_window", "reset_code", "send_error", "send_final", "send_max",
        "send_offset", "send_state", "stop_code",
    )  # fmt: skip

    id: int
    connection: QuicConnection
    reset_code: int | None
    stop_code: int | None

    def __repr__(self) -> str:
        return f"<QuicStream {self.id} of *{self.number} {self.send_state.name} {self.recv_state.name}>"

    def begin(self, connection: QuicConnection, sid: int) -> None:
        """Belong to *connection*; in place of a constructor, for the pool makes connections."""
        self.connection = connection
        self.id = sid
        self.ssl = connection.ssl
        self.listening = connection.listening
        if not sid & UNIDIRECTIONAL:
            self.stat.add(ACTIVE, 1)
        self.addr_text, self.port = connection.addr_text, connection.port
        self._sockaddr, self._local = connection._sockaddr, connection.local_addr()
        self.start_msec = connection.start_msec
        self.reset_code = self.stop_code = None
        self.cancelable = self.fin_acked = self.send_error = self._queued = False
        self.arrived, self.outgoing = Arrived(), Outgoing()
        self.send_offset = self.acked = 0
        self.send_final = self.recv_final = -1
        self.recv_last = self._flowed = 0
        self.send_max = self.recv_max = 0
        self.send_state, self.recv_state = Send.READY, Recv.RECV
        self._limits(connection)
        self.recv_window = self.recv_max

    def _limits(self, connection: QuicConnection) -> None:
        client, own = connection.client_params, connection.params
        ours = self.id & SERVER_INITIATED
        if self.id & UNIDIRECTIONAL:
            if ours:
                self.send_max = client.initial_max_stream_data_uni
                self.recv_state = Recv.DATA_READ
            else:
                self.recv_max = own.initial_max_stream_data_uni
                self.send_state = Send.DATA_RECVD
        elif ours:
            self.send_max = client.initial_max_stream_data_bidi_remote
            self.recv_max = own.initial_max_stream_data_bidi_local
        else:
            self.send_max = client.initial_max_stream_data_bidi_local
            self.recv_max = own.initial_max_stream_data_bidi_remote

    # ---- waiting

    def listen(self, handler: Any) -> None:
        """No watcher: the connection tells."""
        self._on_read = handler
        if handler is not None and self._readable_now():
            self.ready = True
            self.stir()

    def _watch(self) -> None:
        if self.closed:
            raise ConnectionClosed(ECONNABORTED)
        self._watching = True

    def _mute(self) -> None:
        self._watching = False

    def _readable_now(self) -> bool:
        return (
            bool(self.arrived.size)
            or self.recv_state in (Recv.DATA_READ, Recv.RESET_RECVD, Recv.RESET_READ)
            or (self.recv_state is Recv.DATA_RECVD)
        )

    def wait_read(self, ms: float | None) -> bool:
        self.ready = self._readable_now()
        return Link.wait_read(self, ms)

    def stir(self) -> None:
        """Something has come: tell whoever reads, at the end of this turn of the loop."""
        self.ready = True
        if not self._queued:
            self._queued = True
            self.hub.call_soon(self._tell)

    def _tell(self) -> None:
        self._queued = False
        if not self.closed:
            self._readable()

    def wait_write(self, ms: float | None) -> bool:
        """As a socket's: no wait where there is room."""
        return (self.room > 0 and not self.send_error) or Connection.wait_write(self, ms)

    @property
    def unwritable(self) -> bool:
        return self.send_error

    def _wake_writer(self) -> None:
        waiter = self._write_waiter
        if waiter is not None:
            self._write_waiter = None
            self.hub.call_soon(waiter.switch, self)

    def peek_closed(self) -> bool:
        """Whether the client has given up on the answer: it reset its side or asked to stop, or the connection is over."""
        return self.send_error or self.reset_code is not None

    # ---- reading

    def recv(self, n: int) -> bytes | None:
        if self.recv_state in (Recv.RESET_RECVD, Recv.RESET_READ):
            self.recv_state = Recv.RESET_READ
            self.ready = False
            self.error = ECONNABORTED
            raise ConnectionClosed(0, "recv()")
        data = self.arrived.take(n)
        if data:
            self._update_flow(self.arrived.offset)
            self.ready = self._readable_now()
            return data
        self.ready = False
        if self.recv_state is Recv.DATA_RECVD and self.arrived.offset == self.recv_final:
            self.recv_state = Recv.DATA_READ
        if self.recv_state is Recv.DATA_READ:
            self.eof = True
            return b""
        return None

    def recv_into(self, view: memoryview | bytearray) -> int:
        data = self.recv(len(view))
        if data is None:
            return -1
        view[: len(data)] = data
        return len(data)

    # ---- writing

    @property
    def room(self) -> int:
        """Bytes that try_send() would take now."""
        return max(0, self.acked + self.connection.conf.stream_buffer_size - self.sent)

    def try_send(self, parts: Sequence[Bytes], fin: bool = False) -> int:
        """How many bytes the stream's buffer took, 0: would block. *fin*: end the stream if all were taken."""
        if self.send_error or self.send_state > Send.SEND:
            raise self.broken(OSError(ECONNABORTED, ""), "send()")
        room = self.room
        if not room:
            return 0
        self.send_state = Send.SEND
        taken, whole = 0, True
        for part in parts:
            size = len(part)
            if size > room - taken:
                part, size, whole = memoryview(part)[: room - taken], room - taken, False
            if size:
                self.outgoing.append(part)
                taken += size
            if not whole:
                break
        self.sent += taken
        self.connection.sent_in_streams += taken
        if fin and whole:
            self.send_final = self.sent
        self.flush()
        return taken

    def end(self) -> None:
        """No more is sent: FIN follows what was.   nginx: ngx_quic_shutdown_stream_send"""
        if self.send_state > Send.SEND or self.send_final >= 0:
            return
        self.send_state = Send.SEND
        self.send_final = self.sent
        self.flush()

    def flush(self) -> None:
        """Make a frame of what flow control lets out.   nginx: ngx_quic_stream_flush"""
        if self.send_state is not Send.SEND:
            return
        c = self.connection
        limit = min(c.send_max_data - c.send_offset, self.send_max - self.send_offset)
        data = self.outgoing.take(limit) if limit > 0 else b""
        last = self.send_final == self.send_offset + len(data)
        if last:
            self.send_state = Send.DATA_SENT
        if not data and not last:
            return
        c.queue_frame(frames.StreamFrame(self.id, self.send_offset, data, last))
        self.send_offset += len(data)
        c.send_offset += len(data)
        if self.closed:
            self.retire()

    def try_sendfile(self, fd: int, offset: int, n: int) -> int:
        room = self.room
        if not room:
            return -1
        return self.try_send((pread(fd, min(n, FILE_PIECE, room), offset),))

    def sendfile(self, fd: int, offset: int, n: int, ms: float | None) -> None:
        while n > 0:
            data = pread(fd, min(n, FILE_PIECE), offset)
            if not data:
                raise ConnectionClosed(0, "sendfile()")
            self.send((data,), ms)
            offset += len(data)
            n -= len(data)

    # ---- the socket is the connection's

    @property
    def sock(self) -> Any:
        return self.connection.sock

    # ---- breaking off

    def reset(self, code: int) -> None:
        """RESET_STREAM: nothing more is sent, not even what waits.   nginx: ngx_quic_do_reset_stream"""
        if self.send_state in (Send.DATA_RECVD, Send.RESET_SENT, Send.RESET_RECVD):
            return
        self.send_state = Send.RESET_SENT
        self.send_final = self.send_offset
        self.send_error = True
        self.connection.queue_frame(frames.ResetStream(self.id, code, self.send_offset))
        self.outgoing.clear()
        self._wake_writer()

    def stop_sending(self, code: int) -> None:
        """STOP_SENDING: what the client still has to send on this stream is not wanted."""
        if self.recv_state in (Recv.RECV, Recv.SIZE_KNOWN):
            self.connection.queue_frame(frames.StopSending(self.id, code))

    def make_cancelable(self) -> None:
        """This stream (HTTP/3's control and QPACK streams) does not keep the connection from being shut down.

        nginx: ngx_quic_cancelable_stream
        """
        if not self.cancelable:
            self.cancelable = True
            self.connection.stream_is_cancelable()

    # ---- what the client's frames say, in the hub; each gives the error code of a connection error, 0 for none

    def take_data(self, frame: frames.StreamFrame) -> int:
        """STREAM.   nginx: ngx_quic_handle_stream_frame"""
        last = frame.offset + len(frame.data)
        if last > MAX_STREAM_SIZE:
            return frames.FLOW_CONTROL_ERROR
        if self.recv_state not in (Recv.RECV, Recv.SIZE_KNOWN):
            return 0
        error = self._control_flow(last)
        if error:
            return error
        if self.recv_final >= 0 and last > self.recv_final:
            return frames.FINAL_SIZE_ERROR
        if last < self.arrived.offset and not frame.fin:
            return 0
        if frame.fin:
            if (self.recv_final >= 0 and self.recv_final != last) or self.recv_last > last:
                return frames.FINAL_SIZE_ERROR
            self.recv_final = last
            self.recv_state = Recv.SIZE_KNOWN
        self.arrived.put(frame.offset, frame.data)
        if self.arrived.gaps > MOST_GAPS:
            return frames.INTERNAL_ERROR
        if self.recv_state is Recv.SIZE_KNOWN and self.arrived.received == self.recv_final:
            self.recv_state = Recv.DATA_RECVD
        if self.closed:
            self.retire()
        elif self.arrived.size or self.recv_state is Recv.DATA_RECVD:
            self.stir()
        return 0

    def take_reset(self, frame: frames.ResetStream) -> int:
        """RESET_STREAM.   nginx: ngx_quic_handle_reset_stream_frame"""
        if self.recv_state in (Recv.RESET_RECVD, Recv.RESET_READ):
            return 0
        error = self._control_flow(frame.final_size)
        if error:
            return error
        if (self.recv_final >= 0 and self.recv_final != frame.final_size) or self.recv_last > frame.final_size:
            return frames.FINAL_SIZE_ERROR
        self.recv_final = frame.final_size
        self.recv_state = Recv.RESET_RECVD
        self.reset_code = frame.code
        self._update_flow(self.recv_final)
        if self.closed:
            self.retire()
        else:
            self.stir()
        return 0

    def take_stop(self, frame: frames.StopSending) -> int:
        """STOP_SENDING.   nginx: ngx_quic_handle_stop_sending_frame"""
        self.stop_code = frame.code
        self.reset(frame.code)
        if not self.closed:
            self.stir()
        return 0

    def take_max_data(self, limit: int) -> None:
        """MAX_STREAM_DATA"""
        if limit > self.send_max:
            self.send_max = limit
            self.flush()

    def take_ack(self, frame: Any) -> None:
        """A frame of this stream has reached the client.   nginx: ngx_quic_handle_stream_ack"""
        if self.send_state in (Send.RESET_SENT, Send.DATA_SENT, Send.SEND) or self.send_state is Send.READY:
            if isinstance(frame, frames.ResetStream):
                self.send_state = Send.RESET_RECVD
            else:
                self.acked += len(frame.data)
                self.fin_acked |= frame.fin
                if self.send_state is Send.DATA_SENT and self.fin_acked and self.acked == self.send_final:
                    self.send_state = Send.DATA_RECVD
                if frame.data:
                    self._wake_writer()
        if self.closed:
            self.retire()

    # ---- flow control

    def _control_flow(self, last: int) -> int:
        """The client has sent up to *last*: may it?   nginx: ngx_quic_control_flow"""
        if last <= self.recv_last:
            return 0
        c = self.connection
        n = last - self.recv_last
        if last > self.recv_max or c.recv_last + n > c.recv_max_data:
            return frames.FLOW_CONTROL_ERROR
        self.recv_last = last
        c.recv_last += n
        return 0

    def _update_flow(self, last: int) -> None:
        """What was read up to *last* makes room for more.   nginx: ngx_quic_update_flow"""
        c = self.connection
        read = last - self._flowed
        if read <= 0:
            return
        self._flowed = last
        if self.recv_max <= last + self.recv_window // 2:
            self.renew_limit()
        c.stream_read(read)

    def renew_limit(self) -> None:
        """MAX_STREAM_DATA, if there is room that the client does not know of."""
        limit = self._flowed + self.recv_window
        if self.recv_state is Recv.RECV and self.recv_max != limit:
            self.recv_max = limit
            self.connection.queue_frame(frames.MaxStreamData(self.id, limit))

    # ---- the end

    def lost(self) -> None:
        """The connection is over: whoever waits hears of it."""
        if self.closed:
            return
        self.recv_state, self.send_state = Recv.RESET_RECVD, Send.RESET_SENT
        self.send_error = True
        self._wake_writer()
        if self._waiter is None and self._on_read is not None:
            self.ready = True
            self._readable()  # now: the pool may need the room
        else:
            self.stir()

    def close(self) -> None:
        """The stream is no longer used here; what was sent goes on being sent."""
        if self.closed:
            return
        c = self.connection
        self.end()
        if c.conf.stream_close_code:
            self.stop_sending(c.conf.stream_close_code)
        Connection.close(self)
        self.retire()

    def _release(self) -> None:
        self.timer.deadline = NEVER
        self.fd = -1
        if self.id & UNIDIRECTIONAL:
            self.stat.add(ACTIVE, 1)  # put() takes it away
        self.pool.put(self)

    def retire(self) -> None:
        """Forget this closed stream once everything is sent and the final size known.   nginx: ngx_quic_close_stream"""
        c = self.connection
        if not c.closing:
            if self.recv_state is Recv.RECV:
                return
            if self.send_state not in (Send.DATA_RECVD, Send.RESET_RECVD):
                return
            unread = self.recv_last - self._flowed
            if unread > 0:
                self._flowed = self.recv_last
                c.stream_read(unread)  # or what nobody reads would fill the connection's window for good
        self.outgoing.clear()
        self.arrived.clear()
        c.stream_is_gone(self)
