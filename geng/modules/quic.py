"""`quic_bpf`: may clients of QUIC move?   nginx: ngx_event_quic_bpf.c; docs/quic.md

In nginx it needs root and eBPF, and reuseport. What it is for, that a datagram gets to the worker that its connection
belongs to, geng does always, by other means (geng.quic.listen): there is nothing to turn on.
"""

from __future__ import annotations

from geng.conf.convert import flag
from geng.conf.directive import Conf, Level, directive
from geng.conf.tables import MAIN


class QuicBpfConf(Conf, level=Level.MAIN):
    """The one directive of the main level."""

    bpf: bool = directive("quic_bpf", MAIN, flag, default=False)
