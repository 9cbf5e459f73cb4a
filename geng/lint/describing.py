"""What a directive is, for people: syntax, default, contexts, told by the conf classes that the server itself reads with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from geng.conf import convert, tables
from geng.conf.directive import UNSET, Conf, Directive
from geng.conf.tables import MAIL, MAIL_SRV, STREAM, STREAM_SRV
from geng.lint.tree import CONTEXT_NAMES

DOCUMENTATION = "https://nginx.org/en/docs/"

WORDS: dict[Any, str] = {
    convert.flag: "on | off",
    convert.num: "number",
    convert.string: "string",
    convert.octets: "string",
    convert.size: "size",
    convert.off: "size",
    convert.msec: "time",
    convert.sec: "time",
    convert.bufs: "number size",
    convert.keyval: "name value",
    convert.access: "users:permissions ...",
    convert.path: "path [level1 [level2 [level3]]]",
    convert.complex_value: "string",
    convert.complex_text: "string",
    convert.complex_size: "size",
    convert.predicates: "string ...",
    convert.lowat: "size",
}
"""The arguments that a converter takes."""

BY_ARITY = {"0": "", "1": "value", "2": "value value", "12": "value [value]", "flag": "on | off", "1+": "value ...",
            "2+": "value value ...", "13": "value [value value]", "123": "value [value [value]]", "0+": "[value ...]",
            "01": "[value]", "34": "value value value [value]"}  # fmt: skip

COMPUTED_TEXT = """
access_log = logs/access.log combined | addition_types = text/html | aio = off | ancient_browser_value = 1
auth_basic = off | auth_http_pass_client_cert = off | auth_http_timeout = 60s | auth_request = off | charset = off
charset_types = text/html text/xml text/plain text/vnd.wap.wml application/javascript application/rss+xml
client_body_temp_path = client_body_temp | connection_pool_size = 512 | daemon = on | default_type = text/plain
directio = off | disable_symlinks = off | error_log = logs/error.log error | expires = off | gzip_types = text/html
grpc_set_header = Content-Length $content_length | http2_idle_timeout = 3m | http2_max_field_size = 4k
http2_max_header_size = 16k | http2_max_requests = 1000 | http2_recv_timeout = 30s | http3 = on | http3_hq = off
http3_max_concurrent_streams = 128 | http3_stream_buffer_size = 64k | image_filter = off | imap_auth = plain
imap_capabilities = IMAP4 IMAP4rev1 UIDPLUS | imap_client_buffer = 4k | index = index.html | keepalive = 32 local
keepalive_disable = msie6 | keepalive_timeout = 75s | limit_rate = 0 | limit_rate_after = 0 | listen = *:80
lock_file = logs/nginx.lock | log_format = combined ... | mail_proxy proxy_buffer = 4k | mail_proxy proxy_protocol = off
mail_proxy proxy_timeout = 24h | mail_core server_name = hostname | master_process = on
max_errors = 5 | env = TZ | mirror = off | modern_browser_value = 1
open_file_cache = off | open_log_file_cache = off | pid = logs/nginx.pid | pop3_auth = plain
pop3_capabilities = TOP USER UIDL | proxy_cache_key = $scheme$proxy_host$request_uri | proxy_download_rate = 0
proxy_pass_error_message = off | proxy_redirect = default | proxy_set_header = Host $proxy_host | proxy_smtp_auth = off
proxy_ssl_name = $proxy_host | proxy_store = off | proxy_upload_rate = 0 | quic_active_connection_id_limit = 2
quic_gso = off | quic_retry = off | real_ip_header = X-Real-IP | resolver_timeout = 30s | root = html
server_name = "" | smtp_auth = plain login | smtp_client_buffer = 4k | smtp_greeting_delay = 0 | ssi_types = text/html
ssl_certificate_cache = off | ssl_certificate_compression = off | ssl_ocsp_cache = off | ssl_session_cache = none
starttls = off | stream_proxy proxy_ssl_name = host from proxy_pass
sub_filter_types = text/html | thread_pool = default threads=32 max_queue=65536 | timeout = 60s
tunnel_buffer_size = 16k | tunnel_connect_timeout = 60s | tunnel_next_upstream = error timeout | tunnel_read_timeout = 60s
tunnel_send_lowat = 0 | tunnel_send_timeout = 60s | tunnel_socket_keepalive = off | types = text/html html; ...
user = nobody | userid_domain = none | userid_expires = off | userid_mark = off | userid_p3p = none | userid_path = /
worker_connections = 512 | worker_priority = 0 | worker_processes = 1 | xclient = on | xslt_types = text/xml
"""


def _pairs(text: str) -> dict[str, str]:
    """`name = value`, parted by ` | ` or line ends."""
    each = [part.split(" = ", 1) for line in text.strip().splitlines() for part in line.split(" | ")]
    return {name.strip(): value.strip() for name, value in each}


COMPUTED = _pairs(COMPUTED_TEXT)
"""Defaults that are not in a field's declaration, because they are made of more than it; by name, or module and name."""

