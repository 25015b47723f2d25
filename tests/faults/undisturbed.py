"""A gateway under attack: its processes stay the same, in bounds, and answer whoever means well.

    with attacked() as life, undisturbed(life):
        ...

Bound of memory: GROWTH_KIB above what the process had when it had answered its
first clients, at its peak; bound of the log: LOG_LINES for one attack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

from tests.faults.doors import DOORS, Witness
from tests.life.running import Life
from tests.real.under_master import memory_kib
from tests.rigs.gateway import Tables
from tests.rigs.ports import LOOPBACK, free_ports

# What a process may grow by, in KiB, whatever these clients do: what it keeps of some hundred
# clients (one piece that was read and an unfinished request, of some ten KiB each; of an MTA half
# a packet of 64 KiB at most), and room for the allocator, which gives libmilter's threads arenas of
# their own: on a busy machine more of them live at once (18 MiB were seen with Python 3.14).
GROWTH_KIB = 24 * 1024

# Lines of the log that one attack may cost.
LOG_LINES = 40

PROCESSES = ("core", "milter")


def peak_kib(pid: int) -> int:
    """The most that the process ever had in memory, in KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        found = re.search(r"VmHWM:\s+(\d+) kB", file.read())
    assert found is not None
    return int(found[1])


class Target(Life):
    """A gateway with all doors on Unix sockets and on TCP ports."""

    def __init__(self, tables: Tables | None = None) -> None:
        super().__init__(tables, milter=True)
        self.ports = dict(zip((*DOORS, "admin"), free_ports(len(DOORS) + 1), strict=True))
        self.usual: dict[int, int] = {}

    def every(self) -> dict[int, str]:
        """The processes that serve, by pid; on pymilter the milter has one for each socket."""
        return {pid: process for process in PROCESSES for pid in self.pids(process)}

    def tcp(self, door: str) -> tuple[str, int]:
        """The address of a door."""
        return LOOPBACK, self.ports[door]


@contextmanager
def attacked(tables: Tables | None = None, prefix: Sequence[str] = ()) -> Iterator[Target]:
    """A gateway that serves, with settings of its own, started by way of `prefix`."""
    with Target(tables) as life:
        ports = {
            door: [f"unix:{life.path(door)}", f"inet:{LOOPBACK}:{port}"]
            for door, port in life.ports.items()
        }
        life.configure({door: {"listen": listen} for door, listen in ports.items()})
        life.start(prefix=prefix)
        life.wait_told("READY")
        with ExitStack() as stack:
            for door in DOORS:
                witness = stack.enter_context(closing(Witness(life, door)))
                witness.answers()
        life.usual = {pid: memory_kib(pid) for pid in life.every()}
        yield life


@contextmanager
def undisturbed(life: Target) -> Iterator[dict[str, Witness]]:
    """Witnesses by door who came before; in the end they are answered, and all is in bounds."""
    pids = life.every()
    lines = len(life.log())
    with ExitStack() as stack:
        witnesses = {door: stack.enter_context(closing(Witness(life, door))) for door in DOORS}
        before = {door: witness.answers() for door, witness in witnesses.items()}
        assert all(fred != nobody for fred, nobody in before.values())
        yield witnesses
        assert {door: witness.answers() for door, witness in witnesses.items()} == before
    assert life.every() == pids
    grown = {f"{process} {pid}": peak_kib(pid) - life.usual[pid] for pid, process in pids.items()}
    assert max(grown.values()) <= GROWTH_KIB, grown
    new = life.log()[lines:]
    print(f"grown by KiB {grown}, {len(new)} lines")
    assert len(new) <= LOG_LINES, new[:5]
    assert not [line for line in new if "Traceback" in line], new
