"""The databases of a store that a test changes: each commits, is copied and is restored.

twoskip, skiplist and flat ones are written by Cyrus itself (one cyr_dbtool that
goes on, as imapd does), SQLite ones by SQLite, twom ones by the writer of the
reader's tests, quotalegacy's files as Cyrus writes them, by rename.
"""

from __future__ import annotations

import os
import select
import shutil
import sqlite3
import subprocess
from abc import ABC, abstractmethod
from contextlib import closing

from gateway.cyrus.db.quotalegacy import folder_hash
from tests.rigs.cyrus_tools import PROGRAMS
from tests.rigs.processes import RigError, account, start
from tests.support.twom_writer import TwomWriter, finish

# A record that each database has from its making on: a reader that finds it knows that all that
# was written before has been committed.
SYNC = b"$SYNC"
# Seconds that Cyrus is given for a transaction.
GIVE_UP_S = 30.0
OLD = (1_600_000_000, 1_600_000_000)  # seconds: what `cp -p` leaves of an old backup

# Ways to put a backup into a file's place.
WAYS = ("copy", "copy with its times", "in place", "in place with its times", "rename", "rename -p")

Ops = list[tuple[bytes, bytes | None]]


class Database(ABC):
    """One database; `path` is its file, or its folder."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.backups: list[bytes] = []
        # Whether its writer may go on over a restore; Cyrus' skiplist would go in circles.
        self.may_go_on = True

    @abstractmethod
    def commit(self, ops: Ops) -> None:
        """One transaction: each key gets its value, or is deleted."""

    @abstractmethod
    def repack(self) -> None:
        """A new file with the same records."""

    def backup(self) -> None:
        """Keep what the file holds now."""
        with open(self.path, "rb") as file:
            self.backups = [*self.backups[-2:], file.read()]

    def restore(self, image: bytes, way: str) -> None:
        """Put a backup into the file's place, in one of WAYS."""
        if way.startswith("rename"):
            with open(self.path + ".restored", "wb") as file:
                file.write(image)
            _give(self.path + ".restored")
            if way.endswith("-p"):
                os.utime(self.path + ".restored", OLD)
            os.rename(self.path + ".restored", self.path)
            return
        flags = os.O_WRONLY | (os.O_TRUNC if way.startswith("copy") else 0)
        descriptor = os.open(self.path, flags)
        os.pwrite(descriptor, image, 0)
        os.ftruncate(descriptor, len(image))
        os.close(descriptor)
        if way.endswith("times"):
            os.utime(self.path, OLD)

    def reopen(self) -> None:  # noqa: B027 (most writers come again each time)
        """Its writers start again."""


