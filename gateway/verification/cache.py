"""Verdicts that are remembered for as long as what they were made of is unchanged.

There is no time to live: an answer is given from memory only after a look at
the files has shown that a fresh one would be the same.

- The databases that hold many records (mailbox list, userdeny, a quota
  database) are looked at once a tick of the event loop, before its first
  answer, unless their folders are watched and nothing has happened there
  (gateway/cyrus/folderwatch.py).  A commit makes a new store version.  Where the
  database can tell which keys were written, only their verdicts are forgotten,
  else all.
- A quota root in a file of its own is watched by its folder, or looked at
  for each verdict that rests on it, once a tick; so is the absence of one.
- Watched is what the path leads to: that it leads to another place, because of a
  rename, a symbolic link or a mount above, shows as any other change does.

`begin_tick` says that a tick of the loop begins, `expire_tick` that a question may
have come after the tick's look.  What cannot show is then at most the rest of a
tick old.

Temporary failures and whatever another server said are never remembered, and
unknown recipients only a few: a dictionary attack must not push out those that
get mail.  Where the mailbox list has an index (`build_index_step`), they need not be
(`known_absent`).  Limits: MAX_ENTRIES verdicts, the oldest give way, of recipients and
with reasons that are not longer than they may be in SMTP.
"""

from __future__ import annotations

from time import perf_counter

from gateway.cyrus.folderwatch import FolderWatch
from gateway.errors import StoreError
from gateway.verification.entry import Entry
from gateway.verification.kinds import Kind
from gateway.verification.largedict import LargeDict
from gateway.verification.model import MAX_REASON, MAX_RECIPIENT, Pending, Query, Verdict
from gateway.verification.ordinary import DELIVERABLE, NONEXISTENT, Ordinary
from gateway.verification.storeversion import StoreVersion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.cyrus.db.filetoken import AbsenceProof, FileProof
    from gateway.verification.verifier import Verifier

    Proofs = tuple[FileProof | AbsenceProof, ...]

# Verdicts remembered: 630 to 770 bytes each with key, cached reply and proofs, 190 MiB in all;
# 380 MiB if every recipient is as long as possible.  With fewer than there are users, each may be
# dropped just before it is asked about again.
MAX_ENTRIES = 262_144  # only a bound

# The same in a process that is shutting down and serves only the clients that it still has.
FEW_ENTRIES = 4096  # only a bound

# Unknown recipients remembered, where there is no index.
MAX_UNKNOWN = 8192  # only a bound

# Ticks in a row without a look at databases whose folders are watched and quiet.  The kernel
# reports all that the look could find; it costs little, and bounds the harm if a kernel does not.
QUIET_TICKS = 256  # only a bound

# Verdicts that are let go at once, in some 2 ms; a hundred times as many may have become invalid.
_RELEASED = 8192  # only a bound

# The same in a process that leaves, which has other caches to give back in the same moment.
_GIVEN_BACK = 2048  # only a bound

# Different verdicts of which one object is kept; deny messages are few.
_MAX_SHARED = 1024  # only a bound


