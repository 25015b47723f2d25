"""Random mail stores and random questions about them, from a seed.

`populate(seed, site)` gives the rows of a mailbox list and of a quota
database, `questions(...)` keys that hit, nearly hit and miss them.  The same
seed gives the same store and the same questions, so that a difference that was
found once can be looked at again.

Left out, because Debian's C smmapd 3.6.1 and the newest differ there and the
golden data covers the newest: userdeny, `-p`.  Left out, because 3.6.1 cannot
be asked: keys beyond 1000 bytes, NUL bytes, remote mailboxes (it connects to
port 12345).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from tests.rigs.cyrus_tools import Mailbox, quota_record

# 3.6.1 reads a request into 1024 bytes on its stack.
LONGEST_KEY = 1000
DEFAULT_DOMAIN = "example.com"


@dataclass(frozen=True, slots=True)
class Site:
    """One way to configure a store; the fields are options of imapd.conf.

    `settings` are more of them, `mboxlist_db` and `quota_db` the formats.
    """

    virtdomains: str
    unixhierarchysep: bool
    defaultdomain: str | None = DEFAULT_DOMAIN
    postuser: str | None = None
    mboxlist_db: str = "twoskip"
    quota_db: str = "quotalegacy"
    settings: dict[str, str] = field(default_factory=dict)

    def imapd_conf(self) -> dict[str, str]:
        """The options of imapd.conf."""
        options = {
            "virtdomains": self.virtdomains,
            "unixhierarchysep": "yes" if self.unixhierarchysep else "no",
            "mboxlist_db": self.mboxlist_db,
            "quota_db": self.quota_db,
            **self.settings,
        }
        if self.defaultdomain is not None:
            options["defaultdomain"] = self.defaultdomain
        if self.postuser is not None:
            options["postuser"] = self.postuser
        return options

    @property
    def downcases(self) -> bool:
        """Is user and domain of a recipient lower-cased (lmtp_downcase_rcpt)?"""
        return self.settings.get("lmtp_downcase_rcpt", "yes") == "yes"

    def __str__(self) -> str:
        parts = [
            f"virtdomains={self.virtdomains}",
            "unixhs" if self.unixhierarchysep else "netnews",
            self.mboxlist_db,
            self.quota_db,
        ]
        if self.defaultdomain is None:
            parts.append("nodefault")
        if self.postuser is not None:
            parts.append(f"postuser={self.postuser}")
        parts += [f"{name}={value}" for name, value in self.settings.items()]
        return ",".join(parts)


@dataclass(frozen=True, slots=True)
class Owner:
    """A user (`local` set) or a domain's shared folders (`local` None) and their folders' names."""

    local: str | None
    domain: str | None
    folders: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Population:
    """What a store holds: the mailbox list's rows, the quota records, and whose they are."""

    mailboxes: tuple[Mailbox, ...]
    quotas: dict[bytes, bytes]
    owners: tuple[Owner, ...]


_DOMAINS = (None, None, None, DEFAULT_DOMAIN, "virt.example", "sub.virt.example", "x-y.test")
# Plain and odd local parts: everything that RFC 5321 lets stand without quotes, and some more.
_LOCALS = (
    "fred", "anna", "bob", "carol", "root", "postmaster", "john.smith", "a.b.c", "o'neil",
    "dash-ed", "under_score", "eq=al", "hash#tag", "per$cent", "amp&ersand", "x", "user", "shared",
    "MixedCase", "UPPER", "0815", "brace{d}", "pipe|d", "back`tick", "til~de", "q?mark", "bang",
    "long" + "g" * 60, "two  blanks", "comma,d", "bb", "dot.", "uml\u00e4ut",
    "q!z", "!q", "q!", "q!!z", "a\\b", 'a"b', "st*r", "co:lon", "Info", "News", "N", "$x",
)  # fmt: skip
_FOLDERS = (
    "Sent", "Trash", "Lists", "lists", "a", "b", "a.b", "x y", "Ablage", "caf\u00e9", "2024",
    "#news", "per-cent", "INBOX", "inbox", "user", "semi;colon", "quote'd", "at-sign", "~tilde",
    "deep", "Deeper", "deepest", "under_score", "z" * 40,
    "new!old", "!", "R&D", "R&D-Team", "Q&A 1", "A&B-C", "$x", "per%cent", 'a"b', "st*r",
)  # fmt: skip
_SHARED = (
    "shared", "info", "lists", "bb", "Public", "sales.team", "users", "user2", "x y",
    "list!old", "R&D-Team", "Info", "News", "N", "Nuser", "$x", "DELETED",
)  # fmt: skip
# How a list has names that are not written as they are said (modified UTF-7).
_STORED = {
    "R&D": "R&-D", "R&D-Team": "R&-D-Team", "Q&A 1": "Q&-A 1", "A&B-C": "A&-B-C",
    "caf\u00e9": "caf&AOk-",
}  # fmt: skip
_IDENTIFIERS = ("anyone", "anonymous", "-anyone", "-anonymous", "fred", "group:staff", "admin")
_RIGHTS = ("p", "lp", "l", "lrs", "lrsp", "lrswipkxtecdan", "r", "ip", "lrswitedn")
# Most are ordinary; the others are looked up in the list and count as "does not exist" or worse.
_TYPES = ("e",) * 20 + ("ed", "ei", "em", "c", "a")
_JUNK = b" !\"#$%&'()*,-./:;<=>?@[\\]^_`{|}~+\t\r\n\x01\x7f\x80\xc3\xa9\xff"


