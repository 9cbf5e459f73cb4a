"""brotli and zstd, with the directives of the modules that are known for them; gzip by the faster libraries."""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Iterator
from typing import Any

import brotli
import pytest
import zstandard

from scripts.lib.servers import wait_until
from tests.harness.backend import Answer, Backend
from tests.harness.client import request
from tests.harness.server import Server

TEXT = b"".join(b"<p>%d, a line of text</p>\n" % n for n in range(2000))
CONF = """
events {}
http {
    types { text/html html; text/plain txt; }
    log_format ratio "$uri br=$brotli_ratio zstd=$zstd_ratio gzip=$gzip_ratio";
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%;
        gzip on; brotli on; zstd on;
        access_log %DIR%/ratio.log ratio;
        location /text/ { alias %DIR%/; brotli_types text/plain; zstd_types text/plain;
                          brotli_comp_level 1; zstd_comp_level 9; brotli_window 1k; brotli_buffers 4 8k; zstd_buffers 4 8k; }
        location /long/ { alias %DIR%/; brotli_min_length 1m; zstd_min_length 1m; gzip_min_length 1m; }
        location /off/ { alias %DIR%/; if ($arg_off) { brotli off; gzip off; zstd off; } }
        location /static/ { alias %DIR%/; brotli_static on; zstd_static on; gzip_static on; }
        location /always/ { alias %DIR%/; brotli_static always; }
        location /proxied/ { proxy_pass http://127.0.0.1:%UP%; }
        location /stream/ { proxy_pass http://127.0.0.1:%PIECES%; proxy_buffering off; }
    }
}
"""


def logged(s: Server, target: str) -> str:
    """The last line for *target*."""
    return next((line for line in reversed(s.log("ratio.log").splitlines()) if line.startswith(f"{target} ")), "")


def decoded(data: bytes, coding: str) -> bytes:
    if coding == "br":
        return bytes(brotli.decompress(data))
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return zlib.decompress(data, 31)


class Pieces:
    """An upstream that sends half of what it promised, and the rest never."""

    def __call__(self, sock: Any) -> None:
        sock.recv(10000)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 10000\r\n\r\n" + b"a" * 5000)
        sock.recv(1)  # until geng gives up, because its client has


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, command: list[str]) -> Iterator[Server]:
    files = {"page.html": TEXT, "notes.txt": TEXT, "small.html": "small", "page.html.br": brotli.compress(TEXT)}
    whole = Backend(lambda r: Answer(TEXT, headers={"Content-Type": "text/html"}))
    pieces = Backend(talk=Pieces())
    folder = tmp_path_factory.mktemp("compressed")
    started = Server(CONF, folder, command=command, UP=whole.port, PIECES=pieces.port, files=files).start()
    yield started
    started.stop()
    whole.stop()
    pieces.stop()


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip"])
@pytest.mark.parametrize("target", ["/page.html", "/text/notes.txt", "/proxied/"])
def test_compressed(running: Server, coding: str, target: str) -> None:
    if (target, coding) == ("/text/notes.txt", "gzip"):
        assert "Content-Encoding" not in running.get(target, headers={"Accept-Encoding": coding})
        return
    answer = running.get(target, headers={"Accept-Encoding": f"identity, {coding};q=0.5"})
    assert answer["Content-Encoding"] == coding
    assert "Content-Length" not in answer and "Accept-Ranges" not in answer
    assert target == "/proxied/" or answer["ETag"].startswith("W/")
    assert len(answer.body) < len(TEXT) / 3
    assert decoded(answer.body, coding) == TEXT
    wait_until(lambda: logged(running, target), "the line in the log")
    ratios = dict(word.split("=") for word in logged(running, target).split()[1:])
    os.truncate(running.folder / "ratio.log", 0)
    assert {name for name, value in ratios.items() if value != "-"} == {coding}
    hundredths = len(TEXT) * 1000 // len(answer.body)
    assert ratios[coding] == f"{(hundredths + 5) // 1000}.{(hundredths + 5) // 10 % 100:02}"


@pytest.mark.parametrize(
    ("target", "accepted", "coding"),
    [
        ("/page.html", "gzip, deflate, br, zstd", "zstd"),
        ("/page.html", "gzip, br;q=0", "gzip"),
        ("/page.html", "brotli, xbr", None),
        ("/page.html", "", None),
        ("/small.html", "br, zstd, gzip", None),
        ("/long/page.html", "br, zstd, gzip", None),
        ("/off/page.html?off=1", "br, zstd, gzip", None),
        ("/off/page.html", "br", "br"),
        ("/notes.txt", "br, zstd, gzip", None),
        ("/missing", "br", "br"),
    ],
)
def test_which(running: Server, target: str, accepted: str, coding: Any) -> None:
    found = running.get(target, headers={"Accept-Encoding": accepted}).get("Content-Encoding")
    assert found == coding


