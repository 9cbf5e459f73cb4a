"""examples/modules: a handler, a filter and a balancer that a site has written itself."""

from __future__ import annotations


def test_handler(example):
    s = example("modules")
    answer = s.get("/hello/")
    assert (answer.status, answer.text, answer["Content-Type"]) == (200, "hello, 127.0.0.1\n", "text/plain")


def test_filter(example):
    s = example("modules")
    answer = s.get("/loud/")
    assert (answer.status, answer.text) == (200, "NOT SO QUIET!\n")


def test_balancer(example):
    s = example("modules")
    answers = {user: {s.get(f"/shards/?user={user}").text for _ in range(3)} for user in ("ann", "bob", "cid", "dan")}
    assert all(len(one) == 1 for one in answers.values())
    assert {text for one in answers.values() for text in one} == {"first shard\n", "second shard\n"}