def internal_name(site: Site, owner: Owner, folder: tuple[str, ...]) -> str:
    """The internal name (`domain!user.name.folder`) of one of an owner's folders."""
    stored = [_STORED.get(part, part) for part in folder]
    parts = ["user", owner.local, *stored] if owner.local is not None else stored
    if site.unixhierarchysep:
        parts = [part.replace(".", "^") for part in parts]
    domain = owner.domain if owner.domain != site.defaultdomain else None
    return (f"{domain}!" if domain else "") + ".".join(parts)


def populate(seed: int, site: Site, users: int = 60, shared: int = 25) -> Population:
    """A random store for a site."""
    random = Random(seed)
    domains = _DOMAINS if site.virtdomains != "off" else (None,)
    owners: dict[tuple[str | None, str | None], Owner] = {}
    for _ in range(users):
        local = _random_local(random)
        if not site.unixhierarchysep:
            local = local.replace(".", "_")
        domain = random.choice(domains)
        folders = {(): None} | {
            _random_folder(random, site): None for _ in range(random.choice((0, 1, 3, 6)))
        }
        owners[local, domain] = Owner(local, domain, tuple(folders))
    for domain in dict.fromkeys(domains):
        # A recipient reaches shared folders without a domain only; the others must stay out of it.
        count = shared if domain is None else 3
        tops = {_random_shared(random, site): None for _ in range(count)}
        owners[None, domain] = Owner(None, domain, tuple(tops))

    mailboxes = {}
    for owner in owners.values():
        for folder in owner.folders:
            name = internal_name(site, owner, folder)
            mailboxes[name] = Mailbox(name, _random_acl(random, owner), random.choice(_TYPES))
    quotas = {
        name.encode(): _random_quota(random, site)
        for name in mailboxes
        if random.random() < 0.4  # enough that many names have a root above them
    }
    for domain in domains:
        if domain not in (None, site.defaultdomain) and random.random() < 0.5:
            quotas[f"{domain}!".encode()] = _random_quota(random, site)
    return Population(tuple(mailboxes.values()), quotas, tuple(owners.values()))


def _random_local(random: Random) -> str:
    local = random.choice(_LOCALS)
    return local if random.random() < 0.6 else f"{local}{random.randrange(100)}"


def _random_folder(random: Random, site: Site) -> tuple[str, ...]:
    parts = random.choices(_FOLDERS, k=random.choice((1, 1, 2, 3)))
    if not site.unixhierarchysep:
        parts = [part.replace(".", "_") for part in parts]
    return tuple(parts)


def _random_shared(random: Random, site: Site) -> tuple[str, ...]:
    return (
        random.choice(_SHARED).replace(".", "_"),
        *(_random_folder(random, site)[: random.randrange(3)]),
    )


def _random_acl(random: Random, owner: Owner) -> dict[str, str]:
    if owner.local is not None:
        acl = {owner.local: "lrswipkxtecdan"}
    else:
        acl = {"anyone": random.choice(_RIGHTS)} if random.random() < 0.8 else {}
    for identifier in random.sample(_IDENTIFIERS, random.choice((0, 1, 1, 2, 3))):
        acl[identifier] = random.choice(_RIGHTS)
    return acl


def _random_quota(random: Random, site: Site) -> bytes:
    def around(limit: int, unit: int) -> tuple[int, int]:
        used = random.choice(
            (0, limit * unit - 1, limit * unit, limit * unit + 1, limit * unit * 3)
        )
        return max(used, 0), limit

    storage = random.choice(
        (None, (10**9, -1), around(0, 1024), around(1, 1024), around(500, 1024))
    )
    messages = random.choice((None, None, (10**6, -1), around(0, 1), around(3, 1), around(100, 1)))
    # 3.6.1 cannot read the old form from a flat database.
    if site.quota_db != "flat" and random.random() < 0.3:
        return quota_record(storage=storage or around(10, 1024), old=True)
    return quota_record(storage=storage, messages=messages)


# --- questions --------------------------------------------------------------------------------


