"""examples/load-balancing: a server that is down and one that answers errors, and nobody notices."""

from __future__ import annotations


def test_nobody_notices(example):
    s = example("load-balancing")
    answers = [s.get("/") for _ in range(12)]
    assert {(a.status, a.text) for a in answers} == {(200, "answered by the first server\n")}
    broken, dead = f":{s.ports['PORT8082']}", f":{s.places['ELSEWHERE8089']}"
    tried = [a["X-Tried"] for a in answers]
    # after one failure each they are left alone, for ten seconds
    assert sum(broken in one for one in tried) == 1
    assert sum(dead in one for one in tried) == 1


def test_backup(example):
    s = example("load-balancing")
    answer = s.get("/emergency/")
    assert (answer.status, answer.text) == (200, "answered by the backup\n")
    assert answer["X-Tried"] == f"127.0.0.1:{s.ports['PORT8082']}, 127.0.0.1:{s.ports['PORT8083']}"
