"""Asks Postfix' tables by `postmap -q -` and `postalias -q -`, many keys a call.

Sources: postmap(1), postalias(1); src/postmap/postmap.c, postmap_queries: each
key that is found is a line `KEY<TAB>VALUE` (`KEY:<TAB>VALUE` of postalias), the
exit code is 1 where none is found, and a table that cannot be asked ends the
program with a message.

Limits: a value with a line end in it loses what follows that.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from gateway.errors import MailServerError
from gateway.mta import programs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.mta.programs import Done
    from gateway.mta.tables import Run

# Keys of a call, which it answers one after the other.
MAX_KEYS = 2048

# A table that needs long for a key gets fewer at once: a call should take no longer, in seconds.
CALL_SECONDS = 1.0

_SEPARATORS = {"postmap": b"\t", "postalias": b":\t"}

_DENIED = re.compile(r"(?P<file>/[^\s:]+): Permission denied")
_NOT_INSTALLED = re.compile(r"unsupported dictionary type: (?P<kind>\w+)")


class Asker:
    """Asks the tables of the instance in `folder`; `user` is the one that reads them, for advice.

    Any number of threads may share one.
    """

    def __init__(self, folder: str, user: str = "") -> None:
        self._where = ("-c", folder) if folder else ()
        self._user = user or "the gateway's user"
        self._programs: dict[str, str] = {}
        self._pace: dict[Run, float] = {}  # seconds that a key took lately

    def keys_at_once(self, run: Run) -> int:
        """How many keys one call should have."""
        pace = self._pace.get(run, 0.0)
        return MAX_KEYS if pace <= 0 else max(1, min(MAX_KEYS, int(CALL_SECONDS / pace)))

    def seconds_a_key(self, run: Run) -> float:
        """What a key has taken lately."""
        return self._pace.get(run, 0.0)

    def ask(self, run: Run, keys: Sequence[bytes], until: float) -> dict[bytes, bytes | None]:
        """What `run` says to each of `keys`, by `until` (time.monotonic).

        Raises MailServerError, which names the tables and what to do.
        """
        path = self._programs.get(run.program)
        if path is None:
            path = self._programs[run.program] = programs.find(run.program)
        argv = [path, *self._where, "-q", "-", *(table.text for table in run.tables)]
        began = time.monotonic()
        try:
            done = programs.run(argv, b"".join(key + b"\n" for key in keys), until)
        except MailServerError as fault:
            # Whatever it was, less at once is more likely to be answered.
            self._pace[run] = max(self._pace.get(run, 0.0), CALL_SECONDS / max(1, len(keys) // 2))
            raise MailServerError(run.name, f"cannot be asked: {fault}") from fault
        self._learn(run, (time.monotonic() - began) / len(keys))
        if done.code not in (0, 1) or _failed(done):
            raise MailServerError(run.name, f"cannot be asked: {self._told(done)}")
        return _read(run, keys, done)

    def _learn(self, run: Run, pace: float) -> None:
        old = self._pace.get(run)
        self._pace[run] = pace if old is None else (3 * old + pace) / 4

    def _told(self, done: Done) -> str:
        """What the program said, and what to do about it."""
        problem = done.problem
        denied = _DENIED.search(done.err.decode("utf-8", "backslashreplace"))
        if denied is not None:
            user = self._user
            return f"{problem}; let {user} read it, as by: setfacl -m u:{user}:r {denied['file']}"
        absent = _NOT_INSTALLED.search(problem)
        if absent is not None:
            return f"{problem}; install postfix-{absent['kind']}, or take the table out"
        return problem


def _failed(done: Done) -> bool:
    """Code 1 is that of a table that cannot be asked, too; then there is a message about it."""
    return done.code == 1 and (b"fatal:" in done.err or b"panic:" in done.err)


def _read(run: Run, keys: Sequence[bytes], done: Done) -> dict[bytes, bytes | None]:
    """The values in what the program printed; raises MailServerError for what it never prints."""
    found: dict[bytes, bytes | None] = dict.fromkeys(keys)
    separator = _SEPARATORS[run.program]
    told = 0
    for line in done.out.split(b"\n"):
        for key in _keys_of(line, separator):
            if key in found:
                found[key] = line[len(key) + len(separator) :]
                told += 1
                break
    if done.out.strip() and not told:
        shown = done.out[:60].decode("utf-8", "backslashreplace")
        raise MailServerError(run.name, f"{run.program} prints what it never prints: {shown!r}")
    return found


def _keys_of(line: bytes, separator: bytes) -> list[bytes]:
    """What may be the key in a line: a key may hold what separates it."""
    parts = line.split(separator)
    return [separator.join(parts[:count]) for count in range(1, len(parts))]
