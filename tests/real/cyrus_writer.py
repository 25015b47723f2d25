"""Cyrus' own programs change a store: one imapd and the offline tools, in turn."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from tests.real.histories import History
from tests.real.readers import Crowd
from tests.real.writerkills import NOT_POSTABLE, OVER_QUOTA, RESERVED, ok
from tests.real.writers import Expected, Writer
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import MAILBOX_LIST, Mailbox
from tests.rigs.imap import ALL_RIGHTS, Admin
from tests.rigs.socketmap import Connection
from tests.rigs.under_master import NOT_FOUND, SERVICE

REASON = b"closed for today"
DENIED = b"NOTFOUND " + REASON
# Every kind of operation has then happened, those that are cut off (dying_writer.py), too.
ROUNDS = 3
# The bytes of a message, and limits in KiB of which it keeps the one alone.
MESSAGE = 3000
WIDE, TIGHT = 10, 2


def missing(key: bytes) -> History:
    """The history of a recipient that there is not yet."""
    return History(key, NOT_FOUND)


def keys_of(histories: Iterable[History]) -> list[bytes]:
    """The keys of users in the mailbox list."""
    return [b"Nuser\x1f" + history.key for history in histories]


class CyrusWriter(Writer):
    """`backend` is the mailbox list's format; `moving` gets every recipient that is changed."""

    def __init__(
        self,
        crowd: Crowd,
        cyrus: Cyrus,
        backend: str,
        admin: Admin,
        connection: Connection,
        moving: list[History],
    ) -> None:
        """`connection` is a client of smmapd."""
        super().__init__(crowd, connection.ask, ROUNDS)
        self._cyrus = cyrus
        self._backend = backend
        self._admin = admin
        self.files: set[int] = set()  # inodes that the mailbox list has had
        self._users = [missing(b"churn%d" % n) for n in range(6)]
        self._renamed = [missing(b"moved%d" % n) for n in range(6)]
        self._folders = [missing(b"churn%d+sub.folder" % n) for n in range(6)]
        self._batch = [missing(b"batch%d" % n) for n in range(40)]
        self._shared = [missing(b"+share%d" % n) for n in range(3)]
        self._blocked = History(b"blocked", ok(b"blocked"))
        moving += [*self._users, *self._renamed, *self._folders, *self._batch, *self._shared]
        moving.append(self._blocked)

    def _round(self, number: int) -> None:
        self._user(number)
        self._fill(number)
        self._load(number)
        self._block()
        self._share(number)

    def _operation(self, name: str, change: Callable[[], object], *expected: Expected) -> None:
        super()._operation(name, change, *expected)
        self.files.add(os.stat(self._cyrus.tools.path(MAILBOX_LIST)).st_ino)

    def _user(self, number: int) -> None:
        admin = self._admin
        index = number % len(self._users)
        user, moved, inner = self._users[index], self._renamed[index], self._folders[index]
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
        if number % 4 == 0:
            self._operation("checkpoint", self._cyrus.tools.checkpoint)
        self._operation("delete", lambda: admin.delete(new), (moved, (NOT_FOUND,)))

    def _fill(self, number: int) -> None:
        """Messages come and go, and what is used crosses the quota each time."""
        admin = self._admin
        user = self._users[number % len(self._users)]
        name = b"user/" + user.key
        full, free = (user, (OVER_QUOTA,)), (user, (ok(user.key),))
        self._operation("create", lambda: admin.create(name), (user, (RESERVED, ok(user.key))))
        self._operation("let in", lambda: admin.setacl(name, b"admin", ALL_RIGHTS))
        self._operation("limit messages", lambda: admin.setquota(name, messages=2))
        self._operation("append", lambda: admin.append(name))
        self._operation("append the last", lambda: admin.append(name), full)
        self._operation("empty", lambda: admin.empty(name), free)
        self._operation("limit storage", lambda: admin.setquota(name, storage_kib=WIDE))
        self._operation("append", lambda: admin.append(name, MESSAGE))
        self._operation("limit what is used", lambda: admin.setquota(name, storage_kib=TIGHT), full)
        self._operation("empty", lambda: admin.empty(name), free)
        self._operation("delete", lambda: admin.delete(name), (user, (NOT_FOUND,)))

    def _load(self, number: int) -> None:
        """Many at once, by the offline tools: created one by one, removed in one transaction."""
        tools = self._cyrus.tools
        rows = [Mailbox("user." + history.key.decode()) for history in self._batch]
        self._operation(
            "load",
            lambda: tools.load_mailboxes(rows),
            *[(history, (ok(history.key),)) for history in self._batch],
        )
        self._repack(number + 1)
        self._operation(
            "remove",
            lambda: tools.db_delete(MAILBOX_LIST, self._backend, *keys_of(self._batch)),
            *[(history, (NOT_FOUND,)) for history in self._batch],
        )

    def _block(self) -> None:
        tools = self._cyrus.tools
        self._operation(
            "deny",
            lambda: tools.deny("blocked", SERVICE, REASON.decode()),
            (self._blocked, (DENIED,)),
        )
        self._operation(
            "allow", lambda: tools.allow("blocked"), (self._blocked, (ok(self._blocked.key),))
        )

    def _share(self, number: int) -> None:
        admin = self._admin
        folder = self._shared[number % len(self._shared)]
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
        # skiplist; that format is written again whenever its log has grown.
        if number % 2 == 0 and self._backend != "skiplist":
            tools = self._cyrus.tools
            self._operation("repack", lambda: tools.db_repack(MAILBOX_LIST, self._backend))
