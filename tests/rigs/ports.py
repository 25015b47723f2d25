"""Free TCP ports on the loopback interface.

A port is looked for below the range from which the kernel gives ports to
clients, so that no outgoing connection takes it before the daemon does.
No port is given twice by one process of the tests, and processes that run the
tests side by side (pytest-xdist's workers) have a range each.  Another program
that listens there in between is still possible: the daemon then says so in its
log.
"""

from __future__ import annotations

import os
import random
import socket

LOOPBACK = "127.0.0.1"
_LOWEST, _HIGHEST = 12000, 31999  # ip_local_port_range starts at 32768
_SIDE_BY_SIDE = 4  # as many ranges as workers have been tried

# What was given: a rig may choose its ports long before its program listens there.
_given: set[int] = set()


def _range() -> range:
    """The ports of this process of the tests."""
    size = (_HIGHEST + 1 - _LOWEST) // _SIDE_BY_SIDE
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _LOWEST + worker % _SIDE_BY_SIDE * size
    return range(first, first + size)


def free_ports(count: int) -> list[int]:
    """`count` different ports on which nothing listens at this moment."""
    found: list[int] = []
    for port in random.sample(_range(), 2000):
        if len(found) == count:
            break
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        found.append(port)
        _given.add(port)
    if len(found) < count:
        raise OSError(f"no {count} free ports in {_range()}")
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
