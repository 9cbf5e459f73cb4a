"""Opening files: errors, symbolic links, the open file cache."""

from __future__ import annotations

import os
from errno import ELOOP, ENOENT, ENOTDIR
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from geng.core import clock
from geng.http import files
from geng.http.files import NOT_OWNER, ON, OpenFileCache, open_checked, open_plain, opener, stat_plain


class Request:
    """As much of a request as files need."""

    def __init__(self) -> None:
        self.cleanups: list[Any] = []

    def on_end(self, cleanup: Any) -> None:
        self.cleanups.append(cleanup)

    def end(self) -> None:
        for cleanup in reversed(self.cleanups):
            cleanup()
        self.cleanups = []


def location(**settings: Any) -> Any:
    defaults: dict[str, Any] = {
        "open_file_cache": None,
        "open_file_cache_valid": 60,
        "open_file_cache_min_uses": 1,
        "open_file_cache_errors": False,
        "disable_symlinks": 0,
        "disable_symlinks_from": None,
        "read_ahead": 0,
        "directio": files.UNLIMITED,
    }
    return SimpleNamespace(**defaults | settings)


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/b").write_bytes(b"bb")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "dlink").symlink_to("d")
    return tmp_path


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    time = SimpleNamespace(seconds=1000)
    monkeypatch.setattr(clock, "seconds", lambda: time.seconds)
    return time


def test_open_plain(folder: Path) -> None:
    of = open_plain(bytes(folder / "a"))
    assert (of.err, of.size, of.is_file, of.is_dir) == (0, 5, True, False)
    assert of.mtime == int((folder / "a").stat().st_mtime)
    of.close()
    of.close()
    of = open_plain(bytes(folder / "d"))
    assert (of.is_dir, of.fd) == (True, -1)
    of = open_plain(bytes(folder / "nope"))
    assert (of.err, of.failed, of.fd) == (ENOENT, "open()", -1)
    assert repr(of) == "<OpenFile open() failed: No such file or directory>"
    assert open_plain(bytes(folder / "a/b")).err == ENOTDIR
    assert open_plain(bytes(folder / "a") + b"\0x").err == ENOENT
    of = stat_plain(bytes(folder / "nope"))
    assert (of.err, of.failed) == (ENOENT, "stat()")
    assert stat_plain(bytes(folder / "link")).size == 5


def test_symlinks_refused(folder: Path) -> None:
    base = bytes(folder)
    of = open_checked(base + b"/a", ON, len(base))
    assert (of.err, of.size) == (0, 5)
    of.close()
    assert open_checked(base + b"/link", ON, len(base)).err == ELOOP
    assert open_checked(base + b"/dlink/b", ON, len(base)).err == ENOTDIR
    of = open_checked(base + b"/d//b", ON, len(base))
    assert (of.err, of.size) == (0, 2)
    of.close()
    assert open_checked(base + b"/d/", ON, len(base)).is_dir
    assert open_checked(base + b"/a/", ON, len(base)).err == ENOTDIR
    of = open_checked(base + b"/nope", ON, 0)
    assert (of.err, of.failed) == (ENOENT, "openat()")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_symlinks_of_another_owner(folder: Path) -> None:
    base = bytes(folder)
    of = open_checked(base + b"/link", NOT_OWNER, len(base))
    assert of.size == 5
    of.close()
    os.chown(folder / "link", 1, 1, follow_symlinks=False)
    assert open_checked(base + b"/link", NOT_OWNER, len(base)).err == ELOOP


def test_where_symlinks_are_trusted(folder: Path) -> None:
    base = bytes(folder)

    def mode(start: bytes, path: bytes) -> tuple[int, int]:
        loc = location(disable_symlinks=ON, disable_symlinks_from=lambda r: start)
        return files._symlinks_from(loc, Request(), path)  # type: ignore[arg-type]

    assert mode(base, base + b"/a") == (ON, len(base))
    assert mode(base + b"/", base + b"/a") == (ON, len(base))
    assert mode(base + b"/a", base + b"/a") == (files.OFF, 0)
    assert mode(base[:-1], base + b"/a") == (ON, 0)
    assert mode(b"", base + b"/a") == (ON, 0)


