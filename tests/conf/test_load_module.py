"""`load_module file.py`: what can be wrong with it."""

from __future__ import annotations

import pytest

GOOD = """
from geng.conf.convert import flag
from geng.conf.directive import Conf, Level, directive
from geng.conf.tables import HSL
from geng.http.module import Module
class C(Conf, level=Level.LOCATION):
    on = directive("my_switch", HSL, flag, args="flag")
module = Module(name="mine", confs=(C,))
"""

FAULTS = [
    ("load_module m.py; events {} http { my_switch maybe; }", 'invalid value "maybe" in "my_switch" directive'),
    ("load_module m.py; events { my_switch on; }", '"my_switch" directive is not allowed here'),
    ("load_module m.py; events {} http { my_switch; }", 'invalid number of arguments in "my_switch" directive'),
    ("load_module m.py; load_module m.py; events {}", 'module "mine" is already loaded'),
    ("events {} http { } load_module m.py;", '"load_module" directive is specified too late'),
    ("events {} load_module m.py;", '"load_module" directive is specified too late'),
    ("load_module absent.py; events {}", "No such file or directory"),
    ("load_module m.so; events {}", 'does not end in ".py"'),
    ("load_module broken.py; events {}", "failed: ZeroDivisionError"),
    ("load_module nothing.py; events {}", 'defines neither "module" nor "modules"'),
    ("load_module taken.py; events {}", "which is nginx's own"),
    ("events {} http { my_switch on; }", 'unknown directive "my_switch"'),
]


@pytest.mark.parametrize(("conf", "words"), FAULTS)
def test_faults(configtest, conf, words):
    files = {
        "m.py": GOOD,
        "broken.py": "1/0\n",
        "m.so": "",
        "nothing.py": "",
        "taken.py": GOOD.replace("my_switch", "root"),
    }
    result = configtest(conf, files=files)
    assert result.returncode == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_good(configtest):
    assert configtest("load_module m.py; events {} http { my_switch on; }", files={"m.py": GOOD}).returncode == 0


def test_files_of_nginx_own_modules_are_no_fault(configtest):
    files = {"ngx_http_image_filter_module.so": ""}
    assert configtest("load_module ngx_http_image_filter_module.so; events {}", files=files).returncode == 0


def test_http_may_stand_before_events(configtest):
    assert configtest("http { server { listen 127.0.0.1:%PORT%; } } events { } worker_priority 0;").returncode == 0
