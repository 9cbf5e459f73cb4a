"""What scripts/nginx-tests reads from a Perl test file, and what it counts."""

from __future__ import annotations

import pytest

from scripts.lib import suite, tap

RUN = """\
1..6
ok 1 - first
not ok 2 - second
#   Failed test 'second'
#   at some.t line 3.
nginx: [emerg] something else
ok 3 # skip no ssl
not ok 4 - fourth # TODO not yet
ok 5 - fifth # TODO by luck
ok 6 - no alerts
"""


def test_subtests() -> None:
    report = tap.parse(RUN.splitlines())
    assert report.planned == 6
    assert report.passed() == {1, 5, 6}
    assert [s.number for s in report.subtests.values() if s.skipped] == [3]
    assert report.subtests[2].diagnostics == ["#   Failed test 'second'", "#   at some.t line 3."]
    assert report.subtests[4].todo and report.subtests[4].name == "fourth"
    assert report.noise == ["nginx: [emerg] something else"]


def test_skip_all() -> None:
    report = tap.parse(["1..0 # SKIP no unix available"])
    assert (report.planned, report.skip_all, report.passed()) == (0, "no unix available", set())


def test_lines_without_numbers_count_on() -> None:
    assert tap.parse(["ok", "not ok - name", "ok - other"]).passed() == {1, 3}


def test_skipped_where_nginx_passes_is_failed() -> None:
    expected = suite.Expected("some.t", "area", True, 1.0, frozenset({1, 2, 3, 7}))
    outcome = suite.Outcome(expected, tap.parse(RUN.splitlines()), 1.0)
    assert outcome.passed == {1}
    assert outcome.failed == [2, 3, 7]


@pytest.mark.parametrize(("text", "found"), [("1", {1}), ("1-3", {1, 2, 3}), ("1-2,5", {1, 2, 5})])
def test_numbers(text: str, found: set[int]) -> None:
    assert suite.numbers(text) == found


def test_baseline() -> None:
    files = suite.baseline()
    assert sum(len(file.numbers) for file in files) == 5965
    assert sum(file.first for file in files) == 101
