"""What starts the gateway or watches it: Cyrus master, systemd, Prometheus.

Sources: cyrus.conf(5); systemd.service(5), systemd.exec(5), systemd.socket(5);
Prometheus' documentation of scrape_config.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from gateway.daemon.endpoints import DescriptorEndpoint, InetEndpoint, UnixEndpoint

if TYPE_CHECKING:
    from gateway.daemon.settings import Settings

_IMAPD_CONF = "/etc/imapd.conf"
_MASTER_SOCKET = "/run/cyrus/socket/smmap"
# systemd waits so much longer than graceful_timeout before it kills, in seconds.
_STOP_MARGIN = 5
# Five heartbeats of the core fit in (ALIVE_INTERVAL), in seconds.
_WATCHDOG = 60


def cyrus(settings: Settings) -> str:
    """The entry of cyrus.conf that starts the drop-in smmapd with the same answers."""
    words = [_program("smmapd")]
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


def systemd(settings: Settings) -> str:
    """A service unit, and a socket unit for each fd: in a listen."""
    folders = sorted(
        {
            os.path.dirname(endpoint.path)
            for listen in settings.listeners.values()
            for endpoint in listen
            if isinstance(endpoint, UnixEndpoint)
        }
    )
    runtime = [each.removeprefix("/run/") for each in folders if each.startswith("/run/")]
    others = [each for each in folders if not each.startswith("/run/")]
    descriptors = [
        endpoint.name
        for listen in settings.listeners.values()
        for endpoint in listen
        if isinstance(endpoint, DescriptorEndpoint)
    ]
    timeout = int(settings.general.graceful_timeout) + _STOP_MARGIN
    lines = [
        "# /etc/systemd/system/smmapd-gateway.service",
        "# It starts as root, opens the sockets and becomes the user of gateway.toml.",
        "[Unit]",
        "Description=Recipient verification for Cyrus IMAP",
        "Documentation=man:smmapd-gateway(8) man:gateway.toml(5)",
        "After=network.target",
        "",
        "[Service]",
        "# From systemd 253 on, Type=notify-reload without ExecReload does the same.",
        "Type=notify",
        f"ExecStart={_program('smmapd-gateway')} serve -c {settings.file}",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "# The supervisor tells its processes itself how to stop.",
        "KillMode=mixed",
        "Restart=on-failure",
        "# Wrong usage, no permission, a configuration that cannot be used (sysexits.h).",
        "RestartPreventExitStatus=64 77 78",
        f"TimeoutStopSec={timeout}",
        f"WatchdogSec={_WATCHDOG}",
    ]
    if runtime:
        lines += [f"RuntimeDirectory={' '.join(runtime)}", "RuntimeDirectoryMode=0755"]
    lines += [
        "CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
    ]
    if others:
        lines.append(f"ReadWritePaths={' '.join(others)}")
    lines += [
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "ProtectKernelTunables=yes",
        "ProtectKernelModules=yes",
        "ProtectControlGroups=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
        "RestrictNamespaces=yes",
        "LockPersonality=yes",
        "SystemCallArchitectures=native",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    for name in descriptors:
        lines += [
            "",
            f"# /etc/systemd/system/smmapd-gateway-{name}.socket",
            "[Socket]",
            f"ListenStream=/run/smmapd/{name}",
            f"FileDescriptorName={name}",
            "Service=smmapd-gateway.service",
            "",
            "[Install]",
            "WantedBy=sockets.target",
        ]
    return "\n".join(lines)


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


def _program(name: str) -> str:
    """The path of one of our programs: beside the interpreter, in PATH, else the usual one."""
    beside = os.path.join(os.path.dirname(os.path.abspath(sys.executable)), name)
    if os.access(beside, os.X_OK):
        return beside
    return shutil.which(name) or f"/usr/bin/{name}"
