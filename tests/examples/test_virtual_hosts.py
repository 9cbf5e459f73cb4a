"""examples/virtual-hosts-and-rewrites: sites by name, redirects, internal rewrites."""

from __future__ import annotations

import pytest


def ask(s, host, target="/"):
    return s.get(target, headers={"Host": host})


def test_names(example):
    s = example("virtual-hosts-and-rewrites")
    assert "The shop" in ask(s, "shop.example").text
    assert "The shop" in ask(s, "SHOP.example:99").text
    assert "<h1>Anna</h1>" in ask(s, "anna.users.example").text
    assert ask(s, "any.shop.example").text == "This is any.shop.example\n"


def test_a_user_without_a_page(example):
    s = example("virtual-hosts-and-rewrites")
    answer = ask(s, "bert.users.example")
    assert (answer.status, answer.text) == (404, "No page of bert here\n")


def test_unknown_names_get_nothing(example):
    s = example("virtual-hosts-and-rewrites")
    assert s.raw(b"GET / HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n") == []


@pytest.mark.parametrize(
    ("host", "target", "location"),
    [
        ("www.shop.example", "/a?b=c", "http://shop.example:%d/a?b=c"),
        ("shop.example", "/catalogue.php", "http://shop.example:%d/products/"),
        ("shop.example", "/item-17.php", "http://shop.example:%d/products/17"),
        ("shop.example", "/old/about/us?x=1", "http://shop.example:%d/about/us?x=1"),
    ],
)
def test_redirects(example, host, target, location):
    s = example("virtual-hosts-and-rewrites")
    answer = ask(s, host, target)
    assert answer.status == 301
    assert answer["Location"] == location % s.ports["PORT"]


def test_internal_rewrites(example):
    s = example("virtual-hosts-and-rewrites")
    product = ask(s, "shop.example", "/products/17")
    assert (product.status, product["X-Product"]) == (200, "17")
    assert "A product" in product.text
    assert ask(s, "shop.example", "/product.html?id=17").status == 404
    assert "The shop" in ask(s, "shop.example", "/products/").text
    assert ask(s, "shop.example", "/about/us").text == "You asked for /about/us\n"
