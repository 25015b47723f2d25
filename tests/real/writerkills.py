"""Writers that are killed with SIGKILL at some change that they make, and what Cyrus then says is true.

inotify tells of each change in the folders of the databases, and the writer is
killed when it has made the n-th one: between two writes of a transaction, in
fsync(2), before the rename of a new file.  n is drawn again each time, from as
many changes as that operation has been seen to make; where the operation
returns before that many, nobody is killed.  Limits: changes that follow each
other without a pause are told as one.
"""

from __future__ import annotations

import os
import random
import re
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Self

from gateway.cyrus import inotify
from tests.rigs.cyrus import ADMIN, PASSWORD, Cyrus
from tests.rigs.cyrus_tools import PROGRAMS, QUOTAS, USER_DENY
from tests.rigs.imap import Admin, ImapError
from tests.rigs.processes import RigError, account, start
from tests.rigs.under_master import NOT_FOUND, children
from tests.rigs.waiting import wait_until

# The service whose imapd is killed; others keep theirs.
VICTIM = "victim"
# Changes that an operation is taken to make until it has been seen.
FIRST_GUESS = 4
_EVENTS = 65536

OVER_QUOTA = b"TEMP Over quota"
NOT_POSTABLE = b"PERM Permission denied"
# A mailbox that is being created or renamed.
RESERVED = b"TEMP Mailbox is currently reserved"


def ok(key: bytes) -> bytes:
    """The reply for a recipient that may get mail."""
    return b"OK " + key


