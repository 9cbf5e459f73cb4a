"""Files, their directories' indices, and try_files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.live

CONF = """
events {}
http {
    types { text/html html; text/css css; }
    default_type application/x-none;
    server {
        listen 127.0.0.1:%PORT%;
        server_name localhost;
        root %DIR%/html;
        %BODY%
    }
}
"""

FILES: dict[str, bytes | str] = {
    "html/a.html": "hello",
    "html/style.CSS": "b {}",
    "html/none": "?",
    "html/empty.html": "",
    "html/big.bin": bytes(range(256)) * 2000,
    "html/d/index.html": "index of d",
    "html/d/other.html": "other of d",
    "html/no/file": "",
}


def serve(server: Any, body: str = "", **options: Any) -> Any:
    return server(CONF.replace("%BODY%", body), files=FILES, **options)


# ---- files


def test_a_file_and_its_head(server: Any) -> None:
    s = serve(server)
    os.utime(s.folder / "html/a.html", (0, 784111777))
    answer = s.get("/a.html")
    assert (answer.status, answer.text) == (200, "hello")
    assert answer["Content-Type"] == "text/html"
    assert answer["Content-Length"] == "5"
    assert answer["Last-Modified"] == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert answer["ETag"] == '"2ebc98a1-5"'
    assert answer["Accept-Ranges"] == "bytes"


def test_types_by_extension_whatever_its_case(server: Any) -> None:
    s = serve(server)
    assert s.get("/style.CSS")["Content-Type"] == "text/css"
    assert s.get("/none")["Content-Type"] == "application/x-none"


@pytest.mark.parametrize("sendfile", ["", "sendfile on;", "sendfile on; tcp_nopush on;", "output_buffers 1 1k;"])
def test_a_large_file_whole(server: Any, sendfile: str) -> None:
    s = serve(server, sendfile)
    assert s.get("/big.bin").body == FILES["html/big.bin"]
    with s.connect() as c:
        assert c.ask("/big.bin").body == FILES["html/big.bin"]
        assert c.ask("/a.html").text == "hello"


def test_an_empty_file_and_head(server: Any) -> None:
    s = serve(server)
    assert (s.get("/empty.html").status, s.get("/empty.html").body) == (200, b"")
    with s.connect() as c:
        answer = c.ask("/a.html", method="HEAD")
        assert (answer.status, answer["Content-Length"], answer.body) == (200, "5", b"")
        assert c.ask("/a.html").text == "hello"


def test_methods(server: Any) -> None:
    s = serve(server)
    assert s.get("/a.html", method="POST", body=b"x").status == 405
    assert s.get("/a.html", method="DELETE").status == 405
    assert s.get("/d/", method="DELETE").status == 405


def test_what_is_not_there(server: Any) -> None:
    s = serve(server, "location /quiet/ { log_not_found off; }")
    assert s.get("/nope").status == 404
    assert s.get("/a.html/nope").status == 404
    assert s.get("/quiet/nope").status == 404
    log = s.log()
    assert f'open() "{s.folder}/html/nope" failed (2: No such file or directory)' in log
    assert f'open() "{s.folder}/html/a.html/nope" failed (20: Not a directory)' in log
    assert log.lacks('quiet/nope" failed')


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(server: Any) -> None:
    s = serve(server)
    s.file("html/secret").chmod(0)
    assert s.get("/secret").status == 403
    assert "(13: Permission denied)" in s.log()


def test_what_is_no_regular_file(server: Any) -> None:
    s = serve(server)
    os.mkfifo(s.folder / "html/pipe")
    assert s.get("/pipe").status == 404
    assert f'"{s.folder}/html/pipe" is not a regular file' in s.log()


def test_a_directory_gets_its_slash(server: Any) -> None:
    s = serve(server, "location /rel/ { alias %DIR%/html/; absolute_redirect off; }")
    assert s.get("/d")["Location"] == f"http://localhost:{s.ports['PORT']}/d/"
    assert s.get("/d?a=b")["Location"] == f"http://localhost:{s.ports['PORT']}/d/?a=b"
    answer = s.get("/rel/d")
    assert (answer.status, answer["Location"]) == (301, "/rel/d/")
    s.file("html/e f/x")
    assert s.get("/rel/e%20f")["Location"] == "/rel/e%20f/"


def test_etag_off(server: Any) -> None:
    s = serve(server, "etag off;")
    assert "ETag" not in s.get("/a.html")


# ---- root and alias


def test_alias(server: Any) -> None:
    s = serve(
        server,
        """
        location /x/ { alias %DIR%/html/d/; location /x/in/ { } }
        location /y { alias %DIR%/html/d; }
        location ~ ^/re/(.*)$ { alias %DIR%/html/$1; }
        """,
    )
    s.file("html/d/in/deep.html", "deep")
    assert s.get("/x/other.html").text == "other of d"
    assert s.get("/x/").text == "index of d"
    assert s.get("/x/in/deep.html").text == "deep"  # the outer location's name is what alias replaces
    assert s.get("/y/other.html").text == "other of d"
    assert s.get("/re/d/other.html").text == "other of d"


def test_root_with_variables(server: Any) -> None:
    s = serve(server, "location /d/ { root %DIR%/$arg_root; }  location /rel/ { root $arg_root; }")
    s.file("html/rel/x", "relative")
    assert s.get("/d/other.html?root=html").text == "other of d"
    assert s.get("/d/other.html?root=htm").status == 404
    assert s.get("/rel/x?root=html").text == "relative"


# ---- index


def test_indices_in_order(server: Any) -> None:
    s = serve(
        server,
        """
        location /d/ { index nope.html other.html index.html; }
        location /no/ { index nope.html $arg_i.x /a.html; }
        """,
    )
    assert s.get("/d/").text == "other of d"
    assert s.get("/no/").text == "hello"
    s.file("html/no/file.x", "by variable")
    assert s.get("/no/?i=file").text == "by variable"


def test_without_index(server: Any) -> None:
    s = serve(server)
    assert s.get("/no/").status == 403
    assert f'directory index of "{s.folder}/html/no/" is forbidden' in s.log()
    assert s.get("/missing/").status == 404
    assert f'"{s.folder}/html/missing/index.html" is not found (2: No such file or directory)' in s.log()
    assert s.get("/a.html/").status == 404
    assert f'"{s.folder}/html/a.html/index.html" is not found (20: Not a directory)' in s.log()


def test_an_index_keeps_the_arguments(server: Any) -> None:
    s = serve(server, "location = /d/index.html { add_header X-Args $args; }")
    assert s.get("/d/?a=b")["X-Args"] == "a=b"


def test_index_that_cannot_be(configtest: Any) -> None:
    result = configtest(CONF.replace("%BODY%", 'index "";'))
    assert 'index "" in "index" directive is invalid in' in result.stderr


# ---- try_files


def test_try_files(server: Any) -> None:
    s = serve(
        server,
        """
        location / { try_files $uri $uri/ /fallback?from=$uri; add_header X-Uri $uri; }
        location = /fallback { return 200 "fell $args"; }
        location /code/ { try_files $uri =418; }
        location /named/ { try_files $uri @other; }
        location @other { return 200 "other $uri"; }
        location /plain/ { try_files /a.html =404; }
        """,
    )
    assert s.get("/a.html").text == "hello"
    assert s.get("/d").status == 301
    assert s.get("/d/").text == "index of d"
    assert s.get("/nope").text == "fell from=/nope"
    assert s.get("/code/x").status == 418
    assert s.get("/named/x").text == "other /named/x"
    assert s.get("/plain/x").text == "hello"
    assert s.get("/named/x", method="POST", body=b"x").text == "other /named/x"


def test_try_files_with_alias(server: Any) -> None:
    s = serve(
        server,
        """
        location /x/ { alias %DIR%/html/d/; try_files $uri $uri/ /x/other.html; }
        location ~ ^/re/(?<rest>.*)$ { alias %DIR%/html/; try_files $rest =404; }
        """,
    )
    assert s.get("/x/index.html").text == "index of d"
    assert s.get("/x/nope").text == "other of d"
    assert s.get("/re/d/other.html").text == "other of d"
    assert s.get("/re/d/nope").status == 404


def test_try_files_is_not_inherited(server: Any) -> None:
    s = serve(server, "location /d/ { try_files /a.html =404; location /d/o { } }")
    assert s.get("/d/index.html").text == "hello"
    assert s.get("/d/other.html").text == "other of d"


@pytest.mark.parametrize("code", ["=", "=1000", "=4x"])
def test_try_files_with_a_bad_code(configtest: Any, code: str) -> None:
    result = configtest(CONF.replace("%BODY%", f"try_files $uri {code};"))
    assert f'invalid code "{code}" in' in result.stderr
    assert result.returncode == 1


def test_a_request_whose_file_changes(server: Any, tmp_path: Path) -> None:
    s = serve(server)
    with s.connect() as c:
        assert c.ask("/a.html").text == "hello"
        s.file("html/a.html", "hello again")
        assert c.ask("/a.html").text == "hello again"
