"""What our smmapd says in place of the C program's replies: the one list for all that compare the two.

Differences that come of the store or the recipient are with those who compare
(tests/golden/differences.py, tests/real/test_oracle.py, tests/delivery/smmapds.py).
"""

from __future__ import annotations

# A fault of the server, and what passes by itself, must not refuse a mail for ever: ours is TEMP
# with the same text (lib/imap_err.et).  A new temporary kind for which it says PERM belongs here.
FAULTS = (
    b"PERM System I/O error",
    b"PERM Mailbox has an invalid format",
    b"PERM Invalid identifier",
    b"PERM Mailbox is currently reserved",
)


def as_ours(theirs: bytes) -> bytes:
    """A reply of the C program, without its netstring, as ours is meant to be."""
    return b"TEMP" + theirs.removeprefix(b"PERM") if theirs in FAULTS else theirs