ARGUMENTS = _pairs("""
add_header = name value [always] | auth_http = URL | auth_http_header = header value | env = variable[=value]
error_log = file [level] | hash = key [consistent] | imap_auth = method ... | include = file or mask
imap_capabilities = extension ... | log_format = name [escape=kind] string ... | pop3_auth = method ...
open_log_file_cache = off or max=N [inactive=time] [min_uses=N] [valid=time] | pop3_capabilities = extension ...
protocol = imap or pop3 or smtp | proxy_cache_valid = [code ...] time | quic_host_key = file
random = [two [method]] | return = value | server_product = name[/version] | smtp_auth = method ... | upstream = name
smtp_capabilities = extension ... | split_clients = string $variable | ssl_alpn = protocol ... | timeout = time
ssl_ech_file = file | ssl_stapling_file = file | ssl_stapling_responder = URL | ssl_ocsp_responder = URL
starttls = on or off or only | zone = name [size] | proxy_ssl_alpn = protocol ... | max_errors = number
ssl_dhparam = file | ssl_crl = file | ssl_certificate = file | ssl_certificate_key = file | ssl_client_certificate = file
ssl_trusted_certificate = file | ssl_session_ticket_key = file | userid_domain = name or none | userid_path = path
userid_p3p = string or none | proxy_ssl_name = name | geo = [$address] $variable | map = string $variable
limit_conn_zone = key zone=name:size | limit_conn = zone number | smtp_greeting_delay = time | auth_http_timeout = time
proxy_protocol = on or off | imap_client_buffer = size | smtp_client_buffer = size | ssl_conf_command = name value
""")
"""What no converter or docstring says; `or` stands for a bar."""

BY_ENDING = {"_bind": "address [transparent] | off", "_cache_valid": "[code ...] time",
             "_param": "name value [if_not_empty]", "_types": "mime-type ...",
             "_certificate_cache": "off | max=N [inactive=time] [valid=time]",
             "_password_file": "file", "_certificate": "file", "_certificate_key": "file", "_crl": "file",
             "_conf_command": "name value", "_size": "size", "_timeout": "time"}  # fmt: skip

PASSING = ("proxy", "fastcgi", "uwsgi", "scgi", "grpc", "memcached")
OF_PASSING = {"busy_buffers_size": "8k", "cache": "off", "cache_methods": "GET HEAD", "cache_use_stale": "off",
              "cookie_domain": "off", "cookie_flags": "off", "cookie_path": "off", "limit_rate": "0",
              "max_temp_file_size": "1024m", "ssl_certificate_cache": "off", "store": "off",
              "temp_file_write_size": "8k"}  # fmt: skip
"""Behind the names of the protocols."""

BORROWED = ("ssl_", "proxy_ssl_", "limit_conn_", "map_hash_")
"""In stream and mail these are as in http."""

UNLIMITED = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Description:
    """A directive of one module. *default* is "" where there is none."""

    module: str
    syntax: str
    default: str
    contexts: str
    link: str

    def markdown(self) -> str:
        default = f"`{self.default}`" if self.default else "none"
        head = f"```nginx\n{self.syntax}\n```\n- default: {default}\n- context: {self.contexts}\n"
        return f"{head}- module: [{self.module}]({self.link})"


def describe(name: str) -> list[Description]:
    """What is known of the directive *name*: one for each module that has one of that name."""
    return [_description(entry) for entry in tables.entries(name)]


def _description(entry: tables.Entry) -> Description:
    known = _commands().get(entry.name, [])
    found = next((each for each in known if each[0] & entry.contexts), None)
    if known and (found is None or not found[2]) and entry.name.startswith(BORROWED):
        found = next((each for each in known if each[2]), found)
    default = "" if found is None else found[2]
    arguments = _written(
        entry, next((each[1] for each in [found, *known] if each is not None and each[1] is not None), None)
    )
    syntax = f"{entry.name} {arguments}".rstrip()
    syntax = f"{syntax} {{ … }}" if entry.block and "{" not in syntax else syntax
    default = default or _computed(entry)
    where = ", ".join(text for bit, text in CONTEXT_NAMES.items() if entry.contexts & bit)
    ending = "" if "{" in syntax else ";"
    return Description(entry.module, syntax + ending, f"{entry.name} {default};" if default else "", where, link(entry))


def _written(entry: tables.Entry, said: str | None) -> str:
    """The arguments; *said*: by a converter or a docstring."""
    if entry.name in ARGUMENTS and said is None:
        return ARGUMENTS[entry.name].replace(" or ", " | ")
    if said is None:
        ending = next((arguments for end, arguments in BY_ENDING.items() if entry.name.endswith(end)), None)
        return BY_ARITY.get(entry.arity, "value ...") if ending is None else ending
    return said


