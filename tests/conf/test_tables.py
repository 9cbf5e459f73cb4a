"""What may stand where: nginx's words for each way to get it wrong."""

from __future__ import annotations

import pytest

from geng.conf import tables
from geng.conf.syntax import Node, parse
from geng.conf.tables import EVENTS, HTTP, LIF, LMT, LOC, MAIL, MAIL_SRV, MAIN, SIF, SRV, STREAM, STREAM_SRV, UPS, check
from geng.errors import Invalid

RIGHT = [
    ("daemon on;", MAIN, "core"),
    ("http {}", MAIN, "http"),
    ("include x;", MAIN, "conf"),
    ("include x;", LMT, "conf"),
    ("include x;", MAIL_SRV, "conf"),
    ("error_log a debug;", MAIN, "errlog"),
    ("error_log a debug;", LOC, "http_core"),
    ("error_log a debug;", STREAM, "stream_core"),
    ("server {}", HTTP, "http_core"),
    ("server {}", MAIL, "mail_core"),
    ("server {}", STREAM, "stream_core"),
    ("server 127.0.0.1 weight=2;", UPS, "http_upstream"),
    ("use epoll;", EVENTS, "event_core"),
    ("return 200;", SIF, "http_rewrite"),
    ("return 200;", LIF, "http_rewrite"),
    ("return x;", STREAM_SRV, "stream_return"),
    ("hash $x;", UPS, "http_upstream_hash"),
    ("if ($a = b) {}", SRV, "http_rewrite"),
    ("location ~ x {}", LOC, "http_core"),
    ("server_product nginx/1.31.5;", MAIN, "geng"),
    ("gzip_types a b c d e f g h i j;", LOC, "http_gzip_filter"),
]


@pytest.mark.parametrize("text, context, module", RIGHT)
def test_right(text: str, context: int, module: str) -> None:
    assert check(node(text), context).module == module


WRONG = [
    ("foo;", MAIN, 'unknown directive "foo"'),
    ("Daemon on;", MAIN, 'unknown directive "Daemon"'),
    ("foo {}", MAIN, 'unknown directive "foo"'),
    ('"" x;', MAIN, 'unknown directive ""'),
    ("gzip\0x;", MAIN, 'unknown directive "gzip"'),
    ("kqueue_changes 1;", EVENTS, 'unknown directive "kqueue_changes"'),
    ("access_by_lua_block { x }", LOC, 'unknown directive "access_by_lua_block"'),
    ("more_set_headers x;", LOC, 'unknown directive "more_set_headers"'),
    ("gzip on;", MAIN, '"gzip" directive is not allowed here'),
    ("server {}", LOC, '"server" directive is not allowed here'),
    ("location / {}", LIF, '"location" directive is not allowed here'),
    ("daemon on;", HTTP, '"daemon" directive is not allowed here'),
    ("gzip on {}", LOC, 'directive "gzip" is not terminated by ";"'),
    ("gzip {}", LOC, 'directive "gzip" is not terminated by ";"'),
    ("http;", MAIN, 'directive "http" has no opening "{"'),
    ("location;", SRV, 'directive "location" has no opening "{"'),
    ("http x {}", MAIN, 'invalid number of arguments in "http" directive'),
    ("gzip;", LOC, 'invalid number of arguments in "gzip" directive'),
    ("gzip on off;", LOC, 'invalid number of arguments in "gzip" directive'),
    ("location {}", SRV, 'invalid number of arguments in "location" directive'),
    ("location ~ x y {}", SRV, 'invalid number of arguments in "location" directive'),
    ("gzip_types;", LOC, 'invalid number of arguments in "gzip_types" directive'),
    ("proxy_set_header a;", LOC, 'invalid number of arguments in "proxy_set_header" directive'),
    ("user 1 2 3 4 5 6 7 8 9 10 11 12;", MAIN, 'invalid number of arguments in "user" directive'),
    ("include a b;", LOC, 'invalid number of arguments in "include" directive'),
    ("server_product;", MAIN, 'invalid number of arguments in "server_product" directive'),
]


@pytest.mark.parametrize("text, context, message", WRONG)
def test_wrong(text: str, context: int, message: str) -> None:
    with pytest.raises(Invalid) as raised:
        check(node(text), context)
    assert str(raised.value) == message


def node(text: str) -> Node:
    (only,) = parse(text.encode(), "f")
    assert isinstance(only, Node)
    return only


def test_every_directive_of_nginx_is_known() -> None:
    nginx = [entry for found in tables.ENTRIES.values() for entry in found if entry.module != "geng"]
    assert len(nginx) == 784
    assert len({entry.name for entry in nginx}) == 656


def test_no_context_has_a_directive_twice() -> None:
    """So that the order of modules decides nothing."""
    for found in tables.ENTRIES.values():
        seen = 0
        for entry in found:
            contexts = entry.contexts & tables.ANY
            assert not seen & contexts, entry
            seen |= contexts


def test_contexts_are_bits_of_their_own() -> None:
    bits = [bit for name, bit in tables.CONTEXTS.items() if name != "any"]
    assert sum(bits) == (1 << len(bits)) - 1
    assert sum(bits) - tables.DIRECT == tables.ANY


@pytest.mark.parametrize(
    "arity, right",
    [("flag", {1}), ("0", {0}), ("01", {0, 1}), ("12", {1, 2}), ("1+", {*range(1, 12)}), ("2+", {*range(2, 12)})],
)
def test_arity(arity: str, right: set[int]) -> None:
    entry = tables.Entry("x", "m", MAIN, arity, False)
    assert {n for n in range(12) if entry.accepts(n)} == right
