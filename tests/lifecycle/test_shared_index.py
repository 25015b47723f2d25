"""The index of the mailbox list is made once, and all processes of a gateway use the same memory.

The list is a short one, of which each process would make its own: here that is taken for a long
one.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import Mailbox
from tests.rigs.folders import folder, write_text
from tests.rigs.gateway import Gateway, Tables
from tests.rigs.require import require
from tests.rigs.responders import UNKNOWN, YES, Front, Milter, Socketmap
from tests.rigs.socketmap import Connection
from tests.rigs.waiting import wait_until

pytestmark = [pytest.mark.real, pytest.mark.milter]

# Every list is long, and every question strains.
_CUSTOMIZED = """
import gateway.cyrus.db.twoskip.twoskip, gateway.server.indexsharing
gateway.cyrus.db.twoskip.twoskip.SHARED_FROM = 1
gateway.server.indexsharing.STRAIN = 1
"""
# Another memory has another inode.
_MAPPED = re.compile(r"^\S+ r--p \S+ \S+ (\d+) +/memfd:index", re.MULTILINE)
USERS = [b"user%d" % number for number in range(40)]


class Site:
    """A Cyrus store, and a gateway with two workers and a milter on it."""

    def __init__(self, cyrus: Cyrus, gateway: Gateway, front_ends: list[Front]) -> None:
        self.cyrus = cyrus
        self.gateway = gateway
        self.front_ends = front_ends

    def ask(self) -> None:
        """All front ends, about all users and some that are none; each answer is right."""
        for front in self.front_ends:
            for number in range(0, len(USERS), 10):
                names = [*USERS[number : number + 10], b"nobody%d" % number]
                assert front.ask(names) == [YES] * 10 + [UNKNOWN], front.name
            front.close()  # the next questions go to any of the workers

    def pids(self) -> list[int]:
        """Of all that serve."""
        return [*self.gateway.pids("core"), *self.gateway.pids("milter")]

    def memories(self) -> list[str]:
        """The memory that each process has an index in; empty for none."""
        found = []
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps:
                    found.append(" ".join(_MAPPED.findall(maps.read())))
            except (FileNotFoundError, ProcessLookupError):  # it ends while this reads, too
                found.append("")
        return found

    def held(self) -> list[int]:
        """How many descriptors of indexes the supervisor has, and each process that serves."""
        found = []
        for pid in [self.gateway.daemon.pid, *self.pids()]:
            links = []
            for each in os.listdir(f"/proc/{pid}/fd"):
                with suppress(FileNotFoundError):  # it is closed by now
                    links.append(os.readlink(f"/proc/{pid}/fd/{each}"))
            found.append(sum("/memfd:index" in each for each in links))
        return found

    def wait_shared(self, other_than: str = "") -> str:
        """Ask until all processes have an index in the same memory, and which that is."""

        def shared() -> str:
            self.ask()
            found = self.memories()
            same = len(found) == 3 and len(set(found)) == 1 and found[0] != other_than
            return found[0] if same else ""

        return wait_until(shared, "all processes have the same index")


@pytest.fixture
def site() -> Iterator[Site]:
    """One that serves."""
    require("cyrus")
    with ExitStack() as stack:
        cyrus = stack.enter_context(
            Cyrus(
                {"virtdomains": "userid", "defaultdomain": "example.org", "mboxlist_db": "twoskip"}
            )
        )
        cyrus.tools.load_mailboxes(Mailbox(f"user.{name.decode()}") for name in USERS)
        path = stack.enter_context(folder("customized"))
        write_text(f"{path}/sitecustomize.py", _CUSTOMIZED)
        tables: Tables = {"": {"workers": 2}, "scope": {"domains": ["example.org"]}}
        gateway = stack.enter_context(
            Gateway(cyrus.imapd_conf, tables, front_ends=("socketmap", "milter"), python_path=path)
        )
        gateway.start()
        front_ends: list[Front] = [
            Socketmap("socketmap", lambda: Connection.to(gateway.path("socketmap"))),
            Milter(gateway.path("milter")),
        ]
        for front in front_ends:
            stack.callback(front.close)
        yield Site(cyrus, gateway, front_ends)


def test_all_processes_use_one_memory(site: Site) -> None:
    """Those that follow, too, before anybody has asked them; and commits show as ever."""
    first = site.wait_shared()
    old = site.pids()
    site.gateway.reload()
    wait_until(lambda: not set(old) & set(site.pids()), "those before are gone")
    assert site.memories() == [first] * 3
    site.ask()
    (killed, *_) = site.gateway.pids("core")
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(site.pids()) == 3 and killed not in site.pids(), "another one is there")
    wait_until(lambda: site.memories() == [first] * 3, "it uses the same")
    wait_until(lambda: max(site.held()) == 1, "nobody holds more than it uses")
    site.ask()
    socketmap, *_ = site.front_ends
    for number in range(3):
        name = b"late%d" % number
        assert socketmap.ask([name]) == [UNKNOWN]
        site.cyrus.tools.load_mailboxes([Mailbox(f"user.late{number}")])
        for front in site.front_ends:
            assert front.ask([name, b"other%d" % number]) == [YES, UNKNOWN]
    assert site.memories() == [first] * 3
    assert site.cyrus.tools.db_show("mailboxes.db", "twoskip")


def test_another_file_has_another_index(site: Site) -> None:
    """As behind a repack, or a restore: the old one answers nothing of it."""
    first = site.wait_shared()
    path = site.cyrus.tools.path("mailboxes.db")
    status = os.stat(path)
    with open(path, "rb") as file:
        content = file.read()
    with open(f"{path}.NEW", "wb") as file:
        file.write(content)
    os.chown(f"{path}.NEW", status.st_uid, status.st_gid)
    os.rename(f"{path}.NEW", path)
    site.cyrus.tools.load_mailboxes([Mailbox("user.late")])
    for front in site.front_ends:
        assert front.ask([b"late", b"user1", b"nobody"]) == [YES, YES, UNKNOWN]
    second = site.wait_shared(other_than=first)
    assert second != first
    wait_until(lambda: max(site.held()) == 1, "nobody holds more than it uses")
    for front in site.front_ends:
        assert front.ask([b"late", b"user1", b"nobody"]) == [YES, YES, UNKNOWN]
