"""A store with a history: what an administrator did to it through Cyrus' own imapd and tools.

`make_history(cyrus, site, random)` creates, renames, deletes, changes rights
and quotas, denies users, and leaves rows that only crashes and other servers
leave.  What Cyrus refuses is left out, so the list that comes of it is the
truth about what there is; `names` reads it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random

from gateway.frontends.socketmap_replies import socketmap_payload
from gateway.verification.kinds import Kind
from gateway.verification.model import Verdict
from tests.delivery.sites import ADMIN, PROXY, SERVICE, Site
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import QUOTAS, Mailbox
from tests.rigs.imap import ALL_RIGHTS, Admin, ImapError, modified_utf7

# Users that options of sites.py name, and every spelling that a local part may have.
USERS = (
    "fred", "carol", "full", "bb", "anna", "bob", "john.smith", "a.b.c", "o'neil", "dash-ed",
    "under_score", "eq=al", "hash#tag", "amp&ersand", "x", "user", "shared", "MixedCase", "UPPER",
    "0815", "q?mark", "bang!bang", "q!z", "til~de", "dollar$", "a%b", "sl^ash", "star*", "brace{d}",
    "R&-D", "dot.", ".dot", "two..dots", "uml\u00e4ut", "long" + "g" * 60, "post.master", "back`tick",
    "pipe|d", "co:lon", "two  blanks", "comma,d", "root", "anyone2", PROXY,
)  # fmt: skip
FOLDERS = (
    "Sent", "Trash", "Lists", "lists", "a", "b", "a.b", "x y", "Ablage", "caf\u00e9", "2024",
    "#news", "per-cent", "INBOX", "inbox", "user", "semi;colon", "quote'd", "at@sign", "~tilde",
    "R&D-Team", "A&B-C", "Q&A 1", "R&D", "new!old", "under_score", "z" * 40, "&AOQ-", "$cash",
    "a^b", "Lists/deep", "Lists/deep/deeper", "lists/a.b",
)  # fmt: skip
SHARED = (
    "shared", "info", "lists", "bb", "Public", "users", "user2", "x y", "$cash", "a!b", "R&D",
    "lists/one", "lists/two", "Public/a.b", "info/caf\u00e9", "ne^ws",
)  # fmt: skip
_IDENTIFIERS = (
    b"anyone", b"anonymous", b"-anyone", b"-anonymous", b"fred", b"group:staff", b"-group:staff",
    b"admin", b"-fred",
)  # fmt: skip
_RIGHTS = (b"p", b"lp", b"l", b"lrs", b"lrsp", b"lrswipkxtecdan", b"r", b"ip", b"", b"")
_RESOURCES = ("STORAGE", "MESSAGE", "X-ANNOTATION-STORAGE", "X-NUM-FOLDERS")
# RFC 9208's names, from 3.10 on.
_RESOURCES_3_10 = ("STORAGE", "MESSAGE", "ANNOTATION-STORAGE", "MAILBOX")
_ODD_LIMITS = (-1, -2, 0, 2**31, 2**42, 2**53, 2**54, 2**62, 2**63 - 1)
_ODD_USES = (2**31, 2**53, 2**62, 2**63 - 1)
_UNITS = {b"S": 1024, b"M": 1, b"AS": 1024, b"NF": 1}
_DENIED = ("anna", "bob", "carol", "john.smith", "newbie", "o'neil", "q!z", "MixedCase", "a.b.c")
_SERVICES = (SERVICE, SERVICE, "smmap", "*", "imap", "lmtp*", "lmtp", "pop3,lmtpunix", "smmap,lmtpunix")  # fmt: skip
# What a blocked user hears: a message of the record, or the text where it has none.
_MESSAGE = "not today"
DENIALS = (
    _MESSAGE.encode(),
    socketmap_payload(Verdict(Kind.DENIED, b""), b"").removeprefix(b"NOTFOUND "),
)
# Types that a mailbox may turn out to have: calendars and the like, and the moments of a move.
_OTHER_TYPES = ("c", "a", "s", "p", "z", "m", "i", "d")
# Rows that no command leaves: a reservation, a hole, the grave of a user, a move in progress.
_ODD_TYPES = ("z", "i", "d", "m")

Step = Callable[[], object]


class History:
    """One administrator at work on one store."""

    def __init__(
        self, admin: Admin, site: Site, random: Random, resources: tuple[str, ...]
    ) -> None:
        self._resources = resources
        self._admin = admin
        self._site = site
        self._random = random
        self._made: list[bytes] = []
        self.refused = 0

    def name(self, *parts: str, domain: str | None) -> bytes:
        """A mailbox as an administrator names it."""
        separator = self._site.separator
        levels = [level for part in parts for level in part.split("/")]
        if separator == ".":
            levels = [level.replace(".", "_") for level in levels]
        at = f"@{domain}" if domain else ""
        return modified_utf7(separator.join(levels) + at)

    def attempt(self, step: Step) -> bool:
        """Do it, unless imapd refuses."""
        try:
            step()
        except ImapError:
            self.refused += 1
            return False
        return True

    def create(self, name: bytes) -> None:
        """Create a mailbox."""
        if self.attempt(lambda: self._admin.create(name)):
            self._made.append(name)

    def work(self, count: int) -> None:
        """`count` random changes of what there is."""
        steps: tuple[Callable[[bytes], None], ...] = (
            self._rename, self._delete, self._acl, self._acl, self._acl, self._acl,
            self._quota, self._quota, self._quota,
        )  # fmt: skip
        for _ in range(count):
            if self._made:
                self._random.choice(steps)(self._random.choice(self._made))

    def _rename(self, name: bytes) -> None:
        new = name + self._random.choice(
            (b"2", b"-old", b".x" if self._site.separator == "/" else b"x")
        )
        if b"@" in name:
            before, _, domain = name.rpartition(b"@")
            new = before + b"2@" + domain
        if self.attempt(lambda: self._admin.rename(name, new)):
            self._made.remove(name)
            self._made.append(new)

    def _delete(self, name: bytes) -> None:
        if self._random.random() < 0.5 and self.attempt(lambda: self._admin.delete(name)):
            self._made.remove(name)
            if self._random.random() < 0.3:
                self.create(name)

    def _acl(self, name: bytes) -> None:
        who, rights = self._random.choice(_IDENTIFIERS), self._random.choice(_RIGHTS)
        self.attempt(lambda: self._admin.setacl(name, who, rights))

    def _open(self, name: bytes, rights: bytes) -> None:
        self.attempt(lambda: self._admin.setacl(name, b"anyone", rights))

    def _quota(self, name: bytes) -> None:
        limits = {
            resource: self._random.choice((0, 1, 2, 3, 10, 1000))
            for resource in self._random.sample(
                self._resources, self._random.choice((0, 1, 1, 2, 4))
            )
        }
        words = " ".join(f"{resource} {limit}" for resource, limit in limits.items())
        quoted = b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        self.attempt(lambda: self._admin.command("SETQUOTA", quoted, f"({words})".encode()))

    def populate(self, users: int) -> None:
        """Users with folders, shared folders, in every domain."""
        random, site = self._random, self._site
        always = USERS[:4]
        for local in (*always, *random.sample(USERS[4:], users - len(always))):
            domain = random.choice(site.domains) if local not in always else None
            self.create(self.name("user", local, domain=domain))
            for folder in random.sample(FOLDERS, random.choice((0, 1, 2, 4))):
                self.create(self.name("user", local, folder, domain=domain))
        if len(site.domains) > 1:
            self.create(self.name("user", "carol", domain="virt.example"))
        for domain in site.domains:
            for shared in random.sample(SHARED, 10 if domain is None else 4):
                name = self.name(shared, domain=domain)
                self.create(name)
                # Most are open to all: what is closed is refused alike.
                self._open(name, random.choice((b"p", b"lrsp", b"lrs", b"")))
        self._admin.setacl(self.name("user", "fred", domain=None), ADMIN.encode(), ALL_RIGHTS)


def make_history(cyrus: Cyrus, site: Site, random: Random, *, users: int = 24) -> dict[str, str]:
    """Fill a store whose master is running with the service `imap`; the users and their denied services."""
    with cyrus.admin() as admin:
        newer = cyrus.tools.version() >= (3, 10)
        history = History(admin, site, random, _RESOURCES_3_10 if newer else _RESOURCES)
        history.populate(users)
        history.work(users * 3)
    _odd_rows(cyrus, random)
    _other_types(cyrus, random)
    return _deny(cyrus, site, random)


def _deny(cyrus: Cyrus, site: Site, random: Random) -> dict[str, str]:
    denied = {}
    for user in random.sample(_DENIED, 3):
        domain = random.choice(site.domains)
        name = f"{user}@{domain}" if domain else user
        denied[name] = random.choice(_SERVICES)
        cyrus.tools.deny(name, denied[name], random.choice((None, _MESSAGE)))
    return denied


def _odd_rows(cyrus: Cyrus, random: Random) -> None:
    rows = [
        Mailbox(f"user.odd{number}{more}", {"anyone": "lrsp"}, random.choice(_ODD_TYPES))
        for number in range(3)
        for more in ("", ".Sent")
    ]
    # A folder whose user has no INBOX.
    rows.append(Mailbox("user.noinbox.Lists", {"anyone": "lrsp"}))
    cyrus.tools.load_mailboxes(rows)


def _other_types(cyrus: Cyrus, random: Random) -> None:
    """Some mailboxes, with their files, are of another type than they were made."""
    rows = cyrus.tools.dump_mailboxes()
    # What `_odd_rows` has made has no files.
    rows = {
        name: row for name, row in rows.items() if not name.startswith(("user.odd", "user.noin"))
    }
    changed = {name: rows[name] for name in random.sample(sorted(rows), 5)}
    for row in changed.values():
        row["mbtype"] = random.choice(_OTHER_TYPES)
    cyrus.tools.run("ctl_mboxlist", "-u", stdin=json.dumps(changed).encode())


def use_quotas(cyrus: Cyrus, site: Site, random: Random) -> None:
    """Count as used what is just below, at and above each limit; `full` is over it."""
    backend = site.plain("quota_db", "quotalegacy")
    records = cyrus.tools.db_show(QUOTAS, backend)
    changed = {
        root: re.sub(rb"\b([SMANF]+) \((\d+) (-?\d+)\)", lambda match: _used(match, random), record)
        for root, record in records.items()
    }
    if changed:
        cyrus.tools.set_quotas(changed, backend)


def _used(match: re.Match[bytes], random: Random) -> bytes:
    resource, limit = match[1], int(match[3])
    if random.random() < 0.08:
        # What no command sets: none, and numbers that are near the end of 64 bits.
        limit = random.choice(_ODD_LIMITS)
        return b"%s (%d %d)" % (resource, random.choice((0, 10, *_ODD_USES)), limit)
    unit = _UNITS.get(resource, 1)
    most = max(limit, 0) * unit
    used = random.choice((0, 0, most - unit, most - 300, most - 1, most, most + 1, most * 3))
    return b"%s (%d %d)" % (resource, max(used, 0), limit)
