"""Directives of the main level and of events that geng does not run.

nginx: ngx_google_perftools_module.c
"""

from __future__ import annotations

from geng.conf.convert import string
from geng.conf.directive import Conf, Level
from geng.modules.foreign.table import Foreign


class PerftoolsConf(Foreign, level=Level.MAIN, module="google_perftools", rules={"google_perftools_profiles": string}):
    """Google's profiler."""


MAIN_CONFS: tuple[type[Conf], ...] = (PerftoolsConf,)