class Cyrus(Database):
    """A file of Cyrus' own; `form` is its format."""

    def __init__(self, path: str, form: str, imapd_conf: str) -> None:
        super().__init__(path)
        self._tool = os.path.join(PROGRAMS, "cyr_dbtool")
        self._words = ["-C", imapd_conf, "-n", path, form]
        self._batch: subprocess.Popen[bytes] | None = None
        self.may_go_on = form != "skiplist"
        self.commit([(SYNC, b"1")])

    def commit(self, ops: Ops) -> None:
        for _ in range(2):
            if self._commit(ops):
                return
            self.reopen()
        # What it had in memory and what was restored in place went badly together.
        if not self.backups:
            raise RigError(f"cyr_dbtool gives up on {self.path}: {ops!r}")
        self.restore(self.backups[0], "rename")

    def _commit(self, ops: Ops) -> bool:
        """Whether Cyrus did it."""
        lines = [b"BEGIN\n"] if len(ops) > 1 else []
        for key, value in ops:
            if value is None:
                lines.append(b"DELETE %b\n" % _literal(key))
            else:
                lines.append(b"SET %b %b\n" % (_literal(key), _literal(value)))
        if len(ops) > 1:
            lines.append(b"COMMIT\n")
        lines.append(b"GET %b\n" % _literal(SYNC))
        batch = self._started()
        assert batch.stdin is not None
        assert batch.stdout is not None
        try:
            batch.stdin.write(b"".join(lines))
        except BrokenPipeError:
            return False
        if not select.select([batch.stdout], [], [], GIVE_UP_S)[0]:
            batch.kill()  # it goes in circles
            return False
        return bool(batch.stdout.readline())

    def _started(self) -> subprocess.Popen[bytes]:
        if self._batch is None:
            self._batch = start(
                [self._tool, *self._words, "batch"],
                user=account("cyrus"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        return self._batch

    def repack(self) -> None:
        self.reopen()
        with start([self._tool, *self._words, "repack"], user=account("cyrus")) as repack:
            repack.wait()

    def reopen(self) -> None:
        batch, self._batch = self._batch, None
        if batch is not None:
            batch.communicate()


class Sqlite(Database):
    """A table of an SQLite file."""

    def __init__(self, path: str, table: str) -> None:
        super().__init__(path)
        self._table = table
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"CREATE TABLE {table} (dbkey BLOB NOT NULL, data BLOB)")
        _give(path)

    def commit(self, ops: Ops) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for key, value in ops:
                connection.execute(f"DELETE FROM {self._table} WHERE dbkey = ?", (key,))
                if value is not None:
                    connection.execute(f"INSERT INTO {self._table} VALUES (?, ?)", (key, value))

    def repack(self) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("VACUUM")


class Twom(Database):
    """A twom file, of which each transaction is written by another process' writer."""

    def __init__(self, path: str, seed: int) -> None:
        super().__init__(path)
        self._seed = seed
        TwomWriter(path, seed).close()
        _give(path)

    def commit(self, ops: Ops) -> None:
        writer = TwomWriter.opened(self.path, self._next())
        for key, value in ops:
            finish(writer.delete(key) if value is None else writer.store(key, value))
        finish(writer.commit())
        writer.close()

    def repack(self) -> None:
        writer = TwomWriter.opened(self.path, self._next())
        finish(writer.repack())
        writer.close()
        _give(self.path)

    def _next(self) -> int:
        self._seed += 1
        return self._seed


class Roots(Database):
    """quotalegacy: a file a quota root below the folder `path`."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._last = self.file(b"none")

    def file(self, root: bytes) -> str:
        """The file of a quota root."""
        letter = folder_hash(root[root.find(b".") + 1 :], full=False).decode()
        folder = os.path.join(self.path, "quota", letter)
        if not os.path.isdir(folder):
            os.makedirs(folder)
            for each in (os.path.dirname(folder), folder):
                _give(each)
        return os.path.join(folder, root.decode())

    def commit(self, ops: Ops) -> None:
        for root, value in ops:
            path = self._last = self.file(root)
            if value is not None:
                with open(path + ".NEW", "wb") as file:
                    file.write(value + b"\n")
                _give(path + ".NEW")
                os.rename(path + ".NEW", path)
            elif os.path.exists(path):
                os.unlink(path)

    def edit(self, root: bytes, value: bytes, *, old: bool) -> None:
        """Write to a root's file in place, if there is one, as an administrator does."""
        path = self.file(root)
        if os.path.exists(path):
            with open(path, "r+b") as file:
                file.write(value + b"\n")
                file.truncate()
            if old:
                os.utime(path, OLD)

    def repack(self) -> None:
        """Another folder, with copies of all files, takes the place of theirs."""
        place = os.path.join(self.path, "quota")
        if os.path.isdir(place):
            shutil.copytree(place, place + ".copy")
            for folder, _, names in os.walk(place + ".copy"):
                for name in (".", *names):
                    _give(os.path.join(folder, name))
            os.rename(place, place + ".old")
            os.rename(place + ".copy", place)
            shutil.rmtree(place + ".old")

    def backup(self) -> None:
        """Of the file that was written last."""
        if os.path.exists(self._last):
            with open(self._last, "rb") as file:
                self.backups = [*self.backups[-2:], file.read()]

    def restore(self, image: bytes, way: str) -> None:
        """Into the place of the file that was written last."""
        if not os.path.exists(self._last):
            return
        folder, self.path = self.path, self._last
        try:
            super().restore(image, way)
        finally:
            self.path = folder


def _literal(data: bytes) -> bytes:
    return b"{%d+}\r\n%b" % (len(data), data)


def _give(path: str) -> None:
    """To user cyrus."""
    owner = account("cyrus")
    os.chown(path, owner.uid, owner.gid)
