"""A worker's perl process: requests take turns at it, and nothing that Perl does holds the worker's other requests up.

Perl runs one call at a time, as inside of nginx. While it works the hub takes what it says: output goes to the greenlet of
its request, which sends it as fast as the client takes it; what Perl asks is answered in a greenlet of its own. Only what is
called to find such an answer (a variable of perl_set) comes in between; all else waits until the call is over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent

from geng.errors import GengError
from geng.http.filters import ClientGone, FileSlice, Writer
from geng.modules.http.perl_call import Call, Result
from geng.modules.http.perl_process import BlockingPerl, PerlDied, Process, Program, chopped, ended
from geng.modules.http.perl_wire import Frames, pack
from geng.net.hub import describe

if TYPE_CHECKING:
    from geng.http.request import Request

READ_SIZE = 65536
PAUSE = 1.0  # seconds: so long a process that could not be started is not tried again

_DIED = Result(b"error")


class RunningCall(Call):
    """A call whose greenlet waits for it, and sends its output meanwhile; *target*: where that goes, if not to the request.

    answering: the greenlet that finds what Perl has asked.
    """

    def __init__(
        self, r: Request, code: bytes, args: Sequence[bytes] = (), variable: bool = False, target: Writer | None = None
    ) -> None:
        super().__init__(r, code, args, variable)
        self.target = target
        self.process: Process | None = None
        self.answering: Any = None
        self.waiter: Any = None
        self.left = False  # nobody waits for it any more
        self.failure: Exception | None = None
        self.queue: deque[Any] = deque()  # output, the question for the head, and at last the result

    def put(self, parts: Sequence[FileSlice | bytes], flush: bool = False) -> None:
        if self.failure is None and not self.left:
            self.queue.append((parts, flush))

    def wake(self) -> None:
        """Let its greenlet see what has come; in the hub."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            waiter.switch()

    def write(self, parts: Sequence[FileSlice | bytes], flush: bool) -> None:
        """Output, in the greenlet of the request."""
        writer = self.target or self.state.writer
        if writer is not None and self.failure is None:
            writer.write(parts, flush)


