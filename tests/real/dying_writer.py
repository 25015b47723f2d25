"""Cyrus' own programs change a store and are killed in the middle, between changes that are not.

What is cut off is about recipients of its own, so that nothing has to be
tidied up behind it.  writerkills.py says when a program is killed, and who is
asked afterwards what is true.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from tests.real.cyrus_writer import DENIED, REASON, CyrusWriter, keys_of, missing
from tests.real.histories import History
from tests.real.readers import Crowd
from tests.real.writerkills import OVER_QUOTA, RESERVED, Truth, WriterKills, ok
from tests.real.writers import Expected
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import MAILBOX_LIST, Mailbox
from tests.rigs.imap import ALL_RIGHTS, Admin
from tests.rigs.socketmap import Connection
from tests.rigs.under_master import NOT_FOUND, SERVICE

# Each of the ten kinds comes up in the rounds that are made at least.
KILLS_A_ROUND = 4
# Recipients of kills that are asked about at a time; the oldest give way.
PLACES = 20
BATCH = 10


class DyingWriter(CyrusWriter):
    """A CyrusWriter of whose programs some are killed in each round."""

    def __init__(
        self,
        crowd: Crowd,
        cyrus: Cyrus,
        backend: str,
        admin: Admin,
        connection: Connection,
        moving: list[History],
        kills: WriterKills,
        truth: Truth,
    ) -> None:
        """`kills` and `truth` are about the same store."""
        super().__init__(crowd, cyrus, backend, admin, connection, moving)
        self._kills = kills
        self._truth = truth
        self._moving = moving
        self._names = 0
        self._strike_number = 0
        self._first_place = len(moving)
        moving += [missing(b"place%d" % n) for n in range(PLACES)]
        self._kinds: tuple[Callable[[], None], ...] = (
            self._strike_create,
            self._strike_load,
            self._strike_rename,
            self._strike_repack,
            self._strike_append,
            self._strike_remove,
            self._strike_delete,
            self._strike_deny,
            self._strike_setquota,
            self._strike_setacl,
        )

    def _round(self, number: int) -> None:
        super()._round(number)
        for _ in range(KILLS_A_ROUND):
            self._kinds[self._strike_number % len(self._kinds)]()
            self._strike_number += 1

    def _fresh(self, prefix: bytes = b"") -> History:
        """A recipient that there has never been, in the place of one of those before."""
        history = missing(b"%bstruck%d" % (prefix, self._names))
        self._moving[self._first_place + self._names % PLACES] = history
        self._names += 1
        return history

    def _made(self) -> tuple[History, bytes]:
        """A new user with its mailbox's name, which is there."""
        user = self._fresh()
        name = b"user/" + user.key
        self._operation(
            "create", lambda: self._admin.create(name), (user, (RESERVED, ok(user.key)))
        )
        return user, name

    def _true(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """What Cyrus says, once what the dead writer left is mended: by a tool, a writer or a reader.

        Readers do not fix a skiplist: until somebody writes to it, they show
        what was never committed; and ctl_cyrusdb does not either, if somebody
        did within the same second.
        """
        mended_by = self._strike_number % 3
        if mended_by == 1:
            self._operation("recover", lambda: self._cyrus.tools.recover(cleanup=False))
        if mended_by == 2 or self._truth.needs_writer:
            user, name = self._made()
            self._operation(
                "quota reached",
                lambda: self._admin.setquota(name, messages=0),
                (user, (OVER_QUOTA,)),
            )
        return self._truth.of(keys)

    def _by_imapd(self, name: str, change: Callable[[Admin], object], *expected: Expected) -> None:
        self._cut_off(name, lambda: self._kills.imapd(name, change), self._true, *expected)

    def _by_tool(
        self, name: str, program: str, *words: str, stdin: bytes = b"", expected: Iterable[Expected]
    ) -> None:
        self._cut_off(
            name,
            lambda: self._kills.tool(name, program, *words, stdin=stdin),
            self._true,
            *expected,
        )

    def _strike_create(self) -> None:
        user = self._fresh()
        self._by_imapd(
            "create", lambda a: a.create(b"user/" + user.key), (user, (RESERVED, ok(user.key)))
        )

    def _strike_rename(self) -> None:
        user, name = self._made()
        moved = self._fresh()
        self._by_imapd(
            "rename",
            lambda a: a.rename(name, b"user/" + moved.key),
            (user, (RESERVED, NOT_FOUND)),
            (moved, (RESERVED, ok(moved.key))),
        )

    def _strike_delete(self) -> None:
        user, name = self._made()
        self._by_imapd("delete", lambda a: a.delete(name), (user, (NOT_FOUND,)))

    def _strike_setquota(self) -> None:
        user, name = self._made()
        self._by_imapd("setquota", lambda a: a.setquota(name, messages=0), (user, (OVER_QUOTA,)))

    def _strike_append(self) -> None:
        user, name = self._made()
        self._admin.setacl(name, b"admin", ALL_RIGHTS)
        self._admin.setquota(name, messages=1)
        self._by_imapd("append", lambda a: a.append(name), (user, (OVER_QUOTA,)))

    def _strike_setacl(self) -> None:
        folder = self._fresh(b"+")
        name = folder.key[1:]
        self._operation(
            "create shared", lambda: self._admin.create(name), (folder, (RESERVED, NOT_FOUND))
        )
        self._by_imapd(
            "setacl", lambda a: a.setacl(name, b"anyone", b"lp"), (folder, (ok(folder.key),))
        )

    def _strike_load(self) -> None:
        users = [self._fresh() for _ in range(BATCH)]
        rows = [Mailbox("user." + user.key.decode()) for user in users]
        dump = {row.name: row.dumped(number) for number, row in enumerate(rows, 10**6)}
        self._by_tool(
            "load",
            *("ctl_mboxlist", "-u"),
            stdin=json.dumps(dump).encode(),
            expected=[(user, (ok(user.key),)) for user in users],
        )

    def _strike_remove(self) -> None:
        tools = self._cyrus.tools
        users = [self._fresh() for _ in range(BATCH)]
        self._operation(
            "load",
            lambda: tools.load_mailboxes([Mailbox("user." + u.key.decode()) for u in users]),
            *[(user, (ok(user.key),)) for user in users],
        )
        self._by_tool(
            "remove",
            *("cyr_dbtool", tools.path(MAILBOX_LIST), self._backend, "delete"),
            stdin=b"".join(key + b"\n" for key in keys_of(users)),
            expected=[(user, (NOT_FOUND,)) for user in users],
        )

    def _strike_repack(self) -> None:
        if self._backend != "skiplist":  # as above
            path = self._cyrus.tools.path(MAILBOX_LIST)
            self._by_tool("repack", "cyr_dbtool", path, self._backend, "repack", expected=())

    def _strike_deny(self) -> None:
        words = ("-s", SERVICE, "-m", REASON.decode(), "blocked")
        self._by_tool("deny", "cyr_deny", *words, expected=[(self._blocked, (DENIED,))])
        if self._blocked.now == DENIED:
            self._operation(
                "allow",
                lambda: self._cyrus.tools.allow("blocked"),
                (self._blocked, (ok(self._blocked.key),)),
            )
