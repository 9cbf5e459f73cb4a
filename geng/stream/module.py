"""What a stream module is: its confs, variables and phase handlers, in one object.

nginx: ngx_stream_module_t, ngx_stream.h (phases, status codes)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from geng.conf.directive import Conf

if TYPE_CHECKING:
    from geng.stream.conf import StreamServer

# A handler's verdicts, besides a status (>= 200) that ends the session. nginx: NGX_OK, NGX_DECLINED, NGX_ERROR
OK = 0  # the phase is over
ERROR = -1
DECLINED = -5  # the phase's next handler

# How a session ends: $status
ENDED = 200
BAD_REQUEST = 400
FORBIDDEN = 403
INTERNAL_SERVER_ERROR = 500
BAD_GATEWAY = 502
SERVICE_UNAVAILABLE = 503


class Phase(IntEnum):
    """nginx's phases of a session. CONTENT has one handler, which a directive of the server sets."""

    POST_ACCEPT = 0
    PREACCESS = 1
    ACCESS = 2
    SSL = 3
    PREREAD = 4
    CONTENT = 5
    LOG = 6


# Session in place of Any would be right, but handlers that http has too take either
Handler = Callable[[Any], int]
HandlerLink = Callable[["StreamServer"], "Handler | None"]


@dataclass(slots=True, frozen=True)
class Module:
    """One nginx module. Links are called once per server at start; what returns None costs nothing later.

    *name* is nginx's without `ngx_` and `_module` (`stream_access`). *start_worker(worker)* begins what runs besides
    sessions.
    """

    name: str
    confs: tuple[type[Conf], ...] = ()
    variables: tuple[Any, ...] = ()
    handlers: dict[Phase, HandlerLink] = field(default_factory=dict)
    postconfiguration: Callable[[Any], None] | None = None
    start_worker: Callable[[Any], None] | None = None