def questions(seed: int, site: Site, population: Population, count: int) -> Iterator[bytes]:
    """`count` keys: every mailbox once, then variants of them, then junk."""
    random = Random(seed)
    exact = [
        address(site, owner, folder) for owner in population.owners for folder in owner.folders
    ]
    given = 0
    for key in exact:
        if given < count and _askable(key):
            given += 1
            yield key
    while given < count:
        key = _question(random, site, population, exact)
        if _askable(key):
            given += 1
            yield key


def address(site: Site, owner: Owner, folder: tuple[str, ...]) -> bytes:
    """The recipient that reaches one of an owner's folders, if a recipient can."""
    separator = "/" if site.unixhierarchysep else "."
    key = owner.local or site.postuser or ""
    if folder:
        key += "+" + separator.join(folder)
    if owner.domain is not None:
        key += "@" + owner.domain
    return key.encode()


def _question(random: Random, site: Site, population: Population, exact: list[bytes]) -> bytes:
    if random.random() < 0.05:
        return bytes(random.choices(_JUNK + b"abcuser", k=random.randrange(40)))
    if random.random() < 0.15:
        owner = random.choice([owner for owner in population.owners if owner.local is None])
        key = address(site, owner, random.choice(owner.folders))
    elif random.random() < 0.3:
        # A user of one owner with a folder of another one.
        owner, other = random.sample(population.owners, 2)
        key = address(site, Owner(owner.local, owner.domain, ()), random.choice(other.folders))
    else:
        key = random.choice(exact)
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        key = random.choice(_VARIATIONS)(random, key)
    return key


def _askable(key: bytes) -> bool:
    return len(key) <= LONGEST_KEY and b"\0" not in key


def _split(key: bytes) -> tuple[bytes, bytes, bytes]:
    """Local part, plus part with its plus sign, and domain with its at sign."""
    before, at, domain = key.rpartition(b"@") if b"@" in key else (key, b"", b"")
    local, plus, folder = before.partition(b"+")
    return local, plus + folder, at + domain


def _other_domain(random: Random, key: bytes) -> bytes:
    local, plus, _ = _split(key)
    names = [f"@{domain}" for domain in _DOMAINS if domain]
    other = random.choice(["", "@", "@nowhere.test", "@localhost", "@[127.0.0.1]", *names])
    return local + plus + other.encode()


def _folder_added(random: Random, key: bytes) -> bytes:
    local, plus, domain = _split(key)
    more = random.choice(_FOLDERS).encode()
    glue = random.choice((b"+", b"/", b".", b"", b"^"))
    return local + (plus + glue + more if plus else b"+" + more) + domain


def _folder_encoded(_: Random, key: bytes) -> bytes:
    """The folder as the list has it, of which C programs differ in what it means."""
    local, plus, domain = _split(key)
    for said, stored in _STORED.items():
        plus = plus.replace(said.encode(), stored.encode())
    return local + plus + domain


def _folder_dropped(random: Random, key: bytes) -> bytes:
    local, plus, domain = _split(key)
    return local + random.choice((b"", b"+", plus[:-1], plus + b"/", plus + b".", b"++")) + domain


def _case_changed(random: Random, key: bytes) -> bytes:
    parts = list(_split(key))
    which = random.randrange(3)
    parts[which] = random.choice(
        (parts[which].upper(), parts[which].lower(), parts[which].swapcase())
    )
    return b"".join(parts)


def _byte_inserted(random: Random, key: bytes) -> bytes:
    at = random.randrange(len(key) + 1)
    return (
        key[:at]
        + random.choice((b".", b"/", b"^", b"+", b"@", b"!", b"..", *[bytes([c]) for c in _JUNK]))
        + key[at:]
    )


def _byte_removed(random: Random, key: bytes) -> bytes:
    at = random.randrange(len(key) + 1)
    return key[:at] + key[at + 1 :]


def _separators_swapped(random: Random, key: bytes) -> bytes:
    old, new = random.sample((b".", b"/", b"^", b"_"), 2)
    return key.replace(old, new)


def _internal_prefix(random: Random, key: bytes) -> bytes:
    return (
        random.choice(
            (b"user.", b"user/", b"+user.", b"+user/", b"INBOX.", b"bb+", b"+", b"anyone+")
        )
        + key
    )


def _lengthened(random: Random, key: bytes) -> bytes:
    local, plus, domain = _split(key)
    return local + (plus or b"+") + b"/" + b"l" * random.choice((30, 200, 400, 490, 700)) + domain


def _quoted(random: Random, key: bytes) -> bytes:
    local, plus, domain = _split(key)
    return b'"' + local + plus + b'"' + domain if random.random() < 0.5 else b"<" + key + b">"


_VARIATIONS = (
    _other_domain,
    _other_domain,
    _folder_added,
    _folder_dropped,
    _folder_encoded,
    _case_changed,
    _case_changed,
    _byte_inserted,
    _byte_removed,
    _separators_swapped,
    _internal_prefix,
    _lengthened,
    _quoted,
)
