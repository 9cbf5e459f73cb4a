"""The known vulnerabilities of nginx itself, for those who run the same configuration with it.

Facts: https://nginx.org/en/security_advisories.html. Only asked for with `--nginx-version`.
"""

from __future__ import annotations

from collections.abc import Iterator

from geng.lint.checks import examples
from geng.lint.model import Check, Found, Severity
from geng.lint.tree import Place, Tree

Version = tuple[int, ...]


def version(text: str) -> Version:
    """`1.28.3` as numbers; raises ValueError."""
    return tuple(int(part) for part in text.strip().split("."))


def concerns(asked: Version, vulnerable: str, good: str) -> bool:
    """Whether the version *asked* is in a range of *vulnerable* and not yet repaired in its branch."""
    for fixed in map(version, good.split(",")):
        if fixed[:2] == asked[:2] and asked >= fixed:
            return False
    for span in vulnerable.split(","):
        low, _, high = span.strip().partition("-")
        if version(low) <= asked <= version(high or low):
            return True
    return False


def nginx_cves(tree: Tree) -> Iterator[Found]:
    if not tree.nginx_version or not tree.root.children:
        return
    asked = version(tree.nginx_version)
    for line in KNOWN.strip().splitlines():
        number, vulnerable, good, triggers, name = (part.strip() for part in line.split("|"))
        if not concerns(asked, vulnerable, good):
            continue
        place = _place(tree, triggers.split())
        if place is not None:
            first = good.split(",")[0]
            yield Found(place, f"{number}: {name}, in nginx {tree.nginx_version}", 0, f"repaired in {first}")


def _place(tree: Tree, triggers: list[str]) -> Place | None:
    """What in *tree* the fault needs; any place where it needs nothing."""
    if not triggers:
        return tree.root.first("http") or tree.root.children[0]
    for trigger in triggers:
        places = [_used(tree, name) for name in trigger.split("+")]
        if all(place is not None for place in places):
            return places[0]
    return None


def _used(tree: Tree, name: str) -> Place | None:
    for place in tree.named(name):
        if place.args[:1] != ("off",) and (name != "map" or any(row.name.startswith("~") for row in place.children)):
            return place
    if name in ("quic", "http2", "spdy"):
        return next((listen for listen in tree.named("listen") if name in listen.args), None)
    return None


