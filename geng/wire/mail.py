"""Commands of POP3, IMAP and SMTP, as far as a proxy reads them before somebody has logged in.   nginx: ngx_mail_parse.c

What arrives is looked at anew until a command is complete: there is little of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from geng.core import base64

POP3_COMMANDS = frozenset((b"USER", b"PASS", b"APOP", b"QUIT", b"CAPA", b"AUTH", b"NOOP", b"STLS"))
IMAP_COMMANDS = frozenset((b"NOOP", b"LOGIN", b"LOGOUT", b"STARTTLS", b"CAPABILITY", b"AUTHENTICATE"))
SMTP_COMMANDS = frozenset(
    (b"HELO", b"EHLO", b"QUIT", b"AUTH", b"NOOP", b"MAIL", b"RSET", b"RCPT", b"VRFY", b"EXPN", b"HELP", b"STARTTLS")
)

#: commands of which all the rest of the line is one argument
WHOLE_LINE = (b"USER", b"PASS")

LONGEST_TAG = 31

_WORD = re.compile(rb"[A-Za-z]*")
_TAG = re.compile(rb"[A-Za-z0-9._-]*")
_LITERAL = re.compile(rb"\{(\d{0,18})(\+?)\}\r*\n")
_HALF_LITERAL = re.compile(rb"\{\d{0,18}\+?(\}\r*)?\Z")


class Invalid(ValueError):
    """No such command. *end*: where the next one begins; *tag*: what the answer begins with, if that much was right.

    literal: the line ends with a literal that the client does not wait with, so that what follows is no command.
    """

    def __init__(self, end: int, tag: bytes = b"", literal: bool = False) -> None:
        super().__init__(end)
        self.end = end
        self.tag = tag
        self.literal = literal


@dataclass(slots=True)
class Command:
    """A command. *text*: all of it, *tag* with the space behind it; *end*: where the next one begins."""

    name: bytes
    args: list[bytes] = field(default_factory=list)
    end: int = 0
    text: bytes = b""
    tag: bytes = b""


@dataclass(slots=True)
class Literal:
    """IMAP: the client waits to be told to go on, for the *count*th time in this command."""

    count: int
    tag: bytes


def line_at(data: bytes, start: int) -> tuple[bytes, int] | None:
    """The line at *start*, without its end, and where the next one begins; None where it is not complete."""
    found = data.find(b"\n", start)
    return None if found < 0 else (data[start:found], found + 1)


def words(line: bytes, end: int, most: int, whole: bool = False) -> tuple[list[bytes], bytes]:
    """The arguments in the rest of a line, and the line up to the last one. Raises Invalid."""
    text = line.removesuffix(b"\r")
    if b"\r" in text:
        raise Invalid(end)
    text = text.rstrip(b" ") if not whole else text
    if whole:
        rest = text.lstrip(b" ")
        return ([rest] if rest else []), text
    found = [word for word in text.split(b" ") if word]
    if len(found) > most:
        raise Invalid(end)
    return found, text


def read_line(data: bytes, start: int, known: frozenset[bytes], most: int) -> Command | None:
    """A command of POP3 or SMTP; None where it is not complete. Raises Invalid."""
    found = line_at(data, start)
    if found is None:
        return None
    line, end = found
    match = _WORD.match(line)
    name = match[0] if match is not None else b""
    upper = name.upper()
    rest = line[len(name) :]
    if upper not in known or rest[:1] not in (b"", b" ", b"\r"):
        raise Invalid(end)
    args, text = words(rest, end, most, upper in WHOLE_LINE)
    return Command(upper, args, end, name + text)


def read_answer(data: bytes, start: int, most: int = 3) -> Command | None:
    """What a client says in the middle of a login; None where it is not complete. Raises Invalid."""
    found = line_at(data, start)
    if found is None:
        return None
    line, end = found
    args, _ = words(line, end, most)
    return Command(b"", args or [b""], end)


class _Broken(Exception):
    """This is no command; *at*: where that was seen."""

    def __init__(self, at: int) -> None:
        self.at = at


class ImapReader:
    """One IMAP command in *data*, from *start*."""

    def __init__(self, data: bytes, start: int) -> None:
        self.data = data
        self.at = start
        self.start = start
        self.tag = b""
        self.literals = 0  # of those that the client waits with

    def __repr__(self) -> str:
        return f"<ImapReader at {self.at} of {len(self.data)}>"

    def read(self, told: int) -> Command | Literal | None:
        """The command, None where it is not complete; *told*: how often the client was told to go on. Raises Invalid."""
        try:
            return self._command(told)
        except _Broken as broken:
            end = self.data.find(b"\n", broken.at)
            if end < 0:
                return None
            literal = self.data[:end].removesuffix(b"\r").endswith(b"+}") and end > len("{1+}")
            raise Invalid(end + 1, self.tag, literal) from None

    def _command(self, told: int) -> Command | Literal | None:
        data = self.data
        match = _TAG.match(data, self.at)
        end = match.end() if match is not None else self.at
        if end - self.at > LONGEST_TAG + 1:
            raise _Broken(end)
        if end == len(data):
            return None
        if data[end] != 0x20:
            raise _Broken(end)
        self.tag = data[self.at : end + 1]
        self.at = self._spaces(end)
        if self.at == len(data):
            return None
        match = _WORD.match(data, self.at)
        end = match.end() if match is not None else self.at
        if end == len(data):
            return None
        name = data[self.at : end].upper()
        if data[end] not in b" \r\n" or name not in IMAP_COMMANDS:
            raise _Broken(end)
        self.at = end
        command = Command(name, tag=self.tag)
        return self._arguments(command, told)

    def _spaces(self, at: int) -> int:
        while at < len(self.data) and self.data[at] == 0x20:
            at += 1
        return at

    def _arguments(self, command: Command, told: int) -> Command | Literal | None:
        data = self.data
        while True:
            self.at = self._spaces(self.at)
            if self.at == len(data):
                return None
            ch = data[self.at : self.at + 1]
            if ch in (b"\r", b"\n"):
                return self._end(command)
            if len(command.args) > 2:
                raise _Broken(self.at)
            if ch == b'"':
                found = self._quoted()
            elif ch == b"{":
                literal = self._literal(told)
                if isinstance(literal, Literal):
                    return literal
                found = literal
            else:
                found = self._atom()
            if found is None:
                return None
            command.args.append(found)

    def _end(self, command: Command) -> Command | None:
        data = self.data
        if data[self.at] == 0x0D:
            self.at += 1
            if self.at == len(data):
                return None
        if data[self.at] != 0x0A:
            raise _Broken(self.at)
        command.end = self.at + 1
        return command

    def _atom(self) -> bytes | None:
        start = self.at
        while self.at < len(self.data):
            if self.data[self.at] in b" \r\n":
                return self.data[start : self.at]
            self.at += 1
        return None

    def _quoted(self) -> bytes | None:
        out = bytearray()
        at = self.at + 1
        data = self.data
        while at < len(data):
            ch = data[at]
            if ch == 0x22:
                self.at = at + 1
                return bytes(out)
            if ch in b"\r\n":  # nginx: the quotes need not be closed
                self.at = at
                return bytes(out)
            if ch == 0x5C:
                at += 1
                if at == len(data):
                    return None
                ch = data[at]
                if ch in b"\r\n":
                    raise _Broken(at)
            out.append(ch)
            at += 1
        return None

    def _literal(self, told: int) -> bytes | Literal | None:
        match = _LITERAL.match(self.data, self.at)
        if match is None:
            if _HALF_LITERAL.match(self.data, self.at) is not None:
                return None
            raise _Broken(self.at)
        start = match.end()
        if not match[2]:
            self.literals += 1
            if self.literals > told:
                return Literal(self.literals, self.tag)
        end = start + max(int(match[1] or b"0"), 1)  # nginx takes a byte even where none was announced
        if end >= len(self.data):
            return None
        if self.data[end] not in b" \r\n":
            raise _Broken(end)
        self.at = end
        return self.data[start:end]


# ---- logging in


class BadAnswer(ValueError):
    """What the client said is no answer to what it was asked; the text is for the log."""


def decoded(text: bytes, method: str) -> bytes:
    """An answer in base64. Raises BadAnswer."""
    found = base64.decode(text)
    if found is None:
        raise BadAnswer(f"client sent invalid base64 encoding in AUTH {method} command")
    return found


def plain(text: bytes) -> tuple[bytes, bytes]:
    """Login and password. Raises BadAnswer.   nginx: ngx_mail_auth_plain"""
    _, zero, rest = decoded(text, "PLAIN").partition(b"\0")
    if not zero or not rest:
        raise BadAnswer("client sent invalid login in AUTH PLAIN command")
    login, zero, password = rest.partition(b"\0")
    if not zero:
        raise BadAnswer("client sent invalid password in AUTH PLAIN command")
    return login, password


def cram_md5(text: bytes) -> tuple[bytes, bytes]:
    """Login and hash. Raises BadAnswer."""
    login, _, digest = decoded(text, "CRAM-MD5").partition(b" ")
    if len(digest) != 32:
        raise BadAnswer("client sent invalid CRAM-MD5 hash in AUTH CRAM-MD5 command")
    return login, digest
