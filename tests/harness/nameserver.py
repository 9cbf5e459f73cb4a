"""A name server in a thread that answers what the test says."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


class NameServer:
    """Answers from *zone*: (name, type) to a list of records, an rcode, None (silence) or a function of the query."""

    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], object] = {}
        self.asked: list[str] = []
        self.ttl = 60
        self.udp, self.tcp = one_port()
        self.address = self.udp.getsockname()
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self.serve_udp, self.serve_tcp)]
        for thread in self.threads:
            thread.start()

    def serve_udp(self) -> None:
        while True:
            data, peer = self.udp.recvfrom(4096)
            if not data:
                return
            for reply in self.reply(data, "udp"):
                self.udp.sendto(reply, peer)

    def serve_tcp(self) -> None:
        while True:
            with contextlib.closing(self.tcp.accept()[0]) as c:
                size = c.recv(2)
                if not size:
                    return
                for reply in self.reply(c.recv(int.from_bytes(size, "big")), "tcp"):
                    c.sendall(len(reply).to_bytes(2, "big"))
                    c.sendall(reply)

    def reply(self, data: bytes, how: str) -> Iterator[bytes]:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), question.rdtype.name
        self.asked.append(f"{how} {kind} {name}")
        told = self.zone.get((name, kind), [])
        if callable(told):
            told = told(query)
        if told is None:
            return
        if isinstance(told, bytes):
            yield told
            return
        response = dns.message.make_response(query)
        if isinstance(told, dns.rcode.Rcode):
            response.set_rcode(told)
        elif told == "truncated":
            response.flags |= dns.flags.TC
        else:
            for line in told:
                owner, kind, value = line.split(" ", 2)
                response.answer.append(dns.rrset.from_text(owner + ".", self.ttl, "IN", kind, value))
        yield response.to_wire()

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        socket.create_connection(self.address).close()
        for thread in self.threads:
            thread.join()
        self.udp.close()
        self.tcp.close()


def one_port() -> tuple[socket.socket, socket.socket]:
    """Sockets for UDP and TCP on one port that is free for both."""
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        try:
            return udp, socket.create_server(udp.getsockname())
        except OSError:
            udp.close()
