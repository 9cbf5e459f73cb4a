"""What holds for every example: it has a README of three lines, and both servers take its configuration."""

from __future__ import annotations

import subprocess

import pytest

from tests.examples.conftest import EXAMPLES, with_places
from tests.harness.server import Server
from tests.harness.tls import Authority

OURS_ALONE = {"modules", "http3"}  # nginx loads no Python, and is too old where it is installed
WITH_CERTIFICATE = {"http3"}
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/nginx.conf"))


@pytest.mark.parametrize("name", NAMES)
def test_readme_says_how_to_start(name):
    lines = (EXAMPLES / name / "README.md").read_text().splitlines()
    assert len(lines) == 3
    assert f"geng -p examples/{name}/ -c nginx.conf" in lines[1]


@pytest.mark.parametrize("name", NAMES)
def test_folder_of_its_logs_is_there_in_a_fresh_clone(name):
    kept = EXAMPLES / name / "logs" / ".gitignore"  # what git keeps of a folder of logs: nobody makes it at the start
    assert "!.gitignore" in kept.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_geng_takes_it(name, configtest, tmp_path):
    if name in WITH_CERTIFICATE:
        Authority(tmp_path).issue("site", "localhost")
    conf, places = with_places((EXAMPLES / name / "nginx.conf").read_text())
    done = configtest(conf, files={path.name: path.read_text() for path in (EXAMPLES / name).glob("*.py")}, **places)
    assert done.returncode == 0, done.stderr
    assert "test is successful" in done.stderr


@pytest.mark.peer
@pytest.mark.parametrize("name", [name for name in NAMES if name not in OURS_ALONE])
def test_nginx_takes_it(name, peer, tmp_path):
    conf, places = with_places((EXAMPLES / name / "nginx.conf").read_text())
    done: subprocess.CompletedProcess[str] = Server(conf, tmp_path, command=[peer("nginx")], **places).run("-t")
    assert done.returncode == 0, done.stderr
