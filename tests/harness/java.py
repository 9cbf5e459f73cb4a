"""Tomcat 10 and Jetty 9 as Debian installs them, each run in a folder of its own with the same pages (JSP).

with java.run("tomcat", folder, {"hello.jsp": "<%= 1 + 1 %>"}) as port: ...    # below /app/
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.lib.servers import free_port, wait_until

from .client import fetch
from .peers import missing, peer

# One compiler of the JVM and one thread of its collector: it starts in a second, and leaves the other cores alone.
JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx160m")
TOMCAT, EXAMPLES = Path("/usr/share/tomcat10"), Path("/usr/share/tomcat10-examples/examples")
JETTY = Path("/usr/share/jetty9")

SERVER_XML = """
<Server port="-1"><Service name="Catalina">
  <Connector port="{port}" address="127.0.0.1" protocol="HTTP/1.1" maxThreads="8" minSpareThreads="2"/>
  <Engine name="Catalina" defaultHost="localhost">
    <Host name="localhost" appBase="webapps" autoDeploy="false">
      <Valve className="org.apache.catalina.valves.RemoteIpValve"/>
      <Context path="/examples" docBase="{examples}">
        <JarScanner><JarScanFilter defaultTldScan="false" defaultPluggabilityScan="false"/></JarScanner>
      </Context>
    </Host>
  </Engine>
</Service></Server>
"""

# WebSocket of the standard's kind is off in Jetty until an application asks for it
WEB_XML = """
<web-app xmlns="http://xmlns.jcp.org/xml/ns/javaee" version="3.1">
  <context-param>
    <param-name>org.eclipse.jetty.websocket.jsr356</param-name>
    <param-value>true</param-value>
  </context-param>
</web-app>
"""


def tomcat(folder: Path, port: int) -> list[str]:
    for name in ("conf", "work", "temp", "logs"):
        (folder / name).mkdir()
    (folder / "conf/server.xml").write_text(SERVER_XML.format(port=port, examples=EXAMPLES))
    (folder / "conf/web.xml").write_bytes((TOMCAT / "etc/web.xml").read_bytes())
    return [
        *("-cp", f"{TOMCAT}/bin/bootstrap.jar:{TOMCAT}/bin/tomcat-juli.jar"),
        *(f"-Dcatalina.home={TOMCAT}", f"-Dcatalina.base={folder}", f"-Djava.io.tmpdir={folder}/temp"),
        *("org.apache.catalina.startup.Bootstrap", "start"),
    ]


def jetty(folder: Path, port: int) -> list[str]:
    (folder / "webapps/app/WEB-INF").mkdir()
    (folder / "webapps/app/WEB-INF/web.xml").write_text(WEB_XML)
    return [
        *(f"-Djava.io.tmpdir={folder}", "-jar", f"{JETTY}/start.jar", f"jetty.home={JETTY}", f"jetty.base={folder}"),
        *("--module=http,deploy,jsp,websocket", "--module=http-forwarded"),
        *(f"jetty.http.port={port}", "jetty.http.host=127.0.0.1"),
    ]


SERVERS: dict[str, tuple[Callable[[Path, int], list[str]], Path]] = {
    "tomcat": (tomcat, TOMCAT / "bin/bootstrap.jar"),
    "jetty": (jetty, JETTY / "start.jar"),
}


@contextmanager
def run(name: str, folder: Path, pages: dict[str, str]) -> Iterator[int]:
    """Runs one of SERVERS with *pages* below /app/ and gives its port."""
    prepare, wanted = SERVERS[name]
    if not wanted.exists():
        missing(name)
    (folder / "webapps/app").mkdir(parents=True)
    for page, text in pages.items():
        (folder / "webapps/app" / page).write_text(text)
    port = free_port()
    command = [peer("java"), *JVM, *prepare(folder, port)]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        wait_until(lambda: _serves(port) or process.poll() is not None, name, 120)
        assert process.poll() is None, (folder / "output").read_text()[-4000:]
        yield port
    finally:
        process.kill()  # nothing of it is to be kept
        process.wait(30)


def _serves(port: int) -> bool:
    try:
        return fetch(("127.0.0.1", port), "/app/").status > 0
    except OSError:
        return False
