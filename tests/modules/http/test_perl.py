"""Handlers and variables in Perl: the methods of $r, what Perl does wrong, and the process that it runs in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geng.modules.http import perl_process
from geng.process.cycle import Cycle, Options
from scripts.lib.processes import children
from scripts.lib.servers import wait_until
from tests.harness.client import Truncated

CONF = """
events { }
http {
    client_body_temp_path %DIR%/bodies;
    HTTP
    server {
        listen 127.0.0.1:%PORT%;
        location / { perl 'sub {
            my $r = shift;
            HANDLER
        }'; }
        LOCATIONS
    }
}
"""
HEAD = '$r->send_http_header("text/plain"); return OK if $r->header_only;'


def conf(handler: str = "return DECLINED;", http: str = "", locations: str = "") -> str:
    return CONF.replace("HTTP", http).replace("LOCATIONS", locations).replace("HANDLER", handler)


@pytest.fixture(autouse=True)
def _perl(peer: Callable[[str], str]) -> None:
    peer("perl")


@pytest.fixture
def perl(server: Callable[..., Any]) -> Callable[..., Any]:
    """`perl(handler, http=…, locations=…)` starts a server whose location / is handled by it."""

    def start(handler: str = "return DECLINED;", http: str = "", locations: str = "", **more: Any) -> Any:
        return server(conf(handler, http, locations), **more)

    return start


def perls(s: Any) -> list[int]:
    """The perl processes of its workers."""
    return [pid for worker in s.workers() for pid in children(worker)]


def alive(pid: int) -> bool:
    """Whether *pid* runs; one that waits for its parent to hear of its end does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the second: it went while it was read
        return False


# ---- $r

ASKING = {
    "uri": ("$r->uri", "/a b"),
    "args": ("$r->args", "x=1&y=%20"),
    "method": ("$r->request_method", "GET"),
    "address": ("$r->remote_addr", "127.0.0.1"),
    "header": ('$r->header_in("X-One")', "1"),
    "headers": ('$r->header_in("x-two")', "a, b"),
    "cookies": ('$r->header_in("Cookie")', "a=1; b=2"),
    "no header": ('defined $r->header_in("X-None") ? 1 : 0', "0"),
    "variable": ('$r->variable("ARG_x")', "1"),
    "no variable": ('defined $r->variable("nothing") ? 1 : 0', "0"),
    "own variable": ('do { $r->variable("mine", "kept"); $r->variable("Mine") }', "kept"),
    "set variable": ('do { $r->variable("set", "changed"); $r->variable("echo") }', "changed"),
    "by reference": ('$r->variable(\\"arg_x")', "1"),
    "unescape": ('$r->unescape("a%20b%zz?%41")', "a bzz?A"),
    "unescape an URI": ('$r->unescape("a%20b?%41", 1)', "a b?%41"),
    "file": ("substr($r->filename, -9)", "/html/a b"),
    "no body": ("defined $r->request_body ? 1 : 0", "0"),
    "constants": ("join(q(,), OK, DECLINED, HTTP_REDIRECT, HTTP_PERMANENT_REDIRECT, HTTP_INSUFFICIENT_STORAGE)",
                  "0,-5,302,308,507"),
    "wide characters": ("chr(0x263a)", "\u263a"),
    "pid": ("$$ > 1 ? 1 : 0", "1"),
}  # fmt: skip


@pytest.mark.live
def test_what_it_asks(perl: Callable[..., Any]) -> None:
    code = "".join(f'$r->print({code}, "\\0");' for code, _ in ASKING.values())
    s = perl(
        f"{HEAD} {code} return OK;",
        http="perl_set $echo 'sub { $_[0]->variable(q(set)) }';",
        locations="set $set before;",
    )
    head = b"Host: a\r\nX-One: 1\r\nX-Two: a\r\nX-Two: b\r\nCookie: a=1\r\nCookie: b=2\r\nConnection: close\r\n"
    (answer,) = s.raw(b"GET /a%20b?x=1&y=%20 HTTP/1.1\r\n" + head + b"\r\n")
    assert dict(zip(ASKING, answer.text.split("\0"), strict=False)) == {name: said for name, (_, said) in ASKING.items()}


