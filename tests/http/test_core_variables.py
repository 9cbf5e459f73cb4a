"""Every variable of ngx_http_core_module that a log line or an answer may show, and small directives about them."""

from __future__ import annotations

import re
import socket
import struct
from typing import Any

from scripts.lib.servers import wait_until
from tests.harness.client import Connection

# what each must look like, in the log of GET /file.txt?a=1 with the header lines below
LOGGED = {
    "body_bytes_sent": "10",
    "connection_time": r"\d+\.\d{3}",
    "content_length": "-",
    "document_uri": "/file.txt",
    "hostname": re.escape(socket.gethostname().lower()),
    "http_referer": "http://other\\.test/",
    "http_via": "1.1 a, 1.1 b",
    "http_x_forwarded_for": "10.0.0.1, 10.0.0.2",
    "invalid_referer": "1",
    "is_args": r"\?",
    "is_request_port": ":",
    "msec": r"\d{10}\.\d{3}",
    "pipe": r"\.",
    "request_completion": "OK",
    "request_id": "[0-9a-f]{32}",
    "request_port": "81",
    "request_time": r"\d+\.\d{3}",
    "sent_http_cache_control": "max-age=60, public",
    "sent_http_connection": "close",
    "sent_http_content_length": "10",
    "sent_http_content_type": "text/plain",
    "sent_http_keep_alive": "-",
    "sent_http_last_modified": r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT",
    "sent_http_link": "</a>, </b>",
    "sent_http_location": "-",
    "sent_http_transfer_encoding": "-",
    "sent_trailer_t": "-",
    "status": "200",
    "tcpinfo_rcv_space": r"\d+",
    "tcpinfo_rttvar": r"\d+",
    "tcpinfo_snd_cwnd": r"\d+",
    "time_iso8601": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d",
    "time_local": r"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}",
}
ASKED = (
    b"GET /file.txt?a=1 HTTP/1.1\r\nHost: h.test:81\r\nReferer: http://other.test/\r\nVia: 1.1 a\r\nVia: 1.1 b\r\n"
    b"X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\nConnection: close\r\n\r\n"
)
CONF = """
events { }
http {
    types { text/plain txt; }
    log_format all '%ALL%';
    log_format end '$status|$request_completion|$bytes_sent|$body_bytes_sent|$pipe|$sent_http_connection';
    server {
        listen 127.0.0.1:%PORT%;
        referer_hash_max_size 1024;
        referer_hash_bucket_size 128;
        root %DIR%;
        location / {
            access_log all.log all;
            valid_referers none server_names ok.test;
            add_header Cache-Control max-age=60;
            add_header Cache-Control public;
            add_header Link "</a>, </b>";
        }
        location /ended/ {
            access_log ended.log end;
            alias %DIR%/;
            location /ended/moved { return 302 http://a.test/; }
        }
        location /trailer { access_log trailer.log end; add_trailer T $status; return 200 "[$sent_trailer_t]"; }
        location /unset { access_log off; return 200 "[$unset]"; set $unset 1; }
        location /silent { access_log off; uninitialized_variable_warn off; return 200 "[$silent]"; set $silent 1; }
    }
    server {
        listen 127.0.0.1:%PORT2%;
        set_real_ip_from 127.0.0.1;
        set_real_ip_from 10.0.0.0/8;
        real_ip_header X-Forwarded-For;
        real_ip_recursive on;
        location / { return 200 "$remote_addr from $realip_remote_addr:$realip_remote_port"; }
    }
}
"""


def start(server: Any) -> Any:
    logged = "\\n".join(f"{name}=${name}" for name in LOGGED)
    return server(CONF, files={"file.txt": "0123456789", "large.txt": b"x" * 20_000_000}, ALL=logged)


def lines(server: Any, name: str, count: int) -> list[str]:
    wait_until(lambda: server.log(name).count("\n") >= count, f"{count} lines in {name}")
    return str(server.log(name)).splitlines()


def test_variables_in_a_log(server: Any) -> None:
    s = start(server)
    with Connection(s.address()) as c:
        assert c.send(ASKED).response().text == "0123456789"
    seen = dict(line.split("=", 1) for line in lines(s, "all.log", len(LOGGED)))
    assert seen.keys() == LOGGED.keys()
    strange = {name: seen[name] for name in LOGGED if not re.fullmatch(LOGGED[name], seen[name])}
    assert strange == {}


def test_what_is_logged_of_how_it_ended(server: Any) -> None:
    s = start(server)
    with Connection(s.address()) as c:
        c.send(b"GET /ended/file.txt HTTP/1.1\r\nHost: a\r\n\r\nGET /ended/moved HTTP/1.1\r\nHost: a\r\n\r\n")
        first, second = c.response(), c.response()
        assert lines(s, "ended.log", 2) == [
            f"200|OK|{len(first.head) + 10}|10|.|close",
            f"302|OK|{len(second.head) + len(second.body)}|{len(second.body)}|p|close",
        ]
    with Connection(s.address()) as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.send(b"GET /ended/large.txt HTTP/1.1\r\nHost: a\r\n\r\n")
        c.sock.recv(1000)
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    status, completion, sent, body, *_ = lines(s, "ended.log", 3)[2].split("|")
    assert (status, completion) == ("200", ""), "not completed"
    assert 0 < int(body) < int(sent) < 20_000_000


def test_what_is_not_set(server: Any) -> None:
    """$sent_trailer_ is there once the trailers are; a variable without a value is told of, where that is wanted."""
    s = start(server)
    with Connection(s.address()) as c:
        assert c.ask("/trailer").text == "[]"
        assert c.ask("/unset").text == "[]"
        assert c.ask("/silent").text == "[]"
    assert 'using uninitialized "unset" variable' in s.log()
    assert 'using uninitialized "silent" variable' not in s.log()


def test_real_ip_recursive(server: Any) -> None:
    s = start(server)
    with Connection(s.address("PORT2")) as c:
        for given, found in {
            "1.2.3.4, 10.0.0.1, 10.0.0.2": "1.2.3.4",
            "10.0.0.1": "10.0.0.1",
            "9.9.9.9, x": "127.0.0.1",
        }.items():
            port = c.sock.getsockname()[1]
            assert c.ask("/real", headers={"X-Forwarded-For": given}).text == f"{found} from 127.0.0.1:{port}"
