"""The mail proxy between Python's own clients and small mail servers: logins of every kind, refusals, TLS, faults."""

from __future__ import annotations

import base64
import imaplib
import poplib
import signal
import smtplib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.servers import free_port, wait_until
from tests.harness.backend import Answer, Request
from tests.harness.tls import Authority

CONF = """
events {}
mail {
    auth_http 127.0.0.1:%AUTH%/auth;
    server_name mail.example.com;
    %MAIL%
    server { listen 127.0.0.1:%PORT%; protocol %PROTOCOL%; %SERVER% }
}
"""

Words = dict[str, str]


class Lines:
    """A socket that is read line by line."""

    def __init__(self, sock: socket.socket, seen: list[bytes]) -> None:
        self.sock = sock
        self.file = sock.makefile("rb")
        self.seen = seen

    def line(self) -> bytes:
        found = self.file.readline()
        self.seen.append(found)
        return found

    def say(self, text: str) -> None:
        self.sock.sendall(text.encode() + b"\r\n")


def pop3_server(lines: Lines) -> None:
    lines.say("+OK ready")
    while line := lines.line():
        if line.startswith(b"PASS wrong"):
            lines.say("-ERR no such password")
        elif line.startswith(b"STAT"):
            lines.say("+OK 2 320")
        else:
            lines.say("+OK")


def imap_server(lines: Lines) -> None:
    lines.say("* OK ready")
    tag = b""
    while line := lines.line():
        tag, _, command = line.partition(b" ")
        if command.startswith(b"LOGIN"):
            lines.say("+ go on")
            lines.line()
            lines.say("+ go on")
            lines.line()
            lines.say("* CAPABILITY IMAP4rev1")
        lines.say(f"{tag.decode()} OK done")


def smtp_server(lines: Lines) -> None:
    lines.say("220 ready")
    while line := lines.line():
        line = line.upper()
        if line.startswith(b"EHLO"):
            lines.say("250-here\r\n250-XCLIENT\r\n250 AUTH PLAIN")
        elif line.startswith(b"AUTH"):
            lines.say("235 welcome")
        elif line.startswith(b"DATA"):
            lines.say("354 go on")
            while lines.line() not in (b".\r\n", b""):
                pass
            lines.say("250 taken")
        else:
            lines.say("250 ok")


SERVERS: dict[str, Callable[[Lines], None]] = {"pop3": pop3_server, "imap": imap_server, "smtp": smtp_server}


class Setup:
    """A proxy, the HTTP server that it asks (whose *words* are the verdict), and a mail server that notes what it *seen*."""

    def __init__(self, server: Any, backend: Any, protocol: str, conf: str = "", mail: str = "", **options: Any) -> None:
        self.seen: list[bytes] = []
        self.words: Words = {"Auth-Status": "OK", "Auth-Server": "127.0.0.1"}
        self.asked: list[Request] = []
        self.mail = backend(talk=lambda sock: SERVERS[protocol](Lines(sock, self.seen)))
        self.words["Auth-Port"] = str(self.mail.port)

        def verdict(request: Request) -> Answer:
            self.asked.append(request)
            return Answer("", headers=dict(self.words))

        text = CONF.replace("%SERVER%", conf).replace("%MAIL%", mail).replace("%PROTOCOL%", protocol)
        self.server = server(text, AUTH=backend(verdict).port, probe=False, **options)
        self.address = self.server.address()

    def talk(self, *lines: bytes) -> list[bytes]:
        """What is answered to the greeting and to each of *lines*."""
        answers = []
        with socket.create_connection(self.address, timeout=30) as sock, sock.makefile("rb") as file:
            answers.append(file.readline())
            for line in lines:
                try:
                    sock.sendall(line + b"\r\n")
                    answers.append(file.readline())
                except OSError:  # closed, with what was sent unread
                    answers.append(b"")
        return answers


@pytest.fixture
def setup(server: Any, backend: Any) -> Callable[..., Setup]:
    return lambda protocol, *args, **options: Setup(server, backend, protocol, *args, **options)


def test_pop3(setup: Any) -> None:
    s = setup("pop3")
    client = poplib.POP3(*s.address, timeout=30)
    assert client.capa().keys() >= {"USER", "UIDL", "SASL"}
    client.user("me@example.com")
    client.pass_("secret word")
    assert client.stat() == (2, 320)
    client.quit()
    asked = s.asked[0]
    assert asked.target == "/auth"
    assert (asked["Auth-User"], asked["Auth-Pass"], asked["Auth-Protocol"]) == ("me@example.com", "secret%20word", "pop3")
    assert (asked["Auth-Method"], asked["Auth-Login-Attempt"], asked["Client-IP"]) == ("plain", "1", "127.0.0.1")
    assert s.seen[:2] == [b"USER me@example.com\r\n", b"PASS secret word\r\n"]
    assert "client logged in" in s.server.log()


