"""A small store in a chosen format, its engine, and what is true of each recipient.

`Site` writes the store once; `put` replaces one of its files, in place as
damage does.  `FORMATS` makes a database file of records in each format that
is one file.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.verification.cache import VerdictCache
from gateway.verification.kinds import Kind
from gateway.verification.model import Query, Verdict
from gateway.verification.verifier import Verifier
from tests.stores import FlatStore, dbkey, denial, escaped, quota, record
from tests.support import skiplist_writer, twom_writer
from tests.support.twoskip_writer import Writer

Records = dict[bytes, bytes]

NAMES = (b"anna", b"barred", b"bert", b"full", b"greta", b"shut")

# What the sound store says; `shut` is a folder that nobody may post to.
TRUTH = {
    b"anna": Kind.DELIVERABLE,
    b"greta": Kind.DELIVERABLE,
    b"barred": Kind.DENIED,
    b"full": Kind.OVER_QUOTA,
    b"aaron": Kind.NONEXISTENT,
    b"nobody": Kind.NONEXISTENT,
    b"zoe": Kind.NONEXISTENT,
}

MAILBOXES: Records = {
    dbkey(b"user." + name): record(b"%b\tlrswipkxtecda\tanyone\tp\t" % name) for name in NAMES
}
QUOTAS: Records = {b"user.full": quota((2048, 1)), b"user.anna": quota((0, 1000))}
DENIALS: Records = {b"barred": denial(b"Closed", b"smmap")}


def _twoskip(path: str, records: Records) -> None:
    writer = Writer(seed=3)
    writer.fill(sorted(records.items()))
    first = min(records)
    # A replaced record, a deleted one and two commits: each kind of record is in the file.
    writer.store(first, records[first])
    writer.store(b"gone", b"soon")
    writer.commit()
    writer.delete(b"gone")
    writer.commit()
    assert writer.committed == records
    _write(path, writer.image())


def _skiplist(path: str, records: Records) -> None:
    writer = skiplist_writer.SkiplistWriter(path, seed=3)
    finish = skiplist_writer.finish
    for key in sorted(records):
        finish(writer.store(key, records[key]))
    finish(writer.store(b"gone", b"soon"))
    finish(writer.commit())
    finish(writer.checkpoint())
    # Behind a checkpoint comes the log.
    first = min(records)
    finish(writer.store(first, records[first]))
    finish(writer.delete(b"gone"))
    finish(writer.commit())
    assert writer.committed == records
    writer.close()


def _twom(path: str, records: Records) -> None:
    writer = twom_writer.TwomWriter(path, seed=3)
    finish = twom_writer.finish
    for key in sorted(records):
        finish(writer.store(key, records[key]))
    finish(writer.commit())
    first = min(records)
    finish(writer.store(first, records[first]))
    finish(writer.store(b"gone", b"soon"))
    finish(writer.commit())
    finish(writer.delete(b"gone"))
    finish(writer.commit())
    assert writer.committed == records
    end = writer.end
    writer.close()
    os.truncate(path, end + 64)  # the room behind it is empty


def _flat(path: str, records: Records) -> None:
    lines = {escaped(key): escaped(value) for key, value in records.items()}
    _write(path, b"".join(key + b"\t" + lines[key] + b"\n" for key in sorted(lines)))


def _sqlite(path: str, records: Records) -> None:
    if os.path.exists(path):
        os.unlink(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA page_size = 512")
    connection.execute("CREATE TABLE mailboxes_db (dbkey BLOB NOT NULL, data BLOB)")
    connection.execute("CREATE INDEX mailboxes_db_dbkey ON mailboxes_db (dbkey)")
    rows = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in records.items()]
    connection.executemany("INSERT INTO mailboxes_db VALUES (?, ?)", rows)
    connection.commit()
    connection.close()


FORMATS: dict[str, Callable[[str, Records], None]] = {
    "twoskip": _twoskip,
    "twom": _twom,
    "skiplist": _skiplist,
    "flat": _flat,
    "sql": _sqlite,
}

# Those with a checksum over every byte that counts.
CHECKSUMMED = frozenset({"twoskip", "twom"})


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


@dataclass
class Site:
    """A store below `root`: `mailboxes`, `quotas` and `denials` are the formats.

    `target` is the path of the file that is to be damaged: that of the
    database `victim` (mailboxes, quotas or denials).
    """

    root: str
    mailboxes: str = "flat"
    quotas: str = "flat"
    denials: str = "flat"
    victim: str = "mailboxes"
    target: str = field(init=False)
    image: bytes = field(init=False)
    conf: imapdconf.ImapdConf = field(init=False)

    def __post_init__(self) -> None:
        store = FlatStore(self.root)
        store.options = {
            "mboxlist_db": self.mailboxes,
            "quota_db": self.quotas,
            "userdeny_db": self.denials,
            "sql_engine": "sqlite",
            "sql_database": f"{self.root}/conf/sql.db",
        }
        store.write()
        folder = store.configdirectory
        self.conf = imapdconf.load(store.conf_path, "smmap")
        places = {
            "mailboxes": f"{folder}/{'sql' if self.mailboxes == 'sql' else 'mailboxes'}.db",
            "quotas": f"{folder}/quotas.db",
            "denials": f"{folder}/user_deny.db",
        }
        FORMATS[self.mailboxes](places["mailboxes"], MAILBOXES)
        FORMATS[self.denials](places["denials"], DENIALS)
        if self.quotas == "quotalegacy":
            os.unlink(places["quotas"])
            for root, value in QUOTAS.items():
                letter = root.removeprefix(b"user.")[:1].decode()
                os.makedirs(f"{folder}/quota/{letter}", exist_ok=True)
                _write(f"{folder}/quota/{letter}/{root.decode()}", value + b"\n")
            places["quotas"] = f"{folder}/quota/f/user.full"
        else:
            FORMATS[self.quotas](places["quotas"], QUOTAS)
        self.target = places[self.victim]
        with open(self.target, "rb") as file:
            self.image = file.read()

    @property
    def format(self) -> str:
        """The format of the damaged file."""
        return str(getattr(self, self.victim))

    def put(self, image: bytes) -> None:
        """Give the victim these bytes, in place."""
        descriptor = os.open(self.target, os.O_RDWR)
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, image, 0)
        finally:
            os.close(descriptor)

    def restore(self) -> None:
        """Put a sound copy of the victim into its place, as administrators do."""
        _write(self.target + ".new", self.image)
        os.rename(self.target + ".new", self.target)

    def engine(self) -> Verifier:
        """A new engine on the store."""
        return Verifier.for_store(CyrusStore(self.conf, b"smmap"))

    def memory(self) -> VerdictCache:
        """A new engine that remembers its verdicts."""
        return VerdictCache(self.engine())


def ask(engine: Verifier | VerdictCache, recipient: bytes) -> Kind:
    """What the engine says of one recipient, as if the question had just arrived."""
    if isinstance(engine, VerdictCache):
        engine.expire_tick()
        if engine.known_absent(recipient):
            return Kind.NONEXISTENT
    verdict = engine.decide(Query(recipient))
    assert isinstance(verdict, Verdict)
    return verdict.kind


def close(engine: Verifier | VerdictCache) -> None:
    """Give the descriptors back."""
    verifier = engine.verifier if isinstance(engine, VerdictCache) else engine
    if isinstance(engine, VerdictCache):
        engine.watch.close()
    for database in verifier.store.databases:
        database.close()
