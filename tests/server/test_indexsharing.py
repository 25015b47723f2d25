"""How a process comes by an index: what makes it, and what happens where that fails."""

from __future__ import annotations

import os
import time

import pytest

from gateway.errors import SharedIndexRefused
from gateway.server import indexsharing
from gateway.server.indexsharing import LOOK, PAUSE, IndexSharing
from gateway.verification.uncached import UncachedMemory

PATH = "/var/lib/cyrus/mailboxes.db"


class Memory(UncachedMemory):
    """One that wants an index until a useful one is offered, or it has made its own in two pieces."""

    def __init__(self) -> None:
        super().__init__()
        self.indexed = self
        self.wanted = PATH
        self.useful = True
        self.pieces = 2
        self.offers: list[bytes] = []
        self.unproved = 0  # pieces of proof that are left

    @property
    def index_wanted(self) -> str:
        return "" if self.unproved else self.wanted

    def offer_index(self, descriptor: int) -> None:
        data = os.pread(descriptor, 99, 0)
        if data == b"nonsense":
            raise SharedIndexRefused("it is nonsense")
        self.offers.append(data)
        self.unproved = 2

    def build_index_step(self, *, alone: bool = True) -> bool:
        if self.unproved:
            self.unproved -= 1
            if not self.unproved and self.useful:
                self.wanted = ""
            return True
        if not alone or not self.wanted:
            return False
        self.pieces -= 1
        if not self.pieces:
            self.wanted = ""
        return self.pieces > 0


class Builder:
    """One that is done when the test says so."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.failed = ""
        self.ended = False
        self.closed = False
        self.made: int | None = None
        Builder.all.append(self)

    all: list[Builder] = []  # noqa: RUF012

    def make(self, data: bytes = b"index") -> None:
        """Be done with this."""
        self.made = os.memfd_create("test")
        os.write(self.made, data)

    def poll(self) -> int | None:
        made, self.made = self.made, None
        return made

    def close(self) -> None:
        self.closed = True


class Home:
    """A supervisor that is told."""

    def __init__(self) -> None:
        self.wants: list[str] = []
        self.shared: list[tuple[str, bytes]] = []

    def wants_index(self, path: str) -> None:
        self.wants.append(path)

    def share_index(self, path: str, descriptor: int) -> None:
        self.shared.append((path, os.pread(descriptor, 99, 0)))


class Site:
    """A process with one memory."""

    def __init__(self, home: Home | None = None) -> None:
        Builder.all = []
        self.memory = Memory()
        self.said: list[str] = []
        self.sharing = IndexSharing(
            [self.memory],  # type: ignore[list-item]
            home,
            report=self.said.append,
            start=Builder,
        )

    def run(self) -> list[float]:
        """Steps until nothing is left, or another process is waited for."""
        pauses = [self.sharing.step()]
        while pauses[-1] == PAUSE:
            pauses.append(self.sharing.step())
        return pauses


def test_another_process_makes_it_once() -> None:
    """And nothing is done here meanwhile; what it has made is proved in pieces."""
    site = Site()
    assert [site.sharing.step() for _ in range(3)] == [LOOK] * 3
    (builder,) = Builder.all
    assert builder.path == PATH
    assert site.memory.pieces == 2
    builder.make()
    assert site.run() == [PAUSE, PAUSE, LOOK]
    builder.ended = True
    assert site.run() == [0.0]
    assert site.memory.offers == [b"index"]
    assert len(Builder.all) == 1
    assert site.said == []


def test_nothing_is_done_where_nothing_is_wanted() -> None:
    """And nothing is started."""
    site = Site()
    site.memory.wanted = ""
    assert site.run() == [0.0]
    assert Builder.all == []


def test_it_is_made_here_where_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is said, and not tried again each time."""

    def fail(_path: str) -> Builder:
        raise BlockingIOError(11, "no more processes")

    site = Site()
    site.sharing._start = fail
    assert site.run() == [PAUSE, 0.0]
    assert site.memory.pieces == 0
    assert site.said == [
        "the index of the mailbox list is made in a process that serves: "
        "no process can be started for it: Resource temporarily unavailable"
    ]
    site.memory.wanted, site.memory.pieces = PATH, 2
    site.sharing._start = Builder
    assert site.run() == [PAUSE, 0.0]
    assert Builder.all == []
    monkeypatch.setattr(time, "monotonic", lambda: 1e9)
    site.memory.wanted = PATH
    assert site.run() == [LOOK]
    assert len(Builder.all) == 1


