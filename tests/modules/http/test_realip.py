"""realip: whose address a request has, and what is left of the connection's own."""

from __future__ import annotations

import pytest

CONF = """
events { }
http {
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Forwarded-For;
    server { listen 127.0.0.1:%PORT%; add_header X-Addr $remote_addr; add_header X-Own "$realip_remote_addr" always;
        location / { return 200 "$remote_addr:$remote_port $realip_remote_addr"; }
        location /page/ { root %DIR%; index a.html; }
    }
}
"""


@pytest.mark.parametrize(
    ("header", "address"),
    [("192.0.2.1", "192.0.2.1:"), ("192.0.2.1:123", "192.0.2.1:123"), ("10.0.0.1, 192.0.2.7", "192.0.2.7:")],
)
def test_address(server, header, address):
    s = server(CONF)
    assert s.get("/", headers={"X-Forwarded-For": header}).text == f"{address} 127.0.0.1"


def test_an_internal_redirect_keeps_it(server):
    s = server(CONF, files={"page/a.html": "page"})
    answer = s.get("/page/", headers={"X-Forwarded-For": "192.0.2.1"})
    assert (answer.text, answer["X-Addr"], answer["X-Own"]) == ("page", "192.0.2.1", "127.0.0.1")


def test_the_next_request_of_the_connection_has_its_own(server):
    s = server(CONF)
    with s.connect() as c:
        assert c.ask(headers={"X-Forwarded-For": "192.0.2.1"}).text.startswith("192.0.2.1:")
        assert c.ask().text.startswith("127.0.0.1:")
