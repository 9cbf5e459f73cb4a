"""A perl process: started, loaded with a configuration's code, ended; and one that is waited for while it works.

nginx: ngx_http_perl_module.c (ngx_http_perl_create_interpreter, ngx_http_perl_run_requires), which has Perl inside of it
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_bytes, to_text
from geng.errors import GengError
from geng.modules.http.perl_wire import Frame, Frames, pack

if TYPE_CHECKING:
    from geng.modules.http.perl_call import Call, Result

HOST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "perl", "host.pl")
PR_SET_PDEATHSIG = 1
LAST_WORDS = 0.5  # seconds that a process has for its END blocks
AT_THE_END = 0.1  # seconds from the end of its socket to its own


class PerlFault(GengError):
    """Perl refuses what it was given; the message is Perl's own, without the end of its last line."""


class PerlDied(GengError):
    """The perl process is gone."""


@lru_cache(maxsize=1)
def find_perl() -> str | None:
    """The interpreter, None where there is none."""
    return shutil.which("/usr/bin/perl") or shutil.which("perl")


@dataclass(slots=True)
class Program:
    """What a configuration loads: the folders of `perl_modules`, the files of `perl_require`, and code that it holds."""

    folders: list[str] = field(default_factory=list)
    requires: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def frames(self) -> Iterator[tuple[str, bytes]]:
        """Each step of loading: what nginx calls it, and the frame."""
        for name in self.requires:
            yield f'require_pv("{name}")', pack(b"R", to_bytes(name))
        for text in self.texts:
            yield f'eval_pv("{text}")', pack(b"E", to_bytes(text))


def chopped(message: bytes) -> str:
    """*message* without the ends of lines that it ends with."""
    return to_text(message.rstrip(b"\r\n"))


class Process:
    """One perl process. *sock* is our end; it does not survive this process, whatever that dies of."""

    __slots__ = ("__weakref__", "_end", "popen", "sock")

    def __init__(self, program: Program, environment: Mapping[str, str] | None = None) -> None:
        """Raises PerlDied where there is no perl, OSError."""
        perl = find_perl()
        if perl is None:
            raise PerlDied("perl is not installed")
        self.sock, theirs = socket.socketpair()
        words = [perl, *(word for name in program.folders for word in ("-I", name)), HOST, str(theirs.fileno())]
        libc = ctypes.CDLL(None, use_errno=True)  # before the fork

        def prepare() -> None:
            libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.setpgid(0, 0)  # what is sent to the server's group is the workers' to hear

        try:
            self.popen = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, env=environment, pass_fds=(theirs.fileno(),), preexec_fn=prepare
            )
        except (OSError, subprocess.SubprocessError):
            self.sock.close()
            raise
        finally:
            theirs.close()
        self._end = weakref.finalize(self, _end, self.sock, self.popen)

    def __repr__(self) -> str:
        return f"<Process perl {self.popen.pid}>"

    def end(self) -> int:
        """Let it go: first kindly. Its exit code, negative for a signal."""
        self._end()
        return self.popen.returncode or 0

    def bury(self) -> int:
        """It has said its last word: what it died of, once it has."""
        self.sock.close()
        try:
            return self.popen.wait(AT_THE_END)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.popen.wait()


def _end(sock: socket.socket, popen: subprocess.Popen[bytes]) -> None:
    sock.close()
    try:
        popen.wait(LAST_WORDS)
    except subprocess.TimeoutExpired:
        popen.kill()
        popen.wait()


def ended(code: int) -> str:
    """What an exit code says."""
    return f"exited on signal {-code}" if code < 0 else f"exited with code {code}"


class BlockingPerl:
    """A perl process that is waited for: while the configuration is read, and where nothing can be parked."""

    def __init__(self, program: Program, environment: Mapping[str, str] | None = None) -> None:
        """Raises PerlDied, OSError."""
        self.process = Process(program, environment)
        self.frames = Frames()
        self.came: list[Frame] = []

    def __repr__(self) -> str:
        return f"<BlockingPerl {self.process!r}>"

    def send(self, data: bytes) -> None:
        """Raises PerlDied."""
        try:
            self.process.sock.sendall(data)
        except OSError:
            raise PerlDied(ended(self.process.bury())) from None

    def receive(self) -> Frame:
        """The next frame; raises PerlDied."""
        while not self.came:
            try:
                data = self.process.sock.recv(65536)
            except OSError:
                data = b""
            if not data:
                raise PerlDied(ended(self.process.bury()))
            self.came += self.frames.feed(data)
        return self.came.pop(0)

    def load(self, frame: bytes) -> None:
        """Raises PerlFault, PerlDied."""
        self.send(frame)
        kind, fields = self.receive()
        if kind == b"f":
            raise PerlFault(chopped(fields[0]))

    def call(self, call: Call) -> Result:
        """Run *call* to its end; its output is dropped. Raises PerlDied."""
        self.send(call.frame())
        while True:
            kind, fields = self.receive()
            if kind == b"r":
                return call.result(fields)
            if kind == b"q":
                self.send(call.answer(fields))
            elif kind == b"n":
                call.do(fields)

    def end(self) -> Any:
        """Let the process go."""
        return self.process.end()
