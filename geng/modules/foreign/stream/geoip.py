"""The variables of stream's geoip module, whose directives the tables know.   nginx: ngx_stream_geoip_module.c"""

from __future__ import annotations

from geng.http.module import Variable
from geng.modules.foreign.table import nothing
from geng.stream.module import Module

OF_GEOIP = """
    geoip_country_code geoip_country_code3 geoip_country_name geoip_org geoip_city_continent_code
    geoip_city_country_code geoip_city_country_code3 geoip_city_country_name geoip_region geoip_region_name geoip_city
    geoip_postal_code geoip_latitude geoip_longitude geoip_dma_code geoip_area_code
"""

module = Module(name="stream_geoip", variables=tuple(Variable(name, nothing) for name in OF_GEOIP.split()))
