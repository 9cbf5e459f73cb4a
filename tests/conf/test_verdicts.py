"""What nginx 1.31.5 says of a configuration, and geng too: tests/golden/verdicts."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from geng.errors import ConfigError
from geng.process import cycle as cycles
from geng.process.cycle import Cycle, Options
from tests.harness import verdicts


class Log:
    to_stderr = False

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


def read(folder: Path, text: str, log: Log, directives: str = "") -> Cycle:
    (folder / "nginx.conf").write_text(text)
    cycle = Cycle(Options(prefix=str(folder), conf="nginx.conf", test=True, directives=directives), log)  # type: ignore[arg-type]
    cycle.read()
    return cycle


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in verdicts.cases()])
def test_geng_says_what_nginx_says(
    tmp_path: Path, files: Path, case: verdicts.Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    monkeypatch.setattr(os, "geteuid", lambda: 0)  # `user` is looked at
    (tmp_path / "files").symlink_to(files)
    try:
        read(tmp_path, case.whole, log, case.directives).zones.create()
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
            "events {}\nhttp {\n  server { listen 127.0.0.1:1; } }\ngoogle_perftools_profiles a;\n",
            Log(),
        )
        assert cycle.unable is not None
        name = "google_perftools_profiles"
        assert str(cycle.unable) == f'"{name}" directive is not supported by geng yet in {tmp_path}/nginx.conf:4'

    def test_what_nginx_refuses_comes_first(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r'unknown directive "folly" in .*:4'):
            read(tmp_path, "events {}\ngoogle_perftools_profiles a;\nhttp {\n  folly on;\n}\n", Log())

    def test_nothing_is_missing_where_all_is_known(self, tmp_path: Path) -> None:
        assert read(tmp_path, "events {}\nhttp { server { listen 127.0.0.1:1; } }\n", Log()).unable is None


class TestMail:
    def test_certificates_are_loaded(self, tmp_path: Path) -> None:
        server = "server { listen 127.0.0.1:1 ssl; protocol imap; ssl_certificate absent.pem; ssl_certificate_key k; }"
        with pytest.raises(ConfigError, match=r'cannot load certificate ".*/absent.pem": BIO_new_file\(\) failed'):
            read(tmp_path, f"events {{}} mail {{ auth_http 127.0.0.1/; {server} }}", Log())


HTTP = "events {} http { %s server { listen 127.0.0.1:18080; } }"
AFTER_A_RELOAD = [
    (
        "limit_conn_zone $host zone=z:1m;",
        "limit_conn_zone $uri zone=z:1m;",
        'limit_conn_zone "z" uses the "$uri" key while previously it used the "$host" key',
    ),
    (
        "limit_req_zone $host zone=z:1m rate=1r/s;",
        "limit_req_zone $uri zone=z:1m rate=1r/s;",
        'limit_req "z" uses the "$uri" key while previously it used the "$host" key',
    ),
    (
        "proxy_cache_path a keys_zone=z:1m;",
        "proxy_cache_path b keys_zone=z:1m;",
        'cache "z" uses the "{0}/b" cache path while previously it used the "{0}/a" cache path',
    ),
    (
        "proxy_cache_path a keys_zone=z:1m;",
        "proxy_cache_path a keys_zone=z:1m levels=1;",
        'cache "z" had previously different levels',
    ),
    (
        "upstream u { sticky learn create=$arg_a lookup=$arg_a zone=z:1m; server 127.0.0.1:1; }",
        "upstream v { sticky learn create=$arg_a lookup=$arg_a zone=z:1m; server 127.0.0.1:1; }",
        'sticky zone "z" is used in upstream "v" while previously it was used in upstream "u"',
    ),
]


@pytest.mark.parametrize(("before", "after", "said"), AFTER_A_RELOAD, ids=[said for *_, said in AFTER_A_RELOAD])
def test_what_a_reload_finds_in_shared_memory(tmp_path: Path, before: str, after: str, said: str) -> None:
    old = read(tmp_path, HTTP % before, Log())
    old.zones.create()
    with pytest.raises(ConfigError) as error:
        read(tmp_path, HTTP % after, Log()).zones.create(old.zones)
    assert str(error.value) == said.format(tmp_path)


class TestOpening:
    """What only shows when files and sockets are opened."""

    def refused(self, folder: Path, text: str) -> str:
        (folder / "logs").mkdir()
        with pytest.raises(ConfigError) as error:
            read(folder, text, Log()).open(None, [])
        return str(error.value).replace(f"{folder}/", "")

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        said = self.refused(tmp_path, HTTP % "proxy_temp_path absent/a;")
        assert said == 'mkdir() "absent/a" failed (2: No such file or directory)'

    def test_a_log_that_cannot_be_opened(self, tmp_path: Path) -> None:
        said = self.refused(tmp_path, HTTP % "access_log absent/a;")
        assert said == 'open() "absent/a" failed (2: No such file or directory)'

    def test_a_pid_file_that_cannot_be_opened(self, tmp_path: Path) -> None:
        said = self.refused(tmp_path, "pid absent/a; events {}")
        assert said == 'open() "absent/a" failed (2: No such file or directory)'

    def test_an_address_that_is_in_use(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cycles, "TRY_AGAIN", 0)
        log = Log()
        (tmp_path / "logs").mkdir()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            cycle = read(tmp_path, f"events {{}} http {{ server {{ listen {address}; }} }}", log)
            cycle.options.test = False
            with pytest.raises(ConfigError, match=r"still could not bind\(\)"):
                cycle.open(None, [])
        said = (tmp_path / "logs/error.log").read_text()
        assert said.count(f"bind() to {address} failed (98: Address already in use)") == cycles.TRIES
