"""A process that writes a twom file and may be killed anywhere: Debian's Cyrus cannot write twom.

    python -m tests.real.twom_process PATH USER

It opens or makes the file at PATH as USER, fixes it if the one before has
died, and prints its records as one line of JSON.  Then it takes transactions,
one line of JSON each: `[[["store", key, value], ["delete", key], ["commit"]],
writes]`, and prints how many writes each took.  When it has made the given
number of writes it kills itself with SIGKILL; null is never.

What a kill leaves is what pwrite(2) has written: no write is torn, and none is
lost.  Text stands for bytes by latin-1.

It does not die while it fixes: twom.c's recovery1, as it is, passes over a
pointer that an earlier recovery has mended, and so over a checksum that this
one was not granted the time to write.  Such a file is damaged for Cyrus, too.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from tests.rigs.processes import account
from tests.support.twom_writer import Steps, TwomWriter, finish


class MortalWriter(TwomWriter):
    """Dies by its own hand once it has made `left` writes, when that is a number."""

    left: int | None = None
    made = 0

    def _put(self, at: int, data: bytes) -> None:
        super()._put(at, data)
        self.written_once()

    def written_once(self) -> None:
        """One write more."""
        MortalWriter.made += 1
        if MortalWriter.left is not None and MortalWriter.made >= MortalWriter.left:
            os.kill(os.getpid(), signal.SIGKILL)

    def do(self, verb: str, *words: str) -> Steps:
        """The steps of one change."""
        steps: Steps = getattr(self, verb)(*[word.encode("latin-1") for word in words])
        return steps


def main(path: str, user: str) -> None:
    """Serve until end of input."""
    owner = account(user)
    os.setegid(owner.gid)
    os.seteuid(owner.uid)
    # Another seed for each process: the records then differ in height.
    maker = MortalWriter.opened if os.path.exists(path) else MortalWriter
    writer = maker(path, os.getpid())
    records = {
        key.decode("latin-1"): value.decode("latin-1") for key, value in writer.committed.items()
    }
    print(json.dumps(records), flush=True)
    for line in sys.stdin:
        changes, left = json.loads(line)
        MortalWriter.left, MortalWriter.made = left, 0
        for change in changes:
            finish(writer.do(*change))
        print(MortalWriter.made, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