@pytest.mark.live
def test_what_it_sends(perl: Callable[..., Any]) -> None:
    s = perl(
        '$r->status(404); $r->header_out("X-A", "b"); $r->header_out("Content-Length", 6);'
        f'{HEAD} $r->print("on", "e"); $r->flush; $r->rflush; $r->print(\\"two"); return OK;',
    )
    with s.connect() as c:
        answer = c.ask("/")
        assert (answer.status, answer.text, answer["X-A"]) == (404, "onetwo", "b")
        assert (answer["Content-Type"], answer["Content-Length"]) == ("text/plain", "6")
        head = c.ask("/", "HEAD")
        assert (head.status, head["X-A"]) == (404, "b")
        assert c.ask("/").text == "onetwo"


@pytest.mark.live
def test_the_type_of_the_location(perl: Callable[..., Any]) -> None:
    s = perl("$r->send_http_header; return OK;", http="types { text/x-y y; }")
    assert s.get("/a.y")["Content-Type"] == "text/x-y"


@pytest.mark.live
def test_files(perl: Callable[..., Any]) -> None:
    s = perl(
        f'{HEAD} $r->print("<"); $r->sendfile("%DIR%/f", 2, 3); $r->sendfile("%DIR%/f"); $r->print(">"); return OK;',
        locations=f"location /missing {{ perl 'sub {{ my $r = shift; {HEAD} $r->sendfile(\"%DIR%/none\"); OK }}'; }}",
        files={"f": "0123456789"},
    )
    assert s.get().text == "<2340123456789>"
    with pytest.raises(Truncated):
        s.get("/missing")
    assert 'none" failed (2: No such file or directory), client:' in s.log()


@pytest.mark.live
def test_ranges(perl: Callable[..., Any]) -> None:
    s = perl(f'$r->header_out("Content-Length", 10); $r->allow_ranges; {HEAD} $r->print("0123456789"); OK')
    answer = s.get("/", {"Range": "bytes=2-3"})
    assert (answer.status, answer.text, answer["Content-Range"]) == (206, "23", "bytes 2-3/10")


