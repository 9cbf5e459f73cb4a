"""What nginx 1.31.5 says of a configuration, and geng too: tests/golden/verdicts.

A file holds cases, parted by blank lines: some lines of configuration, then with `> ` in front the lines that
`nginx -t` prints of it, and `ok` where it accepts it. `# inside http` says what stands around the cases that follow.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from geng.errors import ConfigError
from geng.process.cycle import Cycle, Options

GOLDEN = Path(__file__).parents[1] / "golden" / "verdicts"

#: the tested text begins at line 3
AROUND = {
    "main": "events {}\n\n%s\n",
    "server": "events {}\nhttp { server { listen 127.0.0.1:18080;\n%s\n}}\n",
    "events": "events {\n\n%s\n}\n",
    "stream-server": "events {}\nstream { server { listen 127.0.0.1:18081;\n%s\n}}\n",
}
INSIDE = "events {}\n%s {\n%%s\n}\n"


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, level: str, message: str, **_: object) -> None:
        if "makes sense only if the master process runs" not in message:  # who runs the tests is of no matter
            self.lines.append(f"[{level}] {message}")


def cases() -> list[Any]:
    found = []
    for path in sorted(GOLDEN.glob("*.txt")):
        inside = "main"
        for block in re.split(r"\n\s*\n", path.read_text().strip("\n")):
            if block.startswith("#"):
                named = re.match(r"# inside (\S+)", block)
                inside = named[1] if named else inside
                continue
            lines = block.split("\n")
            text = "\n".join(line for line in lines if not line.startswith("> "))
            said = [line[2:] for line in lines if line.startswith("> ")]
            found.append(pytest.param(inside, text, said, id=f"{path.stem}: {' '.join(text.split())[:90]}"))
    return found


def read(folder: Path, text: str, log: Log) -> Cycle:
    (folder / "nginx.conf").write_text(text)
    cycle = Cycle(Options(prefix=str(folder), conf="nginx.conf", test=True), log)  # type: ignore[arg-type]
    cycle.read()
    return cycle


@pytest.mark.parametrize(("inside", "text", "said"), cases())
def test_geng_says_what_nginx_says(tmp_path: Path, inside: str, text: str, said: list[str]) -> None:
    log = Log()
    around = AROUND.get(inside) or INSIDE % inside
    try:
        read(tmp_path, around % text, log).zones.create()
    except ConfigError as error:
        log.lines.append(f"[{error.level}] {error}")
    else:
        log.lines.append("ok")
    heard = [line.replace(f"{tmp_path}/", "") for line in dict.fromkeys(log.lines)]
    assert heard == said


class TestWhatGengCannotRun:
    def test_the_first_is_named_once_nginx_would_accept_the_file(self, tmp_path: Path) -> None:
        cycle = read(
            tmp_path,
            "events {}\nhttp {\n  server { listen 127.0.0.1:1;\n    grpc_bind off; grpc_pass_header X;\n}}\n",
            Log(),
        )
        assert cycle.unable is not None
        assert str(cycle.unable) == f'"grpc_bind" directive is not supported by geng yet in {tmp_path}/nginx.conf:4'

    def test_what_nginx_refuses_comes_first(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r'unknown directive "folly" in .*:4'):
            read(tmp_path, "events {}\nhttp {\n  grpc_bind off;\n  folly on;\n}\n", Log())

    def test_nothing_is_missing_where_all_is_known(self, tmp_path: Path) -> None:
        assert read(tmp_path, "events {}\nhttp { server { listen 127.0.0.1:1; } }\n", Log()).unable is None


class TestMail:
    def test_certificates_are_loaded(self, tmp_path: Path) -> None:
        server = "server { listen 127.0.0.1:1 ssl; protocol imap; ssl_certificate absent.pem; ssl_certificate_key k; }"
        with pytest.raises(ConfigError, match=r'cannot load certificate ".*/absent.pem": BIO_new_file\(\) failed'):
            read(tmp_path, f"events {{}} mail {{ auth_http 127.0.0.1/; {server} }}", Log())
