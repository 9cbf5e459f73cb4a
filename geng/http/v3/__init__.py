"""HTTP/3 (RFC 9114) over geng.quic."""
