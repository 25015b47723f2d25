"""The units that start the gateway under systemd.

`UNIT` is the one service unit: contrib/systemd/smmapd-gateway.service is it for
the usual places, and print-config fills in those of this configuration.

Sources: systemd.service(5), systemd.exec(5), systemd.socket(5).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.cli.snippets.services import program
from gateway.config.endpoints import DescriptorEndpoint, UnixEndpoint

if TYPE_CHECKING:
    from gateway.config import Settings

DEFAULT_CONFIG = "/etc/smmapd/gateway.toml"
# The folders of sockets in the usual places; a - in front: it need not be there.
USUAL_FOLDERS = ("/run/smmapd", "/var/spool/postfix")
# Seconds that systemd waits longer than graceful_timeout before it kills.
STOP_MARGIN = 20

UNIT = """\
[Unit]
Description=Recipient verification for Cyrus IMAP
Documentation=man:smmapd-gateway(8) man:gateway.toml(5)
After=network.target
# Mail servers that start with it find its sockets.
Before=postfix.service sendmail.service
# However often it is killed, it comes back: the default gives up after five starts in ten seconds.
StartLimitIntervalSec=0

[Service]
# From systemd 253 on, notify-reload.conf beside this file makes it
# Type=notify-reload; the program speaks that protocol.
Type=notify
ExecStart={program} serve{option}
# A configuration that a reload would refuse makes `systemctl reload` fail; else the signal
# follows, with the rights (+) to send one to a process that has left root.
ExecReload={program} check-config --reload -q{option}
ExecReload=+/bin/sh -c "kill -HUP $MAINPID"
# The supervisor tells its processes itself how to stop.
KillMode=mixed
# graceful_timeout of gateway.toml (10 seconds) and some more: a mail that the milter has to do
# with is waited for.  Where it is longer, the program asks systemd for more.
TimeoutStopSec={timeout}
WatchdogSec=60
# A process that ends because there is no memory left is started again, and the others serve on.
OOMPolicy=continue
Restart=on-failure
RestartSec=1
# sysexits.h: wrong usage, no permission, a configuration that cannot be used.
RestartPreventExitStatus=64 77 78

# setuid and setgid to leave root; the rest to make sockets for others in
# folders of others, and to listen below port 1024.
CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
# contrib/apparmor, where it is loaded.
AppArmorProfile=-smmapd-gateway

# Nothing is written but sockets.  A socket elsewhere needs its folder here.
ProtectSystem=strict
ReadWritePaths={folders}
# Mail itself is never looked at; fix this if databases are below.
InaccessiblePaths=-/var/spool/cyrus
ProtectHome=yes
# Not for a socket in /tmp, which would be out of sight for everybody else.
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
ProtectProc=invisible
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
# Postfix' programs ask the kernel for the addresses of this machine (AF_NETLINK).
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
KeyringMode=private
UMask=0077
SystemCallArchitectures=native
SystemCallFilter=@system-service
# Limits are raised by prlimit(2), which is not among @resources.
SystemCallFilter=~@aio @keyring @memlock @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""  # noqa: E501  (a value of systemd's is one line)

SOCKET = """\
# /etc/systemd/system/smmapd-gateway-{name}.socket
[Socket]
ListenStream=/run/smmapd/{name}
FileDescriptorName={name}
Service=smmapd-gateway.service
SocketMode=0660
SocketGroup=smmapd
Backlog=4096

[Install]
WantedBy=sockets.target
"""


def unit(
    *,
    command: str = "/usr/bin/smmapd-gateway",
    config: str = DEFAULT_CONFIG,
    folders: tuple[str, ...] = USUAL_FOLDERS,
    graceful_timeout: float = 10.0,
) -> str:
    """The service for this program, configuration, folders of sockets and limit, in seconds."""
    return UNIT.format(
        program=command,
        config=config,
        option="" if config == DEFAULT_CONFIG else f" -c {config}",
        folders=" ".join(f"-{folder}" for folder in folders),
        timeout=int(graceful_timeout) + STOP_MARGIN,
    )


def systemd(settings: Settings) -> str:
    """The service unit, and a socket unit for each fd: in a listen."""
    endpoints = [each for listen in settings.listeners.values() for each in listen]
    folders = {os.path.dirname(each.path) for each in endpoints if isinstance(each, UnixEndpoint)}
    descriptors = [each.name for each in endpoints if isinstance(each, DescriptorEndpoint)]
    service = unit(
        command=program("smmapd-gateway"),
        config=settings.file,
        folders=tuple(sorted(folders)) or USUAL_FOLDERS,
        graceful_timeout=settings.general.graceful_timeout,
    )
    parts = [f"# /etc/systemd/system/smmapd-gateway.service\n{service}"]
    parts += [SOCKET.format(name=name) for name in descriptors]
    return "\n".join(parts).rstrip("\n")