def test_without_cache_a_file_lives_as_long_as_its_request(folder: Path) -> None:
    r = Request()
    of = opener(location())(r, bytes(folder / "a"))  # type: ignore[arg-type]
    fd = of.fd
    assert is_open(fd)
    r.end()
    assert not is_open(fd)


def test_large_files_leave_the_page_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda *args: told.append((is_open(args[0]), *args[1:])))
    for least in (5, 6):
        r, _ = get(location(directio=least), folder / "a")
        r.end()
    assert told == [(True, 0, 0, os.POSIX_FADV_DONTNEED)]


def get(loc: Any, path: Path) -> tuple[Any, Any]:
    r = Request()
    return r, opener(loc)(r, bytes(path))  # type: ignore[arg-type]


def test_cache_keeps_files_open(folder: Path, now: SimpleNamespace) -> None:
    loc = location(open_file_cache=OpenFileCache(10, 20))
    r, of = get(loc, folder / "a")
    fd = of.fd
    r.end()
    assert is_open(fd)
    (folder / "a").write_bytes(b"123456789")
    r, of = get(loc, folder / "a")
    assert (of.fd, of.size) == (fd, 5)  # not looked at before open_file_cache_valid is over
    r.end()
    now.seconds += 60
    r, of = get(loc, folder / "a")
    assert (of.fd, of.size) == (fd, 9)
    r.end()
    loc.open_file_cache.clear()
    assert not is_open(fd)


def test_cache_notices_another_file(folder: Path, now: SimpleNamespace) -> None:
    loc = location(open_file_cache=OpenFileCache(10, 1000))
    first, old = get(loc, folder / "a")
    (folder / "new").write_bytes(b"new")
    (folder / "new").rename(folder / "a")
    now.seconds += 60
    second, new = get(loc, folder / "a")
    assert (old.size, new.size) == (5, 3)
    assert is_open(old.fd)  # its request goes on
    fd = old.fd
    first.end()
    assert not is_open(fd)
    (folder / "a").unlink()
    now.seconds += 60
    third, gone = get(loc, folder / "a")
    assert gone.err == ENOENT
    assert is_open(new.fd)
    fd = new.fd
    second.end()
    assert not is_open(fd)
    third.end()
    assert repr(loc.open_file_cache) == "<OpenFileCache 0 of 10>"


def test_cache_of_errors_and_directories(folder: Path, now: SimpleNamespace) -> None:
    loc = location(open_file_cache=OpenFileCache(10, 1000), open_file_cache_errors=True)
    assert get(loc, folder / "x")[1].err == ENOENT
    (folder / "x").write_bytes(b"x")
    assert get(loc, folder / "x")[1].err == ENOENT
    now.seconds += 60
    r, of = get(loc, folder / "x")
    assert of.size == 1
    r.end()
    assert files.tester(loc)(r, bytes(folder / "d")).is_dir  # type: ignore[arg-type]
    (folder / "d").rename(folder / "e")
    assert get(loc, folder / "d")[1].is_dir
    now.seconds += 60
    assert get(loc, folder / "d")[1].err == ENOENT
    loc.open_file_cache.clear()


def test_cache_is_not_larger_than_it_may_be(folder: Path, now: SimpleNamespace) -> None:
    cache = OpenFileCache(2, 20)
    loc = location(open_file_cache=cache)
    fds = []
    for name in ("one", "two", "three"):
        (folder / name).write_bytes(b"")
        r, of = get(loc, folder / name)
        fds.append(of.fd)
        r.end()
        now.seconds += 1
    assert [is_open(fd) for fd in fds] == [False, True, True]
    assert len(cache.files) == 2
    now.seconds += 30
    r, of = get(loc, folder / "three")
    r.end()
    assert list(cache.files) == [bytes(folder / "three")]  # the other one was not used for long
    cache.clear()


def test_cache_closes_what_is_used_seldom(folder: Path, now: SimpleNamespace) -> None:
    loc = location(open_file_cache=OpenFileCache(10, 1000), open_file_cache_min_uses=2)
    r, of = get(loc, folder / "a")
    fd = of.fd
    r.end()
    assert not is_open(fd)
    r, of = get(loc, folder / "a")
    fd = of.fd
    r.end()
    assert is_open(fd)
    loc.open_file_cache.clear()
