"""docs/messages.md: each message of nginx has a test here, or a reason why not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts.lib.nginx_messages import messages, pattern

TOP = Path(__file__).parents[2]


def test_the_table_is_true() -> None:
    checked = subprocess.run([sys.executable, TOP / "scripts/messages"], capture_output=True, text=True, check=False)
    assert checked.stdout == ""
    assert checked.returncode == 0


def test_formats_are_found_in_texts() -> None:
    assert pattern('invalid value "%V" in "%s" directive').search('[emerg] invalid value "x" in "y" directive in f:3')
    assert pattern("percent total is greater than 100%%").search("percent total is greater than 100% in f:3")
    assert pattern("%ui worker_connections are not enough").search("1 worker_connections are not enough")
    assert not pattern('invalid value "%V"').search('invalid number "x"')


def test_messages_are_found_in_sources(tmp_path: Path) -> None:
    system = tmp_path / "os/unix"
    system.mkdir(parents=True)
    (system / "ngx_files.h").write_text('#define ngx_open_file_n  "open()"\n')
    (system / "ngx_socket.h").write_text("")
    (system / "ngx_dlopen.h").write_text("")
    (tmp_path / "a.c").write_text(
        "char *\nngx_set_it(ngx_conf_t *cf)\n{\n"
        '    ngx_conf_log_error(NGX_LOG_EMERG, cf, f(a, b), ngx_open_file_n\n         " \\"%V\\" failed", &name);\n'
        '    /* return "not this"; */\n    return "is " "duplicate";\n}\n'
        "void\nngx_later(ngx_log_t *log)\n{\n"
        '    ngx_log_error(NGX_LOG_EMERG, log, 0, "at run time");\n}\n'
    )
    assert messages(tmp_path) == {'open() "%V" failed': "a.c", "is duplicate": "a.c"}
