"""A server whose streams send back what they get: QUIC without HTTP/3.   python echo.py cert key [retry] [gso]"""

from __future__ import annotations

import socket
import sys
from typing import Any

from geng.errors import ConnectionClosed
from geng.net.accept import Acceptor
from geng.net.connection import ConnectionPool
from geng.net.hub import Hub
from geng.net.listen import Listening
from geng.quic import listen
from geng.quic.conf import QuicConf
from geng.quic.tls import prepare
from geng.tls.context import PROTOCOLS, Context
from geng.tls.loading import Objects
from geng.tls.servername import SERVER_NAME_OK, listen_to_clients


class Log:
    """Everything goes to the standard error."""

    def __getattr__(self, name: str) -> Any:
        def say(*words: Any, err: Any = None, ctx: Any = None) -> None:
            print(name, *words, err or "", ctx or "", file=sys.stderr, flush=True)

        return say


def serve(stream: Any) -> None:
    """One stream, in a greenlet."""
    try:
        while True:
            data = stream.read(65536, 10_000)
            if not data or data.startswith(b"drop"):
                break
            stream.send((data,), 10_000)
        stream.end()
    except ConnectionClosed as error:
        print("closed", error, file=sys.stderr, flush=True)
    finally:
        stream.close()


def take_any_name(tls: Any, name: bytes | None) -> int:
    """SNI does not matter here."""
    tls.accepted = True
    return SERVER_NAME_OK


def main() -> None:
    certificate, key, *words = sys.argv[1:]
    hub = Hub()
    log = Log()
    context = Context(PROTOCOLS["TLSv1.3"])
    context.add_certificate(Objects(str), certificate, key, None)
    listen_to_clients(context, take_any_name, lambda tls, offered: offered[0])
    prepare(context)
    conf = QuicConf(
        context,
        on_stream=lambda stream: None if stream.id & 2 else hub.spawn(serve, stream),
        log=log,
        retry="retry" in words,
        gso="gso" in words,
        host_key=b"secret",
        active_connection_id_limit=4,
    )
    listening = Listening(("127.0.0.1", 0), handler=lambda c: c.run(conf), kind=socket.SOCK_DGRAM)  # type: ignore[attr-defined]
    listening.receiver = listen.Receiver()
    listening.open()
    listening.configure(log)
    pool = ConnectionPool(hub, 1000, log)
    print(listening.sock.getsockname()[1], flush=True)  # type: ignore[union-attr]
    acceptor = Acceptor(hub, pool, [listening], log)
    acceptor.start()
    hub.run()


if __name__ == "__main__":
    main()
