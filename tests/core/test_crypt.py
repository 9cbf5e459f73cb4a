"""What a file of users may hold for a password."""

from __future__ import annotations

import pytest

from geng.core import base64
from geng.core.crypt import available, verify

# password, what is stored: from nginx's own tests, `openssl passwd` and the schemes' published vectors.
OURS = [
    ("password", "$apr1$salt$Xxd1irWT9ycqoYxGFn4cb."),
    ("", "$apr1$salt$AnXM5PAEa9T4ruYbwPoUh/"),
    ("a password of more than sixteen bytes", "$apr1$longsalt$U5A42oV2q66p/Yk.10kxO/"),
    ("password", "{PLAIN}password"),
    ("", "{PLAIN}"),
    ("password", "{SSHA}yI6cZwQadOA1e+/f+T+H3eCQQhRzYWx0"),
    ("password", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="),
]
SYSTEM = [
    ("rasmuslerdorf", "rl.3StKT.4T8M"),
    ("rasmuslerdorf", "$1$rasmusle$rISCgZzpwk3UhDidwXvin0"),
    ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
    (
        "Hello world!",
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
    ),
]


@pytest.mark.parametrize(("password", "stored"), OURS)
def test_our_schemes(password: str, stored: str) -> None:
    assert verify(password.encode(), stored.encode())
    assert not verify(b"x" + password.encode(), stored.encode())


@pytest.mark.skipif(not available(), reason="no crypt_r(3) here")
@pytest.mark.parametrize(("password", "stored"), SYSTEM)
def test_the_systems_schemes(password: str, stored: str) -> None:
    assert verify(password.encode(), stored.encode())
    assert not verify(b"x" + password.encode(), stored.encode())


@pytest.mark.parametrize(
    "stored",
    ["$apr1$", "{SSHA}_____wQadOA1e+/f+T+H3eCQQhRzYWx0", "{SSHA}Zm9vCg==", "{SHA}Zm9vCg==", "{SHA}", "{SSHA}", "{PLAIN}2"],
)
def test_what_is_broken_is_no_password(stored: str) -> None:
    assert not verify(b"1", stored.encode())


def test_a_password_ends_at_nul_as_in_nginx() -> None:
    assert verify(b"password\0more", b"{PLAIN}password")


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (b"", b""),
        (b"YQ==", b"a"),
        (b"YQ", b"a"),
        (b"YR", b"a"),
        (b"YWI", b"ab"),
        (b"YWJj", b"abc"),
        (b"YWJj=rubbish!", b"abc"),
        (b"+/+/", b"\xfb\xff\xbf"),
        (b"YWJjZ", None),
        (b"YW-_", None),
        (b"YW Jj", None),
        (b"YWJj\n", None),
    ],
)
def test_base64(text: bytes, data: bytes | None) -> None:
    assert base64.decode(text) == data
