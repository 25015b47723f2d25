"""Small Cyrus stores for tests and the demo, written as flat files by our own hand.

Real databases, written by Cyrus itself, are in tests/golden and made by
tests/rigs; these are for what is easier to say in a table.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

GS = b"\x1d"
US = b"\x1f"


@dataclass
class FlatStore:
    """A store below `root`: mailboxes, quota roots and userdeny, written by `write`.

    `mailboxes` maps internal names to values of mailboxes.db (see `record`);
    `quotas` maps roots to the text of quota records; `denials` maps userids to
    values of user_deny.db; `options` are further lines of imapd.conf.  A user's
    mailbox whose record has no ACL has its owner's, as Cyrus makes it (`owned`).  With
    `older` the mailbox list has the keys of Cyrus up to 3.4.
    """

    root: str
    mailboxes: dict[bytes, bytes] = field(default_factory=dict)
    quotas: dict[bytes, bytes] = field(default_factory=dict)
    denials: dict[bytes, bytes] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    older: bool = False

    @property
    def conf_path(self) -> str:
        """The path of imapd.conf."""
        return os.path.join(self.root, "imapd.conf")

    @property
    def configdirectory(self) -> str:
        """The folder of the databases."""
        return os.path.join(self.root, "conf")

    def write(self) -> None:
        """(Re)write every file, the databases by rename as Cyrus does."""
        os.makedirs(self.configdirectory, exist_ok=True)
        lines = {
            "configdirectory": self.configdirectory,
            "defaultpartition": "default",
            "partition-default": os.path.join(self.root, "spool"),
            "servername": "demo.example.org",
            "mboxlist_db": "flat",
            "quota_db": "flat",
            "userdeny_db": "flat",
            **self.options,
        }
        with open(self.conf_path, "w", encoding="utf-8") as conf:
            conf.writelines(f"{name}: {value}\n" for name, value in lines.items())
        key = bytes if self.older else dbkey
        self._flat(
            "mailboxes.db",
            {key(name): owned(name, value) for name, value in self.mailboxes.items()},
        )
        self._flat("quotas.db", self.quotas)
        self._flat("user_deny.db", self.denials)

    def _flat(self, name: str, records: dict[bytes, bytes]) -> None:
        path = os.path.join(self.configdirectory, name)
        with open(path + ".NEW", "wb") as new:
            lines = {escaped(key): escaped(value) for key, value in records.items()}
            new.writelines(key + b"\t" + lines[key] + b"\n" for key in sorted(lines))
        os.rename(path + ".NEW", path)


def escaped(plain: bytes) -> bytes:
    """A key or value as a flat file has it (lib/cyrusdb_flat.c, encode)."""
    out = bytearray()
    for byte in plain:
        if byte in b"\0\t\r\n":
            out += bytes((0xFF, byte | 0x80))
        elif byte == 0xFF:
            out += b"\xff\xff"
        else:
            out.append(byte)
    return bytes(out)


def dbkey(internal: bytes) -> bytes:
    """The key of mailboxes.db, from 3.6 on, for an internal name."""
    domain, mark, name = internal.partition(b"!")
    if not mark:
        domain, name = b"", domain
    return b"N" + (domain + GS if mark else b"") + name.replace(b".", US).replace(b"^", b".")


def record(acl: bytes = b"", mbtype: bytes = b"e", partition: bytes = b"default") -> bytes:
    """A value of mailboxes.db as Cyrus 3.6 writes it; `acl` is `who TAB rights TAB`..."""
    words = acl.split(b"\t") if acl else []
    pairs = b" ".join(b"%b %b" % pair for pair in zip(words[::2], words[1::2], strict=False))
    return b"%%(T %b I 1 P %b A %%(%b))" % (mbtype, partition, pairs)


# All rights, as cyrus_acl_masktostr writes them: what Cyrus gives an owner (mboxlist.c).
OWNERS_RIGHTS = b"lrswipkxtecdan"
_NO_ACL = b" A %())"
# What a record has as it is; anything else is a literal, with its length (lib/dlist.c).
_ATOM = re.compile(rb"[A-Za-z0-9_.@+-]+")


def owner(internal: bytes) -> bytes:
    """Whose mailbox it is by its internal name; empty for a shared folder."""
    domain, mark, name = internal.rpartition(b"!")
    if not name.startswith(b"user."):
        return b""
    userid = name.split(b".")[1].replace(b"^", b".")
    return userid + b"@" + domain if mark else userid


def owned(internal: bytes, value: bytes) -> bytes:
    """The record of mailboxes.db; where it is a user's and has no ACL, with its owner's."""
    userid = owner(internal)
    if not userid:
        return value
    if not _ATOM.fullmatch(userid):
        userid = b"{%d}\r\n%b" % (len(userid), userid)
    return value.replace(_NO_ACL, b" A %%(%b %b))" % (userid, OWNERS_RIGHTS))


def quota(storage: tuple[int, int] | None, messages: tuple[int, int] | None = None) -> bytes:
    """A quota record: (used bytes, limit KiB) and (used, limit) messages."""
    parts = []
    if messages is not None:
        parts.append(b"M (%d %d)" % messages)
    if storage is not None:
        parts.append(b"S (%d %d)" % storage)
    return b"%(" + b" ".join(parts) + b")"


def denial(message: bytes = b"", pattern: bytes = b"*") -> bytes:
    """A value of user_deny.db, version 2."""
    return b"2\t%b\t%b" % (pattern, message)
