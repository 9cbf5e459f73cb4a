"""secure_link: links that cannot be made up, and that end."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import md5
from time import time
from typing import Any

import pytest

CONF = """
events {}
http {
    server {
        listen 127.0.0.1:%PORT%;
        location / {
            secure_link $arg_md5,$arg_expires;
            secure_link_md5 "$arg_expires$uri secret";
            return 200 "$secure_link|$secure_link_expires";
        }
        location /bare { secure_link $arg_md5; secure_link_md5 $uri; return 200 "$secure_link|$secure_link_expires"; }
        location /old/ { secure_link_secret word; return 200 $secure_link; location /old/er/ { return 200 $secure_link; } }
        location /half { secure_link $arg_md5; return 200 "[$secure_link]"; }
    }
}
"""

pytestmark = pytest.mark.live


def hashed(text: str) -> str:
    return urlsafe_b64encode(md5(text.encode()).digest()).decode().rstrip("=")


def test_the_new_way(server: Any) -> None:
    s = server(CONF)
    soon, past = int(time()) + 1000, int(time()) - 1000
    assert s.get(f"/a?md5={hashed(f'{soon}/a secret')}&expires={soon}").text == f"1|{soon}"
    assert s.get(f"/a?md5={hashed(f'{soon}/a secret')}==&expires={soon}").text == f"1|{soon}"
    assert s.get(f"/a?md5={hashed(f'{past}/a secret')}&expires={past}").text == f"0|{past}"
    assert s.get(f"/b?md5={hashed(f'{soon}/a secret')}&expires={soon}").text == f"|{soon}"
    assert s.get(f"/a?md5={hashed(f'{soon}/a secret')}&expires={soon}0").text == f"|{soon}0"
    for expires in ("", "0", "x", "-1", "9" * 30):
        assert s.get(f"/a?md5={hashed(f'{expires}/a secret')}&expires={expires}").text == "|", expires
    assert s.get(f"/bare?md5={hashed('/bare')}").text == "1|"
    for wrong in ("", "a", "a+/b", "A" * 25, "A" * 22, "A" * 20, "%00" * 22):
        assert s.get(f"/bare?md5={wrong}").text == "|", wrong
    assert s.get("/half?md5=x").text == "[]"


def test_the_alphabet_is_that_of_urls(server: Any) -> None:
    s = server(CONF)
    uri = next(u for u in (f"/bare{n}" for n in range(1000)) if {"-", "_"} <= set(hashed(u)))
    assert s.get(f"{uri}?md5={hashed(uri)}").text == "1|"
    assert s.get(f"{uri}?md5={hashed(uri).replace('-', '+').replace('_', '/')}").text == "|"


def test_the_old_way(server: Any) -> None:
    s = server(CONF)
    link = md5(b"a/link?x=1word").hexdigest()
    assert s.get(f"/old/{link}/a/link?x=1").text == "a/link?x=1"
    assert s.get(f"/old/{link.upper()}/a/link?x=1").text == "a/link?x=1"
    assert s.get(f"/old/{link}/a/link?x=2").text == ""
    assert s.get(f"/old/{link}").text == ""
    assert s.get(f"/old/{'g' * 32}/a").text == ""
    assert s.get(f"/old/{md5(b'word').hexdigest()}/").text == ""
    assert s.get(f"/old/er/{link}/a/link?x=1").text == ""


@pytest.mark.parametrize("text", ["secure_link $uri;", "secure_link_md5 $uri;"])
def test_ways_do_not_mix(configtest: Any, text: str) -> None:
    said = configtest(f"events {{}} http {{ server {{ secure_link_secret x; {text} }} }}").stderr
    assert '"secure_link_secret" cannot be mixed with "secure_link" and "secure_link_md5" in' in said
