"""Kernels and file systems that are not this machine's, below a gateway that runs on it.

A `sitecustomize.py` in front of the gateway's path changes what Python's `os` says.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable

from tests.rigs.folders import write_text


def coarse(
    really: Callable[..., os.stat_result], tick: int = 10_000_000
) -> Callable[..., os.stat_result]:
    """A `stat` as before Linux 6.13: times are from a clock of `tick` nanoseconds (CONFIG_HZ=100)."""

    def stat(*words: object, **named: object) -> os.stat_result:
        s = really(*words, **named)
        times = [ns // tick * tick for ns in (s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns)]
        seconds = [ns // 10**9 for ns in times]
        floats = [ns / 10**9 for ns in times]
        return os.stat_result((*s[:7], *seconds, *floats, *times))

    return stat


_STAMPS = f"""
from __future__ import annotations
import os
{inspect.getsource(coarse)}
os.stat, os.lstat, os.fstat = coarse(os.stat), coarse(os.lstat), coarse(os.fstat)
"""

_UNWATCHED = """
import gateway.cyrus.inotify
gateway.cyrus.inotify.init = lambda: None
"""

# The index of a mailbox list is made by another process and shared, however short the list.
_SHARED = """
import gateway.cyrus.db.twoskip.twoskip, gateway.server.indexsharing
gateway.cyrus.db.twoskip.twoskip.SHARED_FROM = 1
gateway.server.indexsharing.STRAIN = 20
"""

# What is changed, by name: only how an index is made; the times of an older kernel; a network
# file system.
WORLDS = {
    "today": _SHARED,
    "old stamps": _STAMPS,
    "unwatched": _UNWATCHED,
    "unwatched, old stamps": _STAMPS + _UNWATCHED + _SHARED,
}


def make(world: str, folder: str) -> str:
    """Write what makes the world into `folder`, which goes in front of a program's path."""
    write_text(f"{folder}/sitecustomize.py", WORLDS[world])
    return folder
