"""Reads of a twom file while a writer of our own changes it, repacks it and dies in the middle.

As test_writers.py, with a process of its own (twom_process.py) in the place of
Cyrus' programs, which cannot write twom; and without master.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.real.account import QUESTIONS, SEED, settle_account
from tests.real.histories import History
from tests.real.readers import DOMAIN, Crowd, interfaces
from tests.real.writerkills import RESERVED, ok
from tests.real.writers import Expected, Writer
from tests.rigs.cyrus import Cyrus
from tests.rigs.processes import RigError, start
from tests.rigs.program import ROOT
from tests.rigs.require import require
from tests.rigs.socketmap import Connection
from tests.rigs.under_master import NOT_FOUND
from tests.stores import record

pytestmark = [pytest.mark.real, pytest.mark.slow]

# Of all questions.
SHARE = 0.1
USERS = 200
CHANGED = 40
UNKNOWN_NAMES = 100
# Records of a transaction at most, and transactions that end well at least.
MOST, ROUNDS = 8, 40
# A record of the list for each reply that may come to be true of a user.
RECORDS = {True: record(), False: record(mbtype=b"z")}

Change = list[str]


def _key(user: bytes) -> str:
    return "Nuser\x1f" + user.decode()


def _store(user: bytes, *, open_: bool = True) -> Change:
    return ["store", _key(user), RECORDS[open_].decode("latin-1")]


class TwomProcess:
    """The process that writes, and the next one when it has died."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._process: subprocess.Popen[bytes] | None = None

    def records(self) -> dict[str, str]:
        """Start one, which fixes what the one before has left; the records that it finds."""
        self.close()
        argv = [sys.executable, "-m", "tests.real.twom_process", self._path, "cyrus"]
        pipe = subprocess.PIPE
        self._process = start(argv, env={"PYTHONPATH": ROOT}, stdin=pipe, stdout=pipe)
        return dict(json.loads(self._line()))

    def do(self, changes: list[Change], writes: int | None = None) -> int | None:
        """Make the changes; how many writes it took, or None if it died of the one before."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([changes, writes]).encode() + b"\n")
        line = self._line()
        return int(line) if line else None

    def _line(self) -> bytes:
        """A line; nothing if the process was killed.  Raises `RigError` if it ended otherwise."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            if code != -signal.SIGKILL:
                raise RigError(f"the writer of twom ended with {code}")
        return line

    def close(self) -> None:
        """Let it end, and wait for it."""
        if self._process is not None:
            with self._process:
                pass
            self._process = None


class TwomWriter(Writer):
    """Changes some users' records, several in a transaction; every other writer dies."""

    def __init__(
        self, crowd: Crowd, process: TwomProcess, connection: Connection, users: list[History]
    ) -> None:
        super().__init__(crowd, connection.ask, ROUNDS)
        self._process = process
        self._users = users
        self._chance = random.Random(f"twom {SEED}")
        self._most: dict[str, int] = {}

    def _round(self, number: int) -> None:
        changes, expected = self._transaction()
        self._operation("commit", lambda: self._did(changes), *expected)
        if number % 5 == 0:
            self._operation("repack", lambda: self._did([["repack"]]))
        if number % 7 == 0:
            open_, _ = self._transaction()
            self._operation("abort", lambda: self._did([*open_[:-1], ["abort"]]))
        if number % 3 == 0:
            changes, expected = self._transaction()
            self._cut_off("commit", lambda: self._struck("commit", changes), self._true, *expected)
        if number % 15 == 0:
            self._cut_off("repack", lambda: self._struck("repack", [["repack"]]), self._true)

    def _transaction(self) -> tuple[list[Change], list[Expected]]:
        """Some users' next states."""
        changes: list[Change] = []
        expected: list[Expected] = []
        for user in self._chance.sample(self._users, self._chance.randint(1, MOST)):
            states = {ok(user.key): True, RESERVED: False, NOT_FOUND: None}
            reply = self._chance.choice([state for state in states if state != user.now])
            open_ = states[reply]
            changes.append(
                ["delete", _key(user.key)] if open_ is None else _store(user.key, open_=open_)
            )
            expected.append((user, (reply,)))
        return [*changes, ["commit"]], expected

    def _did(self, changes: list[Change]) -> None:
        writes = self._process.do(changes)
        assert writes is not None
        name = changes[-1][0]
        self._most[name] = max(self._most.get(name, 0), writes)

    def _struck(self, name: str, changes: list[Change]) -> bool:
        """Have it die at one of its writes; True if it was done before that."""
        return self._process.do(changes, self._chance.randint(1, self._most[name])) is not None

    def _true(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """What the next writer finds."""
        records = self._process.records()
        return {key: _reply(key, records.get(_key(key))) for key in keys}


def _reply(user: bytes, value: str | None) -> bytes:
    if value is None:
        return NOT_FOUND
    return ok(user) if value.encode("latin-1") == RECORDS[True] else RESERVED


def test_no_answer_from_twom_is_wrong_or_stale(capsys: pytest.CaptureFixture[str]) -> None:
    """Transactions, repacks, and writers that die between any two writes."""
    require("cyrus")
    keys = [b"stable%d" % n for n in range(USERS)]
    fixed = [History(key, ok(key)) for key in keys]
    fixed += [History(b"missing%d" % n, NOT_FOUND) for n in range(UNKNOWN_NAMES)]
    moving = [History(b"churn%d" % n, NOT_FOUND) for n in range(CHANGED)]
    crowd = Crowd(random.Random(f"twom readers {SEED}"), fixed, moving)
    with Cyrus({"virtdomains": "userid", "defaultdomain": DOMAIN}) as cyrus:
        path = cyrus.tools.path("twom.db")
        conf = cyrus.another_imapd_conf("twom", {"mboxlist_db": "twom", "mboxlist_db_path": path})
        process = TwomProcess(path)
        try:
            process.records()
            process.do([*map(_store, keys), ["commit"]])
            with (
                interfaces(crowd, cyrus, conf, []) as gateway,
                Connection.to(gateway.path("socketmap")) as connection,
            ):
                writer = TwomWriter(crowd, process, connection, moving)
                writer.drive(int(QUESTIONS * SHARE))
                log = gateway.log()
        finally:
            process.close()
    settle_account("twom", crowd, writer, log, capsys)
