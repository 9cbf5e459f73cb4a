"""`geoip_country`, `geoip_city`, `geoip_org`: variables about where a client is, from databases of the legacy format.

nginx: ngx_http_geoip_module.c. Needs the library libGeoIP (Debian: libgeoip1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag, to_bytes
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import HTTP
from geng.core.cidr import BadCidr, Cidr, parse
from geng.core.geoip import CITY, COUNTRY, LIBRARY, ORGANIZATION, Address, Database, library
from geng.errors import Invalid, Refused
from geng.http.forwarded import forwarded_address
from geng.http.module import Getter, Module, Variable
from geng.modules.http.geo import read_network

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.request import Request


class GeoipConf(Conf, level=Level.MAIN):
    """The databases, and the proxies that are believed when they say for whom they ask."""

    country: Any = value(None)
    organization: Any = value(None)
    city: Any = value(None)
    recursive: bool = directive("geoip_proxy_recursive", HTTP, flag, default=False)

    def __init__(self) -> None:
        super().__init__()
        self.proxies: list[Cidr] = []

    @command("geoip_country", HTTP)
    def set_country(self, cf: Cf) -> None:
        """`geoip_country file [utf8]`"""
        self.country = _open(cf, self.country, COUNTRY, "GeoIP database")

    @command("geoip_org", HTTP)
    def set_organization(self, cf: Cf) -> None:
        """`geoip_org file [utf8]`"""
        self.organization = _open(cf, self.organization, ORGANIZATION, "GeoIP database")

    @command("geoip_city", HTTP)
    def set_city(self, cf: Cf) -> None:
        """`geoip_city file [utf8]`"""
        self.city = _open(cf, self.city, CITY, "GeoIP City database")

    @command("geoip_proxy", HTTP)
    def add_proxy(self, cf: Cf) -> None:
        """`geoip_proxy address | CIDR`"""
        self.proxies.append(read_network(cf, cf.args[0]))


def _open(cf: Cf, known: Any, editions: tuple[set[int], set[int]], kind: str) -> Database:
    if known is not UNSET:
        raise Refused("is duplicate")
    path, *more = cf.args
    if library() is None:
        raise Invalid(f'"{cf.node.name}" needs the library {LIBRARY}, which is not installed')
    try:
        database = Database(to_bytes(path), utf8=more == ["utf8"])
    except OSError:
        raise Invalid(f'GeoIP_open("{path}") failed') from None
    if more and more != ["utf8"]:
        raise Invalid(f'invalid parameter "{more[0]}"')
    if not database.is_one_of(editions):
        raise Invalid(f'invalid {kind} "{path}" type:{database.edition}')
    return database


# ---- variables


def _address(r: Request, conf: GeoipConf) -> Address:
    """Who asks: the client, or the one that a proxy asks for."""
    address: bytes = r.c.addr_text
    told = r.head.getall(b"x-forwarded-for") if conf.proxies else None
    if told:
        found = forwarded_address(address, told, conf.proxies, conf.recursive)
        if found is not None:
            address = found[0]
    try:
        return parse(address)
    except BadCidr:
        return 0, 0


def _conf(r: Request) -> GeoipConf:
    conf: GeoipConf = r.srv.main.confs[GeoipConf]
    return conf


def _country(what: str) -> Getter:
    def get(r: Request) -> bytes | None:
        conf = _conf(r)
        database: Database | None = conf.country
        return None if database is None else database.country(what, _address(r, conf))

    return get


def _organization(r: Request) -> bytes | None:
    conf = _conf(r)
    database: Database | None = conf.organization
    return None if database is None else database.organization(_address(r, conf))


def _city(field: str, form: bytes = b"") -> Getter:
    def get(r: Request) -> bytes | None:
        conf = _conf(r)
        database: Database | None = conf.city
        record = None if database is None else database.city(_address(r, conf))
        if record is None:
            return None
        found = record[field]
        return form % found if form else found

    return get


module = Module(
    name="http_geoip",
    configure_flag="--with-http_geoip_module",
    confs=(GeoipConf,),
    variables=(
        Variable("geoip_country_code", _country("code")),
        Variable("geoip_country_code3", _country("code3")),
        Variable("geoip_country_name", _country("name")),
        Variable("geoip_org", _organization),
        Variable("geoip_city_continent_code", _city("continent_code")),
        Variable("geoip_city_country_code", _city("country_code")),
        Variable("geoip_city_country_code3", _city("country_code3")),
        Variable("geoip_city_country_name", _city("country_name")),
        Variable("geoip_region", _city("region")),
        Variable("geoip_region_name", _city("region_name")),
        Variable("geoip_city", _city("city")),
        Variable("geoip_postal_code", _city("postal_code")),
        Variable("geoip_latitude", _city("latitude", b"%.4f")),
        Variable("geoip_longitude", _city("longitude", b"%.4f")),
        Variable("geoip_dma_code", _city("dma_code", b"%d")),
        Variable("geoip_area_code", _city("area_code", b"%d")),
    ),
)