def _computed(entry: tables.Entry) -> str:
    own = COMPUTED.get(f"{entry.module} {entry.name}")
    if own is not None:
        return own
    if entry.contexts & (MAIL | MAIL_SRV | STREAM | STREAM_SRV) and entry.name in ("listen", "access_log", "log_format"):
        return "off" if entry.name == "access_log" else ""
    prefix, _, rest = entry.name.partition("_")
    if prefix in PASSING and entry.module == f"http_{prefix}":
        if rest == "temp_path":
            return f"{prefix}_temp"
        if rest in OF_PASSING:
            return OF_PASSING[rest]
    return COMPUTED.get(entry.name, "")


def link(entry: tables.Entry) -> str:
    """The page of nginx.org about it."""
    module = entry.module.removesuffix("_filter")
    folder = next((kind for kind in ("http", "stream", "mail") if module == kind or module.startswith(f"{kind}_")), "")
    if not folder:
        return f"{DOCUMENTATION}ngx_core_module.html#{entry.name}"
    if module == folder:
        module = f"{folder}_core"
    if module.startswith(f"{folder}_upstream"):
        module = f"{folder}_upstream"
    return f"{DOCUMENTATION}{folder}/ngx_{module}_module.html#{entry.name}"


@lru_cache(maxsize=1)
def _commands() -> dict[str, list[tuple[int, str | None, str]]]:
    """By name: contexts, arguments (None: unknown), default."""
    made: dict[str, list[tuple[int, str | None, str]]] = {}
    for cls in _classes():
        for name, known in cls.commands.items():
            declared = getattr(known.set, "__self__", None)
            if isinstance(declared, Directive):
                said = (known.contexts, _arguments(declared.convert), _default(declared))
            else:
                said = (known.contexts, _from_docstring(name, known.set.__doc__ or ""), "")
            made.setdefault(name, []).append(said)
    return made


def _classes() -> Iterator[type[Conf]]:
    """Every conf class: importing the modules' lists makes them all."""
    from geng.modules import core, events, foreign  # noqa: F401
    from geng.modules.http import HTTP_MODULES
    from geng.modules.stream import STREAM_MODULES  # noqa: F401

    foreign.http_modules(HTTP_MODULES)
    waiting: list[type[Conf]] = [Conf]
    while waiting:
        cls = waiting.pop(0)
        waiting += cls.__subclasses__()
        if cls is not Conf:
            yield cls


def _arguments(converter: Any) -> str | None:
    known = WORDS.get(converter) if getattr(converter, "__hash__", None) else None
    if known is not None:
        return known
    choices = getattr(converter, "choices", None)
    if choices is not None:
        return " | ".join(choices)
    if isinstance(converter, convert.bitmask):
        return _cased(" | ".join(name.decode() for name in converter.masks)) + " ..."
    return {"bounded": "number", "mime_types": "mime-type ..."}.get(getattr(converter, "__qualname__", "").partition(".")[0])


def _from_docstring(name: str, text: str) -> str | None:
    """What stands in the first backquotes, if it is about *name* or a name that it was borrowed from."""
    _, _, behind = text.partition("`")
    said, mark, _ = behind.partition("`")
    if not mark:
        return None
    return said.partition(" ")[2]


def _default(declared: Directive) -> str:
    value, converter = declared.default, declared.convert
    if value is UNSET or value is None or callable(value):
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    choices = getattr(converter, "choices", None)
    if choices is not None:
        return next((str(name) for name, each in choices.items() if each == value), "")
    if isinstance(converter, convert.bitmask):
        names = [name.decode() for name, mask in converter.masks.items() if mask & value == mask and mask]
        return _cased(" ".join(names))
    if converter is convert.bufs and isinstance(value, tuple):
        return f"{value[0]} {_size(value[1])}"
    if isinstance(value, int):
        return _number(value, converter)
    said = value.decode() if isinstance(value, bytes) else value
    return said if isinstance(said, str) and not said.startswith(";") else ""


def _cased(names: str) -> str:
    """Names of protocols as they are usually written; nginx takes both."""
    return names.replace("tlsv", "TLSv").replace("sslv", "SSLv")


def _number(value: int, converter: Any) -> str:
    if converter is convert.access:
        return "user:rw" if value == 0o600 else ""
    if value < 0 or value >= UNLIMITED:
        return ""
    if converter is convert.msec:
        return _time(value)
    if converter is convert.sec:
        return _time(1000 * value)
    name = getattr(converter, "__qualname__", "")
    sized = converter in (convert.size, convert.off, convert.complex_size) or "size" in name or name.startswith("_power")
    return _size(value) if sized else str(value)


def _size(value: int) -> str:
    for unit, letter in ((1 << 20, "m"), (1 << 10, "k")):
        if value and value % unit == 0:
            return f"{value // unit}{letter}"
    return str(value)


def _time(value: int) -> str:
    """*value* in ms, as one would write it: 1h, 5m, 60s."""
    if not value:
        return "0"
    for unit, letter, least in ((3600_000, "h", 1), (60_000, "m", 5)):
        if value % unit == 0 and value // unit >= least:
            return f"{value // unit}{letter}"
    return f"{value}ms" if value % 1000 else f"{value // 1000}s"