def test_it_is_made_here_where_the_process_dies() -> None:
    """At once."""
    site = Site()
    assert site.run() == [LOOK]
    Builder.all[0].failed, Builder.all[0].ended = "it is dead", True
    assert site.run() == [PAUSE, 0.0]
    assert site.memory.pieces == 0
    assert len(Builder.all) == 1
    assert site.said == [
        "the index of the mailbox list is made in a process that serves: it is dead"
    ]


@pytest.mark.parametrize("data", [b"nonsense", b"of no use"])
def test_it_is_made_here_where_what_others_make_is_of_no_use(data: bytes) -> None:
    """Each time, as where somebody restores a backup again and again."""
    site = Site()
    site.memory.useful = False
    for number in range(1, 4):
        assert site.run()[-1] == LOOK
        assert len(Builder.all) == number
        Builder.all[-1].make(data)
        Builder.all[-1].ended = True
    assert site.run()[-1] == 0.0
    assert site.memory.pieces == 0
    assert len(Builder.all) == 3
    assert site.said[-1].endswith("none that was made was of use")


def test_the_supervisor_says_who_makes_it() -> None:
    """Asked once; what was made is given to the others."""
    home = Home()
    site = Site(home)
    assert [site.sharing.step() for _ in range(3)] == [LOOK] * 3
    assert home.wants == [PATH]
    assert Builder.all == []
    site.sharing.chosen()
    assert site.run() == [LOOK]
    Builder.all[0].make()
    Builder.all[0].ended = True
    assert site.run()[-1] == 0.0
    assert home.shared == [(PATH, b"index")]
    assert home.wants == [PATH]


def test_what_another_process_has_made_is_used() -> None:
    """And its descriptor is given back."""
    home = Home()
    site = Site(home)
    assert site.run() == [LOOK]
    descriptor = os.memfd_create("test")
    site.sharing.offered(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    assert site.run()[-1] == 0.0
    assert site.memory.wanted == ""
    assert Builder.all == []


def test_nobody_waits_for_ever_for_the_supervisors_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was to make it may hang."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    home = Home()
    site = Site(home)
    assert site.run() == [LOOK]
    now[0] += indexsharing.PATIENCE - 1
    assert site.run() == [LOOK]
    assert Builder.all == []
    assert home.wants == [PATH, PATH]  # the one that was to make it may be gone
    now[0] += 2
    assert site.run() == [LOOK]
    assert len(Builder.all) == 1


def test_a_process_uses_what_was_made_before_its_start_at_once() -> None:
    """Before it serves anybody."""
    site = Site(Home())
    descriptors = [os.memfd_create("test"), os.memfd_create("test")]
    site.sharing.settle(descriptors)
    assert site.memory.wanted == ""
    assert len(site.memory.offers) == 2
    assert site.run() == [0.0]


def test_what_was_started_is_ended_with_the_server() -> None:
    """Nobody needs it any more."""
    site = Site()
    assert site.run() == [LOOK]
    site.sharing.close()
    assert Builder.all[0].closed
    assert site.run() == [0.0]
    assert len(Builder.all) == 1


def test_who_parts_from_its_clients_takes_no_index_any_more() -> None:
    """It would be kept until the last of them has gone, and nothing would prove it."""
    site = Site(Home())
    site.sharing.close()
    descriptor = os.memfd_create("test")
    site.sharing.offered(descriptor)
    assert site.memory.offers == []
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
