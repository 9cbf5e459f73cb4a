"""userid: the cookie, who gets one, and what logs show of it."""

from __future__ import annotations

import re
import struct
from base64 import b64decode, b64encode
from time import time
from typing import Any

import pytest

CONF = """
events {}
http {
    server {
        listen 127.0.0.1:%PORT%;
        add_header X-Uid "$uid_got|$uid_set";
        userid on;
        location / { return 204; }
        location /v1 { userid v1; userid_service 7; return 204; }
        location /log { userid log; return 204; }
        location /off { userid off; return 204; }
        location /service { userid_service 16909060; return 204; }
        location /all {
            userid_name who;
            userid_domain example.com;
            userid_path /all;
            userid_p3p 'policyref="/w3c/p3p.xml"';
            userid_expires 1d;
            userid_flags secure httponly samesite=strict;
            return 204;
        }
        location /max { userid_expires max; userid_domain none; userid_p3p none; return 204; }
        location /mark { userid_mark x; return 204; }
        location /reset { set $uid_reset $arg_how; return 204; }
    }
}
"""

UID = (0x0100007F, 0x11223344, 0x55667788, 0x0A030303)
COOKIE = b64encode(struct.pack("=4I", *UID)).decode()
SHOWN = "".join(f"{word:08X}" for word in UID)

pytestmark = pytest.mark.live


@pytest.fixture
def s(server: Any) -> Any:
    return server(CONF)


def test_a_new_client(s: Any) -> None:
    before = int(time())
    answer = s.get("/")
    match = re.fullmatch(r"uid=(.{22}==); path=/", answer["Set-Cookie"])
    assert match is not None
    address, now, start, number = struct.unpack("!4I", b64decode(match[1]))
    assert (address, number) == (0x7F000001, 0x03030302)
    assert before <= now <= time()
    got, _, given = answer["X-Uid"].partition("|")
    words = struct.unpack("=4I", b64decode(match[1]))
    assert (got, given) == ("", "uid=" + "".join(f"{word:08X}" for word in words))
    following = struct.unpack("!4I", b64decode(s.get("/")["Set-Cookie"][4:28]))
    assert following[2:] == (start, 0x03030402)


def test_v1_and_service(s: Any) -> None:
    for number in (1, 0x101):
        made = struct.unpack("=4I", b64decode(s.get("/v1")["Set-Cookie"][4:28]))
        assert (made[0], made[3]) == (7, number)
    assert b64decode(s.get("/service")["Set-Cookie"][4:28])[:4] == bytes((1, 2, 3, 4))


def test_how_it_is_written(s: Any) -> None:
    answer = s.get("/all")
    assert re.fullmatch(
        r"who=.{22}==; expires=\w{3}, \d\d-\w{3}-\d\d [\d:]{8} GMT; domain=example.com; path=/all"
        r"; secure; httponly; samesite=strict",
        answer["Set-Cookie"],
    )
    assert answer["P3P"] == 'policyref="/w3c/p3p.xml"'
    answer = s.get("/max")
    assert re.fullmatch(r"uid=.{22}==; expires=Thu, 31-Dec-37 23:55:55 GMT; path=/", answer["Set-Cookie"])
    assert "P3P" not in answer


def test_a_known_client(s: Any) -> None:
    for target in ("/", "/log"):
        answer = s.get(target, {"Cookie": f"a=b; UID={COOKIE}; c=d"})
        assert "Set-Cookie" not in answer
        assert answer["X-Uid"] == f"uid={SHOWN}|"
    assert s.get("/off", {"Cookie": f"uid={COOKIE}"})["X-Uid"] == "|"
    assert "Set-Cookie" not in s.get("/log")


def test_marks(s: Any) -> None:
    assert re.fullmatch(r"uid=.{22}x=; path=/", s.get("/mark")["Set-Cookie"])
    answer = s.get("/mark", {"Cookie": f"uid={COOKIE}"})
    assert answer["Set-Cookie"] == f"uid={COOKIE[:22]}x=; path=/"
    assert answer["X-Uid"] == f"uid={SHOWN}|uid={SHOWN}"
    answer = s.get("/mark", {"Cookie": f"uid={COOKIE[:22]}x="})
    assert ("Set-Cookie" in answer, answer["X-Uid"]) == (False, f"uid={SHOWN}|")


def test_resets(s: Any) -> None:
    for how in ("", "0"):
        assert "Set-Cookie" not in s.get(f"/reset?how={how}", {"Cookie": f"uid={COOKIE}"})
    for how in ("1", "log"):
        made = s.get(f"/reset?how={how}", {"Cookie": f"uid={COOKIE}"})["Set-Cookie"]
        assert COOKIE[:22] not in made
    assert "[notice]" in s.log()
    assert s.log().times(1, f'userid cookie "uid={SHOWN}" was reset, client: 127.0.0.1')


def test_what_is_no_cookie_of_ours(s: Any) -> None:
    assert "Set-Cookie" in s.get("/", {"Cookie": "uid=short; a=b"})
    assert "Set-Cookie" in s.get("/", {"Cookie": "uid=" + "?" * 22})
    assert "Set-Cookie" in s.get("/", {"Cookie": "uid=" + "A" * 22})  # zeros are nobody
    assert "Set-Cookie" in s.get("/", {"Cookie": "uid=" + "=" * 22})
    log = s.log()
    assert 'client sent too short userid cookie "uid=short; a=b", client: 127.0.0.1' in log
    assert 'client sent invalid userid cookie "uid=' + "?" * 22 + '", client: 127.0.0.1' in log


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("userid yes;", 'invalid value "yes" in'),
        ("userid_mark ab;", '"userid_mark" directive value must be "off" or a single letter, digit or "=" in'),
        ("userid_mark a; userid_mark b;", '"userid_mark" directive is duplicate in'),
        ("userid_expires soon;", '"userid_expires" directive invalid value in'),
        ("userid_expires 1; userid_expires 1;", '"userid_expires" directive is duplicate in'),
        ("userid_service x;", '"userid_service" directive invalid number in'),
        ("userid_flags none;", 'invalid value "none" in'),
        ("userid_flags secure secure;", 'duplicate value "secure" in'),
    ],
)
def test_mistakes(configtest: Any, text: str, message: str) -> None:
    assert message in configtest(f"events {{}} http {{ {text} }}").stderr
