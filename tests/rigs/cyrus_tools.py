"""Cyrus' own offline tools on a throw-away store: what they write is what the tests read.

Every tool runs as user cyrus with the store's own imapd.conf.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.rigs.debian import Root
from tests.rigs.processes import RigError, account, run

PROGRAMS = "/usr/lib/cyrus/bin"
# What a root of another release needs for a store: Cyrus(root=kept_root(*PACKAGES, release=...)).
PACKAGES = ("cyrus-imapd", "cyrus-admin", "cyrus-clients", "sasl2-bin")
MAILBOX_LIST = "mailboxes.db"
USER_DENY = "user_deny.db"
# The tool takes quotalegacy's folder from the folder that this name stands in.
QUOTAS = "quotas.db"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One row of the mailbox list, as `ctl_mboxlist -u` takes it.

    `name` is the internal name (`example.org!user.fred.folder`), in text:
    the dump is JSON.  `mbtype` holds the type's letters: `e` for e-mail,
    `d` deleted, `r` remote, `z` reserved, `i` intermediate.
    """

    name: str
    acl: Mapping[str, str] = field(default_factory=dict)
    mbtype: str = "e"
    partition: str = "default"
    server: str | None = None

    def dumped(self, number: int) -> dict[str, object]:
        """The row's value in the dump; `number` makes its unique id."""
        row: dict[str, object] = {
            "acl": dict(self.acl),
            "mbtype": self.mbtype,
            "uidvalidity": "1",
            "createdmodseq": "1",
            "foldermodseq": "1",
            "partition": self.partition,
            "uniqueid": f"rig-{number:08d}",
            "jmapId": "",
        }
        if self.server is not None:
            row["server"] = self.server
        return row


