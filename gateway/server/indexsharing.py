"""How a process gets the index of its mailbox list without keeping its clients waiting.

To make one for a million mailboxes takes two seconds of processor time.  So another process makes
it (builderprocess.py), and those that serve map the same memory: the others of this
gateway, and those that come after a reload.  Which of them has it made, the supervisor says
(`Home`); smmapd has none, and makes its own.

`step` is to be called by whatever loop there is, and says when it wants to be called again.
Where no such process can be started, or it dies, or makes what is of no use, the index is made
here, a piece of some 2 ms at a time; so it is for a short list.

No gevent and no threads; it belongs to the thread, or to the lock, of its memories.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Protocol

from gateway.errors import SharedIndexRefused
from gateway.server.builderprocess import BuilderProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.verification.decider import Memory

# Questions that were not answered from memory before the mailbox list's index
# is worth its making, and again each time as many more have come.
STRAIN = 200

# Seconds between two pieces of the index, of about 2 ms each: a quarter of a core
# while it is built.
PAUSE = 0.006

# Seconds between two looks at what another process does.
LOOK = 0.05

# Seconds in which the supervisor gives word, or the process that it has chosen an index; more than
# the supervisor itself waits for that one (gateway.supervisor.indexes).
PATIENCE = 90.0

# Seconds after which it is asked again: the process that it had chosen may be gone.
AGAIN = 1.0

# Indexes in a row that were made and were of no use, before they are made here; and for how many
# seconds they are.
ATTEMPTS = 3
ALONE = 600.0


class Home(Protocol):
    """Where a process of the gateway says what it wants, and what it has."""

    def wants_index(self, path: str) -> None:
        """An index of the file at `path`; the answer is that it may make one, or one."""

    def share_index(self, path: str, descriptor: int) -> None:
        """For the others."""


class Builder(Protocol):
    """A process that makes an index (builderprocess.py)."""

    path: str
    failed: str
    ended: bool

    def poll(self) -> int | None:
        """The descriptor of what it has made."""

    def close(self) -> None:
        """End it at once."""


class IndexSharing:
    """The indexes of one process' memories; `report` hears why they come about in another way."""

    def __init__(
        self,
        memories: Sequence[Memory],
        home: Home | None = None,
        *,
        report: Callable[[str], None],
        start: Callable[[str], Builder] = BuilderProcess,
    ) -> None:
        self._memories = [each.indexed for each in memories if each.indexed is not None]
        self._home = home
        self._report = report
        self._start = start
        self._builder: Builder | None = None
        self._tries = 0
        self._alone_until = 0.0
        self._asked: float | None = None  # when the supervisor was, first
        self._said = 0.0  # and when it was again
        self._chosen = False
        self._closed = False

    def step(self) -> float:
        """Do a piece; in how many seconds the next one is due, 0 where nothing is left."""
        if self._closed:
            return 0.0
        if self._builder is not None:
            self._hear(self._builder)
        wanted = next(filter(None, (memory.index_wanted for memory in self._memories)), "")
        helped = bool(wanted) and (self._builder is not None or self._has_it_made(wanted))
        busy = [memory.build_index_step(alone=not helped) for memory in self._memories]
        if any(busy):
            return PAUSE
        if not wanted:
            # What was offered is proved by now, and of use.
            self._asked = None
            self._tries = 0
        return LOOK if helped or self._builder is not None else 0.0

    def offered(self, descriptor: int) -> None:
        """Another process has made this one; it is closed, and `step` goes on from there."""
        try:
            if not self._closed:  # else few clients are left, and nothing would prove it
                self._offer(descriptor)
        finally:
            os.close(descriptor)

    def settle(self, descriptors: Sequence[int]) -> None:
        """Use what was offered at the process' start, at once: no request has come yet."""
        # Nor waits for these modules, of which a store in another format needs none.
        import gateway.cyrus.db.twoskip.indexmaker  # noqa: F401, PLC0415

        for descriptor in descriptors:
            self.offered(descriptor)
        for memory in self._memories:
            while memory.build_index_step(alone=False):
                pass

    def chosen(self) -> None:
        """The supervisor's word: have it made."""
        self._chosen = True

    def close(self) -> None:
        """End what was started, and start nothing more."""
        self._closed = True
        if self._builder is not None:
            self._builder.close()
            self._builder = None

    def _has_it_made(self, path: str) -> bool:
        """Whether another process makes what is wanted, or is about to."""
        now = time.monotonic()
        if now < self._alone_until:
            return False
        if self._home is not None and not self._chosen:
            if self._asked is None:
                self._asked = self._said = now
                self._home.wants_index(path)
            elif now - self._said > AGAIN:
                self._said = now
                self._home.wants_index(path)
            if now - self._asked < PATIENCE:
                return True
        self._chosen = False
        self._asked = None
        if self._tries >= ATTEMPTS:
            self._go_alone("none that was made was of use")
            return False
        self._tries += 1
        try:
            self._builder = self._start(path)
        except OSError as error:
            self._go_alone(f"no process can be started for it: {os.strerror(error.errno or 0)}")
            return False
        return True

    def _hear(self, builder: Builder) -> None:
        """See what has become of the process that makes one."""
        descriptor = builder.poll()
        if descriptor is not None:
            try:
                if self._home is not None:
                    self._home.share_index(builder.path, descriptor)
                self._offer(descriptor)
            finally:
                os.close(descriptor)
        if builder.ended:
            self._builder = None
            if builder.failed:
                self._go_alone(builder.failed)

    def _offer(self, descriptor: int) -> None:
        try:
            for memory in self._memories:
                memory.offer_index(descriptor)
        except SharedIndexRefused as error:
            self._report(f"an index of the mailbox list that was offered is not used: {error}")

    def _go_alone(self, reason: str) -> None:
        self._report(f"the index of the mailbox list is made in a process that serves: {reason}")
        self._alone_until = time.monotonic() + ALONE
        self._tries = 0
