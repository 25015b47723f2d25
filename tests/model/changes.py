"""What is done to a store between two rounds of questions, drawn at random.

Names and values have few lengths and records no ids, so that two histories
are as alike as they can be.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random

from tests.model.databases import WAYS, Database, Ops, Roots
from tests.rigs.responders import REASON
from tests.stores import dbkey, denial, record

USERS = tuple(b"u%d" % number for number in range(10))
SHARED = (b"s0", b"s1")
# Asked about: users, a folder of one, shared folders, and names that nobody ever has.
NAMES = (
    *USERS,
    *(b"u0+box", b"u1+box"),
    *(b"+" + name for name in SHARED),
    *(b"n%d" % number for number in range(6)),
)

_FULL, _FREE = b"%(S (9000 1))", b"%(S (1000 9))"
_POSTABLE, _READABLE = record(b"anyone\tlrp"), record(b"anyone\tlrs")


class Store:
    """The three databases of one store."""

    def __init__(self, mailboxes: Database, quotas: Database, denials: Database) -> None:
        self.mailboxes = mailboxes
        self.quotas = quotas
        self.denials = denials
        self._away: Database | None = None
        # How often a writer goes on over a restore: Cyrus may then damage the file, since it
        # remembers places in it.
        self.stale = 0.0
        some = [(dbkey(b"user." + user), record()) for user in USERS[::2]]
        mailboxes.commit([*some, (dbkey(b"user.u0.box"), record()), (dbkey(b"s0"), _POSTABLE)])
        quotas.commit([(b"user.u0", _FREE), (b"user.u2", _FULL)])
        for database in self.all:
            database.backup()

    @property
    def all(self) -> tuple[Database, Database, Database]:
        """Each database."""
        return self.mailboxes, self.quotas, self.denials

    def change(self, chance: Random) -> str:
        """Do something; what it was."""
        if self._away is not None:
            database, self._away = self._away, None
            os.rename(database.path + ".away", database.path)
            return f"back {os.path.basename(database.path)}"
        name = chance.choices(list(CHANGES), [weight for weight, _ in CHANGES.values()])[0]
        return CHANGES[name][1](self, chance) or name

    @property
    def is_whole(self) -> bool:
        """Whether no database is away."""
        return self._away is None

    def fix(self) -> None:
        """Put a backup of each database into its place, as another file."""
        for database in self.all:
            database.reopen()
            if database.backups:
                database.restore(database.backups[0], "rename")

    def close(self) -> None:
        """No writer is left."""
        for database in self.all:
            database.reopen()

    # --- commits --------------------------------------------------------------------------

    def ops(self, database: Database, chance: Random) -> Ops:
        """A transaction of one record or a few."""
        draw = {self.mailboxes: _mailbox, self.quotas: _quota, self.denials: _denial}[database]
        return list(dict(draw(chance) for _ in range(chance.choice((1, 1, 1, 3)))).items())

    def commit(self, chance: Random) -> str:
        """One transaction of one database; the mailbox list's are the most frequent."""
        weights = (6, 3, 1)
        database = chance.choices(self.all, weights)[0]
        ops = self.ops(database, chance)
        database.commit(ops)
        return f"commit {os.path.basename(database.path)} {ops!r}"

    # --- what administrators do -----------------------------------------------------------

    def rewind(self, chance: Random) -> str:
        """Restore a backup, and commit to it: often as much as had been committed before."""
        database = chance.choices(self.all, (5, 3, 1))[0]
        way = chance.choice(WAYS)
        database.restore(chance.choice(database.backups), way)
        if not database.may_go_on or chance.random() >= self.stale:
            database.reopen()
        count = chance.choice((0, 1, 1, 1, 2, 2, 3))
        for _ in range(count):
            database.commit(self.ops(database, chance))
        return f"restore {os.path.basename(database.path)} ({way}) and {count} commits"

    def backup(self, chance: Random) -> str:
        """A copy of one database, and some commits behind it."""
        database = chance.choices(self.all, (5, 3, 1))[0]
        database.backup()
        count = chance.choice((0, 1, 1, 2, 3))
        for _ in range(count):
            database.commit(self.ops(database, chance))
        return f"back up {os.path.basename(database.path)}, and {count} commits"

    def repack(self, chance: Random) -> str:
        """Another file with the same records."""
        database = chance.choice(self.all)
        database.repack()
        return f"repack {os.path.basename(database.path)}"

    def edit(self, chance: Random) -> str | None:
        """A quota root is edited in place; where there are no files, one more commit."""
        if not isinstance(self.quotas, Roots):
            return self.commit(chance)
        for _ in range(chance.choice((1, 2))):
            root, value = _quota(chance)
            self.quotas.edit(root, value or _FULL, old=chance.random() < 0.5)
        return None

    def take_away(self, chance: Random) -> str:
        """A database is not there; the next change puts it back.

        Not that of userdeny: a process that has seen it does not say the same as one that has not.
        """
        database = chance.choice((self.mailboxes, self.quotas))
        if isinstance(database, Roots):
            return self.commit(chance)
        database.reopen()
        os.rename(database.path, database.path + ".away")
        self._away = database
        return f"away {os.path.basename(database.path)}"

    def touch(self, chance: Random) -> None:
        """Times change and nothing else."""
        os.utime(chance.choice(self.all).path)


def _mailbox(chance: Random) -> tuple[bytes, bytes | None]:
    kind = chance.random()
    if kind < 0.8:
        value = record() if chance.random() < 0.55 else None
        return dbkey(b"user." + chance.choice(USERS)), value
    if kind < 0.9:
        name = chance.choice((b"user.u0.box", b"user.u1.box"))
        return dbkey(name), chance.choice((record(), None))
    return dbkey(chance.choice(SHARED)), chance.choice((_POSTABLE, _READABLE, None))


def _quota(chance: Random) -> tuple[bytes, bytes | None]:
    return b"user." + chance.choice(USERS), chance.choice((_FULL, _FULL, _FREE, _FREE, None))


def _denial(chance: Random) -> tuple[bytes, bytes | None]:
    return chance.choice(USERS), chance.choice((denial(REASON), None, None))


Change = Callable[[Store, Random], str | None]

CHANGES: dict[str, tuple[int, Change]] = {
    "commit": (40, Store.commit),
    "rewind": (25, Store.rewind),
    "backup": (10, Store.backup),
    "edit": (8, Store.edit),
    "repack": (4, Store.repack),
    "away": (2, Store.take_away),
    "touch": (2, Store.touch),
}
