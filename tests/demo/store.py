"""The demo's mailboxes and the questions about them: one of nearly every kind of verdict.

Which kinds it does not show, and why, tests/interfaces/kinds.py says (NOT_IN_THE_DEMO).

The store is written by hand in Cyrus' flat format; a real one is read in the
same way, in whatever format Cyrus keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.stores import FlatStore, denial, quota, record

MIB = 1024  # in KiB, the unit of storage limits

ALIASES = "info: fred\npostmaster: fred\n"
DOMAINS = ("example.org", "virtual.example")


@dataclass(frozen=True, slots=True)
class Asked:
    """One recipient, with the size in bytes that MAIL FROM announces, or None."""

    recipient: str
    size: int | None = None


QUESTIONS = (
    Asked("fred@example.org"),  # has a mailbox
    Asked("Fred@EXAMPLE.org"),  # the same, user and domain in any case
    Asked("vera@virtual.example"),  # a user of a virtual domain
    Asked("fred@virtual.example"),  # no user of that domain
    Asked("nobody@example.org"),  # no user at all
    Asked("fred+work/reports@example.org"),  # a folder of fred's
    Asked("fred+Entwürfe@example.org"),  # eight bits, which no delivery of Cyrus takes
    Asked("fred+nothing@example.org"),  # no folder of fred's: into INBOX
    Asked("+news@example.org"),  # a shared folder
    Asked("+archive@example.org"),  # a shared folder to read, not to post to
    Asked("+staff@example.org"),  # a shared folder that only some may see
    Asked("dora@example.org"),  # denied in userdeny
    Asked("olga@example.org"),  # has used more than her quota
    Asked("max@example.org"),  # has more messages than he may
    Asked("nina@example.org", size=3_000_000),  # has 1 MiB free
    Asked("rita@example.org"),  # is being created
    Asked("dan@example.org"),  # the record is damaged
    Asked("info@example.org"),  # an alias of the MTA
    Asked("postmaster@example.org"),  # always exempt
    Asked("somebody@elsewhere.example"),  # outbound mail
    Asked("@example.org"),  # no address
)


def build(root: str) -> FlatStore:
    """Write the store below `root`."""
    store = FlatStore(
        root,
        mailboxes={
            b"user.fred": record(b"fred\tlrswipkxtecdan"),
            b"user.fred.work": record(b"fred\tlrswipkxtecdan"),
            b"user.fred.work.reports": record(b"fred\tlrswipkxtecdan"),
            b"user.fred.Entw&APw-rfe": record(b"fred\tlrswipkxtecdan"),
            b"user.dora": record(b"dora\tlrswipkxtecdan"),
            b"user.olga": record(b"olga\tlrswipkxtecdan"),
            b"user.max": record(b"max\tlrswipkxtecdan"),
            b"user.nina": record(b"nina\tlrswipkxtecdan"),
            b"user.rita": record(b"rita\tlrswipkxtecdan", mbtype=b"z"),
            b"user.dan": b"%(T e P default A",
            b"virtual.example!user.vera": record(b"vera@virtual.example\tlrswipkxtecdan"),
            b"news": record(b"anyone\tlrsp"),
            b"archive": record(b"anyone\tlrs"),
            b"staff": record(b"group:staff\tlrsp"),
        },
        quotas={
            b"user.fred": quota((3 * MIB * 1024, 1024 * MIB)),
            b"user.olga": quota((101 * MIB * 1024, 100 * MIB)),
            b"user.max": quota((4096, 100 * MIB), (501, 500)),
            b"user.nina": quota((99 * MIB * 1024, 100 * MIB)),
        },
        denials={b"dora": denial(b"Your account is locked", b"smmap,lmtp")},
        options={"virtdomains": "userid", "defaultdomain": "example.org"},
    )
    store.write()
    return store
