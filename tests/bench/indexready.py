"""How soon a gateway has the index of a long mailbox list, and who shares it.

    .venv/bin/python -m tests.bench.indexready [--mailboxes N] [--workers N] [--rounds N]

A gateway that has just started, while 50 connections ask everybody once; the same behind a
reload, when it has been made already; and behind a repack, when another file is in the list's
place (a copy: the store is not changed).  `index` is how many seconds pass until each process
that serves has it, from the first question on, or from the new file on.  `memory` is what all
processes together have of it, in MiB (Pss), and `one` how large it is.  Medians, with the least
and the most.

Nothing is asserted.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.bench import stores
from tests.bench.cache import cache_folder
from tests.bench.measures import Client, Sample, rates
from tests.bench.servers import Gateway
from tests.bench.stores import Store
from tests.rigs.processes import command_line
from tests.rigs.waiting import wait_until

CONNECTIONS = 50
ROUNDS = 3
SECONDS = "10"
FIGURES = (
    "index",
    "memory",
    "one",
    "requests_per_s",
    "cpu_us",
    "p50_us",
    "p99_us",
    "p999_us",
    "max_us",
)
_PART = re.compile(r"^\S+ \S+ \S+ \S+ (\d+) +/memfd:index.*\n((?:[A-Z].*\n)*)", re.MULTILINE)
_KIB = 1024


def _copy(old: str, new: str) -> None:
    """With its owner, who alone may read it."""
    shutil.copy(old, new)
    status = os.stat(old)
    os.chown(new, status.st_uid, status.st_gid)


def _parts(pid: int) -> list[tuple[str, float, float]]:
    """Of each index that a process has: which memory it is, its share of it and its size, in MiB."""
    try:
        with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as file:
            text = file.read()
    except FileNotFoundError:
        return []
    found = []
    for inode, fields in _PART.findall(text):
        sizes = dict(re.findall(r"^(\w+): +(\d+) kB", fields, re.MULTILINE))
        found.append((inode, int(sizes["Pss"]) / _KIB, int(sizes["Size"]) / _KIB))
    return found


class Site:
    """A gateway on a mailbox list of its own that may be replaced."""

    def __init__(self, store: Store, workers: int, folder: str) -> None:
        self._list = os.path.join(folder, "mailboxes.db")
        _copy(os.path.join(store.folder, "mailboxes.db"), self._list)
        self.store = store
        self.workers = workers
        self.server = Gateway("socketmap", store, quota=True, workers=workers)
        self.server._settings["mboxlist_db_path"] = self._list

    def serving(self) -> list[int]:
        """The processes that serve."""
        return [pid for pid in self.server.pids() if "gateway.worker.core" in command_line(pid)]

    def shared(self, other_than: str = "") -> str:
        """Which memory all have their index in; empty where not all have one, or this one."""
        parts = [_parts(pid) for pid in self.serving()]
        inodes = {part[0] for each in parts for part in each}
        whole = len(parts) == self.workers and all(parts) and len(inodes) == 1
        return inodes.pop() if whole and other_than not in inodes else ""

    def asked(self, begin: Callable[[], str]) -> Sample:
        """What 50 connections meet who ask, and when the index is there; `begin` gives an old one."""
        words = ["-a", self.server.address, "-n", str(CONNECTIONS), "-k", self.store.every_user]
        old = begin()
        with (
            Client("load", [*words, "-e", "OK", "-t", SECONDS]) as client,
            ThreadPoolExecutor(1) as watcher,
        ):
            before = self.server.cpu_seconds()
            watched = watcher.submit(self._seconds, old, time.monotonic())
            result = client.result()
            sample = rates(result, self.server.cpu_seconds() - before)
            index = watched.result()
        parts = [part for pid in self.serving() for part in _parts(pid)]
        memory = sum(part[1] for part in parts)
        return {**sample, "index": index, "memory": memory, "one": max(part[2] for part in parts)}

    def _seconds(self, old: str, since: float) -> float:
        """When all have the index, which is not `old`."""
        wait_until(lambda: self.shared(old), "all processes have the index")
        return time.monotonic() - since

    def reload(self) -> str:
        """Others serve, and nobody has asked them yet."""
        old = set(self.serving())
        os.kill(self.server.root(), signal.SIGHUP)
        wait_until(
            lambda: len(self.serving()) == self.workers and not old & set(self.serving()),
            "the new processes serve alone",
        )
        return ""

    def repack(self) -> str:
        """Another file with the same records."""
        old = self.shared()
        _copy(self._list, f"{self._list}.NEW")
        os.rename(f"{self._list}.NEW", self._list)
        return old


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="when the index is there, and who shares it")
    parser.add_argument("--mailboxes", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    store = stores.store(arguments.mailboxes)
    rows: dict[str, list[Sample]] = {"a start": [], "a reload": [], "a repack": []}
    folder = os.path.join(cache_folder(), "indexready")
    os.makedirs(folder, exist_ok=True)
    try:
        for _ in range(arguments.rounds):
            site = Site(store, arguments.workers, folder)
            with site.server:
                rows["a start"].append(site.asked(lambda: ""))
                rows["a reload"].append(site.asked(site.reload))
                rows["a repack"].append(site.asked(site.repack))
    finally:
        shutil.rmtree(folder)
    print(f"{'behind':10}" + "".join(f"{figure:>22}" for figure in FIGURES))
    for name, samples in rows.items():
        print(f"{name:10}" + "".join(f"{_figure(samples, figure):>22}" for figure in FIGURES))


def _figure(samples: list[Sample], figure: str) -> str:
    """The median, and the spread."""
    values = [each[figure] for each in samples]
    digits = 0 if max(values) >= 100 else 2
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


if __name__ == "__main__":
    main()