class WriterKills:
    """Kills writers of one store; it must have a service `VICTIM`, an imapd."""

    def __init__(self, cyrus: Cyrus, chance: random.Random) -> None:
        self._cyrus = cyrus
        self._chance = chance
        self._most: dict[str, int] = {}
        self._queue = -1

    def __enter__(self) -> Self:
        queue = inotify.init()
        assert queue is not None, "this kernel has no inotify"
        self._queue = queue
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._queue)

    def tool(self, name: str, program: str, *words: str | bytes, stdin: bytes = b"") -> bool:
        """Run a tool of Cyrus as `CyrusTools.run` does, and kill it; True if it ended before that.

        `name` is the operation's.
        """
        self._watch()
        argv = [os.path.join(PROGRAMS, program), "-C", self._cyrus.imapd_conf, *words]
        pipe = subprocess.PIPE
        with start(argv, user=account("cyrus"), stdin=pipe, stderr=pipe) as process:
            assert process.stdin is not None
            assert process.stderr is not None
            descriptor = os.pidfd_open(process.pid)
            try:
                # All of it fits into the pipe.
                process.stdin.write(stdin)
                process.stdin.close()
                self._strike(name, descriptor, descriptor)
                said = process.stderr.read()
            finally:
                os.close(descriptor)
            code = process.wait()
        if code not in (0, -signal.SIGKILL):
            raise RigError(f"{argv!r} ended with {code}: {said.decode(errors='replace')}")
        return code == 0

    def imapd(self, name: str, change: Callable[[Admin], object]) -> bool:
        """Have an imapd make a change, and kill it; True if it had answered before that."""
        admin = Admin(self._cyrus.socket_path(VICTIM), ADMIN, PASSWORD)
        descriptor = wait_until(self._victim, "the imapd to be killed is known")
        done = os.eventfd(0)
        errors: list[Exception] = []

        def make() -> None:
            try:
                change(admin)
            except (ImapError, OSError) as error:
                errors.append(error)
            finally:
                os.eventfd_write(done, 1)

        thread = threading.Thread(target=make, name="the change that is cut off", daemon=True)
        try:
            self._watch()
            thread.start()
            killed = self._strike(name, descriptor, done)
            thread.join()
        finally:
            admin.abandon()
            os.close(done)
            os.close(descriptor)
        if errors and not killed:
            raise errors[0]
        return not errors

    def _victim(self) -> int | None:
        """A pidfd of the process that serves the connection, by what Cyrus notes of each."""
        for pid in children(self._cyrus.master.pid):
            try:
                with open(os.path.join(self._cyrus.config, "proc", str(pid)), "rb") as file:
                    if file.read().startswith(VICTIM.encode() + b"\t"):
                        return os.pidfd_open(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
        return None

    def _watch(self) -> None:
        """See every folder that has databases, from now on."""
        config = self._cyrus.config
        # quotalegacy has a file for each root, in folders by their first letters.
        folders = [config, *(entry[0] for entry in os.walk(os.path.join(config, "quota")))]
        for folder in folders:
            inotify.add(self._queue, os.fsencode(folder))
        self._changes()

    def _changes(self) -> int:
        """How many changes there have been since it was last asked."""
        try:
            return len(list(inotify.events(os.read(self._queue, _EVENTS))))
        except BlockingIOError:
            return 0

    def _strike(self, name: str, victim: int, done: int) -> bool:
        """Kill the process behind the pidfd `victim` at a change of its; False if `done` was first."""
        fatal = self._chance.randint(1, self._most.get(name, FIRST_GUESS))
        seen = 0
        with select.epoll() as poll:
            poll.register(self._queue, select.EPOLLIN)
            poll.register(done, select.EPOLLIN)
            while seen < fatal:
                if done in [descriptor for descriptor, _ in poll.poll()]:
                    self._most[name] = max(1, seen + self._changes())
                    return False
                seen += self._changes()
        with suppress(ProcessLookupError):  # it ended, and its parent knows already
            signal.pidfd_send_signal(victim, signal.SIGKILL)
        return True


class Truth:
    """What Cyrus' own tools say of users and shared folders, in the words of a socketmap.

    To ask them recovers a database that a writer has left in the middle of a
    transaction, but for those that `needs_writer` is about.
    """

    def __init__(self, cyrus: Cyrus, backend: str, quota_backend: str, denied: bytes) -> None:
        """The formats of mailbox list and quotas; `denied` is the reply for who is denied."""
        self._tools = cyrus.tools
        self._quota_backend = quota_backend
        self.needs_writer = "skiplist" in (backend, quota_backend)
        self._denied = denied

    def of(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The reply to each of `keys`: a user's name, or a shared folder's with a + before it."""
        tools = self._tools
        if not keys:
            return {}
        rows = tools.dump_mailboxes()
        quotas = tools.db_show(QUOTAS, self._quota_backend)
        denials = tools.db_show(USER_DENY, "flat")
        return {key: self._reply(key, rows, quotas, denials) for key in keys}

    def _reply(
        self,
        key: bytes,
        rows: dict[str, dict[str, object]],
        quotas: dict[bytes, bytes],
        denials: dict[bytes, bytes],
    ) -> bytes:
        if key in denials:
            return self._denied
        shared = key.startswith(b"+")
        name = key[1:] if shared else b"user." + key
        row = rows.get(name.decode())
        kind = str(row["mbtype"]) if row is not None else "d"
        # Deleted, or the first half of a creation: a name that holds nothing yet.
        if row is None or "d" in kind or "i" in kind:
            return NOT_FOUND
        if "z" in kind:
            return RESERVED
        if shared:
            acl = row["acl"]
            rights = acl.get("anyone", "") if isinstance(acl, dict) else ""
            if "p" not in rights:
                return NOT_POSTABLE if "l" in rights else NOT_FOUND
        return OVER_QUOTA if _exceeded(quotas.get(name, b"")) else ok(key)


def _exceeded(record: bytes) -> bool:
    """Would one more message without a byte be too much?"""
    for resource, used, limit in re.findall(rb"([SM]) \((\d+) (-?\d+)\)", record):
        unit, more = (1024, 0) if resource == b"S" else (1, 1)
        if int(limit) >= 0 and int(used) + more > int(limit) * unit:
            return True
    return False
