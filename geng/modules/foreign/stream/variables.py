"""The variables of stream{}, by name: whether one exists is all that is asked of them yet.

nginx: ngx_stream_variables.c and the modules in src/stream
"""

from __future__ import annotations

from geng.http.module import CHANGEABLE, PREFIX, Getter, Variable
from geng.modules.foreign.table import nothing

PLAIN = """
    binary_remote_addr remote_addr remote_port proxy_protocol_addr proxy_protocol_port proxy_protocol_server_addr
    proxy_protocol_server_port server_addr server_port server_name bytes_sent bytes_received session_time status
    connection nginx_version hostname pid msec time_iso8601 time_local protocol upstream_addr upstream_bytes_sent
    upstream_connect_time upstream_first_byte_time upstream_session_time upstream_bytes_received limit_conn_status
    realip_remote_addr realip_remote_port ssl_preread_protocol ssl_preread_server_name ssl_preread_alpn_protocols
"""

#: these a `map` or `set` may define anew
OF_TLS = """
    ssl_protocol ssl_cipher ssl_ciphers ssl_curve ssl_curves ssl_sigalg ssl_sigalgs ssl_session_id ssl_session_reused
    ssl_server_name ssl_alpn_protocol ssl_ech_status ssl_ech_outer_server_name ssl_client_cert ssl_client_raw_cert
    ssl_client_escaped_cert ssl_client_s_dn ssl_client_i_dn ssl_client_serial ssl_client_fingerprint ssl_client_verify
    ssl_client_v_start ssl_client_v_end ssl_client_v_remain ssl_client_sigalg
"""

OF_GEOIP = """
    geoip_country_code geoip_country_code3 geoip_country_name geoip_org geoip_city_continent_code
    geoip_city_country_code geoip_city_country_code3 geoip_city_country_name geoip_region geoip_region_name geoip_city
    geoip_postal_code geoip_latitude geoip_longitude geoip_dma_code geoip_area_code
"""


def nothing_of(name: str) -> Getter:
    return nothing


VARIABLES: tuple[Variable, ...] = (
    *(Variable(name, nothing) for name in PLAIN.split()),
    *(Variable(name, nothing, CHANGEABLE) for name in OF_TLS.split()),
    *(Variable(name, nothing) for name in OF_GEOIP.split()),
    Variable("proxy_protocol_tlv_", flags=PREFIX, prefix_get=nothing_of),
)
