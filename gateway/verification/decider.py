"""What the front ends need of an engine, whether it reads files or asks other servers.

Three roles, from the one that may wait to the one that must not: an `Engine`
belongs to a thread, a `Decider` to an event loop, and a `Memory` is a decider
that knows which of its answers are still valid, so that replies made of them can
be given again.  Verifier, VerdictCache and RemoteVerifier play them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from gateway.cyrus.folderwatch import FolderWatch
    from gateway.cyrus.store import CyrusStore
    from gateway.verification.entry import Entry
    from gateway.verification.kinds import Kind
    from gateway.verification.model import Pending, Query, Verdict
    from gateway.verification.records import Records
    from gateway.verification.steps import Step


class Authority(Protocol):
    """An order of checks; raises StoreError where the store cannot be read."""

    @property
    def name(self) -> str:
        """As `answers` in gateway.toml calls it."""

    def decide(self, query: Query, records: Records) -> Verdict | Pending:
        """The verdict as far as this machine's files tell, or which server must be asked."""

    def keys(self, recipient: bytes, kind: Kind) -> set[bytes]:
        """The keys of all records that a verdict of that kind on `recipient` rests on."""

    def folds(self, recipient: bytes) -> bool:
        """Whether it matters that `recipient` may have been put in lower case."""

    def plain(self, recipient: bytes) -> tuple[bytes, bytes] | None:
        """The list's key without which the verdict is `nonexistent`, and the owner's name.

        None where the verdict rests on more than that key and what userdeny
        says of the owner.
        """

    def ordinary(self, recipient: bytes) -> tuple[bytes, bytes] | None:
        """As `plain`, of an address whose first reading is nothing but a user's own mailbox.

        A mailbox under that key, for mail, on this server and with room, takes the mail
        unless its owner is denied.
        """

    @property
    def refuses_unlisted(self) -> bool:
        """Whether an `ordinary` recipient without a record is refused, whatever else there is."""

    @property
    def services(self) -> tuple[bytes, ...]:
        """Where else than at our own service the owner of a mailbox may be denied."""


class Decider(Protocol):
    """Decides at once, or says which server must be asked."""

    def decide(self, query: Query) -> Verdict | Pending:
        """The verdict, or the question that another server must answer."""

    def expire_tick(self) -> None:
        """Time has passed: whatever happened until now must show in the next answer."""


class Engine(Protocol):
    """May wait for other servers; used by one thread at a time."""

    @property
    def store(self) -> CyrusStore | None:
        """The store whose databases it reads; None where other servers know the mailboxes."""

    def answering(self, answers: str) -> Engine:
        """The same engine as the authority `answers`; other servers have their own."""

    def verify(self, query: Query, trace: list[Step] | None = None) -> Verdict:
        """The verdict on `query`; steps are appended to `trace`."""

    def decide(self, query: Query) -> Verdict | Pending:
        """As a Decider's."""

    def advance(
        self, pending: Pending, trace: list[Step] | None = None, *, since: float | None = None
    ) -> Verdict | Pending:
        """Ask the server that `pending` names; the deadline runs from `since` (time.monotonic)."""


class Indexed(Protocol):
    """A memory that gives answers for less with an index of the mailbox list."""

    def build_index_step(self, *, alone: bool = True) -> bool:
        """Do a piece of what makes answers cheaper that are not remembered; False if done.

        With `alone` false another process makes what takes long (`index_wanted`).
        """

    @property
    def index_wanted(self) -> str:
        """The file of which another process should make an index; empty for none."""

    def offer_index(self, descriptor: int) -> None:
        """Another process has made an index, which is used if it is proved to be of use.

        Raises `SharedIndexRefused` where it cannot be one.
        """


class Memory(Decider, Protocol):
    """A decider with verdicts that are remembered."""

    hits: int
    misses: int
    invalidations: int
    nonexistent: Verdict  # what `known_absent` stands for
    # Hears how many seconds each answer took that was not remembered.
    timing: Callable[[float], None] | None

    @property
    def store(self) -> CyrusStore | None:
        """The store whose databases it reads itself."""

    @property
    def watch(self) -> FolderWatch | None:
        """Whose events must be read before a tick of the event loop begins."""

    @property
    def entries(self) -> Collection[bytes]:
        """The recipients with a remembered answer, whether it is still valid or not."""

    def begin_tick(self) -> None:
        """A tick of the event loop begins."""

    def files_changed(self) -> None:
        """`watch` has events: something has happened to the files."""

    def known_absent(self, recipient: bytes) -> bool:
        """Whether it is known at no cost that the verdict on `recipient` is `nonexistent`."""

    def tick(self) -> int:
        """The number of this tick of the event loop, which grows."""

    def shrink(self) -> bool:
        """Give back a piece of the memory, for a process that goes on for a few clients only.

        To be called until it is False: then nothing was left.
        """

    @property
    def indexed(self) -> Indexed | None:
        """Itself, where an index makes answers cheaper; None where no mailbox list is read."""

    def entry(self, recipient: bytes) -> Entry | None:
        """What is remembered of `recipient`, whether it is still valid or not."""

    def is_valid(self, entry: Entry) -> bool:
        """Whether a fresh verdict would be the same as `entry`'s, or as good."""