class CyrusTools:
    """The tools on one store: `config` is its configdirectory, `imapd_conf` its settings.

    They are this machine's, or those of a Debian of another release in `root`.
    """

    def __init__(self, config: str, imapd_conf: str, root: Root | None = None) -> None:
        self.config = config
        self.imapd_conf = imapd_conf
        self._root = root
        self._loaded = 0

    def run(
        self, program: str, *words: str | bytes, stdin: bytes = b"", accept: Sequence[int] = (0,)
    ) -> bytes:
        """Run one program of Cyrus with -C; returns its output, raises `RigError` on failure."""
        argv = [os.path.join(PROGRAMS, program), "-C", self.imapd_conf, *words]
        cyrus = account("cyrus")
        if self._root is not None:
            return run([*self._root.guest(cyrus), *argv], stdin=stdin, accept=accept)
        return run(argv, user=cyrus, stdin=stdin, accept=accept)

    def version(self) -> tuple[int, int]:
        """Cyrus' release, such as (3, 10)."""
        # cyrus-imapd 3.10.2-Debian-3.10.2-1+deb13u2
        major, minor = self.run("master", "-V").split()[1].split(b".")[:2]
        return int(major), int(minor)

    # --- mailbox list ---------------------------------------------------------------------

    def load_mailboxes(self, mailboxes: Iterable[Mailbox]) -> None:
        """Write rows with `ctl_mboxlist -u`, about 2000 a second; existing names are replaced."""
        rows = {}
        for mailbox in mailboxes:
            self._loaded += 1
            rows[mailbox.name] = mailbox.dumped(self._loaded)
        self.run("ctl_mboxlist", "-u", stdin=json.dumps(rows).encode())

    def dump_mailboxes(self) -> dict[str, dict[str, object]]:
        """The list as `ctl_mboxlist -d -y` shows it, by internal name."""
        rows = json.loads(self.run("ctl_mboxlist", "-d", "-y"))
        if not isinstance(rows, dict):
            raise RigError("ctl_mboxlist -d printed something that is not JSON object")
        return rows

    # --- any database ---------------------------------------------------------------------

    def path(self, name: str) -> str:
        """The path of a database in the configdirectory."""
        return os.path.join(self.config, name)

    def db_show(self, name: str, backend: str, prefix: bytes = b"") -> dict[bytes, bytes]:
        """The records of a database whose keys start with `prefix` (`cyr_dbtool show`)."""
        words = [prefix] if prefix else []
        out = self.run("cyr_dbtool", self.path(name), backend, "show", *words)
        return dict(_split(line) for line in out.splitlines() if line)

    def db_get(self, name: str, backend: str, key: bytes) -> bytes | None:
        """One record's value, or None for none or an empty one (`cyr_dbtool get`)."""
        out = self.run("cyr_dbtool", self.path(name), backend, "get", key, accept=(0, 1))
        return out.removesuffix(b"\n") or None

    def db_set(
        self, name: str, backend: str, records: Mapping[bytes, bytes], *, at_once: bool = True
    ) -> None:
        """Set records, in one transaction unless told otherwise; the database is made if needed."""
        lines = b"".join(b"%s\t%s\n" % record for record in records.items())
        words = ["-T"] if at_once else []
        self.run("cyr_dbtool", "-n", *words, self.path(name), backend, "set", stdin=lines)

    def db_delete(self, name: str, backend: str, *keys: bytes) -> None:
        """Delete records that exist."""
        lines = b"".join(key + b"\n" for key in keys)
        self.run("cyr_dbtool", self.path(name), backend, "delete", stdin=lines)

    def db_consistent(self, name: str, backend: str) -> bool:
        """Does `cyr_dbtool consistent` (so the program, whatever its manual says) find it sound?"""
        out = self.run("cyr_dbtool", self.path(name), backend, "consistent", accept=(0, 1))
        return b"Yes" in out

    def db_repack(self, name: str, backend: str) -> None:
        """Write the database again without its old records (`cyr_dbtool repack`)."""
        self.run("cyr_dbtool", self.path(name), backend, "repack")

    def convert(self, old: str, old_backend: str, new: str, new_backend: str) -> None:
        """`cvt_cyrusdb`; a name without a slash stands for one in the configdirectory."""
        self.run("cvt_cyrusdb", self.path(old), old_backend, self.path(new), new_backend)

    def recover(self, *, cleanup: bool = True) -> None:
        """`ctl_cyrusdb -r`, as master's START section does; without clean-up `-r -x`."""
        self.run("ctl_cyrusdb", "-r", *([] if cleanup else ["-x"]))

    def checkpoint(self) -> None:
        """`ctl_cyrusdb -c`."""
        self.run("ctl_cyrusdb", "-c")

    # --- quota and userdeny ---------------------------------------------------------------

    def set_quotas(
        self, records: Mapping[bytes, bytes], backend: str = "quotalegacy", name: str = QUOTAS
    ) -> None:
        """Write quota records: root's internal name to `quota_record(...)` or any other value."""
        self.db_set(name, backend, records, at_once=False)

    def delete_quotas(
        self, *roots: bytes, backend: str = "quotalegacy", name: str = QUOTAS
    ) -> None:
        """Remove quota records."""
        self.db_delete(name, backend, *roots)

    def fix_quotas(self, *prefixes: str) -> bytes:
        """`quota -f`: count what is really used; returns the report."""
        return self.run("quota", "-f", *prefixes)

    def deny(self, userid: str, services: str = "*", message: str | None = None) -> None:
        """`cyr_deny`: deny a user the services (comma-separated patterns)."""
        words = ["-s", services]
        if message is not None:
            words += ["-m", message]
        self.run("cyr_deny", *words, userid)

    def allow(self, userid: str) -> None:
        """`cyr_deny -a`: remove the user's entry."""
        self.run("cyr_deny", "-a", userid)


def quota_record(
    *,
    storage: tuple[int, int] | None = None,
    messages: tuple[int, int] | None = None,
    old: bool = False,
) -> bytes:
    """A quota root's value; each resource is (used, limit).

    Storage is used bytes and a limit in KiB, messages are counted; a limit of
    -1 is none.  `old` gives the form of before 2.5, which holds storage only.
    """
    if old:
        used, limit = storage or (0, -1)
        return b"%d %d" % (used, limit)
    parts = []
    if storage is not None:
        parts.append(b"S (%d %d)" % storage)
    if messages is not None:
        parts.append(b"M (%d %d)" % messages)
    return b"%(" + b" ".join(parts) + b")"


def _split(line: bytes) -> tuple[bytes, bytes]:
    key, _, value = line.partition(b"\t")
    return key, value
