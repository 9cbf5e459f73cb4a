"""Whose PROXY header is believed: `set_real_ip_from`.   nginx: ngx_mail_realip_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.directive import Level
from geng.mail.conf import MailServer
from geng.modules.http.realip import RealIpConf

if TYPE_CHECKING:
    from geng.conf.compiler import Cf


class MailRealIp(RealIpConf, level=Level.SERVER):
    """What one server says."""

    def check(self, cf: Cf) -> None:
        super().check(cf)
        cf[MailServer].networks = self.networks