class VerdictCache:
    """A Verifier's verdicts, remembered.  Used by one thread, that of the event loop.

    `entries` are what is remembered by recipient, `nonexistent` is the verdict
    that `known_absent` stands for.
    """

    def __init__(self, verifier: Verifier, max_entries: int = MAX_ENTRIES) -> None:
        self.verifier = verifier
        self.entries: LargeDict[bytes, Entry] = LargeDict(max_entries)
        self.nonexistent = Verdict(Kind.NONEXISTENT, Kind.NONEXISTENT.text)
        self._deliverable = Verdict(Kind.DELIVERABLE, b"")
        self.watch = FolderWatch()
        self._ordinary = Ordinary(verifier, self.watch)
        self.hits = 0
        self.misses = 0
        self.invalidations = 0
        # Hears how many seconds each answer took that was not remembered.
        self.timing: Callable[[float], None] | None = None
        self.store = verifier.store
        self._mailboxes, _, self._quotas = verifier.store.databases
        self._shrunk = False
        self._unknown: LargeDict[bytes, Entry] = LargeDict(min(max_entries, MAX_UNKNOWN))
        # Of folded addresses that are refused as they are.
        self._folded: LargeDict[bytes, Entry] = LargeDict(min(max_entries, MAX_UNKNOWN))
        self._all = (self.entries, self._unknown, self._folded)
        self._verdicts: dict[tuple[Kind, bytes], Verdict] = {}
        self._store_version = StoreVersion(verifier.store)
        self._nobody_denied = False  # same with True: the first look sets it
        self._plain = verifier.authority.plain
        # Whether a key without a record shows who is absent; known since the last look.
        self._shows_absence = False  # same with True: the first look sets it
        # same with -2: the first look sets it
        self._change_count = -1  # the watch's, at the last look
        # same with 1: the first look sets it
        self._quiet_ticks = 0  # ticks that need no look while nothing changes
        # same with 1: the first tick is 1
        self._valid_from = 0  # the first tick of the look after which all were forgotten
        # same with True: at most one look more
        self._unwatched = False  # something remembered has to be looked at itself
        self._ticks = 0  # same with 1: it only has to grow
        # same with 1: it only has to grow
        self._checked_tick = 0  # the one in which the databases were looked at last
        self._looked = False

    def begin_tick(self) -> None:
        """A tick of the loop begins, and the watch's events have been read."""
        self._ticks += 1  # same with 2: it only has to grow
        self._looked = False

    def expire_tick(self) -> None:
        """Time has passed: whatever happened until now must show in the next answer."""
        self.watch.drain()
        self._ticks += 1  # same with 2: it only has to grow
        self._looked = False

    def files_changed(self) -> None:
        """Something has happened to the files: look at once, not only at the next question.

        Between two questions more may be done to a file than its end can tell
        (gateway/cyrus/db/history.py): the sooner it is looked at, the less.
        """
        self.expire_tick()
        self._look()
        self._looked = False  # a question of this tick may come later than this look

    def tick(self) -> int:
        """The number of this tick of the event loop, which grows."""
        return self._ticks

    def decide(self, query: Query) -> Verdict | Pending:
        """The verdict on `query`, from memory if that is still valid."""
        if not query.folded:
            return self._unfolded(query)
        recipient = query.recipient
        outcome = self._unfolded(Query(recipient, query.size, query.hops))
        if isinstance(outcome, Pending) or outcome.kind.accepts or outcome.kind.temporary:
            return outcome
        if not self.verifier.authority.folds(recipient):
            return outcome
        entry = self._folded.get(recipient)
        if query.size is None and entry is not None and self.is_valid(entry):
            return entry.verdict
        return self._fresh(query)

    def _unfolded(self, query: Query) -> Verdict | Pending:
        recipient = query.recipient
        if query.size is None:
            entry = self.entries.get(recipient) or self._unknown.get(recipient)
            if entry is not None and self.is_valid(entry):
                self.hits += 1
                return entry.verdict
            self.misses += 1
        if self.timing is None:
            return self._fresh(query)
        start = perf_counter()
        outcome = self._fresh(query)
        self.timing(perf_counter() - start)
        return outcome

    def shrink(self) -> bool:
        """Forget what is remembered, and remember only a few from now on.

        To be called until it is False: each call gives back a piece of the memory.
        """
        if not self._shrunk:
            self._shrunk = True
            # What others hold, too, is of no version that there will be.
            self._store_version.lose()
            self._shows_absence = False
            self._quiet_ticks = 0
            self._looked = False
            for entries in self._all:
                entries.put_aside(FEW_ENTRIES)
        return any(entries.release(_GIVEN_BACK) for entries in self._all)

    @property
    def indexed(self) -> VerdictCache:
        """As any Memory's."""
        return self

    def build_index_step(self, *, alone: bool = True) -> bool:
        """As any Indexed's: about 2 ms, again after a database was replaced."""
        if any(entries.release(_RELEASED) for entries in self._all):
            return True
        return not self._shrunk and self._mailboxes.build_index_step(alone=alone)

    @property
    def index_wanted(self) -> str:
        """As any Indexed's."""
        return "" if self._shrunk else self._mailboxes.index_wanted

    def offer_index(self, descriptor: int) -> None:
        """As any Indexed's."""
        self._mailboxes.offer_index(descriptor)

    def entry(self, recipient: bytes) -> Entry | None:
        """What is remembered of `recipient`, whether it is still valid or not."""
        return self.entries.get(recipient)

    def is_valid(self, entry: Entry) -> bool:
        """Whether a fresh verdict would be the same as `entry`'s."""
        if not self._looked:
            self._look()
        if entry.tick == self._checked_tick:
            return True
        versions = self._store_version
        if entry.store_version != versions.number:
            if entry.everything:
                return self._forget(entry)
            keys = self.verifier.authority.keys(entry.recipient, entry.verdict.kind)
            if not versions.untouched(keys, entry.store_version):
                return self._forget(entry)
            entry.store_version = versions.number
        for proof in entry.proofs:
            folder = proof.folder
            if (folder is None or folder.changes != proof.seen) and not proof.holds():
                return self._forget(entry)
        entry.tick = self._checked_tick
        return True

    def known_absent(self, recipient: bytes) -> bool:
        """Whether it is known at no cost that the verdict on `recipient` is `nonexistent`."""
        if not self._looked:
            self._look()
        if not self._shows_absence:
            newer = self.store.mailboxes.is_newer
            if not newer or not self._store_version.number or self.verifier.kicks_mupdate:
                return False
            self._shows_absence = True
        plain = self._plain(recipient)
        if plain is None or not self._mailboxes.known_absent(plain[0]):
            return False
        if not self._nobody_denied:
            store = self.store
            try:
                if store.denials.check(plain[1], store.service) is not None:
                    return False
            except StoreError:
                return False
        return True

    def _forget(self, entry: Entry) -> bool:
        if entry.tick >= self._valid_from:
            self.invalidations += 1  # else it was counted when all were forgotten
        entry.store_version = entry.tick = -1  # same with -2: neither a version nor a tick
        for entries in self._all:
            if entries.get(entry.recipient) is entry:
                entries.pop(entry.recipient)
        return False

    def _look(self) -> None:
        self._looked = True
        change_count = self.watch.change_count
        if self._quiet_ticks and change_count == self._change_count:
            # The kernel would have told of any change.
            self._quiet_ticks -= 1  # same with 2: a bound of work
            if self._unwatched:
                self._checked_tick += 1  # same with 2: it only has to grow
            return
        self._checked_tick += 1  # same with 2: it only has to grow
        self._change_count = change_count
        self._quiet_ticks = 0
        self._shows_absence = False
        seen = self._store_version.look()
        if self._quotas.keeps_files:
            try:
                self._quotas.refresh()
            except StoreError:
                # Recipients without a quota root are answered from the others, which were read.
                self._store_version.lose()
                seen = False
        if not seen:
            self._forget_all()
        self._nobody_denied = self.store.denials.blocks_nobody
        if self._store_version.number and self._store_version.covered_by(self.watch):
            self._quiet_ticks = QUIET_TICKS

    def _forget_all(self) -> None:
        """No verdict is valid any more: each is of a version whose changes are not known.

        That alone is what makes them invalid (`is_valid`).  To let many go takes long, so
        no request waits for that: they give way to new ones, or are let go in pieces.
        """
        self._valid_from = self._checked_tick
        self.invalidations += len(self.entries)
        for entries in self._all:
            entries.put_aside()
        self._unwatched = False  # same with True: at most one look more

    def _fresh(self, query: Query) -> Verdict | Pending:
        if query.size is not None:
            # What is free changes with every delivery; it is not worth keeping.
            return self.verifier.decide(query)
        if not self._looked:
            self._look()
        return self._decide(query)

    def _decide(self, query: Query) -> Verdict | Pending:
        # The store's version was looked at before anything is read; should a commit come
        # in between, what is remembered passes for older than it is.
        version = self._store_version.number
        seen = None
        if not query.folded:
            ordinary = self._ordinary
            found = ordinary.look(query.recipient)
            if found is DELIVERABLE:
                return self._remember(query, self._deliverable, version, ordinary.proofs)
            if found is NONEXISTENT:
                return self._remember(query, self.nonexistent, version, [])
            seen = ordinary.seen
        proofs: list[FileProof | AbsenceProof | None] = []
        quota_get = self._proving(proofs) if self._quotas.keeps_files else None
        verdict = self.verifier.decide_now(query, quota_get=quota_get, seen=seen)
        if isinstance(verdict, Pending):
            return verdict
        return self._remember(query, verdict, version, proofs)

    def _remember(
        self,
        query: Query,
        verdict: Verdict,
        version: int,
        proofs: list[FileProof | AbsenceProof | None],
    ) -> Verdict:
        """`verdict`, which is kept if it can be proved later that it is valid."""
        if not verdict.cacheable or not version:
            return verdict
        if not worth_keeping(query.recipient, verdict):
            return verdict
        proven: Proofs = ()
        for proof in proofs:
            if proof is None:
                return verdict
            proven = (*proven, proof)
            if proof.folder is None:
                self._unwatched = True
        entries = self.entries
        if query.folded:
            entries = self._folded
        elif verdict.kind.missing:
            entries = self._unknown
        shared = self._shared(verdict)
        entry = Entry(
            query.recipient, shared, version, self._checked_tick, proven, everything=query.folded
        )
        for old in entries.put(query.recipient, entry):
            old.store_version = -1  # same with -2: neither a version nor a tick
        return verdict

    def _proving(
        self, proofs: list[FileProof | AbsenceProof | None]
    ) -> Callable[[bytes], bytes | None]:
        """Reads quota roots, and collects what tells later that they are unchanged."""

        def get(root: bytes) -> bytes | None:
            value, proof = self._quotas.get_proved(root, self.watch)
            proofs.append(proof)
            return value

        return get

    def _shared(self, verdict: Verdict) -> Verdict:
        """`verdict` without its evidence, one object for all that are alike.

        What is remembered is which answer to give; a caller that wants the evidence
        asks the engine.
        """
        key = (verdict.kind, verdict.reason)
        shared = self._verdicts.get(key)
        if shared is None:
            shared = Verdict(verdict.kind, verdict.reason)
            if len(self._verdicts) < _MAX_SHARED:  # same with <=: a bound of work
                self._verdicts[key] = shared
        return shared


def worth_keeping(recipient: bytes, verdict: Verdict) -> bool:
    """Whether a verdict is short enough to be remembered."""
    return len(recipient) <= MAX_RECIPIENT and len(verdict.reason) <= MAX_REASON