def test_pop3_apop(setup: Any) -> None:
    s = setup("pop3", "pop3_auth plain apop;")
    s.words["Auth-Pass"] = "secret"
    client = poplib.POP3(*s.address, timeout=30)
    client.apop("me", "secret")
    assert s.asked[0]["Auth-Method"] == "apop"
    assert s.asked[0]["Auth-Salt"].endswith("@mail.example.com>")
    assert s.seen[:2] == [b"USER me\r\n", b"PASS secret\r\n"]


def test_imap(setup: Any) -> None:
    s = setup("imap")
    client = imaplib.IMAP4(*s.address, timeout=30)
    assert "AUTH=PLAIN" in client.capabilities
    assert client.login("me", 'a"b\\c')[0] == "OK"
    assert client.noop()[0] == "OK"
    client.logout()
    assert s.asked[0]["Auth-Pass"] == 'a"b\\c'
    assert s.seen[1:3] == [b"me {5}\r\n", b'a"b\\c\r\n']


def test_imap_literals(setup: Any) -> None:
    s = setup("imap")
    answers = s.talk(b"a LOGIN {2}", b"me {6}", b"secret")
    assert answers == [b"* OK IMAP4 ready\r\n", b"+ OK\r\n", b"+ OK\r\n", b"* CAPABILITY IMAP4rev1\r\n"]
    assert (s.asked[0]["Auth-User"], s.asked[0]["Auth-Pass"]) == ("me", "secret")


def test_smtp(setup: Any) -> None:
    s = setup("smtp", "smtp_auth plain login cram-md5; smtp_capabilities SIZE PIPELINING; xclient on;")
    s.words["Auth-Pass"] = "secret"
    client = smtplib.SMTP(*s.address, local_hostname="client.example.com", timeout=30)
    client.login("me", "secret")
    assert client.has_extn("pipelining")
    client.sendmail("me@example.com", ["you@example.com"], "Subject: x\r\n\r\nhello")
    client.close()
    assert s.asked[0]["Auth-Method"] == "cram-md5"
    assert s.seen[0] == b"EHLO mail.example.com\r\n"
    assert s.seen[1] == b"XCLIENT ADDR=127.0.0.1 LOGIN=me NAME=[UNAVAILABLE]\r\n"
    assert s.seen[2] == b"EHLO client.example.com\r\n"


def test_smtp_without_login(setup: Any) -> None:
    s = setup("smtp", "smtp_auth none; xclient off;")
    client = smtplib.SMTP(*s.address, local_hostname="client.example.com", timeout=30)
    client.sendmail("me@example.com", ["you@example.com", "her@example.com"], "hello")
    client.close()
    asked = s.asked[0]
    assert (asked["Auth-Method"], asked["Auth-SMTP-Helo"]) == ("none", "client.example.com")
    assert (asked["Auth-SMTP-From"], asked["Auth-SMTP-To"]) == (
        "mail FROM:<me@example.com>", "rcpt TO:<you@example.com>",
    )  # fmt: skip
    assert s.seen[1:3] == [b"mail FROM:<me@example.com>\r\n", b"rcpt TO:<you@example.com>\r\n"]


def test_smtp_login_is_passed_on(setup: Any) -> None:
    s = setup("smtp", mail="proxy_smtp_auth on; xclient off;")
    answers = s.talk(b"AUTH PLAIN " + base64.b64encode(b"\0me\0secret"))
    assert answers == [b"220 mail.example.com ESMTP ready\r\n", b"235 2.0.0 OK\r\n"]
    assert s.seen[0] == b"HELO mail.example.com\r\n"
    assert b"AUTH PLAIN " + base64.b64encode(b"\0me\0secret") + b"\r\n" in s.seen


def test_refusal_ends_the_session(setup: Any) -> None:
    s = setup("pop3")
    s.words["Auth-Status"] = "Invalid login"
    assert s.talk(b"USER me", b"PASS x", b"NOOP")[-2:] == [b"-ERR Invalid login\r\n", b""]
    assert 'client login failed: "Invalid login"' in s.server.log()


def test_refusal_with_another_chance(setup: Any) -> None:
    s = setup("imap")
    s.words |= {"Auth-Status": "Not yet", "Auth-Wait": "1"}
    assert s.talk(b"a LOGIN me x", b"b LOGIN me y")[1:] == [b"a NO Not yet\r\n", b"b NO Not yet\r\n"]
    assert [asked["Auth-Login-Attempt"] for asked in s.asked] == ["1", "2"]


