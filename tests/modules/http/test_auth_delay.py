"""auth_delay: wrong passwords are answered late, whoever refuses them; others are not held up."""

from __future__ import annotations

from time import monotonic
from typing import Any

import pytest

from scripts.lib.servers import wait_until
from tests.modules.http.test_auth_basic import USERS, basic

CONF = """
events {}
http {
    auth_delay 300ms;
    access_log access.log combined;
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%;
        location / { auth_basic "the realm"; auth_basic_user_file users; }
        location /any/ { satisfy any; deny all; auth_basic "the realm"; auth_basic_user_file users; }
        location /asked/ { auth_request /ask; }
        location = /ask { return 401; }
        location /denied/ { deny all; }
    }
}
"""

pytestmark = pytest.mark.live


@pytest.fixture
def s(server: Any) -> Any:
    return server(CONF, files={"users": USERS, "index.html": "inside", "any/index.html": "inside"})


def waited(s: Any, target: str, headers: dict[str, str] | None = None) -> tuple[int, bool]:
    began = monotonic()
    status = s.get(target, headers).status
    return status, monotonic() - began >= 0.3


def test_who_waits(s: Any) -> None:
    assert waited(s, "/", basic("anna", "wrong")) == (401, True)
    assert waited(s, "/any/", basic("anna", "wrong")) == (401, True)
    assert waited(s, "/asked/") == (401, True)
    assert s.log().times(3, "delaying unauthorized request, client: 127.0.0.1")
    for target, status in (("/", 200), ("/any/", 200), ("/denied/", 403)):
        assert s.get(target, basic("anna", "secret")).status == status
    assert s.log().times(3, "delaying unauthorized request")


def test_a_client_that_does_not_wait(s: Any) -> None:
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: "delaying unauthorized request" in s.log(), "the delay")
    wait_until(lambda: '"GET / HTTP/1.1" 499 ' in s.log("access.log"), "499 in the log")
    with s.connect() as c:  # what comes after on the connection waits, too, and is served then
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /denied/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [c.response().status, c.response().status] == [401, 403]
