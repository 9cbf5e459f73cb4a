"""modern_browser and ancient_browser: what User-Agent says, and what it means."""

from __future__ import annotations

from typing import Any

import pytest

from geng.modules.http.browser import read_version

CONF = """
events {}
http {
    server {
        listen 127.0.0.1:%PORT%;
        modern_browser msie 5.5;
        modern_browser gecko 1.0.0;
        modern_browser safari 2.0;
        modern_browser konqueror 3.0;
        ancient_browser Lynx links;
        ancient_browser netscape4;
        add_header X-Browser "$modern_browser|$ancient_browser|$msie";
        location / { return 204; }
        location /unlisted {
            modern_browser unlisted;
            ancient_browser Lynx netscape4;
            modern_browser_value M;
            ancient_browser_value a;
            ancient_browser_value A;
            return 204;
        }
        location /opera {
            modern_browser opera 7.50;
            modern_browser unlisted;
            modern_browser konqueror 3.4;
            return 204;
        }
    }
}
"""

MSIE = "Mozilla/4.0 (compatible; MSIE {}; Windows NT 5.1)"
GECKO = "Mozilla/5.0 (X11; U; Linux i686; en-US; rv:{}) Gecko/20020610"
SAFARI = "Mozilla/5.0 (Macintosh; U; PPC Mac OS X; en) AppleWebKit/418 (KHTML, like Gecko) Safari/{}"
OPERA = "Mozilla/4.0 (compatible; MSIE 6.0; X11; FreeBSD i386) Opera {}  [en]"

CASES = [
    ("/", MSIE.format("6.0"), "1||1"),
    ("/", MSIE.format("5.5"), "1||1"),
    ("/", MSIE.format("5.01"), "|1|1"),
    ("/", GECKO.format("1.0.0"), "1||"),
    ("/", GECKO.format("0.9.9"), "|1|"),
    ("/", GECKO.format("1.7.8.1.1.1"), "1||"),
    ("/", SAFARI.format("417.9.3"), "1||"),
    ("/", OPERA.format("9.01"), "|1|"),  # it says MSIE, but nobody has said that Opera is modern
    ("/", "Mozilla/5.0 (compatible; Konqueror/3.1; Linux)", "1||"),
    ("/", "Mozilla/5.0 (compatible; Konqueror/", "|1|"),
    ("/", "curl/8", "|1|"),
    ("/", None, "|1|"),
    ("/unlisted", "curl/8", "M||"),
    ("/unlisted", None, "M||"),
    ("/unlisted", "Lynx/2.8", "|A|"),
    ("/unlisted", "Mozilla/4.72 [en] (X11; U)", "|A|"),
    ("/unlisted", "Mozilla/5.72 [en] (X11; U)", "M||"),
    ("/opera", OPERA.format("7.50"), "1||"),
    ("/opera", OPERA.format("7.49"), "|1|"),
    ("/opera", "Opera/9.01 (X11; FreeBSD 6 i386; U; en)", "1||"),
    ("/opera", "Mozilla/5.0 (compatible; Konqueror/3.1; Linux)", "|1|"),
    ("/opera", "Lynx/2.8", "|1|"),
    ("/opera", "curl/8", "1||"),
]


@pytest.mark.live
def test_browsers(server: Any) -> None:
    s = server(CONF)
    for target, agent, expected in CASES:
        answer = s.get(target, {} if agent is None else {"User-Agent": agent})
        assert answer["X-Browser"] == expected, (target, agent)


@pytest.mark.parametrize(
    ("text", "number"), [(b"7", 7000000), (b"7.5", 7050000), (b"7.50 x", 7500000), (b"1.2.3.4.5", 1020304), (b"", 0)]
)
def test_versions(text: bytes, number: int) -> None:
    assert read_version(text) == number


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modern_browser netscape 4;", 'unknown browser name "netscape" in'),
        ("modern_browser msie 4a;", 'invalid browser version "4a" in'),
        ("modern_browser msie 4 5;", 'invalid number of arguments in "modern_browser" directive in'),
    ],
)
def test_mistakes(configtest: Any, text: str, message: str) -> None:
    assert message in configtest(f"events {{}} http {{ {text} }}").stderr