@pytest.mark.live
def test_a_large_answer_to_a_slow_client_holds_nobody_up(perl: Callable[..., Any]) -> None:
    s = perl(f'{HEAD} $r->print("x" x 10000) for 1 .. ($r->args || 1); OK')
    with s.connect() as slow:
        slow.send(b"GET /?400 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert len(s.get().body) == 10_000
        assert len(slow.response().body) == 4_000_000


@pytest.mark.live
def test_a_client_that_goes(perl: Callable[..., Any]) -> None:
    s = perl(f'{HEAD} while ($r->uri eq q(/long)) {{ $r->print("x" x 10000); $r->flush; }} $r->print("next"); OK')
    with s.connect() as c:
        c.send(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
        c.sock.recv(100)
    assert s.get().text == "next"


@pytest.mark.live
def test_redirects(perl: Callable[..., Any]) -> None:
    s = perl(
        '$r->internal_redirect($r->variable("arg_to")); return OK;',
        locations="location /there { return 200 there$is_args$args; } location @n { return 200 named$uri; }",
    )
    assert s.get("/?to=/there").text == "there"
    assert s.get("/?to=@n").text == "named/"
    assert s.get("/?to=/a/../../b").status == 500
    assert 'unsafe URI "/a/../../b" was detected' in s.log()


@pytest.mark.live
def test_status_and_declined(perl: Callable[..., Any]) -> None:
    s = perl("return $r->args;", files={"html/f": "file"})
    assert s.get("/?403").status == 403
    assert s.get("/?302").status == 302
    assert s.get("/f?-5").text == "file"


@pytest.mark.live
def test_later(perl: Callable[..., Any]) -> None:
    s = perl(
        "my $times = 0; my $next; $next = sub { my $r = shift;"
        f"if (++$times < 3) {{ $r->sleep(1, $next); return OK; }} {HEAD} $r->print($times); OK }}; $r->sleep(1, $next);",
        locations="location /not { perl 'sub { my $r = shift; $r->sleep(1, 2) }'; }",
    )
    assert s.get().text == "3"
    assert s.get("/not").status == 500
    assert 'failed: "sleep(): no handler provided at (eval 2) line 1."' in s.log()


@pytest.mark.live
def test_bodies(perl: Callable[..., Any]) -> None:
    s = perl(
        "my $post = sub { my $r = shift; $r->send_http_header; my $file = $r->request_body_file;"
        '$r->print($r->request_body || "none", " ", $file ? -s $file : "no file"); OK };'
        "return OK if $r->has_request_body($post); return HTTP_BAD_REQUEST;",
        http="client_body_buffer_size 1k;",
    )
    assert s.get().status == 400
    assert s.get("/", method="POST", body=b"hello").text == "hello no file"
    assert s.get("/", method="POST", body=b"x" * 5000).text == "none 5000"
    bodies = s.folder / "bodies"
    wait_until(lambda: not [name for name in bodies.rglob("*") if name.is_file()], "nothing left behind")


@pytest.mark.live
def test_an_unwanted_body(perl: Callable[..., Any]) -> None:
    s = perl(f'$r->discard_request_body; {HEAD} $r->print("done"); OK')
    with s.connect() as c:
        assert c.ask("/", "POST", body=b"x" * 100_000).text == "done"
        assert c.ask("/").text == "done"
    assert s.raw(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")[0].status == 400


@pytest.mark.live
def test_a_variable_inside_a_call(perl: Callable[..., Any]) -> None:
    s = perl(
        f'{HEAD} $r->print($r->variable("outer"), $r->uri); OK',
        http='perl_set $outer \'sub { my $r = shift; return "(" . $r->variable("inner") . ")" }\';'
        "perl_set $inner 'sub { return 5 }'; add_header X-V $inner;",
    )
    answer = s.get("/u")
    assert (answer.text, answer["X-V"]) == ("(5)/u", "5")


@pytest.mark.live
def test_subrequests(perl: Callable[..., Any]) -> None:
    page = '[<!--#include virtual="/p?1" --><!--#include virtual="/p?2" --><!--#echo var="v" -->]'
    s = perl(
        f"{HEAD} $r->print($r->args); OK",
        http="perl_set $v 'sub { \"v\" }';",
        locations=f"""
            location /page {{ ssi on; root %DIR%; }}
            location /own {{ ssi on; perl 'sub {{ my $r = shift; $r->send_http_header("text/html");
                $r->print(q({page})); OK }}'; }}""",
        files={"page.html": page},
    )
    assert s.get("/page.html").text == "[12v]"
    assert s.get("/own").text == "[12v]"


PAGES = {
    '<!--#perl sub="main::join" arg="a" arg="b" -->': "a,b",
    '<!--#perl sub="join" -->': "",
    '<!--#perl sub="five" -->': "[an error occurred while processing the directive]",
    '<!--#perl arg="a" -->': "[an error occurred while processing the directive]",
    '<!--#block name="b" --><!--#perl sub="join" arg="c" --><!--#endblock -->': "",
}


@pytest.mark.live
def test_ssi(perl: Callable[..., Any]) -> None:
    s = perl(
        http="perl_require %DIR%/pages.pl;",
        locations="location /pages/ { ssi on; alias %DIR%/; }",
        files={f"{n}.html": f"<{page}>" for n, page in enumerate(PAGES)}
        | {
            "dies.html": '<!--#perl sub="nowhere" -->',
            "pages.pl": 'sub join { my $r = shift; $r->print(CORE::join ",", @_); return } sub five { 5 } 1;',
        },
    )
    assert [s.get(f"/pages/{n}.html").text for n in range(len(PAGES))] == [f"<{made}>" for made in PAGES.values()]
    with pytest.raises(Truncated):
        s.get("/pages/dies.html")
    assert 'call_sv("nowhere") failed: "Undefined subroutine &main::nowhere called."' in s.log()


@pytest.mark.live
def test_pages_have_no_perl_where_the_configuration_has_none(server: Any) -> None:
    s = server(
        "events {} http { server { listen 127.0.0.1:%PORT%; ssi on; root %DIR%; types { text/html html; } } }",
        files={"a.html": '<!--#perl sub="a" -->'},
    )
    s.get("/a.html")
    assert 'invalid SSI command: "perl"' in s.log()


@pytest.mark.live
def test_a_certificate(server: Any, tmp_path: Path) -> None:
    from tests.harness.tls import Authority, Connection

    ca = Authority(tmp_path / "ca").issue("one.example").issue("two.example")
    read = "my $n = $_[0]->variable(q(ssl_server_name)); local $/; open my $f, q(<), qq(%CA%/$n.EXT) or die $!; <$f>"
    s = server(
        "events {} http { perl_set $crt 'sub { " + read.replace("EXT", "crt") + " }';"
        " perl_set $key 'sub { " + read.replace("EXT", "key") + " }';"
        " server { listen 127.0.0.1:%PORT% ssl; ssl_certificate data:$crt; ssl_certificate_key data:$key;"
        " return 200 $crt; }}",
        CA=ca.folder,
    )
    for name in ("one.example", "two.example"):
        with Connection(s.address(), ca.context(), server_name=name) as c:
            assert c.common_name() == name
            assert c.ask().text == (ca.folder / f"{name}.crt").read_text()
    used = perls(s)
    assert len(used) == 2
    s.stop()
    wait_until(lambda: not any(map(alive, used)), "both gone")


@pytest.mark.live
def test_http2(perl: Callable[..., Any], peer: Callable[[str], str]) -> None:
    s = perl(
        "my $say = sub { my $r = shift; $r->send_http_header(q(text/plain));"
        "$r->print($r->variable(q(server_protocol)), q( ), $r->request_body // $r->header_in(q(X-A))); OK };"
        "return $r->has_request_body($say) ? OK : $say->($r);",
        http="http2 on;",
    )
    url = f"http://127.0.0.1:{s.ports['PORT']}/"
    words = [peer("curl"), "-s", "--http2-prior-knowledge", url]
    assert subprocess.run([*words, "-H", "X-A: b"], capture_output=True, check=True).stdout == b"HTTP/2.0 b"
    assert subprocess.run([*words, "-d", "body"], capture_output=True, check=True).stdout == b"HTTP/2.0 body"


@pytest.mark.live
def test_limit_except(perl: Callable[..., Any]) -> None:
    say = "perl 'sub { my $r = shift; $r->discard_request_body; $r->send_http_header; $r->print(q(NAME)); OK }';"
    inside = say.replace("NAME", "not get")
    s = perl(locations=f"location /l {{ limit_except GET {{ {inside} }} {say.replace('NAME', 'get')} }}")
    assert s.get("/l").text == "get"
    assert s.get("/l", method="PUT", body=b"a").text == "not get"


# ---- what Perl does wrong

WRONG = {
    "dies": ('die "no\\n";', 500, 'failed: "no"'),
    "unknown": ("$r->nonsense;", 500, "Can't locate object method \"nonsense\" via package \"nginx\" at (eval 1) line 3."),
    "too few": ("$r->status;", 500, 'failed: "Usage: nginx::status(r, code) at (eval 1) line 3."'),
    "body first": ('$r->print("a");', 500, 'failed: "print(): header not sent at (eval 1) line 3."'),
    "somebody": ('nginx::uri("x");', 500, 'failed: "invalid request object at (eval 1) line 3."'),
    "kept": ("our $kept; $kept->uri if $kept; $kept = $r; return HTTP_FORBIDDEN;", 403, ""),
    "undefined": ("nowhere($r);", 500, 'failed: "Undefined subroutine &main::nowhere called at (eval 1) line 3."'),
    "logs": ('$r->log_error(2, "words"); return HTTP_GONE;', 410, "[error]", "perl: words (2: No such file or directory)"),
    "caught": ('eval { $r->print("a") }; return $@ ? HTTP_CONFLICT : OK;', 409, ""),
}  # fmt: skip


@pytest.mark.live
def test_wrong(perl: Callable[..., Any]) -> None:
    codes = [code for code, *_ in WRONG.values()]
    s = perl(
        locations="".join(f"location /{n} {{ perl 'sub {{ my $r = shift;\n{code} }}'; }}" for n, code in enumerate(codes))
    )
    seen = {name: s.get(f"/{n}").status for n, name in enumerate(WRONG)}
    assert seen == {name: status for name, (_, status, *_) in WRONG.items()}
    log = s.log()
    for n, (_, _, *said) in enumerate(WRONG.values()):
        for words in said:
            assert words.replace("(eval 1) line 3", f"(eval {n + 2}) line 2") in log
    assert s.get("/5").status == 500  # an object that was kept from another call


@pytest.mark.live
def test_dying_after_the_head_ends_the_connection(perl: Callable[..., Any]) -> None:
    s = perl(f'{HEAD} $r->print("a"); $r->flush; die "late\\n";')
    with pytest.raises(Truncated):
        s.get()
    assert 'failed: "late"' in s.log()


@pytest.mark.live
def test_a_variable_that_dies_is_empty(perl: Callable[..., Any]) -> None:
    s = perl(http="perl_set $v 'sub { die 1 }';", locations='location /v { return 200 "<$v>"; }')
    assert s.get("/v").text == "<>"
    assert 'call_sv("sub { die 1 }") failed: "1 at (eval 1) line 1."' in s.log()


@pytest.mark.live
def test_only_some_methods_in_variables(perl: Callable[..., Any]) -> None:
    s = perl(http="perl_set $v 'sub { $_[0]->status(500) }';", locations='location /v { return 200 "<$v>"; }')
    assert s.get("/v").text == "<>"
    assert "status(): cannot be used in variable handler" in s.log()


# ---- the process


@pytest.mark.live
def test_one_process_for_a_worker_and_none_afterwards(server: Any) -> None:
    s = server("worker_processes 2;" + conf(f"{HEAD} $r->print($$); OK"))
    wait_until(lambda: len(perls(s)) == 2, "a perl process each")
    first = perls(s)
    assert int(s.get().text) in first
    s.reload()
    wait_until(lambda: len(perls(s)) == 2, "a perl process each")
    second = perls(s)
    wait_until(lambda: not any(map(alive, first)), "the old ones gone")
    assert s.get().status == 200
    s.stop()
    wait_until(lambda: not any(map(alive, second)), "these gone too")


@pytest.mark.live
def test_a_worker_that_is_killed_leaves_none(perl: Callable[..., Any]) -> None:
    s = perl("CORE::sleep(100);", alerts=True)
    wait_until(lambda: len(perls(s)) == 1, "a perl process")
    (process,) = perls(s)
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for worker in s.workers():
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not alive(process), "perl gone")


@pytest.mark.live
def test_a_busy_perl_does_not_outlive_its_worker(perl: Callable[..., Any]) -> None:
    s = perl("open my $f, q(>), q(%DIR%/begun); 1 while 1;", http="")
    wait_until(lambda: len(perls(s)) == 1, "a perl process")
    (process,) = perls(s)
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until((s.folder / "begun").exists, "the handler at work")
        s.signal(signal.SIGTERM)
        wait_until(lambda: not alive(process), "perl gone")
        wait_until(lambda: s.process.poll() is not None, "the server's end")


@pytest.mark.live
def test_a_perl_that_is_killed(perl: Callable[..., Any]) -> None:
    s = perl(f"if ($r->uri eq q(/die)) {{ kill q(KILL), $$; CORE::sleep 100; }} {HEAD} $r->print($$); OK", alerts=True)
    before = int(s.get().text)
    assert s.get("/die").status == 500
    wait_until(lambda: f"perl process {before} exited on signal 9" in s.log(), "the alert")
    assert 'failed: "perl process died"' in s.log()
    after = int(s.get().text)
    assert after != before
    assert perls(s) == [after]
    os.kill(after, signal.SIGKILL)  # between two requests
    wait_until(lambda: f"perl process {after} exited on signal 9" in s.log(), "the other alert")
    assert int(s.get().text) not in (before, after)


@pytest.mark.live
def test_those_that_wait_are_served_by_the_next(perl: Callable[..., Any]) -> None:
    s = perl(
        "if ($r->uri eq q(/die)) { open my $f, q(>), q(%DIR%/begun); 1 until -e q(%DIR%/go); exit 7; }"
        f"{HEAD} $r->print($r->uri); OK",
        alerts=True,
    )
    with s.connect() as dies, s.connect() as one, s.connect() as two:
        dies.send(b"GET /die HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until((s.folder / "begun").exists, "the handler at work")
        one.send(b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n")
        two.send(b"GET /two HTTP/1.1\r\nHost: a\r\n\r\n")
        s.file("go")
        assert (one.response().text, two.response().text) == ("/one", "/two")
        assert dies.response().status == 500
    assert "exited with code 7" in s.log()


@pytest.mark.live
def test_code_that_only_workers_cannot_load(perl: Callable[..., Any]) -> None:
    s = perl(
        "return OK;",
        http="perl_require %DIR%/once.pl;",
        files={"once.pl": "my $f = __FILE__ . q(.seen); die qq(twice\\n) if -e $f; open my $h, q(>), $f; 1;"},
        alerts=True,
    )
    assert s.get().status == 500
    wait_until(lambda: 'once.pl") failed: "twice' in s.log(), "the reason")
    assert s.get().status == 500
    wait_until(lambda: not perls(s), "no perl process left")


@pytest.mark.live
def test_warnings_and_prints_do_not_disturb(perl: Callable[..., Any]) -> None:
    s = perl(f'warn "words\\n"; print "out"; print STDERR "err"; system("true"); {HEAD} $r->print("fine"); OK')
    assert s.get().text == "fine"
    assert "words\n" in s.log() + s.log("output")


@pytest.mark.live
def test_single_process(server: Any) -> None:
    s = server("master_process off;" + conf(f"{HEAD} $r->print($$); OK"))
    wait_until(lambda: len(children(s.pid)) == 1, "a perl process")
    (process,) = children(s.pid)
    assert int(s.get().text) == process
    s.stop()
    wait_until(lambda: not alive(process), "perl gone, too")


# ---- the configuration

REFUSED = {
    "a syntax error": ("perl_set $x 'sub {';", '[error] eval_pv("sub {") failed in', "[notice] perl says: Missing right"),
    "a module": ("perl_set $x 'use No::Such; sub { }';", '[error] eval_pv("use No::Such; sub { }") failed in'),
    "it dies": ("perl_set $x 'sub { }; die 5';", '[error] eval_pv("sub { }; die 5") failed in'),
    "no file": ("perl_require none.pm;", '[emerg] require_pv("none.pm") failed: "Can\'t locate none.pm in @INC'),
    "untrue": ("perl_modules lib; perl_require zero.pm;",
               '[emerg] require_pv("zero.pm") failed: "zero.pm did not return a true value at (eval 1) line 1."'),
    "no dollar": ("perl_set x a;", '[emerg] invalid variable name "x" in'),
    "it exits": ("perl_set $x 'sub { }; exit 3';", "perl exited with code 3"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("option", ["-t", "--as-nginx"])
def test_refused(configtest: Any, name: str, option: str) -> None:
    http, *said = REFUSED[name]
    found = configtest(f"events {{}} http {{ {http} }}", files={"lib/zero.pm": "0;"})
    assert found.returncode == 1
    for words in said:
        assert words in found.stderr


ACCEPTED = {
    "a name": "perl_set $x nowhere::at_all;",
    "no function": "perl_set $x 'use strict;';",
    "twice": "perl_set $x 'sub foo { 1 }'; perl_set $x 'sub foo { 2 }';",
    "a library": "perl_modules lib; perl_require one.pm;",
    "too late": "perl_set $x a; perl_modules lib; perl_require zero.pm;",
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(configtest: Any, name: str) -> None:
    found = configtest(f"events {{}} http {{ {ACCEPTED[name]} }}", files={"lib/zero.pm": "0;", "lib/one.pm": "1;"})
    assert found.returncode == 0, found.stderr


@pytest.mark.live
def test_a_reload_with_broken_perl_changes_nothing(perl: Callable[..., Any]) -> None:
    s = perl(f"{HEAD} $r->print(1); OK", alerts=True)
    s.write(conf("{"))
    s.signal(signal.SIGHUP)
    wait_until(lambda: "eval_pv(" in s.log(), "the refusal")
    assert s.get().text == "1"
    wait_until(lambda: len(children(s.pid)) == 1, "nothing but the worker")


@pytest.mark.live
def test_modules_and_environment(perl: Callable[..., Any]) -> None:
    s = perl(
        http="perl_modules lib; perl_require hello.pm;",
        locations="location /hello { perl hello::handler; }",
        files={"lib/hello.pm": "package hello; use nginx; sub handler { my $r = shift; $r->send_http_header; "
                               "$r->print(__PACKAGE__, $ENV{HOME} // q(-)); return OK; } 1; __END__"},
    )  # fmt: skip
    assert s.get("/hello").text == "hello-"


class Log:
    to_stderr = False

    def log(self, level: str, message: str, **_: object) -> None: ...


def test_without_perl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perl_process, "find_perl", lambda: None)
    (tmp_path / "nginx.conf").write_text("events {}\nhttp { perl_set $x 'sub {';\n}")
    cycle = Cycle(Options(prefix=str(tmp_path), conf="nginx.conf", test=True), Log())  # type: ignore[arg-type]
    cycle.read()
    assert str(cycle.unable) == f'"perl_set" directive needs perl, which is not installed in {tmp_path}/nginx.conf:2'


def test_nothing_of_it_is_imported_where_it_is_not_used() -> None:
    code = "import sys, geng.modules.http; print([name for name in sys.modules if '.perl_' in name])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_linting_runs_no_perl(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "nginx.conf").write_text(
        f"events {{}} http {{ perl_set $x 'sub {{ }}; open my $f, q(>), q({tmp_path}/ran)'; }}"
    )
    subprocess.run([*command, "lint", str(tmp_path / "nginx.conf")], capture_output=True, check=False)
    assert not (tmp_path / "ran").exists()
