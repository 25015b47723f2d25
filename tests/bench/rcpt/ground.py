"""The Cyrus that every site but Dovecot's asks: real mailboxes, made by a real imapd.

lmtpd opens the mailbox that it is asked about, so the stores of the other rows, which are
a list and quota roots only, do not do here.  The mailboxes lie in memory (`/dev/shm`)
where the machine has that: making two thousand takes seconds then, and nobody's answer
waits for the disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.bench.stores import Store
from tests.rigs.cyrus import Cyrus
from tests.rigs.folders import write_text
from tests.rigs.imap import Admin

_MEMORY = "/dev/shm"
# A mailbox' limit, far above the nothing that is in it; and a mail that is above the other one.
LIMIT_KIB, FULL_KIB, MAIL_BYTES = 100_000, 1, 5_000
# Debian's cyrus.conf allows lmtpd that many processes.
_LMTPD_PROCESSES = 20


@dataclass(frozen=True, slots=True)
class Recipients:
    """The recipients that are asked about: asked again and again, for the first time, and over quota."""

    again: tuple[str, ...]
    first: tuple[str, ...]
    full: tuple[str, ...]

    @property
    def everyone(self) -> tuple[str, ...]:
        """All that have a mailbox."""
        return self.again + self.first + self.full


def recipients(again: int, first: int, full: int) -> Recipients:
    """That many of each."""
    return Recipients(
        tuple(f"again.{n:05}" for n in range(again)),
        tuple(f"first.{n:05}" for n in range(first)),
        tuple(f"full.{n:05}" for n in range(full)),
    )


@dataclass(frozen=True, slots=True)
class Ground:
    """A running Cyrus with a mailbox for each recipient, an administrator, and key files."""

    cyrus: Cyrus
    admin: Admin
    recipients: Recipients
    folder: str

    @property
    def store(self) -> Store:
        """Its mailbox list and quota roots, for a gateway."""
        return Store(len(self.recipients.everyone), self.cyrus.config)

    def keys(self, kind: str) -> str:
        """The key file of one kind of recipients: `again`, `first`, `full`."""
        return os.path.join(self.folder, f"{kind}.keys")

    def create(self, user: str) -> None:
        """Make a mailbox with a quota root."""
        name = b"user/" + user.encode()
        self.admin.create(name)
        self.admin.setquota(name, storage_kib=LIMIT_KIB)

    def fill(self, user: str) -> None:
        """Put a mail in, and set the limit below it."""
        name = b"user/" + user.encode()
        self.admin.setacl(name, b"admin", b"lrswipkxtecdan")
        self.admin.append(name, MAIL_BYTES)
        self.admin.setquota(name, storage_kib=FULL_KIB)


@contextmanager
def ground(who: Recipients, folder: str) -> Iterator[Ground]:
    """Start a Cyrus and make the mailboxes; `folder` takes the key files."""
    parent = _MEMORY if os.path.isdir(_MEMORY) else None
    with Cyrus({"quota_db": "quotalegacy"}, parent=parent) as cyrus:
        cyrus.add_service("imap", "imapd")
        cyrus.add_service("lmtp", "lmtpd", maxchild=_LMTPD_PROCESSES)
        cyrus.add_service("smmap", "smmapd")
        cyrus.start()
        with cyrus.admin() as admin:
            made = Ground(cyrus, admin, who, folder)
            for kind in ("again", "first", "full"):
                names: tuple[str, ...] = getattr(who, kind)
                write_text(made.keys(kind), "".join(f"{name}\n" for name in names))
            for user in who.everyone:
                made.create(user)
            for user in who.full:
                made.fill(user)
            yield made