def test_refusal_with_a_code(setup: Any) -> None:
    s = setup("smtp")
    s.words |= {"Auth-Status": "Later", "Auth-Error-Code": "454 4.7.0"}
    assert s.talk(b"AUTH PLAIN " + base64.b64encode(b"\0me\0x"))[1] == b"454 4.7.0 Later\r\n"


@pytest.mark.parametrize(
    "words, message",
    [
        ({"Auth-Server": ""}, "did not send server or port"),
        ({"Auth-Server": "example.com"}, 'sent invalid server address:"example.com"'),
        ({"Auth-Port": "0"}, 'sent invalid server port:"0"'),
        ({"Auth-Port": "99999"}, 'sent invalid server port:"99999"'),
        ({"Bad_Header": "x"}, "sent invalid header in response"),
    ],
)
def test_useless_verdict(setup: Any, words: Words, message: str) -> None:
    s = setup("pop3")
    s.words |= words
    assert s.talk(b"USER me", b"PASS x")[-1] == b"-ERR internal server error\r\n"
    assert message in s.server.log()


def test_nobody_to_ask(setup: Any, unused_port: int) -> None:
    s = setup("pop3", f"auth_http 127.0.0.1:{unused_port}/;")
    assert s.talk(b"USER me", b"PASS x")[-1] == b"-ERR internal server error\r\n"
    assert "connect() failed (111: Connection refused) while in http auth state" in s.server.log()


def test_no_mail_server(setup: Any, unused_port: int) -> None:
    s = setup("smtp")
    s.words["Auth-Port"] = str(unused_port)
    assert s.talk(b"AUTH PLAIN " + base64.b64encode(b"\0me\0x"))[1] == b"451 4.3.2 Internal server error\r\n"
    assert f"while connecting to upstream, client: 127.0.0.1, server: 127.0.0.1:{s.address[1]}" in s.server.log()


@pytest.mark.parametrize("passed", (False, True))
def test_mail_server_refuses(setup: Any, passed: bool) -> None:
    s = setup("pop3", mail="proxy_pass_error_message on;" if passed else "")
    answer = s.talk(b"USER me", b"PASS wrong")[-1]
    assert answer == (b"-ERR no such password\r\n" if passed else b"-ERR internal server error\r\n")
    assert 'upstream sent invalid response: "-ERR no such password"' in s.server.log()


def test_invalid_commands(setup: Any) -> None:
    s = setup("pop3", "max_errors 3;")
    answers = s.talk(b"FOO", b"PASS x", b"user a b", b"BAR", b"USER me", b"BAZ", b"NOOP")
    bad = b"-ERR invalid command\r\n"
    assert answers[1:] == [bad, bad, b"+OK\r\n", bad, b"+OK\r\n", bad, b""]
    assert "client sent too many invalid commands" in s.server.log()


def test_too_long_command(setup: Any) -> None:
    s = setup("pop3")
    assert s.talk(b"USER " + b"x" * 200)[1] == b"-ERR invalid command\r\n"
    assert "client sent too long command" in s.server.log()


def test_timeout(setup: Any) -> None:
    s = setup("imap", "timeout 300ms;")
    with socket.create_connection(s.address, timeout=30) as sock:
        assert sock.recv(100) == b"* OK IMAP4 ready\r\n"
        assert sock.recv(100) == b""
    assert "client timed out (110: Connection timed out) while in auth state" in s.server.log()


def test_greeting_delay(setup: Any) -> None:
    s = setup("smtp", "smtp_greeting_delay 10s;")
    with socket.create_connection(s.address, timeout=30) as sock:
        sock.sendall(b"HELO me\r\n")
        assert sock.recv(100) == b"503 5.5.0 Improper use of SMTP command pipelining\r\n"
    assert 'client was rejected before greeting: "HELO me__"' in s.server.log()


def test_proxy_protocol(setup: Any) -> None:
    text = "listen 127.0.0.1:%PORT2% proxy_protocol; set_real_ip_from 127.0.0.1; proxy_protocol on;"
    s = setup("pop3", text)
    with socket.create_connection(s.server.address("PORT2"), timeout=30) as sock, sock.makefile("rb") as file:
        sock.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 2222\r\nUSER me\r\nPASS x\r\n")
        assert [file.readline() for _ in range(3)] == [b"+OK POP3 ready\r\n", b"+OK\r\n", b"+OK\r\n"]
    asked = s.asked[0]
    assert (asked["Client-IP"], asked["Proxy-Protocol-Addr"], asked["Proxy-Protocol-Port"]) == (
        "192.0.2.1", "192.0.2.1", "1111",
    )  # fmt: skip
    assert s.seen[0].startswith(b"PROXY TCP4 192.0.2.1 127.0.0.1 1111 ")


