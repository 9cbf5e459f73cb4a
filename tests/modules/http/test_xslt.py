"""xslt_stylesheet: documents transformed, and documents that mean harm."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from scripts.lib.servers import wait_until
from tests.harness.backend import Answer
from tests.harness.client import Truncated

pytest.importorskip("lxml.etree")

from geng.modules.http.xslt_work import Failed, check_parser, parse  # noqa: E402

CONF = """
events {}
http {
    types { text/xml xml; application/xhtml+xml xhtml; text/html html; }
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%;
        location / { xslt_stylesheet copy.xslt; }
        location /params/ {
            alias %DIR%/;
            xslt_stylesheet params.xslt a='$arg_a':b=/root c='%41%3a';
            xslt_stylesheet html.xslt;
            xslt_param d "count(//*)";
            xslt_string_param e $arg_e;
        }
        location /bad-params/ { alias %DIR%/; xslt_stylesheet params.xslt $arg_all; }
        location /html/ { alias %DIR%/; xslt_stylesheet html.xslt; }
        location /import/ { alias %DIR%/; xslt_stylesheet import.xslt; xslt_last_modified on; }
        location /types/ { alias %DIR%/; xslt_stylesheet copy.xslt; xslt_types application/xhtml+xml; }
        location /entities/ { alias %DIR%/; xslt_stylesheet copy.xslt; xml_entities %DIR%/entities.dtd; }
        location /external/ { alias %DIR%/; xslt_stylesheet copy.xslt; xml_external_entities on; }
        location /reads/ { alias %DIR%/; xslt_stylesheet reads.xslt; }
        location /up/ { proxy_pass http://127.0.0.1:%UP%/; xslt_stylesheet copy.xslt; }
        location /page/ { alias %DIR%/; xslt_stylesheet copy.xslt; error_page 500 = /fallback.html; }
        location /around/ { alias %DIR%/; ssi on; ssi_types *; }
        location /empty/ { alias %DIR%/; xslt_stylesheet empty.xslt; }
        location /loop/ { alias %DIR%/; xslt_stylesheet loop.xslt; }
    }
}
"""

XSL = '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">{}</xsl:stylesheet>'
COPY = '<xsl:template match="@*|node()"><xsl:copy><xsl:apply-templates select="@*|node()"/></xsl:copy></xsl:template>'
LAUGHS = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
SECRET = "the secret"

FILES: dict[str, bytes | str] = {
    "copy.xslt": XSL.format('<xsl:output method="xml" omit-xml-declaration="yes"/>' + COPY),
    "html.xslt": XSL.format(
        '<xsl:template match="/"><html><body><xsl:value-of select="."/><br/></body></html></xsl:template>'
    ),
    "params.xslt": XSL.format(
        "".join(f'<xsl:param name="{name}"/>' for name in "abcde")
        + '<xsl:template match="/"><r>'
        + "|".join(f'<xsl:value-of select="${name}"/>' for name in "abcde")
        + "</r></xsl:template>"
    ),
    "import.xslt": XSL.format('<xsl:import href="sub/base.xslt"/><xsl:output method="text"/>'),
    "sub/base.xslt": XSL.format(
        '<xsl:output media-type="text/plain" encoding="ISO-8859-1"/>'
        '<xsl:template match="/"><xsl:value-of select="."/></xsl:template>'
    ),
    "reads.xslt": XSL.format('<xsl:template match="/"><r><xsl:copy-of select="document(//@url)"/></r></xsl:template>'),
    "empty.xslt": XSL.format('<xsl:output method="text"/><xsl:template match="/"/>'),
    "loop.xslt": XSL.format(
        '<xsl:template match="/"><xsl:call-template name="t"/></xsl:template>'
        '<xsl:template name="t"><xsl:call-template name="t"/></xsl:template>'
    ),
    "entities.dtd": '<!ENTITY mdash "&#8212;"><!ENTITY quote "&#34;&#37;&#38;#38;"><!ENTITY % part '
    "\"<!ENTITY deep 'd'>\">%part;",
    "secret.txt": SECRET,
    "a.xml": "<root>caf\u00e9 <b>x</b></root>",
    "a.xhtml": "<root>x</root>",
    "a.html": "<root>x</root>",
    "fallback.html": "sorry",
    "page.txt": '[<!--#include virtual="/a.xml" -->]',
    "fetch.xml": '<root url="http://127.0.0.1:%UP%/x"/>',
    "entity.xml": "<!-- c --><!DOCTYPE root><root>&mdash;&quote;&deep;</root>",
    "entity2.xml": '<?xml version="1.0"?><!DOCTYPE root SYSTEM "http://x/y.dtd" [<!ENTITY mdash "mine">]>'
    "<root>&mdash;&deep;</root>",
    "entity16.xml": '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE root><root>&deep;</root>'.encode("utf-16"),
    "file.xml": '<!DOCTYPE root [<!ENTITY e SYSTEM "secret.txt">]><root>&e;</root>',
    "url.xml": '<!DOCTYPE root [<!ENTITY e SYSTEM "file://%DIR%/secret.txt">]><root>&e;</root>',
    "public.xml": '<!DOCTYPE root [<!ENTITY e PUBLIC "id" "file://%DIR%/secret.txt">]><root>&e;</root>',
    "parameter.xml": '<!DOCTYPE root [<!ENTITY % p SYSTEM "file://%DIR%/evil.dtd">%p;]><root>&e;</root>',
    "evil.dtd": f'<!ENTITY e "{SECRET}">',
    "subset.xml": '<!DOCTYPE root SYSTEM "file://%DIR%/evil.dtd"><root>&e;</root>',
    "xinclude.xml": '<root xmlns:x="http://www.w3.org/2001/XInclude"><x:include href="secret.txt" parse="text"/></root>',
    "net.xml": '<!DOCTYPE root [<!ENTITY e SYSTEM "http://127.0.0.1:%UP%/x">]><root>&e;</root>',
    "laughs.xml": f'<!DOCTYPE root [<!ENTITY l0 "lol">{LAUGHS}]><root>&l9;</root>',
    "quadratic.xml": f'<!DOCTYPE root [<!ENTITY l "{"l" * 100_000}">]><root>{"&l;" * 5000}</root>',
    "deep.xml": "<a>" * 100_000 + "</a>" * 100_000,
    "attribute.xml": f"<a b='{'c' * 20_000_000}'/>",
    "broken.xml": "<root><b></root>",
    "text.xml": "no document",
    "nothing.xml": "",
    "nul.xml": b"<root>\0</root>",
}

BOMBS = ["laughs.xml", "quadratic.xml", "deep.xml", "attribute.xml"]
BROKEN = ["broken.xml", "text.xml", "nothing.xml", "nul.xml"]


@pytest.fixture
def run(server: Any, backend: Any, tmp_path: Path) -> Any:
    def answer(request: Any) -> Any:
        if request.target == "/half":
            return Answer("<root>", headers={"Content-Type": "text/xml", "Content-Length": "100", "Connection": "close"})
        return Answer(FILES["a.xml"], headers={"Content-Type": "text/xml", "ETag": '"e"'})

    up = backend(answer)
    files = {
        name: data if isinstance(data, bytes) else data.replace("%DIR%", str(tmp_path)).replace("%UP%", str(up.port))
        for name, data in FILES.items()
    }
    return server(CONF, files=files, UP=up.port), up


@pytest.mark.live
def test_transformed(run: Any) -> None:
    s, up = run
    answer = s.get("/a.xml")
    assert (answer.text.strip(), answer["Content-Type"]) == (FILES["a.xml"], "text/xml")
    for header in ("ETag", "Last-Modified", "Accept-Ranges"):
        assert header not in answer
    answer = s.get("/html/a.xml")
    assert answer["Content-Type"] == "text/html"
    assert "x<br>" in answer.text
    answer = s.get("/import/a.xml")
    assert (answer.body, answer["Content-Type"]) == (b"caf\xe9 x", "text/plain; charset=ISO-8859-1")
    assert answer["ETag"].startswith("W/")
    assert "Last-Modified" in answer
    assert s.get("/types/a.xml")["Content-Type"] == "text/xml"
    assert s.get("/types/a.xhtml").text.strip() == "<root>x</root>"
    assert "ETag" in s.get("/a.html")
    assert s.get("/up/a").text.strip() == FILES["a.xml"]
    assert s.get("/around/page.txt").text.replace("\n", "") == f"[{FILES['a.xml']}]"
    with s.connect() as c:
        assert c.ask("/a.xml", "HEAD")["Content-Length"] == str(len(s.get("/a.xml").body))
        assert c.ask("/a.xml", headers={"Range": "bytes=0-1"}).status == 200


@pytest.mark.live
def test_parameters(run: Any) -> None:
    s, up = run
    text = s.get("/params/a.xml?a=one&e=it's").text
    assert "one|caf\u00e9 x|" in text or "one|caf&eacute; x|" in text
    assert "|2|it's" in text
    assert s.get("/params/a.xml?a=%27x").status == 500
    assert s.get("/bad-params/a.xml?all=x").status == 500
    assert s.get("/bad-params/a.xml?all=a=1:b=2").status == 200
    log = s.log()
    assert 'invalid libxslt parameter "x", client' in log
    assert "xsltApplyStylesheet() failed, client" in log


@pytest.mark.live
def test_entities(run: Any) -> None:
    s, up = run
    assert s.get("/entities/entity.xml").text.strip().endswith('<root>\u2014"%&amp;d</root>')
    assert s.get("/entities/entity2.xml").text.strip().endswith("<root>mined</root>")
    assert s.get("/entities/entity16.xml").text.strip().endswith("<root>d</root>")
    assert s.get("/entities/a.xml").status == 200
    assert s.get("/entity.xml").status == 500
    assert "libxml2 error: \"Entity 'mdash' not defined" in s.log()


@pytest.mark.live
@pytest.mark.parametrize(
    "name", ["file.xml", "url.xml", "public.xml", "parameter.xml", "subset.xml", "xinclude.xml", "net.xml"]
)
def test_nothing_is_read_that_a_document_names(run: Any, name: str) -> None:
    s, up = run
    for folder in ("/", "/entities/"):
        assert SECRET not in s.get(folder + name).text
    if name == "url.xml":
        assert s.get("/url.xml").text.strip().endswith(("<root></root>", "<root/>"))
        assert f'xslt filter external entity ignored: "e" "" "file://{s.folder}/secret.txt", client' in s.log()
        assert SECRET in s.get("/external/url.xml").text
    if name == "net.xml":
        assert s.get("/net.xml").status == 200
        s.get("/external/net.xml")
    s.get("/reads/fetch.xml")
    assert up.requests == []


@pytest.mark.live
@pytest.mark.parametrize("name", BOMBS + BROKEN)
def test_bombs_and_what_is_broken(run: Any, name: str) -> None:
    s, up = run
    wait_until(s.workers, "workers")
    workers = s.workers()
    began = monotonic()
    answer = s.get(f"/{name}")
    assert answer.status == 500 or name == "attribute.xml"
    assert monotonic() - began < 25  # for ever, where the limits did not work
    answer = s.get(f"/page/{name}")
    assert answer.text == "sorry" or name == "attribute.xml"
    assert s.get("/a.xml").status == 200
    assert s.workers() == workers
    for pid in workers:
        peak = int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0])
        assert peak < 600_000, "a bomb went off"  # KB


@pytest.mark.live
def test_stylesheets_that_make_nothing(run: Any) -> None:
    s, up = run
    assert s.get("/empty/a.xml").status == 500
    assert s.get("/loop/a.xml").status == 500
    log = s.log()
    assert "xsltSaveResultToString() returned zero-length result, client" in log
    assert "xsltApplyStylesheet() failed, client" in log


@pytest.mark.live
def test_an_upstream_that_dies(run: Any) -> None:
    s, up = run
    with pytest.raises(Truncated), s.connect() as c:
        c.ask("/up/half")
    assert "upstream prematurely closed connection while reading upstream" in s.log()
    assert s.get("/up/a").status == 200


@pytest.mark.live
def test_each_document_has_its_own_errors(run: Any) -> None:
    s, up = run
    for _ in range(3):
        assert s.get("/broken.xml").status == 500
        assert s.get("/nothing.xml").status == 500
    assert s.log().count("Opening and ending tag mismatch") == 3
    assert s.log().count("Document is empty") == 3


def test_the_parser_reads_no_files() -> None:
    check_parser()
    with pytest.raises(Failed):
        parse(b"<a>", None, False)


def mistake(configtest: Any, tmp_path: Path, text: str) -> str:
    (tmp_path / "broken.xslt").write_text("<xsl")
    (tmp_path / "broken.dtd").write_text("<!ENT")
    return configtest(f"events {{}} http {{ server {{ location / {{ {text} }} }} }}").stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("xslt_stylesheet missing.xslt;", 'missing.xslt") failed in'),
        ("xslt_stylesheet broken.xslt;", 'broken.xslt") failed in'),
        ("xml_entities missing.dtd;", "[error] xmlParseDTD() failed in"),
        ("xml_entities %DIR%/broken.dtd;", "[error] xmlParseDTD() failed in"),
        ("xml_external_entities maybe;", 'it must be "on" or "off" in'),
    ],
)
def test_mistakes(configtest: Any, tmp_path: Path, text: str, message: str) -> None:
    assert message in mistake(configtest, tmp_path, text)
