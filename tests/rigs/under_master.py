"""Our smmapd as a service of a real Cyrus master, and what can be seen of it from outside.

    with serving("-U 3", prefork=1) as service:
        assert service.ask(b"fred") == b"OK fred"
        assert len(service.pids()) == 1

Its processes are found as children of master that run the program; what they
and master say comes from syslog.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import Mailbox, quota_record
from tests.rigs.ports import LOOPBACK, free_ports
from tests.rigs.processes import command_line
from tests.rigs.program import smmapd_program
from tests.rigs.socketmap import TIMEOUT_S, Connection
from tests.rigs.syslog import Syslog
from tests.rigs.waiting import wait_until

SERVICE = "smmap"
NOT_FOUND = b"NOTFOUND Mailbox does not exist"
IO_ERROR = b"TEMP System I/O error"

# What master or a service says when something is wrong between the two
# (master/master.c); none of it may be heard of a service that keeps the protocol.
COMPLAINTS = (
    "terminated abnormally",
    "signaled to death",
    "too many failures",
    "in READY state: ",
    "in BUSY state: sent",
    "in UNKNOWN state",
    "in ILLEGAL state",
    "DEAD state",
    "exited, status",
    "lost all children",
    "workers?!?",
    "incorrectly sized",
    "long dead children",
    "Traceback",
)


@dataclass(frozen=True, slots=True)
class Serving:
    """A running master with one service, which knows fred, over (over quota) and a shared folder."""

    cyrus: Cyrus
    log: Syslog
    address: str | tuple[str, int]
    program: str

    def ask(self, *keys: bytes) -> bytes:
        """The reply to the last of `keys`, on one new connection."""
        with self.connect() as connection:
            return [connection.ask(key) for key in keys][-1]

    def connect(self) -> Connection:
        """One more client; it waits where the listening socket's queue is full."""
        if isinstance(self.address, tuple):
            return Connection.to(self.address)
        link = socket.socket(socket.AF_UNIX)
        link.connect(self.address)
        link.settimeout(TIMEOUT_S)
        return Connection(link)

    def pids(self) -> list[int]:
        """The living children of master that run the program."""
        return [pid for pid in children(self.cyrus.master.pid) if self.program in command_line(pid)]

    def pid(self) -> int:
        """The one process, once there is one and no other."""

        def alone() -> int | None:
            pids = self.pids()
            return pids[0] if len(pids) == 1 else None

        return wait_until(alone, "one process serves")

    def wait_for_end(self, pid: int) -> None:
        """Wait until the process has ended and master has noticed."""
        wait_until(lambda: pid not in self.pids(), f"process {pid} ends")
        self.log.wait_for(f"pid:{pid} ")

    def end_of(self, pid: int) -> str:
        """What master says of the end of a process: exited normally, was killed, ..."""
        line = self.log.wait_for(f"pid:{pid} ")
        return line.partition(f"pid:{pid} ")[2]

    def renew(self, change: Callable[[], object]) -> None:
        """Change something while a process serves that has not seen it, then end that process."""
        self.ask(b"fred")
        pid = self.pid()
        change()
        self.cyrus.reload()
        self.wait_for_end(pid)

    def complaints(self) -> list[str]:
        """What was logged that must not be."""
        return [line for line in self.log.messages() if any(words in line for words in COMPLAINTS)]


def children(parent: int) -> list[int]:
    """The living children of a process."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                state, ppid = file.read().rpartition(b")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(ppid) == parent and state not in (b"Z", b"X"):
            found.append(int(name))
    return found


def memory_kib(pid: int) -> int:
    """What the process holds in memory, in KiB (VmRSS)."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        found = re.search(r"VmRSS:\s+(\d+) kB", file.read())
    assert found is not None
    return int(found[1])


def descriptors(pid: int) -> int:
    """How many files and sockets the process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


@contextmanager
def serving(
    words: str = "",
    *,
    tcp: bool = False,
    settings: Mapping[str, str] | None = None,
    own_program: bool = False,
    **options: str | int,
) -> Iterator[Serving]:
    """Start a master with our smmapd: `words` of its command line, `options` of cyrus.conf.

    `own_program` gives it a launcher of its own, which the test may replace.
    """
    with (
        Syslog() as log,
        Cyrus({"virtdomains": "userid", "debug": "yes", **(settings or {})}) as cyrus,
    ):
        cyrus.tools.load_mailboxes(
            [
                Mailbox("user.fred"),
                Mailbox("user.over"),
                Mailbox("news", {"anyone": "lr"}),
            ]
        )
        cyrus.tools.set_quotas({b"user.over": quota_record(storage=(100_000, 5))})
        program = smmapd_program()
        if own_program:
            program = shutil.copy(program, os.path.join(cyrus.folder, "own-smmapd"))
            os.chmod(program, 0o755)
        address: str | tuple[str, int] = cyrus.socket_path(SERVICE)
        listen = None
        if tcp:
            (port,) = free_ports(1)
            address, listen = (LOOPBACK, port), f"{LOOPBACK}:{port}"
        cyrus.add_service(SERVICE, f"{program} {words}".strip(), listen=listen, **options)
        cyrus.start(log)
        yield Serving(cyrus, log, address, program)


def tell(pid: int, number: signal.Signals) -> None:
    """Send a signal to one process."""
    os.kill(pid, number)
