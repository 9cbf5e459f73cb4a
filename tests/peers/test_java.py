"""Tomcat and Jetty behind proxy_pass: sessions, redirects, errors, uploads, streams, WebSocket. nginx must do the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import md5

import pytest

from tests.harness import java
from tests.harness.client import request
from tests.harness.peers import peer
from tests.harness.server import Server
from tests.harness.websocket import ACCEPT, CLOSE, TEXT, UPGRADE, frame, receive

PAGES = {
    "session.jsp": '<% Integer n = (Integer) session.getAttribute("n"); n = n == null ? 1 : n + 1; '
    'session.setAttribute("n", n); %><%= n %>',
    "redirect.jsp": '<% response.sendRedirect(request.getContextPath() + "/there.jsp?x=1"); %>',
    "about.jsp": '<%@ page session="false" %><%= request.getScheme() %> <%= request.getRemoteAddr() %> '
    '<%= request.getServerName() %> <%= request.getRequestURI() %> <%= request.getParameter("q") %>',
    "error.jsp": '<%@ page session="false" %><% if (true) throw new IllegalStateException("it broke"); %>',
    "status.jsp": '<%@ page session="false" %><% response.setStatus(418); response.addHeader("X-A", "b"); %>teapot',
    "large.jsp": '<%@ page session="false" %><% for (int i = 0; i < 5000; i++) { %><%= String.format("%0100d", i) %><% } %>',
    "upload.jsp": """<%@ page session="false" %><%
        java.security.MessageDigest d = java.security.MessageDigest.getInstance("MD5");
        java.io.InputStream in = request.getInputStream();
        byte[] b = new byte[65536]; long total = 0;
        for (int n; (n = in.read(b)) >= 0; total += n) d.update(b, 0, n);
        %><%= total %> <%= String.format("%032x", new java.math.BigInteger(1, d.digest())) %>""",
    # the second half comes when somebody has asked for go.jsp
    "stream.jsp": """<%@ page session="false" %><%
        out.print("first"); out.flush();
        for (int i = 0; i < 1000 && application.getAttribute("go") == null; i++) Thread.sleep(10);
        application.removeAttribute("go"); %>second""",
    "go.jsp": '<%@ page session="false" %><% application.setAttribute("go", true); %>going',
    "cached.jsp": '<%@ page session="false" %><% response.setHeader("Cache-Control", "max-age=60"); %>'
    "<%= System.nanoTime() %>",
    "file.txt": "0123456789" * 100,
}

# Jetty has no example of WebSocket: this page adds one
ECHO = """<%@ page import="javax.websocket.*,javax.websocket.server.*" session="false" %><%!
public static class Echo extends Endpoint {
  public void onOpen(final Session s, EndpointConfig c) {
    s.addMessageHandler(new MessageHandler.Whole<String>() { public void onMessage(String m) {
      try { s.getBasicRemote().sendText(m); } catch (java.io.IOException e) { throw new RuntimeException(e); }
    } });
  }
}
%><%
ServerContainer container = (ServerContainer) application.getAttribute("javax.websocket.server.ServerContainer");
if (application.getAttribute("echo") == null)
    container.addEndpoint(ServerEndpointConfig.Builder.create(Echo.class, "/echo").build());
