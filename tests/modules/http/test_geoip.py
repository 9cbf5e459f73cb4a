"""geoip_country, geoip_city, geoip_org: databases made here, byte for byte."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from geng.core import geoip
from tests.harness.talk import say

COUNTRY_BEGIN, STATE_BEGIN = 16776960, 16700000
RU, US, DE = 185, 225, 56

CONF = """
events {}
http {
    geoip_country %DIR%/country.dat;
    geoip_city %DIR%/city.dat utf8;
    geoip_org %DIR%/org.dat;
    geoip_proxy 127.0.0.1;
    geoip_proxy 10.0.0.0/8;
    geoip_proxy_recursive on;
    server {
        listen 127.0.0.1:%PORT%;
        location / { return 200 "$geoip_country_code|$geoip_country_code3|$geoip_country_name|$geoip_org"; }
        location /city {
            return 200 "$geoip_city_continent_code|$geoip_city_country_code|$geoip_region|$geoip_region_name|$geoip_city|$geoip_postal_code|$geoip_latitude|$geoip_longitude|$geoip_dma_code|$geoip_area_code";
        }
    }
}
"""  # noqa: E501


def tree(addresses: dict[str, int], default: int, size: int, first: int) -> bytes:
    """A binary tree of records of *size* bytes: *addresses* lead to their values, all others to *default*.

    *first* is added to a value; None stands for the number of nodes.
    """
    nodes: list[list[int | None]] = [[None, None]]
    leaves: dict[tuple[int, int], int] = {}
    for text, value in addresses.items():
        family = socket.AF_INET6 if ":" in text else socket.AF_INET
        data = socket.inet_pton(family, text)
        bits = [byte >> (7 - n) & 1 for byte in data for n in range(8)]
        at = 0
        for bit in bits[:-1]:
            if nodes[at][bit] is None:
                nodes.append([None, None])
                nodes[at][bit] = len(nodes) - 1
            at = nodes[at][bit]  # type: ignore[assignment]
        leaves[at, bits[-1]] = value
    start = first if first >= 0 else len(nodes)
    out = b""
    for n, node in enumerate(nodes):
        for bit in (0, 1):
            value = leaves.get((n, bit))
            target = node[bit] if node[bit] is not None else start + (default if value is None else value)
            out += pack("<Q", target)[:size]
    return out


def country(addresses: dict[str, int], edition: int) -> bytes:
    return tree(addresses, 0, 3, COUNTRY_BEGIN) + b"\0\0\0\xff\xff\xff" + bytes((edition,))


def segments(addresses: dict[str, bytes], size: int, edition: int) -> bytes:
    """A database whose values are behind the tree; an address without one leads to its first byte."""
    data, places = b"\0", {}
    for text, record in addresses.items():
        places[text] = len(data)
        data += record
    made = tree(places, 0, size, -1)
    count = len(made) // 2 // size
    return made + data + b"\xff\xff\xff" + bytes((edition,)) + pack("<I", count)[:3]


def place(country_id: int, region: str, city: str, postal: str, latitude: float, longitude: float) -> bytes:
    made = bytes((country_id,)) + b"".join(text.encode("latin-1") + b"\0" for text in (region, city, postal))
    return made + b"".join(pack("<I", round((degrees + 180) * 10000))[:3] for degrees in (latitude, longitude))


FILES: dict[str, bytes | str] = {
    "country.dat": country({"1.2.3.4": RU, "255.0.0.1": US, "127.0.0.1": DE}, 1),
    "country6.dat": country({"2001:db8::1": US, "::ffff:1.2.3.4": RU}, 12),
    "city.dat": segments({"1.2.3.4": place(RU, "48", "M\u00fcsk", "119034", 55.7543, 37.6202)}, 3, 6),
    "org.dat": segments({"1.2.3.4": b"An Org\0", "255.0.0.1": b"Another\0"}, 4, 5),
    "asnum.dat": segments({"1.2.3.4": b"AS1\0"}, 3, 9),
}

there = pytest.mark.skipif(
    geoip.library() is None and not os.environ.get("GENG_REQUIRE_PEERS"), reason=f"{geoip.LIBRARY} is not installed"
)
pytestmark = [pytest.mark.live, there]


def asked(s: Any, *for_whom: str) -> str:
    return str(s.get("/", {"X-Forwarded-For": ", ".join(for_whom)} if for_whom else {}).text)


def test_countries_and_organizations(server: Any) -> None:
    s = server(CONF, files=FILES)
    assert asked(s) == "DE|DEU|Germany|"
    assert asked(s, "1.2.3.4") == "RU|RUS|Russian Federation|An Org"
    assert asked(s, "1.2.3.4", "10.1.1.1") == "RU|RUS|Russian Federation|An Org"
    assert asked(s, "1.2.3.4", "255.0.0.1") == "US|USA|United States|Another"
    assert asked(s, "::ffff:1.2.3.4").startswith("RU|")
    for address in ("8.8.8.8", "2001:db8::1", "unix:"):
        assert asked(s, address) in ("|||", "DE|DEU|Germany|"), address


def test_cities(server: Any) -> None:
    s = server(CONF, files=FILES)
    expected = "EU|RU|48|Moscow City|M\u00fcsk|119034|55.7543|37.6202|0|0"
    assert s.get("/city", {"X-Forwarded-For": "1.2.3.4"}).text == expected
    assert s.get("/city").text == "|" * 9


def test_six(server: Any) -> None:
    conf = CONF.replace("country.dat", "country6.dat").replace("org.dat", "asnum.dat")
    s = server(conf, files=FILES)
    assert asked(s, "2001:db8::1").startswith("US|USA|United States|")
    assert asked(s, "1.2.3.4") == "RU|RUS|Russian Federation|AS1"
    assert asked(s, "2001:db8::2").startswith("|||")


def test_in_stream(server: Any) -> None:
    conf = """
        events {}
        stream {
            geoip_country %DIR%/country.dat;
            geoip_org %DIR%/org.dat;
            server { listen 127.0.0.1:%PORT%; return "$geoip_country_code $geoip_org"; }
            server { listen 127.0.0.1:%PORT2% proxy_protocol; set_real_ip_from 127.0.0.1;
                     return "$geoip_country_code $geoip_org"; }
        }
    """
    s = server(conf, files=FILES, probe=False)
    assert say(s.address()) == b"DE "
    assert say(s.address("PORT2"), b"PROXY TCP4 1.2.3.4 127.0.0.1 1 2\r\n") == b"RU An Org"


def test_reload_forgets_the_old_ones(server: Any) -> None:
    s = server(CONF, files=FILES)
    assert asked(s, "1.2.3.4").startswith("RU")
    s.file("country.dat", country({"1.2.3.4": US}, 1))
    s.reload()
    assert asked(s, "1.2.3.4").startswith("US")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("geoip_country missing.dat;", 'GeoIP_open("missing.dat") failed in'),
        ("geoip_country %DIR%/country.dat; geoip_country %DIR%/country.dat;", '"geoip_country" directive is duplicate in'),
        ("geoip_country %DIR%/country.dat latin;", 'invalid parameter "latin" in'),
        ("geoip_country %DIR%/org.dat;", 'org.dat" type:5 in'),
        ("geoip_org %DIR%/country.dat;", 'invalid GeoIP database "'),
        ("geoip_city %DIR%/country.dat;", 'invalid GeoIP City database "'),
        ("geoip_proxy x;", 'invalid network "x" in'),
        ("geoip_proxy 10.0.0.1/8;", "low address bits of 10.0.0.1/8 are meaningless in"),
    ],
)
def test_mistakes(configtest: Any, tmp_path: Path, text: str, message: str) -> None:
    for name, data in FILES.items():
        assert isinstance(data, bytes)
        (tmp_path / name).write_bytes(data)
    assert message in configtest(f"events {{}} http {{ {text} }}").stderr


def test_without_the_library(configtest: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geoip, "CDLL", _none)
    geoip.library.cache_clear()
    try:
        assert geoip.library() is None
    finally:
        geoip.library.cache_clear()


def _none(name: str | None) -> None:
    raise OSError(name)
