"""What every database format offers: the one class Database.

A Database reads one file (or one SQL table) that Cyrus writes, without ever
writing, creating, repairing or locking it, and shows exactly the committed
state.  It holds no thread, no global and no gevent; one object is used by one
thread at a time.

What only some formats can do has a default here that is true of all others, so
that its callers name no format.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from gateway.cyrus.db.filetoken import AbsenceProof, FileProof
    from gateway.cyrus.folderwatch import FolderWatch

    # A value, and what shows later that it is still valid; None where nothing does.
    Proved = tuple[bytes | None, FileProof | AbsenceProof | None]
    Record = tuple[bytes, bytes]


class ConsistentRead(Value):
    """What `look` has seen: `values` of the keys that are there, a record or None a prefix.

    A decision that rests on more than one record must not see one of them from before
    a commit and another from after it.
    """

    __slots__ = ("samples", "values")
    samples: Sequence[Record | None]
    values: Mapping[bytes, bytes]

    def __init__(self, values: Mapping[bytes, bytes], samples: Sequence[Record | None]) -> None:
        self.samples = samples
        self.values = values
        self._freeze()


class Description(Value):
    """One database file at one moment, for a status page and for gauges, never for a decision.

    `size` is in bytes, `generation` grows with each repack; what a format does not
    say is None.
    """

    __slots__ = ("format", "generation", "records", "size")
    format: str
    generation: int | None
    records: int | None
    size: int | None

    def __init__(
        self,
        format_: str,
        size: int | None = None,
        generation: int | None = None,
        records: int | None = None,
    ) -> None:
        self.format = format_
        self.generation = generation
        self.records = records
        self.size = size
        self._freeze()


class Database(ABC):
    """One open database, read only.

    All methods raise `DatabaseUnavailable`, `DatabaseMissing` or
    `DatabaseDamaged` (gateway.errors) when no trustworthy answer can be given.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def path(self) -> str:
        """The file's path as the configuration gives it."""

    @property
    @abstractmethod
    def format(self) -> str:
        """The format's name as imapd.conf spells it: twoskip, skiplist, flat, ..."""

    @abstractmethod
    def get(self, key: bytes) -> bytes | None:
        """The committed value of `key`, or None where there is no such record."""

    @abstractmethod
    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All committed records whose key starts with `prefix`, in the file's key order."""

    @abstractmethod
    def state(self, key: bytes | None = None) -> Hashable:
        """A token of the committed state, read afresh from the file.

        While two tokens are equal, no commit came between them that could
        change what `get` says: of `key` where it is given (formats that keep
        a file a record look at that record only), else of any key.  At most
        one or two system calls.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the descriptors back; the object is not used again."""

    def get_seen(self, key: bytes) -> bytes | None:
        """`get` of the state that `state` has seen last, where that is cheaper."""
        return self.get(key)

    def get_proved(self, key: bytes, watch: FolderWatch | None = None) -> Proved:
        """For a format that keeps files: `get`, and what shows later that it is still valid."""
        return self.get(key), None

    def look(self, keys: Sequence[bytes], prefixes: Sequence[bytes] = ()) -> ConsistentRead:
        """The values of `keys`, and a record under each of `prefixes`.

        They are of one committed state where the format `reads_consistently`.
        """
        values = {key: value for key in keys if (value := self.get(key)) is not None}
        return ConsistentRead(values, [next(iter(self.items(each)), None) for each in prefixes])

    def changes(self, since: Hashable) -> frozenset[bytes] | None:
        """The keys written since `since`, an earlier `state()`; None where nothing tells."""
        return None

    # same with False: the argument is ignored
    def build_index_step(self, *, alone: bool = True) -> bool:
        """Do a piece of what makes later look-ups cheap; False if nothing is left to do.

        With `alone` false another process makes what takes long (`index_wanted`).
        """
        return False

    @property
    def index_wanted(self) -> str:
        """The file of which another process should make an index; empty for none."""
        return ""

    def offer_index(self, descriptor: int) -> None:  # noqa: B027  (most have no index)
        """Another process has made an index; `build_index_step` finds out whether it is of use.

        The descriptor may be closed then.  Raises `SharedIndexRefused` where it cannot be one.
        """

    def known_absent(self, key: bytes) -> bool:
        """Whether it is known at no cost that the state seen last has no record `key`."""
        return False

    @property
    def keeps_files(self) -> bool:
        """Whether each record is a file of its own; `state` then says nothing about records."""
        return False

    @property
    def told_by_kernel(self) -> bool:
        """Whether the kernel tells of each change (inotify): it is written by system calls.

        twom is written through memory, of which the kernel tells nothing, and
        SQLite beside its file.
        """
        return False

    @property
    def reads_consistently(self) -> bool:
        """Whether `look` is one statement, and records that are read one by one are not."""
        return False

    @property
    def missing(self) -> bool:
        """Whether the last look found no file."""
        return False

    @property
    def was_there(self) -> bool:
        """Whether a file has ever been opened here."""
        return False

    @property
    def commits(self) -> int:
        """Another number once the file may have been written, as far as `state` was asked."""
        return 0  # same with 1: any number that stays

    @property
    def lineage(self) -> Hashable:
        """Another one as soon as what was learnt of the records may not hold any more."""
        return None

    @property
    def history(self) -> Hashable:
        """Another one where what was learnt of the records before the last look may be wrong."""
        return None

    @property
    def overwritten(self) -> bool:
        """Whether the file has had another past (gateway/cyrus/db/history.py)."""
        return False

    def distrust(self) -> None:  # noqa: B027  (most have no past that could be another)
        """An earlier reader has found that this file has had another past."""

    def count(self) -> int | None:
        """How many records there are, by a header or by lines; None where that is not said.

        For a progress bar, not for a decision: the file may be written meanwhile,
        and skiplist's number is that of its last checkpoint.
        """
        return None

    def describe(self) -> Description:
        """What the file says of itself."""
        return Description(self.format)