application.setAttribute("echo", true);
%>there is one"""

CONF = """
events {}
http {
    map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
    proxy_cache_path %DIR%/cache keys_zone=one:1m;
    upstream java { server 127.0.0.1:%UP%; keepalive 4; }
    server {
        listen 127.0.0.1:%PORT%;
        client_max_body_size 20m;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        location / {
            proxy_pass http://java/app/;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For 192.0.2.7;
            proxy_set_header X-Forwarded-Proto https;
            proxy_redirect https://$http_host/app/ /;
            proxy_redirect /app/ /;
            proxy_cookie_path /app /;
        }
        location /default/ { proxy_pass http://java/app/; proxy_redirect default; proxy_redirect /app/ /default/; }
        location /old/ { proxy_pass http://127.0.0.1:%UP%/app/; proxy_http_version 1.0; }
        location /intercepted/ {
            proxy_pass http://java/app/;
            proxy_intercept_errors on;
            error_page 404 /lost.html;
            error_page 500 =503 /broken.html;
        }
        location = /lost.html { return 404 "lost: $uri"; }
        location = /broken.html { return 503 broken; }
        location /unbuffered/ { proxy_pass http://java/app/; proxy_buffering off; proxy_request_buffering off; }
        location /cached/ { proxy_pass http://java/app/; proxy_cache one; add_header X-Cache $upstream_cache_status; }
        location /ws/ {
            proxy_pass http://java/;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }
    }
}
"""
WEBSOCKETS = {"tomcat": "/ws/examples/websocket/echoProgrammatic", "jetty": "/ws/app/echo"}


@pytest.fixture(scope="module", params=list(java.SERVERS))
def application(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    pages = PAGES | ({"ws.jsp": ECHO} if request.param == "jetty" else {})
    with java.run(request.param, tmp_path_factory.mktemp("java"), pages) as port:
        yield request.param, port


@pytest.fixture(scope="module", params=["nginx", "geng"])
def front(
    request: pytest.FixtureRequest,
    application: tuple[str, int],
    tmp_path_factory: pytest.TempPathFactory,
    command: list[str],
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp(request.param)
    its_command = [peer("nginx")] if request.param == "nginx" else command
    running = Server(CONF, folder, command=its_command, UP=application[1]).start()
    yield running
    running.stop()


def test_session(front: Server) -> None:
    first = front.get("/session.jsp")
    cookie, *attributes = first["Set-Cookie"].split(";")
    assert (first.text.strip(), cookie.partition("=")[0]) == ("1", "JSESSIONID")
    assert "Path=/" in [one.strip() for one in attributes]
    assert [front.get("/session.jsp", headers={"Cookie": cookie}).text.strip() for _ in range(3)] == ["2", "3", "4"]
    assert front.get("/session.jsp").text.strip() == "1"


def test_redirects(front: Server) -> None:
    for location in ("/", "/default/"):
        answer = front.get(f"{location}redirect.jsp")
        assert answer.status == 302
        wanted = f"http://localhost:{front.ports['PORT']}{location}there.jsp?x=1"
        assert answer["Location"] in (wanted, f"http://localhost{location}there.jsp?x=1", f"{location}there.jsp?x=1")


def test_what_the_application_sees(front: Server, application: tuple[str, int]) -> None:
    words = front.get("/about.jsp?q=a+b%26c", headers={"Host": "www.example.com"}).text.split(maxsplit=4)
    assert words == ["https", "192.0.2.7", "www.example.com", "/app/about.jsp", "a b&c"]
    assert front.get("/default/about.jsp").text.split()[2] == "java"
    old = front.get("/old/about.jsp?q=1")  # HTTP/1.0: the end of the connection is the end of the body
    assert (old.status, old.text.split()[-1]) == (200, "1")


def test_errors(front: Server) -> None:
    for target, wanted in (("/nothing.html", "404"), ("/error.jsp", "it broke")):
        answer = front.get(target)
        assert answer.status in (404, 500) and wanted in answer.text
    answer = front.get("/status.jsp")
    assert (answer.status, answer["X-A"], answer.text) == (418, "b", "teapot")
    lost = front.get("/intercepted/nothing.html")
    assert (lost.status, lost.text) == (404, "lost: /lost.html")
    broken = front.get("/intercepted/error.jsp")
    assert (broken.status, broken.text) == (503, "broken")
    with front.connect() as c:  # neither the client's nor the backend's connection suffers
        assert [c.ask(target).status for target in ("/error.jsp", "/nothing.html", "/go.jsp")] == [500, 404, 200]
        front.get("/stream.jsp")


def test_large_and_chunked(front: Server) -> None:
    wanted = "".join(f"{i:0100d}" for i in range(5000))
    for location in ("/", "/unbuffered/", "/old/"):
        for _ in range(2):
            answer = front.get(f"{location}large.jsp")
            assert answer.text == wanted, location
            assert "Content-Length" not in answer
    assert front.get("/large.jsp", method="HEAD").body == b""


def test_stream(front: Server) -> None:
    with front.connect() as c:
        c.send(request("/unbuffered/stream.jsp", headers={"Connection": "close"}))
        while b"first" not in c.buffer:
            c.buffer += c.sock.recv(1000)
        assert b"second" not in c.buffer
        assert front.get("/go.jsp").text.strip() == "going"
        assert c.response().text == "firstsecond"


@pytest.mark.parametrize("location", ["/", "/unbuffered/"])
def test_uploads(front: Server, location: str) -> None:
    data = os.urandom(2_000_000)
    wanted = f"2000000 {md5(data).hexdigest()}"
    assert front.get(f"{location}upload.jsp", method="POST", body=data).text == wanted
    chunked = (
        b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (data[:7], data[7:70_000], data[70_000:])) + b"0\r\n\r\n"
    )
    headers = {"Transfer-Encoding": "chunked"}
    assert front.get(f"{location}upload.jsp", method="POST", headers=headers, body=chunked).text == wanted


def test_files(front: Server) -> None:
    whole = front.get("/file.txt")
    assert whole.text == PAGES["file.txt"]
    part = front.get("/file.txt", headers={"Range": "bytes=5-9"})
    assert (part.status, part.text, part["Content-Range"]) == (206, "56789", "bytes 5-9/1000")
    if "ETag" in whole:
        assert front.get("/file.txt", headers={"If-None-Match": whole["ETag"]}).status == 304
    assert front.get("/file.txt", headers={"If-Modified-Since": whole["Last-Modified"]}).status == 304


def test_cache(front: Server) -> None:
    answers = [front.get("/cached/cached.jsp") for _ in range(3)]
    assert [answer["X-Cache"] for answer in answers] == ["MISS", "HIT", "HIT"]
    assert len({answer.text for answer in answers}) == 1
    for _ in range(2):  # an answer that opens a session is nobody else's
        assert front.get("/cached/session.jsp")["X-Cache"] == "MISS"


def test_websocket(front: Server, application: tuple[str, int]) -> None:
    if application[0] == "jetty":
        assert front.get("/ws.jsp").text == "there is one"
    with front.connect() as c:
        answer = c.ask(WEBSOCKETS[application[0]], headers=UPGRADE)
        assert (answer.status, answer["Sec-WebSocket-Accept"]) == (101, ACCEPT)
        for text in (b"hello", b"x" * 1000, b"y" * 10_000):
            c.send(frame(text))
            assert receive(c) == (TEXT, text)
        c.send(frame(b"", opcode=CLOSE))
        assert receive(c)[0] == CLOSE
        assert c.closed()
