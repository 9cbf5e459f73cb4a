"""What an HTTP module is: its confs, variables, phase handlers and filters, in one object.

nginx: ngx_http_module_t, ngx_http_core_module.h (phases).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from geng.conf.directive import Conf

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.request import Request

# A handler's verdicts, besides an HTTP status (>= 100). nginx: NGX_OK, NGX_DECLINED, NGX_DONE, NGX_ERROR.
OK = 0
DECLINED = -5
DONE = -4
ERROR = -1
CLOSE = 444  # close the connection without an answer (NGX_HTTP_CLOSE)


class Phase(IntEnum):
    """nginx's eleven phases; those without handlers of their own are walked by phases.py itself."""

    POST_READ = 0
    SERVER_REWRITE = 1
    FIND_CONFIG = 2
    REWRITE = 3
    POST_REWRITE = 4
    PREACCESS = 5
    ACCESS = 6
    POST_ACCESS = 7
    PRECONTENT = 8
    CONTENT = 9
    LOG = 10


# Flags of a variable (ngx_http_variables.h)
CHANGEABLE = 1
NOCACHEABLE = 2
PREFIX = 32
WEAK = 16

Getter = Callable[["Request"], "bytes | None"]
Setter = Callable[["Request", bytes], None]
Handler = Callable[["Request"], int]
HandlerLink = Callable[["CoreLoc"], "Handler | None"]
Filter = Callable[["Request", Callable[["Request"], Any]], Any]
FilterLink = Callable[["CoreLoc"], "Filter | None"]


@dataclass(slots=True, frozen=True)
class Variable:
    """A variable that a module defines. *get* returns its bytes, or None where nginx says "not found".

    With PREFIX in *flags*, *name* is a prefix (`http_`) and *prefix_get* makes the getter for one whole name.
    """

    name: str
    get: Getter | None = None
    flags: int = 0
    set: Setter | None = None
    prefix_get: Callable[[str], Getter] | None = None


@dataclass(slots=True, frozen=True)
class Module:
    """One nginx module. Links are called once per location at start; what returns None costs nothing later.

    *name* is nginx's without `ngx_` and `_module` (`http_access`). *configure_flag* is what `-V` prints when nginx
    has it off by default (`--with-http_realip_module`).
    """

    name: str
    confs: tuple[type[Conf], ...] = ()
    variables: tuple[Variable, ...] = ()
    handlers: dict[Phase, HandlerLink] = field(default_factory=dict)
    header_filter: FilterLink | None = None
    below_postpone: bool = False  # the filter works on the whole of a response, its subrequests' parts included
    preconfiguration: Callable[[Cf], None] | None = None
    postconfiguration: Callable[[Cf], None] | None = None
    init_worker: Callable[[Any], None] | None = None
    configure_flag: str = ""
