"""What a server costs, by the kernel's own accounting: CPU time and memory of its processes.

CPU time is utime + stime of /proc/PID/stat, in ticks of 10 ms as a rule, with
cutime and cstime, so that the children that a process has waited for count
too.  Memory is Pss and Pss_Anon of /proc/PID/smaps_rollup: a shared page is
divided by the processes that have it, so that the sum over processes is what
they really take.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# proc(5), /proc/PID/stat, counted behind the program's name: field 3 is number 0.
_PPID, _UTIME, _CSTIME = 1, 11, 14


@dataclass(frozen=True, slots=True)
class Memory:
    """Proportional set sizes summed over processes, in KiB."""

    processes: int
    pss_kib: int
    anonymous_kib: int


def _stat(pid: int) -> list[bytes] | None:
    """The fields of /proc/PID/stat behind the name, or None if it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def descendants(root: int) -> list[int]:
    """The living descendants of a process, without itself; zombies are not counted."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        fields = _stat(int(name))
        if fields is not None and fields[0] not in (b"Z", b"X"):
            children.setdefault(int(fields[_PPID]), []).append(int(name))
    found: list[int] = []
    queue = [root]
    while queue:
        born = children.get(queue.pop(), [])
        found += born
        queue += born
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU seconds that these processes, and their children that were waited for, have used."""
    ticks = 0
    for pid in pids:
        fields = _stat(pid)
        if fields is not None:
            ticks += sum(int(field) for field in fields[_UTIME : _CSTIME + 1])
    return ticks / _TICKS_PER_S


def memory(pids: Iterable[int]) -> Memory:
    """The memory of these processes.  Raises `OSError` where the kernel does not tell (root may)."""
    processes = pss = anonymous = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                lines = file.read().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        processes += 1
        for line in lines:
            if line.startswith(b"Pss:"):
                pss += int(line.split()[1])
            elif line.startswith(b"Pss_Anon:"):
                anonymous += int(line.split()[1])
    return Memory(processes, pss, anonymous)