def test_static_files(running: Server) -> None:
    answer = running.get("/static/page.html", headers={"Accept-Encoding": "gzip, br"})
    assert (answer["Content-Encoding"], answer["Content-Type"]) == ("br", "text/html")
    assert answer["Content-Length"] == str(len(brotli.compress(TEXT)))
    assert brotli.decompress(answer.body) == TEXT
    assert running.get("/static/page.html").body == TEXT
    assert brotli.decompress(running.get("/always/page.html").body) == TEXT
    assert running.get("/static/notes.txt", headers={"Accept-Encoding": "br"}).body == TEXT


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip"])
def test_what_is_there_goes_out(running: Server, coding: str) -> None:
    """An answer that comes in pieces reaches the client in pieces."""
    with running.connect() as c:
        c.send(request("/stream/", headers={"Accept-Encoding": coding}))
        c._until(b"\r\n\r\n")
        size = int(c._until(b"\r\n"), 16)
        piece = c.exactly(size)
        one = {
            "br": lambda: brotli.Decompressor().process(piece),
            "zstd": lambda: zstandard.ZstdDecompressor().decompressobj().decompress(piece),
            "gzip": lambda: zlib.decompressobj(31).decompress(piece),
        }[coding]()
        assert one and one == b"a" * len(one)


FAULTS = [
    ("brotli maybe", 'it must be "on" or "off"'),
    ("brotli_comp_level 12", "value must be between 0 and 11"),
    ("brotli_window 3k", '"brotli_window" directive must be 1k, 2k'),
    ("brotli_static sometimes", 'invalid value "sometimes"'),
    ("brotli_buffers 4", 'invalid number of arguments in "brotli_buffers" directive'),
    ("zstd_comp_level 0", "value must be between 1 and 22"),
    ("brotli on; brotli off", '"brotli" directive is duplicate'),
]


@pytest.mark.parametrize(("text", "words"), FAULTS)
def test_faults(configtest: Any, text: str, words: str) -> None:
    result = configtest(f"events {{}} http {{ {text}; }}")
    assert result.returncode == 1 and words in result.stderr


def test_to_nginx_they_are_unknown(server: Any, tmp_path: Any) -> None:
    """Unless the configuration loads them."""
    conf = "%LOAD% events {} http { brotli on; }"
    folder = tmp_path / "one"
    folder.mkdir()
    result = Server(conf, folder, LOAD="").run("-t", "--as-nginx")
    assert result.returncode == 1 and 'unknown directive "brotli"' in result.stderr
    loaded = Server(conf, folder, LOAD="load_module ngx_http_brotli_filter_module.so;")
    loaded.file("ngx_http_brotli_filter_module.so")
    for options in (("-t", "--as-nginx"), ("-t",)):
        assert loaded.run(*options).returncode == 0


MISSING = """
import importlib.abc, sys
class Without(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("brotli", "zstandard", "isal", "zlib_ng"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Without())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name in ("brotli", "zstandard") else found(name, *a)
sys.argv[0] = "geng"
from geng.cli.main import main
sys.exit(main())
"""


@pytest.mark.parametrize(("text", "words"), [("brotli on", "library brotli"), ("zstd on", "library zstandard")])
def test_without_the_library(tmp_path: Any, text: str, words: str) -> None:
    s = Server(f"events {{}} http {{ {text}; }}", tmp_path, command=[sys.executable, "-c", MISSING])
    result = s.run("-t")
    assert result.returncode == 1
    assert f"needs the {words}, which is not installed (pip install geng[" in result.stderr
    s.write("events {} http { brotli off; brotli_static on; gzip on; gzip_comp_level 5; }")
    assert s.run("-t").returncode == 0


@pytest.mark.parametrize("level", range(1, 10))
def test_gzip_levels(level: int) -> None:
    """Whatever library a level has, any inflate reads it, flushed or not, also with the least window."""
    from geng.modules.http.gzip import compressor

    for wbits, memory in ((31, 8), (25, 1)):
        made = compressor(level)(wbits, memory)
        data = made.compress(TEXT[:1000]) + made.flush(zlib.Z_SYNC_FLUSH)
        assert zlib.decompressobj(31).decompress(data) == TEXT[:1000]
        assert zlib.decompress(data + made.compress(TEXT[1000:]) + made.flush(), 31) == TEXT


def test_fast_gzip_is_as_small() -> None:
    from geng.modules.http.gzip import compressor

    for level in range(1, 10):
        sizes = []
        for made in (compressor(level)(31, 8), zlib.compressobj(level, zlib.DEFLATED, 31, 8)):
            sizes.append(len(made.compress(TEXT) + made.flush()))
        assert sizes[0] < sizes[1] * 1.15, (level, sizes)
