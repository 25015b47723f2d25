"""Stores with options, names and changes that are drawn at random, in files that Cyrus might write.

`DrawnStore(folder, seed)` has an imapd.conf of any combination of options that decide about
answers, records under names that mean something to some of them, and addresses that lead to
these names or nearly do.  `change` commits, restores a backup, repacks, converts a database from
twoskip to flat or back, or takes the folder of quota roots away, which the next change brings back.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

from gateway.cyrus.db.flat import encode
from gateway.cyrus.db.order import orders
from gateway.cyrus.db.quotalegacy import folder_hash
from gateway.cyrus.mailboxrecord import MBTYPE_REMOTE, TYPES
from tests.stores import dbkey, denial, quota, record
from tests.support.twoskip_writer import Writer

LIST, QUOTAS, DENIALS = "mailboxes.db", "quotas.db", "user_deny.db"

# Options with the values they may get; an empty one is not written.
OPTIONS: dict[str, tuple[str, ...]] = {
    "virtdomains": ("off", "userid", "userid", "on"),
    "defaultdomain": ("example.org", "example.org", "Example.org", "virt.org", ""),
    "unixhierarchysep": ("yes", "no", ""),
    "altnamespace": ("yes", "no", ""),
    "lmtp_downcase_rcpt": ("yes", "no", ""),
    "username_tolower": ("no", "", ""),
    "lmtp_fuzzy_mailbox_match": ("yes", "", ""),
    "autocreate_post": ("yes", ""),
    "autocreate_quota": ("0", "1", "10", "-1", ""),
    "autocreate_quota_messages": ("1", "0", "", ""),
    "autocreate_users": ("anyone", "new u New", "new@virt.org", "group:x", "anonymous", ""),
    "admins": ("admin", "admin any", "group:y", ""),
    "proxyservers": ("proxy", "", ""),
    "postuser": ("bb", "BB", "bb@virt.org", "u", "user", "", ""),
    "lmtp_catchall_mailbox": ("catch", "Catch", "catch@virt.org", "catch@example.org", "", "", ""),
    "lmtp_strict_quota": ("yes", ""),
    "lmtp_over_quota_perm_failure": ("yes", ""),
    "lmtp_strict_rfc2821": ("no", ""),
    "deletedprefix": ("user", "Box", "", ""),
    "calendarprefix": ("Box", "Shared", "", ""),
    "notesmailbox": ("News", "Own", "", ""),
    "improved_mboxlist_sort": ("yes", "", ""),
    "fulldirhash": ("yes", ""),
    "smmapd_allow_empty_list": ("yes", ""),
    "auth_mech": ("pts", "", ""),
}
_USERS = (
    b"u", b"U", b"a.b", b"a^b", b"a/b", b"bb", b"BB", b"fr ed", b"any", b"a!b", b"Catch", b"x&-y",
    b"new", b"New", b"anyone", b"anonymous", b"admin", b"user", b"DELETED", b"u_1", b"u-1", b"..",
    b"a..b", b"proxy", b"", b"*x", b"u" * 30,
)  # fmt: skip
_DOMAINS = (b"example.org", b"Virt.ORG", b"EXAMPLE.org", b"sub.virt.org", b"", b"internal", b"b_d")
_BOXES = (
    b"Box", b"box", b"box/sub", b"box.sub", b"R&D", b"R&-D", b"&AOQ-", b"\xc3\xa4", b"INBOX",
    b"user/u", b"user.u", b"Own", b"user/u/Own", b"DELETED/user/u/5A", b"a b", b"a_b", b"A-B",
    b"Shared", b"Shared/One", b"user", b"News", b"box+x", b"box@y",
)  # fmt: skip
_ACLS = (b"anyone\tlrp", b"anyone\tlrs", b"", b"anonymous\tp", b"anyone\tlrp\t-anonymous\tp")
# Half of them are for mail; each other type comes now and then, but for that of mailboxes on
# another server, which would be asked.
_TYPES = (
    *(letter.encode() for letter, mbtype, _ in TYPES if mbtype != MBTYPE_REMOTE),
    *(b"e" for _ in TYPES),
)
_QUOTAS = (
    quota((0, 10)), quota((10_241, 10)), quota((10_240, 10)), quota((10, 10), (3, 3)),
    quota((10, 10), (4, 3)), b"%(S (0 10) M (0) AS (0) NF (9 5))",
)  # fmt: skip
_SERVICES = (b"smmap", b"lmtpunix", b"*", b"imap", b"lmtp*")


class DrawnStore:
    """One store below `root`; `addresses` are to be asked about, `options` what imapd.conf has."""

    def __init__(self, root: Path, seed: int) -> None:
        self.random = random = Random(seed)
        self.conf = str(root / "imapd.conf")
        self._folder = root / "conf"
        self._roots = root / "roots"
        self._away = root / "away"
        self._folder.mkdir()
        self._roots.mkdir()
        drawn = {name: random.choice(values) for name, values in OPTIONS.items()}
        self.options = {name: value for name, value in drawn.items() if value}
        self.older = random.random() < 0.3
        self._in_files = random.random() < 0.5
        postuser = self.options.get("postuser", "").partition("@")[0].encode()
        own = [postuser, postuser.swapcase()] if postuser else []
        self._users = [*random.sample(_USERS, 5), b"catch", *own]
        self._boxes = random.sample(_BOXES, 6)
        self._domains = (None, b"virt.org", *random.sample(_DOMAINS, 3))
        self._names = [self._name() for _ in range(25)]
        self.addresses = [self._stranger() for _ in range(25)]
        self.addresses += [self._address(name) for name in self._names * 2]
        self._flat: set[str] = set()  # the files that have been converted
        self._writers = {name: Writer(seed=seed + place) for place, name in enumerate(self._files)}
        for name, writer in self._writers.items():
            for _ in range(15 if name == LIST else 4):
                self._draw(name, gone=0.0)
            writer.commit()
            self._write(name)
        self._backups = {name: writer.repacked() for name, writer in self._writers.items()}
        settings = {
            "configdirectory": str(self._folder),
            "mboxlist_db": "twoskip",
            "userdeny_db": "twoskip",
            "quota_db": "quotalegacy" if self._in_files else "twoskip",
            "quota_db_path": str(self._roots / QUOTAS),
            **self.options,
        }
        Path(self.conf).write_text("".join(f"{name}: {each}\n" for name, each in settings.items()))

    @property
    def _files(self) -> tuple[str, ...]:
        return (LIST, DENIALS) if self._in_files else (LIST, QUOTAS, DENIALS)

    def change(self) -> str:
        """Do something to the store; what it was."""
        random = self.random
        if self._away.exists():
            self._away.rename(self._roots)
            return "the quota roots are back"
        chance = random.random()
        if chance < 0.06:
            self._roots.rename(self._away)
            return "the quota roots are away"
        if self._in_files and chance < 0.35:
            self._root_file()
            return "a quota root"
        name = random.choice((LIST, *self._files))
        if chance < 0.75:
            for _ in range(random.choice((1, 1, 1, 3))):
                self._draw(name)
            self._writers[name].commit()
            self._write(name)
            return f"commit to {name}"
        if chance < 0.82:
            self._backups[name] = self._writers[name].repacked()
            return f"backup of {name}"
        if chance < 0.92:
            self._writers[name] = self._backups[name].repacked()
            for _ in range(random.choice((0, 1, 2))):
                self._draw(name)
                self._writers[name].commit()
            self._write(name, replaces=random.random() < 0.5)
            return f"restore of {name}"
        if chance < 0.95:
            self._flat ^= {name}
            self._write(name, replaces=random.random() < 0.5)
            return f"conversion of {name}"
        self._writers[name] = self._writers[name].repacked()
        self._draw(name)
        self._writers[name].commit()
        self._write(name, replaces=True)
        return f"repack of {name}, and a commit"

    def _write(self, name: str, *, replaces: bool = False) -> None:
        path = (self._roots if name == QUOTAS else self._folder) / name
        image = self._image(name)
        if replaces or not path.exists():
            path.with_suffix(".NEW").write_bytes(image)
            path.with_suffix(".NEW").rename(path)
            return
        descriptor = os.open(path, os.O_WRONLY)
        os.pwrite(descriptor, image, 0)
        os.ftruncate(descriptor, len(image))
        os.close(descriptor)

    def _image(self, name: str) -> bytes:
        """What the file has: a twoskip database, or a flat one in Cyrus' order."""
        writer = self._writers[name]
        if name not in self._flat:
            return writer.image()
        order = orders(True)[0]
        lines = [(encode(key), encode(value)) for key, value in writer.committed.items()]
        lines.sort(key=lambda line: (line[0] + b"\t").translate(order))
        return b"".join(b"%b\t%b\n" % line for line in lines)

    def _draw(self, name: str, gone: float = 0.45) -> None:
        random, writer = self.random, self._writers[name]
        value: bytes
        if name == LIST:
            internal = random.choice(self._names)
            key = internal if self.older else dbkey(internal)
            value = record(random.choice(_ACLS), random.choice(_TYPES))
            if self.older and random.random() < 0.4:
                value = b"0 default " + random.choice(_ACLS) + b"\t"
        elif name == QUOTAS:
            key, value = self._root(), random.choice(_QUOTAS)
        else:
            key = random.choice(self._users) + random.choice((b"", b"", b"@virt.org"))
            value = denial(b"", random.choice(_SERVICES))
        if not key:
            return
        if random.random() < gone:
            writer.delete(key)
        else:
            writer.store(key, value)

    def _root(self) -> bytes:
        """The name of a quota root: a mailbox', that of one above it, or a domain's."""
        name = self.random.choice(self._names)
        chance = self.random.random()
        if chance < 0.2 and b"." in name:
            return name.rpartition(b".")[0]
        return name.partition(b"!")[0] + b"!" if chance < 0.3 and b"!" in name else name

    def _root_file(self) -> None:
        """Write or remove a root's file, by rename as Cyrus does."""
        root = self._root()
        if not root or b"/" in root:
            return
        top, full = self._roots, "fulldirhash" in self.options
        domain, mark, name = root.partition(b"!")
        if mark and self.options["virtdomains"] != "off":
            top = top / "domain" / os.fsdecode(folder_hash(domain, full)) / os.fsdecode(domain)
        else:
            name = root
        letter = os.fsdecode(folder_hash(name[name.find(b".") + 1 :], full))
        path = top / "quota" / letter / os.fsdecode(name) if name else top / "quota" / "root"
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.random.random() < 0.35:
            path.unlink(missing_ok=True)
            return
        new = path.with_name("x.NEW")
        new.write_bytes(self.random.choice(_QUOTAS) + b"\n")
        new.rename(path)

    def _name(self) -> bytes:
        """An internal name."""
        random = self.random
        domain = random.choice((None, None, b"virt.org", b"virt.org", b"Virt.ORG", b"EXAMPLE.org"))
        start = b"" if domain is None else domain + b"!"
        box = random.choice(self._boxes).replace(b".", b"^").replace(b"/", b".")
        chance = random.random()
        if chance > 0.82:
            return start + box
        user = b"user." + random.choice(self._users).replace(b".", b"^")
        return start + user + (b"" if chance < 0.7 else b"." + box)

    def _address(self, internal: bytes) -> bytes:
        """The address of a mailbox, or one that is nearly so."""
        random = self.random
        domain, _, name = internal.rpartition(b"!")
        separator = b"." if self.options.get("unixhierarchysep") == "no" else b"/"
        parts = [p.replace(b"^", b".") if separator == b"/" else p for p in name.split(b".")]
        if parts[0] == b"user" and len(parts) > 1:
            local = parts[1] + (b"+" + separator.join(parts[2:]) if len(parts) > 2 else b"")
            if random.random() < 0.2:
                local = parts[1] + b"+" + random.choice(self._boxes)
        else:
            local = self.options.get("postuser", "").encode() + b"+" + separator.join(parts)
        chance = random.random()
        local = local.lower() if chance < 0.2 else local.upper() if chance < 0.25 else local
        at: bytes | None = domain
        if not domain:
            at = random.choice((None, self.options.get("defaultdomain", "x").encode()))
        if random.random() < 0.1:
            at = random.choice(self._domains)
        if at and random.random() < 0.15:
            at = random.choice((at.upper(), at.lower()))
        return local if at is None else local + b"@" + at

    def _stranger(self) -> bytes:
        random = self.random
        local = random.choice(self._users)
        if random.random() < 0.3:
            local += b"+" + random.choice(self._boxes)
        if random.random() < 0.05:
            local = local.upper()
        domain = random.choice(self._domains)
        return local if domain is None else local + b"@" + domain
