"""Free TCP ports on the loopback interface.

A port is looked for below the range from which the kernel gives ports to
clients, so that no outgoing connection takes it before the daemon does.
Another process that listens there in between is still possible: the daemon
then says so in its log.
"""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
_LOWEST, _HIGHEST = 12000, 31999  # ip_local_port_range starts at 32768


def free_ports(count: int) -> list[int]:
    """`count` different ports on which nothing listens at this moment."""
    found: list[int] = []
    for port in random.sample(range(_LOWEST, _HIGHEST), 2000):
        if len(found) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        found.append(port)
    if len(found) < count:
        raise OSError(f"no {count} free ports between {_LOWEST} and {_HIGHEST}")
    return found


def accepts(host: str, port: int) -> bool:
    """Does something accept TCP connections there?"""
    try:
        with socket.create_connection((host, port), timeout=5):
            return True
    except OSError:
        return False


def accepts_unix(path: str) -> bool:
    """Does something accept connections on this Unix socket?"""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
