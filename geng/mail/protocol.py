"""What POP3, IMAP and SMTP have in common while a client logs in.

nginx: ngx_mail_handler.c (ngx_mail_read_command, ngx_mail_auth_…), ngx_mail_parse.c (ngx_mail_auth_parse)
"""

from __future__ import annotations

from geng.core import base64
from geng.errors import GengError
from geng.mail.session import (
    CRAM_MD5,
    EXTERNAL,
    PASSWORD,
    PLAIN,
    START,
    USERNAME,
    Session,
    TooLong,
    shown,
)
from geng.wire.mail import BadAnswer, Command, Invalid, cram_md5, decoded, plain, read_answer

#: ways to log in
M_PLAIN, M_LOGIN, M_APOP, M_CRAM_MD5, M_EXTERNAL, M_NONE = (1 << n for n in range(6))
METHODS = {
    "plain": M_PLAIN, "login": M_LOGIN, "apop": M_APOP, "cram-md5": M_CRAM_MD5, "external": M_EXTERNAL, "none": M_NONE,
}  # fmt: skip
NAMES = ((M_PLAIN, b"PLAIN"), (M_LOGIN, b"LOGIN"), (M_CRAM_MD5, b"CRAM-MD5"), (M_EXTERNAL, b"EXTERNAL"))

STARTTLS_ON, STARTTLS_ONLY = 1, 2


class Refused(GengError):
    """This command is not for now, or not for us."""


def names_of(methods: int) -> list[bytes]:
    """How a server lists *methods*."""
    return [name for bit, name in NAMES if methods & bit]


class Protocol:
    """One server's protocol; subclasses say the words."""

    name = b""
    internal_error = b""
    cert_error = b""
    no_cert = b""
    prompt = b"+ "  # what a challenge begins with
    most = 3  # words in an answer

    def __init__(self, methods: int, size: int) -> None:
        """*methods*: ways to log in; *size*: of the buffer for commands."""
        self.methods = methods
        self.size = size

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    # ---- what differs

    def greet(self, s: Session) -> None:
        """The first line."""
        raise NotImplementedError

    def read(self, s: Session) -> Command | None:
        """The next command, None where it is not complete. Raises Invalid."""
        raise NotImplementedError

    def answer(self, s: Session, command: Command) -> bytes | None:
        """What to say to a command; None: somebody wants to be let in. Raises Refused."""
        raise NotImplementedError

    def invalid(self, s: Session) -> bytes:
        """What to say to what is none."""
        raise NotImplementedError

    def refusal(self, s: Session, message: bytes, code: bytes) -> bytes:
        """What to say to who may not come in; *code* is SMTP's, if it was given."""
        raise NotImplementedError

    # ---- the conversation

    def talk(self, s: Session) -> None:
        """Commands and answers, until the client leaves or is passed on."""
        while not s.passed_on:
            answer = self.turn(s)
            if answer is None:
                s.state = START
                self.let_in(s)
                continue
            s.send(answer)
            if s.quit:
                return
            if s.starttls and s.c.ssl is None:
                s.start_tls()

    def turn(self, s: Session) -> bytes | None:
        """One command: the answer, None for a login."""
        try:
            command = self.next(s)
        except Invalid as invalid:
            s.pos = invalid.end
            s.errors += 1
            if invalid.tag:
                s.tag = invalid.tag
            s.quit = invalid.literal
            if s.errors >= s.server.max_errors:
                s.info("client sent too many invalid commands")
                s.quit = True
            return self.reset(s)
        except TooLong:
            s.info(f'client sent too long command "{shown(s.buffer)}"')
            s.quit = True
            return self.reset(s)
        s.pos = command.end
        s.debug(f"mail command: {shown(command.name)}")
        try:
            if not command.name:
                return self.go_on(s, command.args[0])
            return self.answer(s, command)
        except BadAnswer as bad:
            s.info(str(bad))
        except Refused:
            pass
        return self.reset(s)

    def reset(self, s: Session) -> bytes:
        """An invalid command: whatever was begun is forgotten."""
        s.state = START
        return self.invalid(s)

    def next(self, s: Session) -> Command:
        """The next command, received as far as it is not here. Raises Invalid, TooLong."""
        while True:
            in_login = s.state >= USERNAME
            found = read_answer(s.buffer, s.pos, self.most) if in_login else self.read(s)
            if found is not None:
                return found
            s.more(self.size)

    # ---- SASL

    def only_starttls(self, s: Session) -> None:
        """Raises Refused where nobody may log in before STARTTLS."""
        if s.c.ssl is None and s.server.starttls == STARTTLS_ONLY:
            raise Refused

    def begin_tls(self, s: Session) -> None:
        """STARTTLS. Raises Refused."""
        if s.c.ssl is not None or not s.server.starttls:
            raise Refused
        s.starttls = True

    def authenticate(self, s: Session, args: list[bytes]) -> bytes | None:
        """`AUTH mechanism [initial response]`. Raises Refused, BadAnswer."""
        if not args or len(args) > 2:
            raise Refused
        method = args[0].upper()
        first = args[1] if len(args) == 2 else None
        if method == b"LOGIN":
            s.state = USERNAME
            return self.ask(b"VXNlcm5hbWU6") if first is None else self.go_on(s, first)
        if method == b"PLAIN":
            s.state = PLAIN
            return self.ask(b"") if first is None else self.go_on(s, first)
        if method == b"CRAM-MD5" and first is None and self.methods & M_CRAM_MD5:
            s.state = CRAM_MD5
            return self.ask(base64.encode(s.make_salt()))
        if method == b"EXTERNAL" and (first is not None or self.methods & M_EXTERNAL):
            s.state = EXTERNAL
            return self.ask(b"VXNlcm5hbWU6") if first is None else self.go_on(s, first)
        raise Refused

    def ask(self, challenge: bytes) -> bytes:
        return b"%b%b\r\n" % (self.prompt, challenge)

    def go_on(self, s: Session, text: bytes) -> bytes | None:
        """The client's answer to a challenge. Raises BadAnswer."""
        state = s.state
        if state == USERNAME:
            s.login = decoded(text, "LOGIN")
            s.state = PASSWORD
            return self.ask(b"UGFzc3dvcmQ6")
        if state == PASSWORD:
            s.password = decoded(text, "LOGIN")
        elif state == PLAIN:
            s.login, s.password = plain(text)
        elif state == CRAM_MD5:
            s.login, s.password = cram_md5(text)
            s.auth_method = b"cram-md5"
        else:
            s.login = decoded(text, "EXTERNAL")
            s.auth_method = b"external"
        return None

    # ---- the decision

    def let_in(self, s: Session) -> None:
        """Ask whether the client may come in, and pass it on; or say that it may not."""
        verdict = s.server.authorize(s)
        if verdict.peer is not None:
            s.server.pass_on(s, verdict.peer)
            return
        answer = self.refusal(s, verdict.message, verdict.code)
        if not verdict.wait:
            s.finish(answer)
        s.c.hub.sleep(verdict.wait * 1000)
        s.state = START
        s.auth_method = b"plain"
        s.action = "in auth state"
        s.wind()
        s.send(answer)