class Perl:
    """The perl process of one worker, started again when it has died."""

    def __init__(self, worker: Any, program: Program) -> None:
        self.hub = worker.hub
        self.log = worker.log
        self.program = program
        self.process: Process | None = None
        self.blocking: BlockingPerl | None = None
        self.stack: list[RunningCall] = []  # the last one runs, the others wait for an answer
        self.busy = False
        self.turns: deque[Any] = deque()  # greenlets
        self.loading: deque[str] = deque()
        self.frames = Frames()
        self.unsent = b""
        self.not_before = 0.0
        self._read: Any = None
        self._write: Any = None

    def __repr__(self) -> str:
        return f"<Perl {self.process!r} {len(self.stack)} calls, {len(self.turns)} wait>"

    # ---- calling

    def run(self, call: RunningCall) -> Result:
        """Run *call* when its turn has come, sending what it puts out; raises PerlDied, and what sending raises."""
        nested = bool(self.stack) and self.stack[-1].answering is getcurrent()
        if not nested:
            self._take_turn()
        try:
            self.start()
        except PerlDied:
            if not nested:
                self._next_turn()
            raise
        call.process = self.process
        self.stack.append(call)
        self._send(call.frame())
        try:
            result = self._attend(call)
        finally:
            self._leave(call)
        if call.failure is not None:
            raise call.failure
        if result is _DIED:
            raise PerlDied("perl process died")
        return result

    def _take_turn(self) -> None:
        if self.busy:
            me = getcurrent()
            self.turns.append(me)
            try:
                self.hub.park()
            except BaseException:
                if me in self.turns:
                    self.turns.remove(me)
                else:
                    self._next_turn()
                raise
        self.busy = True

    def _next_turn(self) -> None:
        """The turn goes to who has waited longest: `busy` stays."""
        if self.turns:
            self.hub.call_soon(self.turns.popleft().switch)
        else:
            self.busy = False

    def _attend(self, call: RunningCall) -> Result:
        """Do what comes for *call* until its result does; in its greenlet."""
        while True:
            if not call.queue:
                call.waiter = getcurrent()
                try:
                    self.hub.park()
                finally:
                    call.waiter = None
                continue
            item = call.queue.popleft()
            if type(item) is Result:
                return item
            try:
                if type(item) is list:
                    self._answer(call, item)
                else:
                    call.write(*item)
            except (GengError, OSError) as failure:
                self._fail(call, failure)

    def _leave(self, call: RunningCall) -> None:
        """Nobody waits for *call* any more; Perl must not, either."""
        call.left = True
        for item in call.queue:
            if type(item) is list and call.process is self.process:
                self._send(pack(b"e", b"0", b"ngx_http_send_header() failed"))

    def _fail(self, call: RunningCall, failure: Exception) -> None:
        """The client has gone, or cannot be served: Perl hears of it at its next output."""
        call.failure = failure
        if call.process is self.process:
            self._send(pack(b"g", call.state.number))

    def _answer(self, call: RunningCall, fields: list[bytes]) -> None:
        call.answering = getcurrent()
        try:
            frame = call.answer(fields)
        except Exception as error:
            frame = pack(b"e", b"500", b"an answer failed")
            if not isinstance(error, ClientGone):
                call.r.log.alert(describe(error), ctx=call.r.c)
        finally:
            call.answering = None
        if call.process is self.process:
            self._send(frame)
        if call.queue:
            self.hub.call_soon(call.wake)

    def forget(self, number: bytes) -> None:
        """A request is over before its next handler was called."""
        if self.process is not None:
            self._send(pack(b"F", number))

    def run_blocking(self, call: Call) -> Result:
        """Run *call* while the worker waits, in a process of its own: for who cannot be parked. Raises PerlDied."""
        blocking = self.blocking or self._start_blocking()
        try:
            return blocking.call(call)
        except PerlDied as died:
            self._buried(blocking.process, str(died))
            self.blocking = None
            raise

    def _start_blocking(self) -> BlockingPerl:
        made: BlockingPerl = self._started(BlockingPerl)
        for what, frame in self.program.frames():
            try:
                made.load(frame)
            except GengError as fault:
                self._refused(what, str(fault))
        self.blocking = made
        return made

    # ---- the process

    def start(self) -> None:
        """See that it runs; what it loads is answered later. Raises PerlDied."""
        if self.process is not None:
            return
        self.process = process = self._started(Process)
        process.sock.setblocking(False)
        self.frames = Frames()
        self.unsent = b""
        loop = self.hub.loop
        self._read = loop.io(process.sock.fileno(), 1)
        self._read.start(self._readable)
        self._write = loop.io(process.sock.fileno(), 2)
        steps = list(self.program.frames())
        self.loading = deque(what for what, _ in steps)
        self._send(b"".join(frame for _, frame in steps))

    def _started(self, make: Any) -> Any:
        if monotonic() < self.not_before:
            raise PerlDied("perl process could not be started")
        try:
            return make(self.program)
        except (OSError, PerlDied) as error:
            self._refused("perl process", str(error))

    def _refused(self, what: str, why: str) -> None:
        """It cannot run; raises PerlDied."""
        self.not_before = monotonic() + PAUSE
        self.log.emerg(f'{what} failed: "{why}"')
        raise PerlDied("perl process could not be started")

    def end(self) -> None:
        """The worker leaves."""
        process, self.process = self.process, None
        if process is not None:
            self._unwatch()
            process.end()
        if self.blocking is not None:
            self.blocking.end()

    def _unwatch(self) -> None:
        for watcher in (self._read, self._write):
            watcher.stop()
            watcher.close()

    def _send(self, data: bytes) -> None:
        """All of *data*, now or when there is room for it."""
        process = self.process
        assert process is not None
        if self.unsent:
            self.unsent += data
            return
        try:
            sent = process.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the end of what it says will be read soon
        if sent < len(data):
            self.unsent = data[sent:]
            self._write.start(self._writable)

    def _writable(self) -> None:
        data, self.unsent = self.unsent, b""
        self._write.stop()
        self._send(data)

    def _readable(self) -> None:
        process = self.process
        assert process is not None
        try:
            data = process.sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._died(process)
            return
        for kind, fields in self.frames.feed(data):
            self._heard(kind, fields)
            if self.process is not process:
                return

    def _died(self, process: Process, words: str = "") -> None:
        """End it, and what it was doing; whoever comes next starts another."""
        self.process = None
        self._unwatch()
        code = process.bury()
        self._buried(process, words or ended(code))
        stopped, self.stack = self.stack, []
        for call in reversed(stopped):
            call.queue.append(_DIED)
        if stopped:
            self._next_turn()
        for call in reversed(stopped):
            call.wake()

    def _buried(self, process: Process, words: str) -> None:
        self.log.alert(f"perl process {process.popen.pid} {words}")

    def _heard(self, kind: bytes, fields: list[bytes]) -> None:
        if self.loading:
            self._loaded(kind, fields)
            return
        call = self.stack[-1]
        if kind == b"o":
            call.put(fields)
        elif kind == b"l":
            call.put((), True)
        elif kind == b"n":
            call.do(fields)
            return
        elif kind == b"q":
            if fields[0] != b"send_http_header" or call.left:
                self.hub.spawn(self._answer, call, fields)
                return
            call.queue.append(fields)
        elif kind == b"r":
            self.stack.pop()
            call.queue.append(call.result(fields))
            if not self.stack:
                self._next_turn()
        call.wake()

    def _loaded(self, kind: bytes, fields: list[bytes]) -> None:
        what = self.loading.popleft()
        if kind != b"f" or self.process is None:
            return
        self.not_before = monotonic() + PAUSE
        self.log.emerg(f'{what} failed: "{chopped(fields[0])}"')
        self._died(self.process, "could not be loaded")
