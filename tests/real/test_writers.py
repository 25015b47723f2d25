"""Reads while Cyrus writes: creates, renames, deletes, quotas, blocks and repacks in a loop.

Nothing that smmapd says may be wrong or stale: see histories.py for what that
means.  WRITERS_QUESTIONS=n asks more or fewer than the default.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable

import pytest

from tests.real.histories import History, Reader, read
from tests.real.under_master import NOT_FOUND, SERVICE
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import MAILBOX_LIST, Mailbox
from tests.rigs.imap import Admin
from tests.rigs.program import smmapd_program
from tests.rigs.require import require
from tests.rigs.socketmap import Connection
from tests.rigs.syslog import Syslog

pytestmark = [pytest.mark.real, pytest.mark.slow]

# In all formats together.
QUESTIONS = int(os.environ.get("WRITERS_QUESTIONS", "1000000"))
FORMATS = ("twoskip", "skiplist", "flat")
READERS = 8
# Before the readers may stop, every kind of operation has happened this often.
ROUNDS = 5

OVER_QUOTA = b"TEMP Over quota"
DENIED = b"NOTFOUND closed for today"
NOT_POSTABLE = b"PERM Permission denied"
# A mailbox that is being created or renamed.
RESERVED = b"TEMP Mailbox is currently reserved"


def ok(key: bytes) -> bytes:
    """The reply for a recipient that may get mail."""
    return b"OK " + key


class Writer:
    """Changes the store in a loop, on a thread, and asks after each operation what is true now."""

    def __init__(self, cyrus: Cyrus, backend: str, admin: Admin, connection: Connection) -> None:
        self._cyrus = cyrus
        self._backend = backend
        self._admin = admin
        self._connection = connection
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._stop = threading.Event()
        self.enough = threading.Event()
        self.done: Counter[str] = Counter()
        self.files: set[int] = set()  # inodes that the mailbox list has had
        self.wrong: list[str] = []
        self.error: Exception | None = None
        self.users = [self._missing(b"churn%d" % n) for n in range(6)]
        self.renamed = [self._missing(b"moved%d" % n) for n in range(6)]
        self.folders = [self._missing(b"churn%d+sub.folder" % n) for n in range(6)]
        self.batch = [self._missing(b"batch%d" % n) for n in range(40)]
        self.shared = [self._missing(b"+share%d" % n) for n in range(3)]
        self.blocked = History(b"blocked", ok(b"blocked"))

    @staticmethod
    def _missing(key: bytes) -> History:
        return History(key, NOT_FOUND)

    def histories(self) -> list[History]:
        """Every recipient that it changes."""
        return [
            *self.users,
            *self.renamed,
            *self.folders,
            *self.batch,
            *self.shared,
            self.blocked,
        ]

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Wait for the round that is under way."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        rounds: tuple[Callable[[int], None], ...] = (
            self._user,
            self._load,
            self._block,
            self._share,
        )
        number = 0
        try:
            while not self._stop.is_set() and not self.wrong:
                for one in rounds:
                    one(number)
                number += 1
                if number == ROUNDS:
                    self.enough.set()
        except Exception as error:  # noqa: BLE001  (the test raises it again)
            self.error = error
        self.enough.set()

    def _operation(
        self, name: str, change: Callable[[], object], *expected: tuple[History, tuple[bytes, ...]]
    ) -> None:
        """One operation; `expected` are the replies that it makes true, the last one for good."""
        for history, replies in expected:
            history.begin(*replies)
        change()
        for history, _ in expected:
            history.end()
        self.done[name] += 1
        self.files.add(os.stat(self._cyrus.tools.path(MAILBOX_LIST)).st_ino)
        # Whoever has changed something sees it at once.
        for history, _ in expected:
            fault = history.check(history.ask(), self._connection.ask(history.key))
            if fault is not None:
                self.wrong.append(f"after {name}: {fault}")

    def _user(self, number: int) -> None:
        admin = self._admin
        index = number % len(self.users)
        user, moved, inner = self.users[index], self.renamed[index], self.folders[index]
        old, new = b"user/" + user.key, b"user/" + moved.key
        self._operation("create", lambda: admin.create(old), (user, (RESERVED, ok(user.key))))
        self._repack(number)
        self._operation(
            "quota reached", lambda: admin.setquota(old, messages=0), (user, (OVER_QUOTA,))
        )
        self._operation("quota raised", lambda: admin.setquota(old), (user, (ok(user.key),)))
        self._operation(
            "create folder",
            lambda: admin.create(old + b"/sub.folder"),
            (inner, (RESERVED, ok(inner.key))),
        )
        self._operation(
            "delete folder", lambda: admin.delete(old + b"/sub.folder"), (inner, (NOT_FOUND,))
        )
        self._operation(
            "rename",
            lambda: admin.rename(old, new),
            (user, (RESERVED, NOT_FOUND)),
            (moved, (RESERVED, ok(moved.key))),
        )
        self._checkpoint(number)
        self._operation("delete", lambda: admin.delete(new), (moved, (NOT_FOUND,)))

    def _load(self, number: int) -> None:
        """Many at once, by the offline tools: created one by one, removed in one transaction."""
        tools = self._cyrus.tools
        rows = [Mailbox("user." + history.key.decode()) for history in self.batch]
        self._operation(
            "load",
            lambda: tools.load_mailboxes(rows),
            *[(history, (ok(history.key),)) for history in self.batch],
        )
        self._repack(number + 1)
        keys = [b"Nuser\x1f" + history.key for history in self.batch]
        self._operation(
            "remove",
            lambda: tools.db_delete(MAILBOX_LIST, self._backend, *keys),
            *[(history, (NOT_FOUND,)) for history in self.batch],
        )

    def _block(self, _number: int) -> None:
        tools = self._cyrus.tools
        self._operation(
            "deny",
            lambda: tools.deny("blocked", SERVICE, "closed for today"),
            (self.blocked, (DENIED,)),
        )
        self._operation(
            "allow", lambda: tools.allow("blocked"), (self.blocked, (ok(self.blocked.key),))
        )

    def _share(self, number: int) -> None:
        admin = self._admin
        folder = self.shared[number % len(self.shared)]
        name = folder.key[1:]
        # The default rights of a new shared folder are those of its creator alone.
        self._operation(
            "create shared", lambda: admin.create(name), (folder, (RESERVED, NOT_FOUND))
        )
        self._operation(
            "let see", lambda: admin.setacl(name, b"anyone", b"l"), (folder, (NOT_POSTABLE,))
        )
        self._operation(
            "let post", lambda: admin.setacl(name, b"anyone", b"lp"), (folder, (ok(folder.key),))
        )
        self._operation("delete shared", lambda: admin.delete(name), (folder, (NOT_FOUND,)))

    def _repack(self, number: int) -> None:
        # Debian's cyr_dbtool dies of an assertion when it is to repack a
        # skiplist; that format is written anew whenever its log has grown.
        if number % 2 == 0 and self._backend != "skiplist":
            tools = self._cyrus.tools
            self._operation("repack", lambda: tools.db_repack(MAILBOX_LIST, self._backend))

    def _checkpoint(self, number: int) -> None:
        if number % 4 == 0:
            self._operation("checkpoint", self._cyrus.tools.checkpoint)


@pytest.mark.parametrize("backend", FORMATS)
def test_no_answer_is_wrong_or_stale(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A million questions in all while Cyrus' own programs change what they are about."""
    require("cyrus")
    settings = {"mboxlist_db": backend, "defaultacl": "admin lrswipkxtecdan"}
    with Syslog() as log, Cyrus(settings) as cyrus:
        stable = [History(b"stable%d" % n, ok(b"stable%d" % n)) for n in range(300)]
        stable += [
            History(b"stable%d+Sent" % n, ok(b"stable%d+Sent" % n)) for n in range(0, 300, 9)
        ]
        missing = [History(b"missing%d" % n, NOT_FOUND) for n in range(200)]
        missing += [History(b"stable%d+Nothing" % n, NOT_FOUND) for n in range(0, 300, 9)]
        cyrus.tools.load_mailboxes(
            [Mailbox(f"user.{h.key.decode().replace('+', '.')}") for h in stable]
            + [Mailbox("user.blocked")]
        )
        cyrus.add_service("imap", "imapd", prefork=1)
        cyrus.add_service(SERVICE, f"{smmapd_program()} -U 100000", prefork=1)
        cyrus.start(log)
        path = cyrus.socket_path(SERVICE)
        with cyrus.admin() as admin, Connection.to(path) as connection:
            writer = Writer(cyrus, backend, admin, connection)
            chance = random.Random(backend)
            readers = [
                Reader(path, chance, stable + missing, writer.histories()) for _ in range(READERS)
            ]
            writer.start()
            for reader in readers:
                reader.ask()
            try:
                read(readers, QUESTIONS // len(FORMATS))
                while not writer.enough.is_set() and not any(reader.wrong for reader in readers):
                    read(readers, 1000)
            except AssertionError as error:
                error.add_note("\n".join(log.messages()))
                raise
            writer.stop()
            for reader in readers:
                reader.link.close()
    wrong = writer.wrong + [fault for reader in readers for fault in reader.wrong]
    assert wrong == [], [line for line in log.messages() if f" {SERVICE}[" in line]
    if writer.error is not None:
        raise writer.error
    assert len(writer.files) > 1, "the list was never written anew"
    with capsys.disabled():
        asked = sum(reader.answered for reader in readers)
        print(
            f"\n{backend}: {asked} questions during {sum(writer.done.values())} operations,"
            f" {len(writer.files)} files"
        )
