"""sticky: cookie, route and learn, over real backends; faults of the directive."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from tests.harness.backend import Answer

CONF = """
events {}
http {
    upstream u { %METHOD% server 127.0.0.1:%A% route=a %TO_A%; server 127.0.0.1:%B% route=b; %STICKY% }
    server { listen 127.0.0.1:%PORT%; location / { proxy_pass http://u; proxy_next_upstream error http_503; %MORE% } }
}
"""


class Two:
    """A server before two backends, a and b. *busy*: those of them that answer 503."""

    def __init__(self, server: Any, backend: Any, sticky: str, method: str = "", to_a: str = "", more: str = "") -> None:
        self.busy: set[str] = set()
        ports = {name: backend(self.handler(name)).port for name in "AB"}
        conf = CONF.replace("%STICKY%", sticky).replace("%METHOD%", method)
        self.server = server(conf.replace("%TO_A%", to_a).replace("%MORE%", more), **ports)

    def handler(self, name: str) -> Any:
        def answer(request: Any) -> Any:
            if name in self.busy:
                return Answer(status=503)
            session = request.target.partition("login=")[2]
            return Answer(name.lower(), headers={"Set-Cookie": f"sid={session}"} if session else {})

        return answer

    def ask(self, count: int = 1, target: str = "/", cookie: str = "") -> str:
        lines = {"Cookie": cookie} if cookie else {}
        return "".join(self.server.get(target, lines).text for _ in range(count))


@pytest.fixture
def two(server: Any, backend: Any) -> Any:
    return lambda *args, **options: Two(server, backend, *args, **options)


@pytest.mark.parametrize("method", ["", "least_conn;", "ip_hash;", "hash $arg_k;", "hash $arg_k consistent;", "random two;",
                                    "least_time header;", "zone z 64k;"])  # fmt: skip
def test_a_cookie_names_the_peer_whatever_the_method(two: Any, method: str) -> None:
    up = two("sticky cookie s;", method)
    assert up.ask(4, cookie="s=a") == "aaaa"
    assert up.ask(4, "/?k=1", cookie="s=b") == "bbbb"
    assert up.ask(1, cookie="s=nobody") in "ab"


def test_the_cookie_has_what_the_directive_says(two: Any) -> None:
    up = two("sticky cookie s expires=1h domain=.$host httponly secure samesite=Lax path=/p;")
    text = up.server.get("/")["Set-Cookie"]
    pattern = (
        r"s=a; expires=\w{3}, \d\d-\w{3}-\d\d \d\d:\d\d:\d\d GMT; max-age=3600; domain=\.[\w.]+; httponly; secure;"
        r" samesite=Lax; path=/p"
    )
    assert re.fullmatch(pattern, text), text


def test_without_parameters_it_is_short_and_max_is_forever(two: Any) -> None:
    assert two("sticky cookie s;").server.get("/")["Set-Cookie"] == "s=a"
    forever = two("sticky cookie s expires=max;").server.get("/")["Set-Cookie"]
    assert forever == "s=a; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000"


def test_a_samesite_that_a_variable_gets_wrong_is_strict(two: Any) -> None:
    up = two("sticky cookie s samesite=$arg_site;")
    assert up.server.get("/?site=none")["Set-Cookie"] == "s=a; samesite=none"
    assert up.server.get("/?site=x")["Set-Cookie"] == "s=b; samesite=strict"
    assert up.server.get("/")["Set-Cookie"] == "s=a"


def test_the_next_peer_takes_over_and_the_cookie_names_it(two: Any) -> None:
    up = two("sticky cookie s;")
    up.busy.add("A")
    response = up.server.get("/", {"Cookie": "s=a"})
    assert (response.text, response.all("Set-Cookie")) == ("b", ["s=b"])


def test_a_route_is_looked_for_in_order(two: Any) -> None:
    up = two("sticky route $cookie_r $arg_r;")
    assert up.ask(3, "/?r=b") == "bbb"
    assert up.ask(3, "/?r=b", cookie="r=a") == "aaa"
    assert up.ask(2, "/") in ("ab", "ba")


def test_a_peer_that_drains_serves_those_who_know_it(two: Any) -> None:
    up = two("sticky route $arg_r;", to_a="drain")
    assert up.ask(3, "/?r=a") == "aaa"
    assert up.ask(3) == "bbb"


def test_a_session_is_learnt_from_the_backend(two: Any) -> None:
    up = two("sticky learn create=$upstream_cookie_sid lookup=$cookie_sid zone=z:1m;")
    first = up.ask(1, "/?login=joe")
    assert up.ask(4, cookie="sid=joe") == first * 4
    second = up.ask(1, "/?login=ann")
    assert second != first and up.ask(4, cookie="sid=ann") == second * 4
    assert set(up.ask(4, cookie="sid=nobody")) == {"a", "b"}


def test_a_session_moves_with_its_peer(two: Any) -> None:
    up = two("sticky learn create=$upstream_cookie_sid lookup=$cookie_sid zone=z:1m header;")
    first = up.ask(1, "/?login=joe")
    up.busy.add(first.upper())
    other = up.ask(1, cookie="sid=joe")
    assert other == ("b" if first == "a" else "a")
    up.busy.clear()
    assert up.ask(4, cookie="sid=joe") == other * 4


def test_sessions_outlive_a_reload(two: Any) -> None:
    up = two("sticky learn create=$upstream_cookie_sid lookup=$cookie_sid zone=z:1m;")
    first = up.ask(1, "/?login=joe")
    up.server.reload()
    assert up.ask(4, cookie="sid=joe") == first * 4


def test_a_session_that_nobody_uses_is_forgotten(two: Any) -> None:
    up = two("sticky learn create=$upstream_cookie_sid lookup=$cookie_sid zone=z:1m timeout=1ms;")
    up.ask(1, "/?login=joe")
    time.sleep(0.05)
    assert set(up.ask(4, cookie="sid=joe")) == {"a", "b"}


def test_a_method_behind_it_takes_its_place(two: Any) -> None:
    up = two("sticky route $arg_r; least_conn;")
    assert "load balancing method redefined" in up.server.run("-t").stderr
    assert set(up.ask(4, "/?r=a")) == {"a", "b"}


FAULTS = [
    ("sticky what x", 'unknown parameter "what"'),
    ('sticky cookie ""', '"sticky" directive empty cookie name'),
    ("sticky cookie s expires=x", '"sticky" directive invalid "expires" parameter value'),
    ("sticky cookie s samesite=x", '"sticky" directive invalid "samesite" parameter value'),
    ("sticky cookie s path=", '"sticky" directive no value for "path"'),
    ("sticky cookie s secure secure", '"sticky" directive parameter "secure" is duplicate'),
    ("sticky cookie s bogus", 'unknown parameter "bogus"'),
    ("sticky route s", 'invalid variable name "s"'),
    ("sticky route $arg_r; sticky route $arg_r", '"sticky" directive is duplicate'),
    ("sticky learn create=$arg_a zone=z:1m", '"sticky" directive "lookup" parameter is not specified'),
    ("sticky learn lookup=$arg_a zone=z:1m", '"sticky" directive "create" parameter is not specified'),
    ("sticky learn lookup=$arg_a create=$arg_a", '"sticky" directive "zone" parameter is not specified'),
    ("sticky learn lookup=$arg_a create=$arg_a zone=z:1k", '"sticky" directive zone is too small'),
    ("sticky learn lookup=$arg_a create=$arg_a zone=z:1m timeout=0", '"sticky" directive invalid timeout'),
    ("sticky learn lookup=arg", '"sticky" directive missing variable in the "lookup" parameter'),
]


@pytest.mark.parametrize(("words", "message"), FAULTS)
def test_faults(configtest: Any, words: str, message: str) -> None:
    result = configtest(f"events {{}} http {{ upstream u {{ server 127.0.0.1:1; {words}; }} }}")
    assert result.returncode == 1 and message in result.stderr, result.stderr


def test_two_upstreams_do_not_share_sessions(configtest: Any) -> None:
    one = "upstream %s { server 127.0.0.1:1; sticky learn lookup=$arg_a create=$arg_a zone=z:1m; }"
    result = configtest("events {} http { " + one % "u" + one % "v" + " }")
    assert 'sticky zone "z" is already used in upstream "u"' in result.stderr
