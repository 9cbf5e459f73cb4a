"""What `-v`, `-V` and `-h` say. Tools read nginx's version and its configure arguments there, so they tell the truth.

nginx: nginx.c (ngx_show_version_info), auto/options
"""

from __future__ import annotations

import platform
from importlib.util import find_spec

from geng import __version__
from geng.tls.openssl import NoOpenSsl, library

NGINX_VERSION = "1.31.5"
"""The nginx whose configuration and behaviour geng has."""

#: Modules that nginx builds unless `--without-http_X_module` says otherwise.
DEFAULT_MODULES = """
    charset gzip ssi userid access auth_basic mirror autoindex geo map split_clients referer rewrite proxy fastcgi uwsgi
    scgi grpc tunnel memcached limit_conn limit_req empty_gif browser upstream_hash upstream_ip_hash upstream_least_conn
    upstream_least_time upstream_random upstream_keepalive upstream_zone upstream_sticky
"""

#: Modules that nginx builds only with `--with-http_X_module`.
OPTIONAL_MODULES = """
    ssl v2 v3 realip addition xslt image_filter geoip sub dav flv mp4 gunzip gzip_static auth_request random_index
    secure_link degradation slice stub_status perl
"""

#: The same in stream{}.
STREAM_DEFAULT = """
    limit_conn access geo map split_clients return pass set upstream_hash upstream_least_conn upstream_least_time
    upstream_random upstream_zone
"""
STREAM_OPTIONAL = "ssl realip geoip ssl_preread"

#: nginx's name of a module where its configure option has another one.
FILTERS = {"charset": "charset_filter", "gzip": "gzip_filter", "ssi": "ssi_filter", "userid": "userid_filter",
           "addition": "addition_filter", "sub": "sub_filter", "gunzip": "gunzip_filter", "slice": "slice_filter",
           "xslt": "xslt_filter"}  # fmt: skip

#: What is only there with a package that geng does not need otherwise.
NEEDED = {"image_filter": "PIL", "xslt": "lxml"}

USAGE = """\
Usage: geng [-?hvVtTq] [-s signal] [-p prefix]
            [-e filename] [-c filename] [-g directives]

Options:
  -?,-h         : this help
  -v            : show version and exit
  -V            : show version and configure options then exit
  -t            : test configuration and exit
  -T            : test configuration, dump it and exit
  --as-nginx    : with -t, accept what nginx accepts even where geng cannot run it yet
  -q            : suppress non-error messages during configuration testing
  -s signal     : send signal to a master process: stop, quit, reopen, reload
  -p prefix     : set prefix path (default: the current directory)
  -e filename   : set error log file (default: logs/error.log)
  -c filename   : set configuration file (default: conf/nginx.conf)
  -g directives : set global directives out of configuration file

"""


def version() -> str:
    """The first lines of all three."""
    return f"nginx version: nginx/{NGINX_VERSION}\ngeng version: geng/{__version__}\n"


def details() -> str:
    """What `-V` adds."""
    return (
        f"built by {platform.python_implementation()} {platform.python_version()}\n{tls()}"
        f"configure arguments:{''.join(' ' + word for word in configure_arguments())}\n"
    )


def tls() -> str:
    """The lines about TLS; none where there is no OpenSSL."""
    try:
        return f"built with {library().version}\nTLS SNI support enabled\n"
    except NoOpenSsl:
        return ""


def configure_arguments() -> list[str]:
    """nginx's options for what geng can do: `--with-…` for what works, `--without-…` for what does not yet."""
    from geng.core.geoip import library as geoip_library
    from geng.modules.http import HTTP_MODULES
    from geng.modules.http.perl_process import find_perl
    from geng.modules.stream import STREAM_MODULES

    there = {module.name.removeprefix("http_") for module in HTTP_MODULES}

    if not tls():
        there.discard("ssl")

    def works(name: str) -> bool:
        if (name in NEEDED and find_spec(NEEDED[name]) is None) or (name == "geoip" and geoip_library() is None):
            return False
        if name == "perl" and find_perl() is None:
            return False
        return name in there or FILTERS.get(name, name) in there

    words = ["--with-debug"]
    words += [f"--with-http_{name}_module" for name in OPTIONAL_MODULES.split() if works(name)]
    words += [f"--without-http_{name}_module" for name in DEFAULT_MODULES.split() if not works(name)]
    here = {module.name.removeprefix("stream_") for module in STREAM_MODULES}
    if geoip_library() is None:
        here.discard("geoip")
    if not tls():
        here.discard("ssl")
    words.append("--with-mail")
    if tls():
        words.append("--with-mail_ssl_module")
    words.append("--with-stream")
    words += [f"--with-stream_{name}_module" for name in STREAM_OPTIONAL.split() if name in here]
    words += [f"--without-stream_{name}_module" for name in STREAM_DEFAULT.split() if name not in here]
    return words
