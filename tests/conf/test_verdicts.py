"""What nginx 1.31.5 says of a configuration, and geng too: tests/golden/verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest

from geng.errors import ConfigError
from geng.process.cycle import Cycle, Options
from tests.harness import verdicts


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, level: str, message: str, **_: object) -> None:
        if "makes sense only if the master process runs" not in message:  # who runs the tests is of no matter
            self.lines.append(f"[{level}] {message}")


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verdicts") / "files"
    verdicts.make_files(folder)
    return folder


def read(folder: Path, text: str, log: Log) -> Cycle:
    (folder / "nginx.conf").write_text(text)
    cycle = Cycle(Options(prefix=str(folder), conf="nginx.conf", test=True), log)  # type: ignore[arg-type]
    cycle.read()
    return cycle


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in verdicts.cases()])
def test_geng_says_what_nginx_says(tmp_path: Path, files: Path, case: verdicts.Case) -> None:
    log = Log()
    (tmp_path / "files").symlink_to(files)
    try:
        read(tmp_path, case.whole, log).zones.create()
    except ConfigError as error:
        log.lines.append("refused without a word" if error.unsaid else f"[{error.level}] {error}")
    else:
        log.lines.append("ok")
    heard = [line.replace(f"{tmp_path}/", "") for line in dict.fromkeys(log.lines)]
    if not case.agrees(heard):
        assert heard == list(case.said)


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
