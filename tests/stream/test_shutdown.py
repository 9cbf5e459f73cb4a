"""What becomes of sessions when the server reloads or ends."""

from __future__ import annotations

import signal
from contextlib import closing
from typing import Any

from scripts.lib.servers import wait_until
from tests.harness.talk import ask, echo

CONF = """
worker_shutdown_timeout {timeout};
events {{}}
stream {{
    log_format m $status;
    access_log %DIR%/access.log m;
    server {{ listen 127.0.0.1:%PORT%; proxy_pass 127.0.0.1:%UP%; }}
}}
"""


def test_a_session_outlives_a_reload(server: Any, backend: Any) -> None:
    s = server(CONF.format(timeout="1m"), probe=False, UP=backend(talk=echo).port)
    with closing(s.connect().sock) as sock:
        assert ask(sock, b"before") == b"before"
        old = set(s.workers())
        s.signal(signal.SIGHUP)
        wait_until(lambda: bool(set(s.workers()) - old), "a new worker")
        with closing(s.connect().sock) as other:
            assert ask(other, b"new") == b"new"
        assert ask(sock, b"still") == b"still"
        assert old & set(s.workers())
    wait_until(lambda: not old & set(s.workers()), "the old worker gone")
    assert s.log("access.log") == "200\n200\n"


def test_worker_shutdown_timeout(server: Any, backend: Any) -> None:
    s = server(CONF.format(timeout="100ms"), probe=False, UP=backend(talk=echo).port)
    with closing(s.connect().sock) as sock:
        assert ask(sock, b"x") == b"x"
        s.reload()
        assert sock.recv(10) == b""
    assert "shutdown timeout while proxying connection, client: 127.0.0.1" in s.log()
    assert s.log("access.log") == "200\n"
