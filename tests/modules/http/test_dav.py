"""dav_methods: files made, copied, moved and deleted, and uploads that break off."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.servers import wait_until

CONF = """
events {}
http {
    client_body_temp_path %DIR%/temp;
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%/html;
        dav_methods PUT DELETE MKCOL COPY MOVE;
        location / { dav_access group:rw all:r; }
        location /full/ { create_full_put_path on; dav_access user:r; }
        location /deep/ { min_delete_depth 3; }
        location /alias/ { alias %DIR%/html/; }
        location /mirrored/ { mirror /off; }
        location /off { dav_methods off; }
        location /small { client_max_body_size 10; }
    }
}
"""

FILES: dict[str, bytes | str] = {"html/a": "this is a", "html/dir/one": "1", "html/dir/sub/two": "2", "html/dir2/x": "x"}

pytestmark = pytest.mark.live


@pytest.fixture
def s(server: Any) -> Any:
    return server(CONF, files=FILES)


def left_over(s: Any) -> list[str]:
    """Temporary files that are there now."""
    names = [str(path.relative_to(s.folder)) for path in s.folder.rglob("*.0*")]
    return names + [str(path) for path in (s.folder / "temp").rglob("*") if path.is_file()]


def tree(s: Any, name: str) -> dict[str, str]:
    top: Path = s.folder / "html" / name
    return {str(path.relative_to(top)): path.read_text() for path in sorted(top.rglob("*")) if path.is_file()}


def test_put(s: Any) -> None:
    path = s.folder / "html" / "new"
    with s.connect() as c:
        answer = c.ask("/new", "PUT", body=b"content")
        assert (answer.status, answer["Location"], answer["Content-Length"]) == (
            201, f"http://localhost:{s.ports['PORT']}/new", "0"
        )  # fmt: skip
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"content", 0o664)
        answer = c.ask("/new", "PUT", {"Date": "Sun, 06 Nov 1994 08:49:37 GMT"}, body=b"x" * 300_000)
        assert (answer.status, "Location" in answer) == (204, False)
        assert (path.stat().st_size, path.stat().st_mtime) == (300_000, 784111777)
        assert c.ask("/new", "PUT", body=b"").status == 204
        assert path.read_bytes() == b""
        assert c.ask("/with%20space", "PUT", body=b"1")["Location"].endswith("/with%20space")
    assert left_over(s) == []


def test_put_in_chunks(s: Any) -> None:
    with s.connect() as c:
        c.send(b"PUT /chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            c.send(b"3e8\r\n" + b"y" * 1000 + b"\r\n")
        c.send(b"0\r\n\r\n")
        assert c.response().status == 201
    assert (s.folder / "html" / "chunks").read_bytes() == b"y" * 100_000


def test_put_that_is_refused(s: Any) -> None:
    with s.connect() as c:
        for target, headers, status in [
            ("/dir/", {}, 409),
            ("/dir", {}, 409),
            ("/a", {"Content-Range": "bytes 0-1/5"}, 501),
            ("/missing/folder/x", {}, 500),
            ("/off/x", {}, 405),
            ("/a/x", {}, 500),
        ]:
            with s.connect() as c:
                assert c.ask(target, "PUT", headers, b"new").status == status, target
    assert (s.folder / "html" / "a").read_text() == "this is a"
    assert s.get("/mirrored/x", method="PUT", body=b"12345").status == 500
    assert s.get("/small", method="PUT", body=b"12345678901").status == 413
    with s.connect() as c:
        assert c.send(b"PUT /nothing HTTP/1.1\r\nHost: x\r\n\r\n").response().status == 500
    log = s.log()
    assert "cannot PUT to a collection, client" in log
    assert f'"{s.folder}/html/dir" could not be created (21: Is a directory), client' in log
    assert "PUT with range is unsupported, client" in log
    assert f'to "{s.folder}/html/missing/folder/x" failed (2: No such file or directory), client' in log
    assert log.times(2, "PUT request body must be in a file, client")
    assert left_over(s) == []


def test_full_path_and_access(s: Any) -> None:
    assert s.get("/full/a/b/c", method="PUT", body=b"1").status == 201
    made = s.folder / "html" / "full" / "a" / "b"
    assert (made / "c").stat().st_mode & 0o777 == 0o400
    assert made.stat().st_mode & 0o777 == 0o500


def test_uploads_that_break_off(s: Any) -> None:
    for whole in (b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
                  b"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n"):  # fmt: skip
        for sent in (0, 10, 50_000):
            with s.connect() as c:
                c.send(whole + b"z" * sent)
                if sent > 20_000:
                    wait_until(lambda: left_over(s), "the temporary file")
                if sent == 10:
                    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            wait_until(lambda: left_over(s) == [], "nothing left")
            assert (s.folder / "html" / "a").read_text() == "this is a"
    said = ("client prematurely closed connection, client: ", "recv() failed (104: ")
    wait_until(lambda: sum(s.log().count(words) for words in said) == 6, "each in the log")
    with s.connect() as c:
        c.send(b"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdeXX")
        assert c.response().status == 400
    assert (s.folder / "html" / "a").read_text() == "this is a"
    assert left_over(s) == []
    assert s.get("/a").text == "this is a"


def test_a_disk_that_is_full(s: Any) -> None:
    wait_until(s.workers, "workers")
    s.file("html/large", b"l" * 200_000)
    for pid in s.workers():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (100_000, resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]))
    assert s.get("/a", method="PUT", body=b"x" * 150_000).status == 500
    assert s.get("/large", {"Destination": "/a"}, method="COPY").status == 500
    assert (s.folder / "html" / "a").read_text() == "this is a"
    assert left_over(s) == []
    assert s.get("/fits", method="PUT", body=b"x" * 50_000).status == 201
    assert s.log().times(2, "failed (27: File too large)")


def test_delete(s: Any) -> None:
    os.symlink("dir2", s.folder / "html" / "link")
    with s.connect() as c:
        assert c.ask("/a", "DELETE").status == 204
        assert c.ask("/a", "DELETE").status == 404
        assert c.ask("/dir", "DELETE").status == 409
        assert c.ask("/dir/one/", "DELETE").status == 409
        assert c.ask("/dir/", "DELETE", {"Depth": "1"}).status == 400
    with s.connect() as c:
        assert c.ask("/dir/one", "DELETE", {"Depth": "1"}).status == 400
    with s.connect() as c:
        assert c.ask("/dir/one", "DELETE", {"Depth": "2"}).status == 400
    with s.connect() as c:
        assert c.ask("/dir/", "DELETE", body=b"1").status == 415
        assert c.ask("/dir/", "DELETE", {"Depth": "infinity"}).status == 204
        assert c.ask("/off/x", "DELETE").status == 405
        assert c.ask("/link/", "DELETE").status == 404
        assert tree(s, "dir2") == {"x": "x"}
        assert c.ask("/link", "DELETE").status == 204
    assert not (s.folder / "html" / "dir").exists()
    assert tree(s, "dir2") == {"x": "x"}
    log = s.log()
    assert f'lstat() "{s.folder}/html/a" failed (2: No such file or directory), client' in log
    assert f'DELETE "{s.folder}/html/dir" failed (21: Is a directory), client' in log
    assert "DELETE with body is unsupported, client" in log
    assert 'client sent invalid "Depth" header: "2", client' in log


def test_delete_depth(s: Any) -> None:
    (s.folder / "html" / "deep" / "er").mkdir(parents=True)
    (s.folder / "html" / "deep" / "er" / "x").write_text("x")
    with s.connect() as c:
        assert c.ask("/deep/", "DELETE").status == 409
        assert c.ask("/deep/er/", "DELETE").status == 409
        assert c.ask("/deep/er/x", "DELETE").status == 204
    assert "insufficient URI depth:2 to DELETE, client" in s.log()


@pytest.fixture
def deep(s: Any) -> Any:
    yield s
    subprocess.run(["rm", "-rf", str(s.folder / "html")], check=True)  # pytest's own way is recursive


def test_folders_as_deep_as_they_can_be(deep: Any) -> None:
    s = deep
    target = "/"
    with s.connect() as c:
        c.sock.settimeout(120)
        while len(target) + len(str(s.folder)) < 3000:
            target += "d/" * 300
            os.makedirs(f"{s.folder}/html{target}")
        assert c.ask("/d/", "COPY", {"Destination": "/e/"}).status == 201
        assert os.path.isdir(f"{s.folder}/html/e{target[2:]}")
        assert c.ask("/d/", "DELETE").status == 204
        assert c.ask("/e/", "DELETE").status == 204
    assert not (s.folder / "html" / "d").exists()


def test_mkcol(s: Any) -> None:
    with s.connect() as c:
        answer = c.ask("/made/", "MKCOL")
        assert (answer.status, answer["Location"]) == (201, f"http://localhost:{s.ports['PORT']}/made/")
        assert (s.folder / "html" / "made").stat().st_mode & 0o777 == 0o775 & ~_umask()
        assert c.ask("/made/", "MKCOL").status == 405
        assert c.ask("/made2", "MKCOL").status == 409
        assert c.ask("/no/such/", "MKCOL").status == 409
        assert c.ask("/made3/", "MKCOL", body=b"x").status == 415
    assert "MKCOL can create a collection only, client" in s.log()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_copy(s: Any) -> None:
    os.utime(s.folder / "html" / "a", (1_000_000_000, 1_000_000_000))
    with s.connect() as c:
        assert c.ask("/a", "COPY", {"Destination": "/b"}).status == 204
        made = s.folder / "html" / "b"
        assert (made.read_text(), made.stat().st_mtime) == ("this is a", 1_000_000_000)
        assert c.ask("/a", "COPY", {"Destination": "/b", "Overwrite": "F"}).status == 412
        assert c.ask("/a", "COPY", {"Destination": "/b", "Overwrite": "T"}).status == 204
        assert c.ask("/a", "COPY", {"Destination": "http://localhost:80/c%20d?x"}).status == 204
        assert (s.folder / "html" / "c d").exists()
        assert c.ask("/dir/", "COPY", {"Destination": "/copy/"}).status == 201
        assert tree(s, "copy") == tree(s, "dir") == {"one": "1", "sub/two": "2"}
        assert c.ask("/dir2/", "COPY", {"Destination": "/copy/"}).status == 201
        assert tree(s, "copy") == {"x": "x"}
        assert c.ask("/alias/a", "COPY", {"Destination": "/alias/from-alias"}).status == 204
        assert (s.folder / "html" / "from-alias").read_text() == "this is a"
    assert left_over(s) == []


def test_move(s: Any) -> None:
    with s.connect() as c:
        assert c.ask("/a", "MOVE", {"Destination": "/new/folder/b"}).status == 204
        assert tree(s, "new") == {"folder/b": "this is a"}
        assert not (s.folder / "html" / "a").exists()
        assert c.ask("/a", "MOVE", {"Destination": "/x"}).status == 404
        assert c.ask("/dir/", "MOVE", {"Destination": "/moved/"}).status == 201
        assert tree(s, "moved") == {"one": "1", "sub/two": "2"}
        assert c.ask("/moved/", "MOVE", {"Destination": "/dir2/", "Overwrite": "F"}).status == 412
        assert c.ask("/moved/", "MOVE", {"Destination": "/dir2/"}).status == 201
        assert tree(s, "dir2") == {"one": "1", "sub/two": "2"}


REFUSED = [
    ("/a", {}, 400, 'client sent no "Destination" header'),
    ("/a", {"Destination": "b"}, 400, 'client sent invalid "Destination" header: "b"'),
    ("/a", {"Destination": "http://localhost"}, 400, 'client sent invalid "Destination" header: "http://localhost"'),
    ("/a", {"Destination": "http://other/b"}, 400, "is handled by different repository than the source URI"),
    ("/a", {"Destination": "/../b"}, 400, 'unsafe URI "/../b" was detected'),
    ("/a", {"Destination": "/%2e%2e/b"}, 400, "was detected"),
    ("/a", {"Destination": "/b/"}, 409, "should be either collections or non-collections"),
    ("/a", {"Destination": "/b", "Depth": "1"}, 400, '"Depth" header must be'),
    ("/a", {"Destination": "/b", "Overwrite": "yes"}, 400, 'client sent invalid "Overwrite" header: "yes"'),
    ("/a", {"Destination": "/a"}, 403, "point to the same location"),
    ("/a", {"Destination": "//a"}, 403, "point to the same location"),
    ("/a", {"Destination": "/dir"}, 409, 'ed to collection "/dir"'),
    ("/dir/", {"Destination": "/dir/sub/new/"}, 403, 'ed to collection "/dir/sub/new/"'),
    ("/dir/sub/", {"Destination": "/dir/"}, 403, 'ed to collection "/dir/"'),
    ("/dir", {"Destination": "/b"}, 400, '"/dir" is collection'),
    ("/missing", {"Destination": "/b"}, 404, "lstat()"),
    ("/alias/a", {"Destination": "/b"}, 400, "invalid"),
]


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
def test_copies_and_moves_that_are_refused(s: Any, method: str) -> None:
    before = tree(s, "")
    for target, headers, status, message in REFUSED:
        with s.connect() as c:
            assert c.ask(target, method, headers).status == status, (target, headers)
        assert message in s.log(), message
    with s.connect() as c:
        assert c.ask("/a", method, {"Destination": "/b"}, b"body").status == 415
    assert tree(s, "") == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dav_methods GET;", 'invalid value "GET" in'),
        ("dav_access world:rw;", 'invalid value "world:rw" in'),
        ("min_delete_depth x;", '"min_delete_depth" directive invalid number in'),
        ("create_full_put_path yes;", 'invalid value "yes" in "create_full_put_path" directive, it must be "on" or "off"'),
    ],
)
def test_mistakes(configtest: Any, text: str, message: str) -> None:
    assert message in configtest(f"events {{}} http {{ {text} }}").stderr