#: number | vulnerable | repaired in | what the configuration must have, any of (a+b: both) | name
KNOWN = """\
CVE-2026-15176 | 0.1.29-1.31.6 | 1.31.7, 1.30.6 | alias+rewrite | Buffer overflow when using alias with rewrite
CVE-2026-93479 | 1.30.0-1.30.5, 1.31.2-1.31.6 | 1.31.7, 1.30.6 |  | Buffer overflow in string expressions with variables
CVE-2026-95101 | 1.25.0-1.31.6 | 1.31.7, 1.30.6 | quic+proxy_pass | Request body injection in HTTP/3
CVE-2026-97629 | 1.23.2-1.31.6 | 1.31.7, 1.30.6 | ssl_session_cache | Session forgery when ticket keys are rotated
CVE-2026-97205 | 0.8.11-1.31.6 | 1.31.7, 1.30.6 | ssi+aio | Use-after-free in ngx_http_ssi_module when using AIO
CVE-2026-90439 | 1.29.2-1.31.5 | 1.31.6, 1.30.5 | quic | Buffer overflow in ngx_http_v3_module
CVE-2026-42533 | 0.9.6-1.31.2 | 1.31.3, 1.30.4 | map | Buffer overflow when using map and regex
CVE-2026-60005 | 1.15.8-1.31.2 | 1.31.3, 1.30.4 | slice | Memory disclosure when using ngx_http_slice_module
CVE-2026-56434 | 0.8.11-1.31.2 | 1.31.3, 1.30.4 | ssi | Use-after-free when using ngx_http_ssi_module
CVE-2026-42530 | 1.31.0-1.31.1 | 1.31.2 | quic | Use-after-free in HTTP/3
CVE-2026-42055 | 1.13.10-1.31.1 | 1.31.2, 1.30.3 | grpc_pass | Buffer overflow in proxy_v2 and grpc
CVE-2026-48142 | 0.3.50-1.31.1 | 1.31.2, 1.30.3 | charset | Buffer overread in ngx_http_charset_module
CVE-2026-9256 | 0.1.17-1.31.0 | 1.31.1, 1.30.2 | rewrite | Buffer overflow in ngx_http_rewrite_module
CVE-2026-42926 | 1.29.4-1.30.0 | 1.31.0, 1.30.1 | proxy_http_version | HTTP/2 request injection in ngx_http_proxy_module
CVE-2026-42945 | 0.6.27-1.30.0 | 1.31.0, 1.30.1 | rewrite | Buffer overflow in ngx_http_rewrite_module
CVE-2026-42946 | 0.8.42-1.30.0 | 1.31.0, 1.30.1 | scgi_pass uwsgi_pass | Buffer overread in scgi and uwsgi
CVE-2026-42934 | 0.3.50-1.30.0 | 1.31.0, 1.30.1 | charset | Buffer overread in ngx_http_charset_module
CVE-2026-40460 | 1.25.0-1.30.0 | 1.31.0, 1.30.1 | quic | HTTP/3 address spoofing
CVE-2026-40701 | 1.19.0-1.30.0 | 1.31.0, 1.30.1 | ssl_ocsp | resolver use-after-free in OCSP
CVE-2026-27654 | 0.5.13-1.29.6 | 1.29.7, 1.28.3 | dav_methods | Buffer overflow in ngx_http_dav_module
CVE-2026-27784 | 1.1.19-1.29.6 | 1.29.7, 1.28.3 | mp4 | Buffer overflow in ngx_http_mp4_module
CVE-2026-32647 | 1.1.19-1.29.6 | 1.29.7, 1.28.3 | mp4 | Buffer overflow in ngx_http_mp4_module
CVE-2026-27651 | 0.5.15-1.29.6 | 1.29.7, 1.28.3 | mail | null pointer dereference while using CRAM-MD5 or APOP
CVE-2026-28753 | 0.6.27-1.29.6 | 1.29.7, 1.28.3 | mail | Injection in auth_http and XCLIENT
CVE-2026-28755 | 1.27.2-1.29.6 | 1.29.7, 1.28.3 | ssl_ocsp | OCSP result bypass in stream
CVE-2026-1642 | 1.3.0-1.29.4 | 1.29.5, 1.28.2 | proxy_pass | SSL upstream injection
CVE-2025-53859 | 0.7.22-1.29.0 | 1.29.1 | mail | Buffer overread in ngx_mail_smtp_module
CVE-2025-23419 | 1.11.4-1.27.3 | 1.27.4, 1.26.3 | ssl_verify_client | SSL session reuse vulnerability
CVE-2024-7347 | 1.5.13-1.27.0 | 1.27.1, 1.26.2 | mp4 | Buffer overread in ngx_http_mp4_module
CVE-2024-32760 | 1.25.0-1.25.5, 1.26.0 | 1.27.0, 1.26.1 | quic | Buffer overwrite in HTTP/3
CVE-2024-31079 | 1.25.0-1.25.5, 1.26.0 | 1.27.0, 1.26.1 | quic | Stack overflow and use-after-free in HTTP/3
CVE-2024-35200 | 1.25.0-1.25.5, 1.26.0 | 1.27.0, 1.26.1 | quic | null pointer dereference in HTTP/3
CVE-2024-34161 | 1.25.0-1.25.5, 1.26.0 | 1.27.0, 1.26.1 | quic | Memory disclosure in HTTP/3
CVE-2024-24989 | 1.25.3 | 1.25.4 | quic | null pointer dereference in HTTP/3
CVE-2024-24990 | 1.25.0-1.25.3 | 1.25.4 | quic | Use-after-free in HTTP/3
CVE-2022-41741 | 1.1.3-1.23.1, 1.0.7-1.0.15 | 1.23.2, 1.22.1 | mp4 | Memory corruption in ngx_http_mp4_module
CVE-2022-41742 | 1.1.3-1.23.1, 1.0.7-1.0.15 | 1.23.2, 1.22.1 | mp4 | Memory disclosure in ngx_http_mp4_module
CVE-2021-23017 | 0.6.18-1.20.0 | 1.21.0, 1.20.1 | resolver | 1-byte memory overwrite in resolver
CVE-2019-9511 | 1.9.5-1.17.2 | 1.17.3, 1.16.1 | http2 | Excessive CPU usage in HTTP/2 with small window updates
CVE-2019-9513 | 1.9.5-1.17.2 | 1.17.3, 1.16.1 | http2 | Excessive CPU usage in HTTP/2 with priority changes
CVE-2019-9516 | 1.9.5-1.17.2 | 1.17.3, 1.16.1 | http2 | Excessive memory usage in HTTP/2 with zero length headers
CVE-2018-16843 | 1.9.5-1.15.5 | 1.15.6, 1.14.1 | http2 | Excessive memory usage in HTTP/2
CVE-2018-16844 | 1.9.5-1.15.5 | 1.15.6, 1.14.1 | http2 | Excessive CPU usage in HTTP/2
CVE-2018-16845 | 1.1.3-1.15.5, 1.0.7-1.0.15 | 1.15.6, 1.14.1 | mp4 | Memory disclosure in ngx_http_mp4_module
CVE-2017-7529 | 0.5.6-1.13.2 | 1.13.3, 1.12.1 |  | Integer overflow in the range filter
CVE-2016-4450 | 1.3.9-1.11.0 | 1.11.1, 1.10.1 |  | null pointer dereference while writing client request body
CVE-2016-0742 | 0.6.18-1.9.9 | 1.9.10, 1.8.1 | resolver | Invalid pointer dereference in resolver
CVE-2016-0746 | 0.6.18-1.9.9 | 1.9.10, 1.8.1 | resolver | Use-after-free during CNAME response processing in resolver
CVE-2016-0747 | 0.6.18-1.9.9 | 1.9.10, 1.8.1 | resolver | Insufficient limits of CNAME resolution in resolver
CVE-2014-3616 | 0.5.6-1.7.4 | 1.7.5, 1.6.2 | ssl_session_cache | SSL session reuse vulnerability
CVE-2014-3556 | 1.5.6-1.7.3 | 1.7.4, 1.6.1 | mail | STARTTLS command injection
CVE-2014-0133 | 1.3.15-1.5.11 | 1.5.12, 1.4.7 | spdy | SPDY heap buffer overflow
CVE-2014-0088 | 1.5.10 | 1.5.11 | spdy | SPDY memory corruption
CVE-2013-4547 | 0.8.41-1.5.6 | 1.5.7, 1.4.4 |  | Request line parsing vulnerability
CVE-2013-2070 | 1.1.4-1.2.8, 1.3.9-1.4.0 | 1.5.0, 1.4.1, 1.2.9 | proxy_pass | Memory disclosure by responses of upstreams
CVE-2013-2028 | 1.3.9-1.4.0 | 1.5.0, 1.4.1 |  | Stack-based buffer overflow with specially crafted request
CVE-2012-2089 | 1.1.3-1.1.18, 1.0.7-1.0.14 | 1.1.19, 1.0.15 | mp4 | Buffer overflow in ngx_http_mp4_module
CVE-2012-1180 | 0.1.0-1.1.16 | 1.1.17, 1.0.14 | proxy_pass | Memory disclosure with specially crafted backend responses
CVE-2011-4315 | 0.6.18-1.1.7 | 1.1.8, 1.0.10 | resolver | Buffer overflow in resolver
CVE-2009-3555 | 0.1.0-0.8.22 | 0.8.23, 0.7.64 | ssl_certificate | The renegotiation vulnerability in SSL protocol
CVE-2009-3898 | 0.1.0-0.8.16 | 0.8.17, 0.7.63 |  | Directory traversal vulnerability
CVE-2009-2629 | 0.1.0-0.8.14 | 0.8.15, 0.7.62, 0.6.39, 0.5.38 |  | Buffer underflow vulnerability
CVE-2009-3896 | 0.1.0-0.8.13 | 0.8.14, 0.7.62, 0.6.39, 0.5.38 |  | Null pointer dereference vulnerability
"""

CHECKS = (
    Check(
        "nginx_cves",
        Severity.WARNING,
        "known vulnerabilities of nginx",
        """
With `--nginx-version X.Y.Z`: what nginx.org lists for that version, as far as the configuration uses the module concerned.
geng has code of its own and is not concerned by them.
""",
        examples.location("mp4;\nroot /srv/films;"),
        examples.location("root /srv/films;"),
        run=nginx_cves,
        options={"nginx_version": "1.27.0"},
    ),
)
