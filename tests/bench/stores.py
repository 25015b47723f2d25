"""Large Cyrus stores for the benchmark, made once and kept in a cache folder.

A store has five mailboxes a user (INBOX, Drafts, Junk, Sent, Trash) in a twoskip
mailbox list, converted by Cyrus' own `cvt_cyrusdb` with the records that Cyrus
3.6 writes, a quota root for each user in quotalegacy, far below its limit, and
files of keys.  A server uses it by two options of its imapd.conf, with a
configdirectory of its own; without `quota_db_path` the same mailbox list is a
store without quota roots.  The servers only read it.

The quota files hold the bytes that Cyrus writes, in the folders where it puts
them; they are written by our own hand, since `cyr_dbtool` writes a thousand a
second.  The same size always gives the same names.

A store is complete or absent: it is made under another name and renamed.
"""

from __future__ import annotations

import functools
import os
import random
import shutil
import subprocess
import uuid
from dataclasses import dataclass

from tests.bench.cache import cache_folder
from tests.rigs.cyrus_tools import PROGRAMS, quota_record
from tests.rigs.folders import write_text
from tests.rigs.processes import Account, account, run

# Stores made by another version of this file are made again; raise it with every change below.
VERSION = 2

FOLDERS = ("", "Drafts", "Junk", "Sent", "Trash")
# How many recipients the repeated keys are, as a mail list that is asked again and again.
REPEATED = 1000
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SEED = 20260701
_USED_BYTES, _LIMIT_KIB = 123_456_789, 1_000_000
_USED_MESSAGES, _LIMIT_MESSAGES = 4321, 100_000
_RIGHTS = "lrswipkxtecdan"


@dataclass(frozen=True, slots=True)
class Store:
    """A finished store: its size in mailboxes and where its files are."""

    mailboxes: int
    folder: str

    @property
    def users(self) -> int:
        """How many users it has, each with a quota root."""
        return self.mailboxes // len(FOLDERS)

    @property
    def every_user(self) -> str:
        """A key file: every user once, shuffled."""
        return os.path.join(self.folder, "every.keys")

    @property
    def repeated_users(self) -> str:
        """A key file: `REPEATED` users (or all, if there are fewer)."""
        return os.path.join(self.folder, "repeated.keys")

    def repeated(self) -> list[str]:
        """The names in that file."""
        with open(self.repeated_users, encoding="ascii") as keys:
            return keys.read().split()

    @property
    def parents(self) -> str:
        """A key file: `REPEATED` names with a leading dot, which exist nowhere."""
        return os.path.join(self.folder, "parents.keys")

    def settings(self, *, quota: bool) -> dict[str, str]:
        """The options of imapd.conf that make a server use it."""
        settings = {
            "mboxlist_db": "twoskip",
            "mboxlist_db_path": os.path.join(self.folder, "mailboxes.db"),
        }
        if quota:
            # quotalegacy takes the folder that this name stands in.
            settings["quota_db"] = "quotalegacy"
            settings["quota_db_path"] = os.path.join(self.folder, "quotas.db")
        return settings


def store(mailboxes: int) -> Store:
    """The store with that many mailboxes, from the cache or made now (1 000 000: a minute).

    Every file of it has been read once, so that no server pays for the disk or
    for the access time that the first reader of a file has to write (`relatime`).
    Raises `RigError` if Cyrus' tools cannot make it.
    """
    parent = cache_folder()
    path = os.path.join(parent, f"store-{mailboxes}-v{VERSION}")
    if not os.path.isdir(path):
        work = f"{path}.{os.getpid()}.new"
        try:
            _make(work, mailboxes)
            os.rename(work, path)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    _read_everything(path)
    return Store(mailboxes, path)


@functools.cache
def _read_everything(folder: str) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(parent, name), "rb", buffering=0) as file:
                while file.read(1 << 20):
                    pass


def _make(folder: str, mailboxes: int) -> None:
    owner = account("cyrus")
    os.mkdir(folder)
    os.chown(folder, owner.uid, owner.gid)
    users = _users(mailboxes // len(FOLDERS))
    _make_mailbox_list(folder, users, owner)
    _make_quota_files(folder, users, owner)
    random.Random(_SEED + 1).shuffle(users)
    keys = [f"{user}\n" for user in users]
    write_text(os.path.join(folder, "every.keys"), "".join(keys))
    write_text(os.path.join(folder, "repeated.keys"), "".join(keys[:REPEATED]))
    parents = [f".{user}.example.org\tNOTFOUND\n" for user in users[:REPEATED]]
    write_text(os.path.join(folder, "parents.keys"), "".join(parents))


def _users(count: int) -> list[str]:
    """Names such as `jkoerw.417`; the dot is there because Cyrus stores it as `^`."""
    chance = random.Random(_SEED)
    users: set[str] = set()
    while len(users) < count:
        letters = "".join(chance.choices(_LETTERS, k=chance.randint(5, 9)))
        users.add(f"{letters}.{chance.randrange(1000):03}")
    return sorted(users)


def _make_mailbox_list(folder: str, users: list[str], owner: Account) -> None:
    chance = random.Random(_SEED + 2)
    records = []
    for user in users:
        name = f"user\x1f{user}"
        for sub in FOLDERS:
            mailbox = f"{name}\x1f{sub}" if sub else name
            unique = uuid.UUID(int=chance.getrandbits(128))
            rest = f"P default V 1795341956 C 1 F 1 M 1795341955 A %({user} {_RIGHTS})"
            records.append(f"N{mailbox}\t%(T e I {unique} {rest})\n")
            records.append(f'I{unique}\t%(T e N "{mailbox}" {rest} H ())\n')
    records.sort()
    flat = write_text(os.path.join(folder, "list.flat"), "".join(records))
    os.chown(flat, owner.uid, owner.gid)
    conf = write_text(os.path.join(folder, "imapd.conf"), f"configdirectory: {folder}\n")
    database = os.path.join(folder, "mailboxes.db")
    tool = os.path.join(PROGRAMS, "cvt_cyrusdb")
    run([tool, "-C", conf, flat, "flat", database, "twoskip"], user=owner)
    os.unlink(flat)
    os.unlink(conf)


def _make_quota_files(folder: str, users: list[str], owner: Account) -> None:
    record = quota_record(
        storage=(_USED_BYTES, _LIMIT_KIB), messages=(_USED_MESSAGES, _LIMIT_MESSAGES)
    )
    for letter in _LETTERS:
        os.makedirs(os.path.join(folder, "quota", letter))
    for user in users:
        name = "user." + user.replace(".", "^")
        with open(os.path.join(folder, "quota", user[0], name), "wb", buffering=0) as file:
            file.write(record + b"\n")
    subprocess.run(
        ["chown", "-R", f"{owner.uid}:{owner.gid}", os.path.join(folder, "quota")], check=True
    )


@functools.cache
def installed_cyrus() -> str:
    """The version of Debian's Cyrus, for the report."""
    out = run(["dpkg-query", "-W", "-f", "${Version}", "cyrus-imapd"])
    return out.decode()
