"""gzip, gunzip, gzip_static."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest

from geng.errors import Refused
from geng.http.encoding import accepts_gzip
from geng.modules.http.gzip import GzipConf, hashes, sizes, window
from tests.harness.backend import Answer
from tests.harness.client import Truncated

TEXT = "".join(f"line {i} of a text that is longer than nothing\n" for i in range(4000))
ASK = {"Accept-Encoding": "gzip"}

CONF = """
events {}
http {
    types { text/html html; text/css css; }
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%;
        gzip on;
        location / { }
        location /off/ { alias %DIR%/; gzip off; }
        location /types/ { alias %DIR%/; gzip_types text/css; gzip_vary on; }
        location /any/ { alias %DIR%/; gzip_types *; gzip_min_length 0; }
        location /long/ { alias %DIR%/; gzip_min_length 100; }
        location /post/ { alias %DIR%/; postpone_gzipping 64k; gzip_comp_level 9; gzip_window 1k; gzip_hash 512; }
        location /old/ { alias %DIR%/; gzip_http_version 1.0; }
        location /proxied/ { alias %DIR%/; gzip_proxied expired; expires -1; }
        location /fresh/ { alias %DIR%/; gzip_proxied expired; expires 1h; }
        location /agents/ { alias %DIR%/; gzip_disable "Old.*Browser" msie6; }
        location /up/ { proxy_pass http://127.0.0.1:%UP%; gzip_types *; }
        location /gunzip/ { proxy_pass http://127.0.0.1:%UP%; gzip off; gunzip on; gzip_vary on; }
        location /static/ { alias %DIR%/s/; gzip off; gzip_static on; gzip_vary on; }
        location /always/ { alias %DIR%/s/; gzip off; gzip_static always; }
        location /expand/ { alias %DIR%/s/; gzip off; gzip_static always; gunzip on; }
    }
}
"""

FILES: dict[str, bytes | str] = {
    "t.html": TEXT,
    "t.css": "b { color: red } /* and more of it */",
    "small.html": "0123456789",
    "fifty.html": "x" * 50,
    "s/a.html": "plain",
    "s/a.html.gz": gzip.compress(b"compressed", mtime=0),
    "s/two.html.gz": gzip.compress(b"one ", mtime=0) + gzip.compress(b"two", mtime=0),
    "s/bad.html.gz": b"no gzip at all",
    "s/cut.html.gz": gzip.compress(b"cut short", mtime=0)[:-4],
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"gzip", True),
        (b"deflate, gzip", True),
        (b"GZIP", True),
        (b"x-gzip", False),
        (b"x-gzip, gzip", True),
        (b"gzip;q=0", False),
        (b"gzip;q=0.000", False),
        (b"gzip; q=0.001", True),
        (b"gzip ; q=1.000", True),
        (b"gzip;q=1.001", False),
        (b"gzip;q=0.5, deflate", True),
        (b"gzip;q=0.5000", False),
        (b"gzip;q=2", False),
        (b"gzip;q=a", False),
        (b"gzip;q", False),
        (b"gzip;x=1", False),
        (b"gzip;", True),
        (b"gzipped", False),
        (b"deflate", False),
        (b"", False),
    ],
)
def test_accept_encoding(value: bytes, expected: bool) -> None:
    assert accepts_gzip(value) is expected


def test_exponents() -> None:
    assert [window("32k"), window("512"), hashes("128k"), hashes("512")] == [15, 9, 9, 1]
    with pytest.raises(Refused, match="must be 512, 1k, 2k, 4k, 8k, 16k, or 32k"):
        window("64k")
    with pytest.raises(Refused, match="must be 512, 1k"):
        hashes("3k")


def test_memory_by_length() -> None:
    conf = GzipConf()
    conf.window, conf.hash = 15, 8
    assert sizes(conf, -1) == (15, 8)
    assert sizes(conf, 1_000_000) == (15, 8)
    assert sizes(conf, 10_000) == (14, 7)
    assert sizes(conf, 20) == (9, 2)


@pytest.fixture
def s(server: Any, backend: Any) -> Any:
    def answer(request: Any) -> Any:
        if request.target.endswith("stream"):
            chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(TEXT), TEXT.encode())
            return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
        if request.target.endswith("encoded"):
            return Answer(gzip.compress(b"by the upstream"), headers={"Content-Encoding": "gzip", "ETag": '"e"'})
        return Answer(TEXT, headers={"Content-Type": "text/html", "ETag": '"e"', "Accept-Ranges": "bytes"})

    return server(CONF, files=FILES, UP=backend(answer).port)


@pytest.mark.live
def test_a_file(s: Any) -> None:
    answer = s.get("/t.html", headers=ASK)
    assert answer["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.body).decode() == TEXT
    assert answer["ETag"].startswith('W/"')
    assert "Content-Length" not in answer
    assert "Accept-Ranges" not in answer
    assert "Vary" not in answer
    assert s.get("/t.html").text == TEXT
    assert s.get("/t.html", headers=ASK | {"Range": "bytes=0-1"}).status == 200


@pytest.mark.live
def test_head_and_errors(s: Any) -> None:
    with s.connect() as c:
        answer = c.ask("/t.html", method="HEAD", headers=ASK)
        assert (answer["Content-Encoding"], answer.get("Content-Length")) == ("gzip", None)
        answer = c.ask("/nope", headers=ASK)
        assert answer.status == 404
        assert b"404 Not Found" in gzip.decompress(answer.body)
        assert c.ask("/t.css").text == FILES["t.css"]


@pytest.mark.live
def test_types_and_lengths(s: Any) -> None:
    assert "Content-Encoding" not in s.get("/t.css", headers=ASK)
    answer = s.get("/types/t.css", headers=ASK)
    assert (answer["Content-Encoding"], answer["Vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(answer.body).decode() == FILES["t.css"]
    answer = s.get("/types/t.css")
    assert (answer.get("Content-Encoding"), answer["Vary"]) == (None, "Accept-Encoding")
    assert "Content-Encoding" not in s.get("/small.html", headers=ASK)
    assert gzip.decompress(s.get("/any/small.html", headers=ASK).body) == b"0123456789"
    assert "Content-Encoding" not in s.get("/long/fifty.html", headers=ASK)
    assert "Content-Encoding" not in s.get("/off/t.html", headers=ASK)


@pytest.mark.live
def test_parameters_of_zlib(s: Any) -> None:
    answer = s.get("/post/t.html", headers=ASK)
    assert zlib.decompress(answer.body, 16 + 10).decode() == TEXT  # a window of 1k


@pytest.mark.live
def test_who_asks(s: Any) -> None:
    old = s.raw(b"GET /t.html HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")[0]
    assert "Content-Encoding" not in old
    old = s.raw(b"GET /old/t.html HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")[0]
    assert gzip.decompress(old.body).decode() == TEXT
    via = ASK | {"Via": "1.1 x"}
    assert "Content-Encoding" not in s.get("/t.html", headers=via)
    assert "Content-Encoding" in s.get("/proxied/t.html", headers=via)
    assert "Content-Encoding" not in s.get("/fresh/t.html", headers=via)
    assert "Content-Encoding" not in s.get("/agents/t.html", headers=ASK | {"User-Agent": "an old web browser"})
    assert "Content-Encoding" in s.get("/agents/t.html", headers=ASK | {"User-Agent": "new"})
    msie = "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)"
    assert "Content-Encoding" not in s.get("/agents/t.html", headers=ASK | {"User-Agent": msie})


@pytest.mark.live
def test_proxied(s: Any) -> None:
    for target in ("/up/", "/up/stream"):
        answer = s.get(target, headers=ASK)
        assert answer["Content-Encoding"] == "gzip"
        assert gzip.decompress(answer.body).decode() == TEXT
    answer = s.get("/up/", headers=ASK)
    assert (answer["ETag"], answer.get("Accept-Ranges")) == ('W/"e"', None)
    answer = s.get("/up/encoded", headers=ASK)
    assert gzip.decompress(answer.body) == b"by the upstream"  # once


@pytest.mark.live
def test_gunzip(s: Any) -> None:
    answer = s.get("/gunzip/encoded")
    assert (answer.text, answer.get("Content-Encoding"), answer["Vary"]) == (
        "by the upstream",
        None,
        "Accept-Encoding",
    )
    assert answer["ETag"] == 'W/"e"'
    answer = s.get("/gunzip/encoded", headers=ASK)
    assert (answer["Content-Encoding"], answer["ETag"]) == ("gzip", '"e"')
    assert s.get("/expand/two.html").text == "one two"


@pytest.mark.live
def test_what_gunzip_cannot_expand(s: Any) -> None:
    with pytest.raises(Truncated):
        s.get("/expand/bad.html")
    with pytest.raises(Truncated):
        s.get("/expand/cut.html")
    assert "inflate() failed: " in s.log()
    assert "inflate() returned -5 on response end" in s.log()


@pytest.mark.live
def test_gzip_static(s: Any) -> None:
    answer = s.get("/static/a.html", headers=ASK)
    assert gzip.decompress(answer.body) == b"compressed"
    assert (answer["Content-Type"], answer["Content-Encoding"]) == ("text/html", "gzip")
    assert answer["Vary"] == "Accept-Encoding"
    assert answer["Content-Length"] == str(len(answer.body))
    answer = s.get("/static/a.html")
    assert (answer.text, answer["Vary"]) == ("plain", "Accept-Encoding")
    assert s.get("/static/two.html").status == 404
    assert gzip.decompress(s.get("/always/a.html").body) == b"compressed"


@pytest.mark.live
def test_a_ratio(server: Any) -> None:
    s = server(
        """
        events {}
        http {
            log_format ratio "$gzip_ratio";
            server {
                listen 127.0.0.1:%PORT%;
                root %DIR%;
                gzip on;
                location / { access_log %DIR%/ratio.log ratio; types { text/html html; } }
            }
        }
        """,
        files={"t.html": "x" * 100_000},
    )
    size = len(s.get("/t.html", headers=ASK).body)
    s.get("/t.html")
    s.stop()
    with_gzip, without = s.log("ratio.log").split()
    assert float(with_gzip) == pytest.approx(100_000 / size, abs=0.006)
    assert without == "-"
