"""Real application servers behind geng: PHP-FPM, uWSGI in each of its protocols, memcached."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from hashlib import md5
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pytest

from scripts.lib.servers import free_port, wait_until
from tests.harness.peers import peer
from tests.harness.server import Server


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """`program(command, address)` runs a server until the end of the test, and waits until it listens."""
    started: list[subprocess.Popen[bytes]] = []

    def start(command: list[str], address: tuple[str, int] | str) -> None:
        output = (tmp_path / f"program{len(started)}.log").open("wb")
        started.append(subprocess.Popen(command, stdout=output, stderr=output, cwd=tmp_path))
        wait_until(lambda: answers(address), command[0], 60)

    yield start
    for one in started:
        one.terminate()
        one.wait(30)


def answers(address: tuple[str, int] | str) -> bool:
    try:
        with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as sock:
            sock.connect(address)
    except OSError:
        return False
    return True


# --- PHP

PHP = """
[global]
error_log = %DIR%/fpm.log
daemonize = no
[www]
user = %USER%
listen = %DIR%/php.sock
listen.mode = 0666
pm = static
pm.max_children = 2
catch_workers_output = no
php_admin_value[session.save_path] = %DIR%
php_admin_value[upload_tmp_dir] = %DIR%
php_admin_value[upload_max_filesize] = 10M
php_admin_value[post_max_size] = 10M
php_admin_flag[log_errors] = on
php_admin_flag[display_errors] = off
"""

SCRIPTS = {
    "hello.php": "<?php header('X-Powered-By: nobody'); echo 'hello ', $_GET['name'], ' ', $_SERVER['PATH_INFO'] ?? '';",
    "upload.php": "<?php echo md5_file($_FILES['f']['tmp_name']), ' ', $_FILES['f']['name'], ' ', $_POST['a'];",
    "raw.php": "<?php echo md5(file_get_contents('php://input'));",
    "session.php": "<?php session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; echo $_SESSION['n'];",
    "large.php": "<?php for ($i = 0; $i < 20000; $i++) { printf('%0100d', $i); }",
    "status.php": "<?php http_response_code(404); header('X-A: b'); echo 'gone';",
    "redirect.php": "<?php header('Location: /elsewhere'); exit;",
    "error.php": "<?php error_log('something is odd'); echo 'went on';",
    "fatal.php": "<?php nowhere();",
    "slow.php": "<?php echo 'one'; flush(); usleep(300000); echo 'two';",
    "cached.php": "<?php header('Cache-Control: max-age=60'); echo bin2hex(random_bytes(8));",
}

PHP_CONF = """
events {}
http {
    fastcgi_cache_path %CACHE% levels=1:2 keys_zone=one:1m;
    upstream php { server unix:%SOCKET%; keepalive 2; }
    server {
        listen 127.0.0.1:%PORT%;
        root %ROOT%;
        client_max_body_size 20m;
        location ~ \\.php(/|$) {
            fastcgi_split_path_info ^(.+\\.php)(/.*)?$;
            fastcgi_pass php;
            fastcgi_keep_conn %KEEP%;
            fastcgi_request_buffering %BUFFERING%;
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            fastcgi_param PATH_INFO $fastcgi_path_info;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_cache $zone;
            fastcgi_cache_key $request_uri;
            add_header X-Cache $upstream_cache_status;
        }
    }
    map $uri $zone { /cached.php one; default off; }
}
"""


@pytest.fixture
def php(program: Any, tmp_path: Path) -> dict[str, Any]:
    """PHP-FPM with SCRIPTS, and what PHP_CONF wants to know of it."""
    binary = peer("php-fpm", *(f"php-fpm8.{n}" for n in range(9)))
    if os.getuid() == 0:  # PHP's workers become nobody, and pytest's folders are closed to others
        tmp_path.chmod(0o777)
        for folder in tmp_path.parents:
            if folder == Path(gettempdir()):
                break
            folder.chmod(folder.stat().st_mode | 0o011)
    root = tmp_path / "scripts"
    root.mkdir()
    for name, text in SCRIPTS.items():
        (root / name).write_text(text)
    conf = tmp_path / "fpm.conf"
    user = "nobody" if os.getuid() == 0 else ""
    text = PHP.replace("%DIR%", str(tmp_path)).replace("%USER%", user)
    conf.write_text(text if user else text.replace("user = \n", ""))
    program([binary, "-F", "-n", "-y", str(conf)], str(tmp_path / "php.sock"))
    return {"SOCKET": tmp_path / "php.sock", "ROOT": root, "CACHE": tmp_path / "cache"}


@pytest.mark.parametrize("keep", ["on", "off"])
def test_php(server: Any, php: dict[str, Any], keep: str) -> None:
    s = server(PHP_CONF, KEEP=keep, BUFFERING="on", **php)
    for _ in range(3):
        answer = s.get("/hello.php/more?name=you")
        assert (answer.status, answer.text, answer["X-Powered-By"]) == (200, "hello you /more", "nobody")
    assert s.get("/large.php").text == "".join(f"{i:0100d}" for i in range(20000))
    answer = s.get("/status.php")
    assert (answer.status, answer.text, answer["X-A"]) == (404, "gone", "b")
    answer = s.get("/redirect.php")
    assert (answer.status, answer["Location"].endswith("/elsewhere")) == (302, True)
    assert s.get("/slow.php").text == "onetwo"
    assert s.get("/hello.php?name=x", method="HEAD").status == 200
    assert s.get("/none.php").status == 404


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_php_uploads(server: Any, php: dict[str, Any], buffering: str) -> None:
    s = server(PHP_CONF, KEEP="on", BUFFERING=buffering, **php)
    data = os.urandom(3_000_000)
    form = (
        b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nfield\r\n'
        b'--B\r\nContent-Disposition: form-data; name="f"; filename="x.bin"\r\n\r\n' + data + b"\r\n--B--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    for _ in range(2):
        got = s.get("/upload.php", method="POST", headers=headers, body=form)
        assert got.text == f"{md5(data).hexdigest()} x.bin field"
        assert s.get("/raw.php", method="PUT", body=data).text == md5(data).hexdigest()


def test_php_sessions(server: Any, php: dict[str, Any]) -> None:
    s = server(PHP_CONF, KEEP="on", BUFFERING="on", **php)
    first = s.get("/session.php")
    cookie = first["Set-Cookie"].partition(";")[0]
    assert [s.get("/session.php", headers={"Cookie": cookie}).text for _ in range(3)] == ["2", "3", "4"]
    assert s.get("/session.php").text == "1"


def test_php_errors(server: Any, php: dict[str, Any]) -> None:
    s = server(PHP_CONF, KEEP="on", BUFFERING="on", **php)
    assert s.get("/error.php").text == "went on"
    assert 'FastCGI sent in stderr: "PHP message: something is odd" while reading' in s.log()
    assert s.get("/fatal.php").status == 500
    assert "Call to undefined function nowhere()" in s.log()


def test_php_cache_is_nginxs(server: Any, php: dict[str, Any], tmp_path: Path) -> None:
    """Responses that one server stores serve the other, records and all."""
    nginx = peer("nginx")
    folder = tmp_path / "nginx"
    folder.mkdir()
    theirs = Server(PHP_CONF, folder, command=[nginx], KEEP="on", BUFFERING="on", **php).start()
    try:
        ours = server(PHP_CONF, KEEP="on", BUFFERING="on", **php)
        for fills, reads, target in ((theirs, ours, "/cached.php?a"), (ours, theirs, "/cached.php?b")):
            stored = fills.get(target)
            found = reads.get(target)
            assert (stored["X-Cache"], found["X-Cache"]) == ("MISS", "HIT")
            assert found.text == stored.text and len(stored.text) == 16
    finally:
        theirs.stop()


# --- uWSGI

APP = """
def application(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("201 Made", [("Content-Type", "text/plain"), ("X-Path", environ["PATH_INFO"])])
    return [environ["REQUEST_METHOD"].encode(), b" ", environ.get("HTTP_X_A", "").encode(), b" ", body]
"""

UWSGI_CONF = """
events {}
http {
    server {
        listen 127.0.0.1:%PORT%;
        client_max_body_size 20m;
        location / {
            %PROTOCOL%_pass 127.0.0.1:%UP%;
            %PROTOCOL%_request_buffering %BUFFERING%;
            %PROTOCOL%_param QUERY_STRING $query_string;
            %PROTOCOL%_param REQUEST_METHOD $request_method;
            %PROTOCOL%_param CONTENT_TYPE $content_type;
            %CONTENT_LENGTH%
            %PROTOCOL%_param REQUEST_URI $request_uri;
            %PROTOCOL%_param PATH_INFO $document_uri;
            %PROTOCOL%_param SCRIPT_NAME "";
            %PROTOCOL%_param SERVER_NAME $server_name;
            %PROTOCOL%_param SERVER_PORT $server_port;
            %PROTOCOL%_param SERVER_PROTOCOL $server_protocol;
        }
    }
}
"""


@pytest.mark.parametrize("protocol", ["uwsgi", "scgi", "fastcgi"])
@pytest.mark.parametrize("buffering", ["on", "off"])
def test_uwsgi(server: Any, program: Any, tmp_path: Path, protocol: str, buffering: str) -> None:
    binary = peer("uwsgi-core", "uwsgi")
    (tmp_path / "app.py").write_text(APP)
    port = free_port()
    program(
        [
            binary, "--plugin", "python3", f"--{protocol}-socket", f"127.0.0.1:{port}", "--master", "--die-on-term",
            "--processes", "1", "--wsgi-file", str(tmp_path / "app.py"), "--buffer-size", "16384",
        ],
        ("127.0.0.1", port),
    )  # fmt: skip
    length = "" if protocol == "scgi" else f"{protocol}_param CONTENT_LENGTH $content_length;"
    conf = UWSGI_CONF.replace("%PROTOCOL%", protocol).replace("%CONTENT_LENGTH%", length)
    s = server(conf, UP=port, BUFFERING=buffering)
    for _ in range(3):
        answer = s.get("/path?query", headers={"X-A": "b"})
        assert (answer.status, answer.reason, answer["X-Path"], answer.text) == (201, "Made", "/path", "GET b ")
    body = os.urandom(500_000)
    assert s.get("/", method="POST", body=body).body == b"POST  " + body


# --- memcached


def test_memcached(server: Any, program: Any) -> None:
    port = free_port()
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    program([peer("memcached"), "-l", "127.0.0.1", "-p", str(port), "-U", "0", *user], ("127.0.0.1", port))
    large = os.urandom(500_000)
    with socket.create_connection(("127.0.0.1", port)) as c:
        for key, value in {b"/a%20b": b"hello", b"/large": large, b"/empty": b""}.items():
            c.sendall(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value))
            assert c.recv(100) == b"STORED\r\n"
    s = server(
        """
        events {}
        http {
            upstream m { server 127.0.0.1:%UP%; keepalive 1; }
            server {
                listen 127.0.0.1:%PORT%;
                location / { set $memcached_key $uri; memcached_pass m; }
            }
        }
        """,
        UP=port,
    )
    for _ in range(3):
        assert s.get("/a%20b").text == "hello"
        assert s.get("/large").body == large
        assert s.get("/empty").body == b""
        assert s.get("/none").status == 404
    assert 'key: "/none" was not found by memcached' in s.log()
