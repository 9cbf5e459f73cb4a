"""Commands of mail's protocols as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geng.wire.mail import (
    POP3_COMMANDS,
    SMTP_COMMANDS,
    BadAnswer,
    Command,
    ImapReader,
    Invalid,
    Literal,
    cram_md5,
    plain,
    read_answer,
    read_line,
)


@pytest.mark.parametrize(
    "line, name, args",
    [
        (b"USER me and you\r\n", b"USER", [b"me and you"]),
        (b"quit\n", b"QUIT", []),
        (b"APOP  a   b  \r\n", b"APOP", [b"a", b"b"]),
        (b"AUTH LOGIN\r\n", b"AUTH", [b"LOGIN"]),
    ],
)
def test_pop3(line: bytes, name: bytes, args: list[bytes]) -> None:
    found = read_line(b"x\n" + line + b"rest", 2, POP3_COMMANDS, 3)
    assert found is not None
    assert (found.name, found.args, found.end) == (name, args, 2 + len(line))


@pytest.mark.parametrize(
    "line", (b"\r\n", b"USERS a\r\n", b"USE\tR\r\n", b"NOOP a\rb\r\n", b"AUTH a b c d\r\n", b" NOOP\r\n")
)
def test_no_command(line: bytes) -> None:
    with pytest.raises(Invalid) as invalid:
        read_line(line, 0, POP3_COMMANDS, 3)
    assert invalid.value.end == len(line)


def test_smtp_keeps_the_text() -> None:
    found = read_line(b"Mail FROM:<a@b>  SIZE=5 \r\n", 0, SMTP_COMMANDS, 11)
    assert found is not None
    assert found.text == b"Mail FROM:<a@b>  SIZE=5"


def test_answer() -> None:
    assert read_answer(b"abc", 0) is None
    found = read_answer(b"\r\n", 0)
    assert found is not None and found.args == [b""]


@pytest.mark.parametrize(
    "text, args",
    [
        (b"a LOGIN me secret\r\n", [b"me", b"secret"]),
        (b'a login "m e" "a\\"b\\\\"\r\n', [b"m e", b'a"b\\']),
        (b"a LOGIN {2+}\r\nme {3+}\r\na b\r\n", [b"me", b"a b"]),
        (b"a NOOP\n", []),
    ],
)
def test_imap(text: bytes, args: list[bytes]) -> None:
    for end in range(len(text)):
        assert ImapReader(text[:end], 0).read(0) is None
    found = ImapReader(text, 0).read(0)
    assert isinstance(found, Command)
    assert (found.tag, found.args, found.end) == (b"a ", args, len(text))


def test_imap_waits_for_literals() -> None:
    text = b"a LOGIN {2}\r\n"
    assert ImapReader(text, 0).read(0) == Literal(1, b"a ")
    assert ImapReader(text, 0).read(1) is None
    text += b"me {1}\r\n"
    assert ImapReader(text, 0).read(1) == Literal(2, b"a ")
    found = ImapReader(text + b"x\r\n", 0).read(2)
    assert isinstance(found, Command) and found.args == [b"me", b"x"]


@pytest.mark.parametrize(
    "text, tag, literal",
    [
        (b"\r\n", b"", False),
        (b"a\r\n", b"", False),
        (b"a FOO bar\r\n", b"a ", False),
        (b"a LOGIN a b c d\r\n", b"a ", False),
        (b"a FOO {10+}\r\n", b"a ", True),
        (b"x" * 40 + b" NOOP\r\n", b"", False),
    ],
)
def test_no_imap_command(text: bytes, tag: bytes, literal: bool) -> None:
    with pytest.raises(Invalid) as invalid:
        ImapReader(text, 0).read(0)
    assert (invalid.value.end, invalid.value.tag, invalid.value.literal) == (len(text), tag, literal)


@given(st.lists(st.sampled_from([b"a ", b"LOGIN ", b"{", b"2", b"+", b"}", b"\r\n", b'"', b"\\", b"x", b" "]), max_size=12))
def test_imap_never_breaks(pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    try:
        found = ImapReader(text, 0).read(0)
    except Invalid as invalid:
        assert 0 < invalid.end <= len(text)
    else:
        assert found is None or isinstance(found, Literal) or 0 < found.end <= len(text)


def test_sasl() -> None:
    assert plain(b"AG1lAHNlY3JldA==") == (b"me", b"secret")
    for text, message in (
        (b"***", "base64"),
        (b"bWU=", "invalid login"),
        (b"AA==", "invalid login"),
        (b"AG1l", "invalid password"),
    ):
        with pytest.raises(BadAnswer, match=message):
            plain(text)
    with pytest.raises(BadAnswer, match="invalid CRAM-MD5 hash"):
        cram_md5(b"bWUgeA==")
