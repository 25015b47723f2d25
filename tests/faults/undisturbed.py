"""A gateway under attack: its processes stay the same, in bounds, and answer well-behaved clients.

    with attacked() as managed, undisturbed(managed):
        ...

Bound of memory: GROWTH_KIB above what the process had when it had answered its
first clients, at its peak; bound of the log: LOG_LINES for one attack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

from tests.rigs.gateway import Tables
from tests.rigs.managed import ManagedGateway
from tests.rigs.ports import LOOPBACK, free_ports
from tests.rigs.under_master import memory_kib
from tests.rigs.witnesses import INTERFACES, Witness

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


class Target(ManagedGateway):
    """A gateway with all interfaces on Unix sockets and on TCP ports."""

    def __init__(self, tables: Tables | None = None) -> None:
        super().__init__(tables, milter=True)
        self.ports = dict(zip((*INTERFACES, "admin"), free_ports(len(INTERFACES) + 1), strict=True))
        self.usual: dict[int, int] = {}

    def every(self) -> dict[int, str]:
        """The processes that serve, by pid; on pymilter the milter has one for each socket."""
        return {pid: process for process in PROCESSES for pid in self.pids(process)}

    def tcp(self, interface: str) -> tuple[str, int]:
        """The address of an interface."""
        return LOOPBACK, self.ports[interface]


@contextmanager
def attacked(tables: Tables | None = None, prefix: Sequence[str] = ()) -> Iterator[Target]:
    """A gateway that serves, with settings of its own, started by way of `prefix`."""
    with Target(tables) as managed:
        ports = {
            interface: [f"unix:{managed.path(interface)}", f"inet:{LOOPBACK}:{port}"]
            for interface, port in managed.ports.items()
        }
        managed.configure({interface: {"listen": listen} for interface, listen in ports.items()})
        managed.start(prefix=prefix)
        managed.wait_told("READY")
        with ExitStack() as stack:
            for interface in INTERFACES:
                witness = stack.enter_context(closing(Witness(managed, interface)))
                witness.answers()
        managed.usual = {pid: memory_kib(pid) for pid in managed.every()}
        yield managed


@contextmanager
def undisturbed(managed: Target) -> Iterator[dict[str, Witness]]:
    """Witnesses by interface who came before; in the end they are answered, and all is in bounds."""
    pids = managed.every()
    lines = len(managed.log())
    with ExitStack() as stack:
        witnesses = {
            interface: stack.enter_context(closing(Witness(managed, interface)))
            for interface in INTERFACES
        }
        before = {interface: witness.answers() for interface, witness in witnesses.items()}
        assert all(fred != nobody for fred, nobody in before.values())
        yield witnesses
        assert {interface: witness.answers() for interface, witness in witnesses.items()} == before
    assert managed.every() == pids
    grown = {
        f"{process} {pid}": peak_kib(pid) - managed.usual[pid] for pid, process in pids.items()
    }
    assert max(grown.values()) <= GROWTH_KIB, grown
    new = managed.log()[lines:]
    print(f"grown by KiB {grown}, {len(new)} lines")
    assert len(new) <= LOG_LINES, new[:5]
    assert not [line for line in new if "Traceback" in line], new
