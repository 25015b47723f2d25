"""The milter that ours is compared with: pymilter, and a RCPT callback that always continues.

    bare_milter.py SOCKET

`Milter.Base` negotiates off whatever is not overridden, so that the MTA sends RCPT
commands and little else.
"""

from __future__ import annotations

import sys

import Milter


class Bare(Milter.Base):  # type: ignore[misc]
    """One connection."""

    def envrcpt(self, recipient: str, *parameters: str) -> int:
        """Let every recipient through."""
        return int(Milter.CONTINUE)


if __name__ == "__main__":
    Milter.factory = Bare
    Milter.set_flags(0)
    Milter.runmilter("bare", sys.argv[1], timeout=300)