# ---- TLS


TLS = "ssl_certificate localhost.crt; ssl_certificate_key localhost.key;"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path).issue("localhost")


def test_tls(setup: Any, authority: Authority) -> None:
    s = setup("pop3", f"listen 127.0.0.1:%PORT2% ssl; {TLS}")
    client = poplib.POP3_SSL(*s.server.address("PORT2"), timeout=30, context=authority.context())
    client.user("me")
    client.pass_("secret")
    assert client.stat() == (2, 320)
    assert (s.asked[0]["Auth-SSL"], s.asked[0]["Auth-SSL-Protocol"]) == ("on", "TLSv1.3")
    assert s.asked[0].get("Auth-SSL-Verify") is None


def test_starttls(setup: Any, authority: Authority) -> None:
    context = authority.context()
    s = setup("pop3", f"starttls only; {TLS}")
    pop = poplib.POP3(*s.address, timeout=30)
    assert "STLS" in pop.capa() and "USER" not in pop.capa()
    with pytest.raises(poplib.error_proto):
        pop.user("me")
    pop.stls(context)
    pop.user("me")
    pop.pass_("secret")
    assert pop.stat() == (2, 320)


def test_starttls_of_imap(setup: Any, authority: Authority) -> None:
    s = setup("imap", f"starttls on; {TLS}")
    imap = imaplib.IMAP4(*s.address, timeout=30)
    imap.starttls(authority.context())
    assert imap.login("me", "secret")[0] == "OK"


def test_starttls_of_smtp(setup: Any, authority: Authority) -> None:
    s = setup("smtp", f"starttls on; {TLS}")
    smtp = smtplib.SMTP(*s.address, timeout=30)
    smtp.starttls(context=authority.context())
    smtp.login("me", "secret")
    assert s.asked[0]["Auth-SSL"] == "on"


def test_commands_before_starttls_are_forgotten(setup: Any, authority: Authority) -> None:
    s = setup("smtp", f"starttls on; {TLS}")
    with socket.create_connection(s.address, timeout=30) as sock:
        sock.recv(100)
        sock.sendall(b"STARTTLS\r\nRSET\r\n")
        assert sock.recv(100) == b"220 2.0.0 Start TLS\r\n"
        with authority.context().wrap_socket(sock) as tls:
            tls.sendall(b"QUIT\r\n")
            assert tls.recv(100) == b"221 2.0.0 Bye\r\n"


def test_client_certificate(setup: Any, authority: Authority) -> None:
    authority.issue("client")
    s = setup("imap", f"listen 127.0.0.1:%PORT2% ssl; {TLS} ssl_verify_client on; ssl_client_certificate ca.crt;")
    context = authority.context()
    with context.wrap_socket(socket.create_connection(s.server.address("PORT2"), timeout=30)) as sock:
        assert sock.recv(100) == b"* BYE No required SSL certificate\r\n"
    folder = authority.folder
    context.load_cert_chain(folder / "client.crt", folder / "client.key")
    imap = imaplib.IMAP4_SSL(*s.server.address("PORT2"), timeout=30, ssl_context=context)
    assert imap.login("me", "secret")[0] == "OK"
    assert s.asked[0]["Auth-SSL-Verify"] == "SUCCESS"


# ---- the process


def test_debug_connection(server: Any, backend: Any) -> None:
    text = CONF.replace("events {}", "events { debug_connection 127.0.0.0/8; }")
    for name in ("MAIL", "SERVER"):
        text = text.replace(f"%{name}%", "")
    s = server(text.replace("%PROTOCOL%", "pop3"), AUTH=1, probe=False)
    with socket.create_connection(s.address(), timeout=30) as sock:
        sock.recv(100)
        sock.sendall(b"QUIT\r\n")
        assert sock.recv(100) == b"+OK\r\n"
    assert "*1 mail command: QUIT" in s.log()


def test_reload_keeps_sessions(setup: Any) -> None:
    s = setup("pop3")
    client = poplib.POP3(*s.address, timeout=30)
    client.user("me")
    client.pass_("x")
    s.server.signal(signal.SIGHUP)
    wait_until(lambda: len(s.server.workers()) == 2, "a new worker beside the old one")
    assert client.stat() == (2, 320)
    client.close()


@pytest.fixture
def unused_port() -> int:
    return free_port()
