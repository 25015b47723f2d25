"""What starts smmapd or watches the gateway: Cyrus master, Prometheus.

Sources: cyrus.conf(5); Prometheus' documentation of scrape_config.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from gateway.config.endpoints import InetEndpoint

if TYPE_CHECKING:
    from gateway.config import Settings

_IMAPD_CONF = "/etc/imapd.conf"
_MASTER_SOCKET = "/run/cyrus/socket/smmap"


def program(name: str) -> str:
    """The path of one of our programs: beside the interpreter, in PATH, else the usual one."""
    beside = os.path.join(os.path.dirname(os.path.abspath(sys.executable)), name)
    if os.access(beside, os.X_OK):
        return beside
    return shutil.which(name) or f"/usr/bin/{name}"


def cyrus(settings: Settings) -> str:
    """The entry of cyrus.conf that starts the drop-in smmapd with the same answers."""
    words = [program("smmapd")]
    if settings.cyrus.imapd_conf != _IMAPD_CONF:
        words += ["-C", settings.cyrus.imapd_conf]
    if settings.cyrus.skip_plus:
        words.append("-p")
    return "\n".join(
        (
            "# For cyrus.conf, where Cyrus master is to start smmapd: socketmap alone, with the",
            "# same answers. The gateway must then not listen on the same path. The folder",
            "# must exist.",
            "SERVICES {",
            f'  {settings.cyrus.service}  cmd="{" ".join(words)}" '
            f'listen="{_MASTER_SOCKET}" prefork=1',
            "}",
        )
    )


def prometheus(settings: Settings) -> str:
    """A scrape_config for the admin listener."""
    targets = [
        str(each).removeprefix("inet:")
        for each in settings.admin.listen
        if isinstance(each, InetEndpoint)
    ]
    lines = ["# For prometheus.yml."]
    if not targets:
        lines += [
            "# [admin] listens on no TCP socket, and Prometheus asks none but those:",
            '# set listen = ["inet:127.0.0.1:9625"] in [admin].',
        ]
        return "\n".join(lines)
    quoted = ", ".join(f'"{target}"' for target in targets)
    lines += [
        "scrape_configs:",
        "  - job_name: smmapd",
        "    static_configs:",
        f"      - targets: [{quoted}]",
    ]
    return "\n".join(lines)
