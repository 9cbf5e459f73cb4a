"""auth_basic, and how it goes together with allow and deny."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

CONF = """
events {}
http {
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%/html;
        auth_basic "the realm";
        auth_basic_user_file users;
        location /off/ { auth_basic off; return 204; }
        location /sub/ { auth_basic $arg_realm; }
        location /file/ { auth_basic_user_file $arg_file; }
        location /any/ { satisfy any; deny all; }
        location /here/ { satisfy any; allow 127.0.0.1; deny all; }
        location /all/ { allow 127.0.0.1; }
        location /denied/ { deny all; }
        location /limited/ { auth_basic off; limit_except GET { auth_basic "limited"; } }
        location /who { return 200 "$remote_user|"; }
        location /inner { auth_basic off; return 200 "$remote_user|"; }
    }
}
"""

USERS = (
    "# a comment\n"
    "\n"
    "#anna:{PLAIN}commented\n"
    "anna:{PLAIN}secret:Anna's comment\n"
    "bob:{PLAIN}with\r\n"
    "anna:{PLAIN}second\n"
    "carl:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n"
    "last:{PLAIN}no newline"
)
FILES: dict[str, bytes | str] = {"users": USERS, "other": "dora:{PLAIN}d"} | {
    f"html/{name}index.html": "inside" for name in ("", "sub/", "file/", "any/", "here/", "all/", "denied/", "limited/")
}

pytestmark = pytest.mark.live


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def test_who_comes_in(server: Any) -> None:
    s = server(CONF, files=FILES)
    answer = s.get("/")
    assert (answer.status, answer["WWW-Authenticate"]) == (401, 'Basic realm="the realm"')
    for user, password in [("anna", "secret"), ("bob", "with"), ("carl", "password"), ("last", "no newline")]:
        assert s.get("/", basic(user, password)).text == "inside", user
    for user, password in [("anna", "second"), ("anna", ""), ("ann", "secret"), ("annas", "secret"), ("nobody", "x")]:
        assert s.get("/", basic(user, password)).status == 401, user
    assert s.get("/", basic("#anna", "commented")).status == 401
    log = s.log()
    assert 'user "anna": password mismatch, client: 127.0.0.1' in log
    assert f'user "nobody" was not found in "{s.folder}/users", client: 127.0.0.1' in log
    assert "no user/password was provided for basic authentication" in log


@pytest.mark.parametrize(
    "value", ["Basic", "Basic ", "Basic ???", "Basic " + b64encode(b"anna").decode(), "Digest x", "Basic OnNlY3JldA=="]
)
def test_what_is_no_credentials(server: Any, value: str) -> None:
    s = server(CONF, files=FILES)
    assert s.get("/", {"Authorization": value}).status == 401
    assert s.get("/inner", {"Authorization": value}).text == "|"


def test_how_they_may_be_written(server: Any) -> None:
    s = server(CONF, files=FILES)
    encoded = b64encode(b"anna:secret").decode().rstrip("=")
    for value in (f"basic {encoded}", f"BASIC    {encoded}=", f"Basic {encoded}=rubbish"):
        assert s.get("/", {"Authorization": value}).text == "inside", value
    assert s.get("/who", basic("anna", "secret")).text == "anna|"
    assert s.get("/inner", basic("anyone", "x")).text == "anyone|"


def test_off_and_variables(server: Any) -> None:
    s = server(CONF, files=FILES)
    assert s.get("/off/").status == 204
    assert s.get("/sub/?realm=off").text == "inside"
    answer = s.get("/sub/?realm=mine")
    assert (answer.status, answer["WWW-Authenticate"]) == (401, 'Basic realm="mine"')
    assert s.get("/file/?file=other", basic("dora", "d")).text == "inside"
    assert s.get("/file/?file=other", basic("anna", "secret")).status == 401
    assert s.get("/file/?file=missing", basic("dora", "d")).status == 403
    assert s.get("/file/", basic("dora", "d")).status == 500
    log = s.log()
    assert f'open() "{s.folder}/missing" failed (2: No such file or directory), client:' in log
    assert f'read() "{s.folder}/" failed (21: Is a directory), client:' in log


def test_with_allow_and_deny(server: Any) -> None:
    s = server(CONF, files=FILES)
    assert s.get("/any/").status == 401
    answer = s.get("/any/", basic("anna", "secret"))
    assert (answer.status, "WWW-Authenticate" in answer) == (200, False)
    assert s.get("/here/").status == 200
    assert s.get("/all/").status == 401
    assert s.get("/all/", basic("anna", "secret")).status == 200
    assert s.get("/denied/", basic("anna", "secret")).status == 403
    assert s.get("/limited/").status == 200
    assert s.get("/limited/", method="DELETE")["WWW-Authenticate"] == 'Basic realm="limited"'


def test_the_file_is_read_each_time(server: Any) -> None:
    s = server(CONF, files=FILES)
    assert s.get("/", basic("new", "n")).status == 401
    s.file("users", "new:{PLAIN}n\n")
    assert s.get("/", basic("new", "n")).status == 200


def test_the_file_goes_and_comes_back(server: Any) -> None:
    s = server(CONF, files={**FILES, "users": "new:{PLAIN}n\n"})
    assert s.get("/", basic("new", "n")).status == 200
    path = s.folder / "users"
    path.unlink()
    assert s.get("/", basic("new", "n")).status == 403
    assert f'open() "{path}" failed (2: No such file or directory)' in s.log() and "[error]" in s.log()
    path.mkdir()  # nor does anything else that cannot be read let anybody in
    assert s.get("/", basic("new", "n")).status == 500
    path.rmdir()
    s.file("users", "new:{PLAIN}n\n")
    assert s.get("/", basic("new", "n")).status == 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("auth_basic a; auth_basic b;", '"auth_basic" directive is duplicate in'),
        ("auth_basic_user_file a; auth_basic_user_file b;", '"auth_basic_user_file" directive is duplicate in'),
        ('auth_basic "a$";', "invalid variable name in"),
        ("auth_basic a b;", 'invalid number of arguments in "auth_basic" directive in'),
    ],
)
def test_mistakes(configtest: Any, text: str, message: str) -> None:
    assert message in configtest(f"events {{}} http {{ {text} }}").stderr
