"""Databases of MaxMind's legacy format, read by their library libGeoIP, which is only loaded where it is needed.

nginx: ngx_http_geoip_module.c, ngx_stream_geoip_module.c, which use it as well
"""

from __future__ import annotations

from ctypes import CDLL, POINTER, Structure, c_char_p, c_float, c_int, c_ubyte, c_uint64, c_ulong, c_void_p, cast
from functools import lru_cache
from typing import Any

LIBRARY = "libGeoIP.so.1"
MEMORY_CACHE, SILENCE = 1, 16
UTF8 = 1
NO_ADDRESS = 0xFFFFFFFF

#: Editions (GeoIPDBTypes), by what they are about; those behind the bar hold IPv6 addresses.
COUNTRY = ({1}, {12})
ORGANIZATION = ({4, 5, 9, 11}, {21, 22, 23, 24})
CITY = ({2, 6}, {30, 31})

Address = tuple[int, int]
"""(version, number), as geng.core.cidr.parse() gives it."""


class In6Addr(Structure):
    """geoipv6_t: sixteen bytes, in the order of the network."""

    _fields_ = (("high", c_uint64), ("low", c_uint64))


class Record(Structure):
    """GeoIPRecord."""

    _fields_ = (
        ("country_code", c_char_p),
        ("country_code3", c_char_p),
        ("country_name", c_char_p),
        ("region", c_char_p),
        ("city", c_char_p),
        ("postal_code", c_char_p),
        ("latitude", c_float),
        ("longitude", c_float),
        ("dma_code", c_int),
        ("area_code", c_int),
        ("charset", c_int),
        ("continent_code", c_char_p),
        ("netmask", c_int),
    )


@lru_cache(1)
def library() -> Any:
    """The library, its functions declared; None where it is not installed."""
    try:
        lib: Any = CDLL(LIBRARY)
        libc: Any = CDLL(None)
    except OSError:
        return None
    declare(lib.GeoIP_open, c_void_p, c_char_p, c_int)
    declare(lib.GeoIP_delete, None, c_void_p)
    declare(lib.GeoIP_database_edition, c_ubyte, c_void_p)
    declare(lib.GeoIP_set_charset, c_int, c_void_p, c_int)
    declare(lib.GeoIP_region_name_by_code, c_char_p, c_char_p, c_char_p)
    declare(lib.GeoIPRecord_delete, None, POINTER(Record))
    for suffix, address in (("", c_ulong), ("_v6", In6Addr)):
        for what in ("code", "code3", "name"):
            declare(getattr(lib, f"GeoIP_country_{what}_by_ipnum{suffix}"), c_char_p, c_void_p, address)
        declare(getattr(lib, f"GeoIP_name_by_ipnum{suffix}"), c_void_p, c_void_p, address)
        declare(getattr(lib, f"GeoIP_record_by_ipnum{suffix}"), POINTER(Record), c_void_p, address)
    declare(libc.free, None, c_void_p)
    lib.free = libc.free
    return lib


def declare(function: Any, result: Any, *arguments: Any) -> None:
    """What *function* takes and returns."""
    function.restype = result
    function.argtypes = list(arguments)


class Database:
    """One open database, all of it in memory. *editions* is COUNTRY, ORGANIZATION or CITY."""

    def __init__(self, path: bytes, utf8: bool) -> None:
        """Raises OSError."""
        self.lib = library()
        self.handle = self.lib.GeoIP_open(path, MEMORY_CACHE | SILENCE)
        if not self.handle:
            raise OSError(path)
        if utf8:
            self.lib.GeoIP_set_charset(self.handle, UTF8)
        self.edition: int = self.lib.GeoIP_database_edition(self.handle)
        self.suffix = ""

    def __repr__(self) -> str:
        return f"<Database of edition {self.edition}>"

    def __del__(self) -> None:
        handle, self.handle = self.handle, None
        if handle:
            self.lib.GeoIP_delete(handle)

    def is_one_of(self, editions: tuple[set[int], set[int]]) -> bool:
        """Whether it is of one of *editions*; which addresses it holds is known then."""
        self.suffix = "_v6" if self.edition in editions[1] else ""
        return self.edition in editions[0] or self.edition in editions[1]

    def _ask(self, function: str, address: Address) -> Any:
        version, number = address
        ask = getattr(self.lib, function + self.suffix)
        if not self.suffix:
            return ask(self.handle, number if version == 4 else NO_ADDRESS)
        if version == 4:
            number |= 0xFFFF << 32
        elif version == 0:
            number = 0
        packed = number.to_bytes(16, "big")
        return ask(self.handle, In6Addr.from_buffer_copy(packed))

    def country(self, what: str, address: Address) -> bytes | None:
        """*what*: `code`, `code3` or `name`."""
        found: bytes | None = self._ask(f"GeoIP_country_{what}_by_ipnum", address)
        return found

    def organization(self, address: Address) -> bytes | None:
        """Its name."""
        found = self._ask("GeoIP_name_by_ipnum", address)
        if not found:
            return None
        name = cast(found, c_char_p).value
        self.lib.free(found)
        return name

    def city(self, address: Address) -> dict[str, Any] | None:
        """The fields of Record, and `region_name`."""
        found = self._ask("GeoIP_record_by_ipnum", address)
        if not found:
            return None
        record = found.contents
        made = {name: getattr(record, name) for name, _ in Record._fields_}
        self.lib.GeoIPRecord_delete(found)
        code, region = made["country_code"], made["region"]
        made["region_name"] = self.lib.GeoIP_region_name_by_code(code, region) if code and region else None
        return made
