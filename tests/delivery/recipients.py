"""Recipients to ask about: those that exist, those that nearly do, and what strangers try.

An address is bytes in its internal form, without quotes around the local
part, as an MTA holds it after it has read RCPT TO.  The same seed gives the
same recipients.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tests.delivery.histories import FOLDERS, SHARED, USERS
from tests.delivery.sites import DOMAINS, EMPTY_DOMAIN, PROXY, Site
from tests.rigs.cyrus import Cyrus

# An MTA takes no longer ones; RFC 5321 allows 256.
LONGEST = 600
# So many of one mail may be for the same user.
_TOGETHER = 4
UNKNOWN_NAMES = (
    "newbie", "newbie2", "NewBie3", "new!bie", "new/bie", "new.bie", "anyone", "anonymous", "admin",
    "root", PROXY, "nobodyhere", "odd0", "odd1", "odd2", "noinbox", "new^bie", "INBOX", "user", "a b",
    "newbie$x", "n&ew", "dom!newbie", "new bie", "\u00fcnew", "DELETED", "postmaster", "*", "%",
)  # fmt: skip
_ODD = b"!^.&+$@%*~'\"\\: \x1d\x1f/\xc3\xa4\xff"


def names(cyrus: Cyrus, site: Site) -> list[bytes]:
    """The addresses that reach the mailboxes of the list, as far as an address can."""
    return [_address(site, name) for name in cyrus.tools.dump_mailboxes()]


def _address(site: Site, internal: str) -> bytes:
    domain, _, name = internal.partition("!") if "!" in internal else ("", "", internal)
    separator = site.separator
    parts = name.split(".")
    if separator == "/":
        parts = [part.replace("^", ".") for part in parts]
    at = f"@{domain or site.plain('defaultdomain') or DOMAINS[0]}"
    if parts[0] == "user" and len(parts) > 1:
        local, folders = parts[1], parts[2:]
    else:
        local, folders = site.delivery("postuser"), parts
    plus = "+" + separator.join(folders) if folders else ""
    return (local + plus + at).encode(errors="surrogateescape")


def recipients(site: Site, exact: list[bytes], random: Random, count: int) -> list[bytes]:
    """Different keys for a smmapd, among them about `count` that a mail may be sent to."""
    given = dict.fromkeys(each for each in exact if _short(each))
    while len(given) < count:
        each = _recipient(site, exact, random)
        if _short(each):
            given[each] = None
    return list(given)


def _short(address: bytes) -> bool:
    return 0 < len(address) <= LONGEST and not set(address) & set(b"\0\r\n")


def mailable(address: bytes) -> bool:
    """Can mail be sent to it, and is its domain ours?

    What an SMTP client may say is in RFC 5321, 4.1.2: no control characters.
    An MTA hands on no address without a domain.
    """
    local, at, domain = address.rpartition(b"@")
    return (
        bool(local and at)
        and domain.lower().decode("latin-1") in DOMAINS
        and not any(byte < 0x20 or byte == 0x7F for byte in address)
        and not address.startswith(b"@")
    )


def _recipient(site: Site, exact: list[bytes], random: Random) -> bytes:
    chance = random.random()
    if chance < 0.50:
        address = random.choice(exact)
    elif chance < 0.60:
        local = random.choice(USERS)
        address = f"{local}@{random.choice(DOMAINS)}".encode()
    elif chance < 0.70:
        postuser = site.delivery("postuser")
        who = random.choice((postuser, postuser, postuser.swapcase(), "bb", ""))
        folder = random.choice(SHARED).replace("/", site.separator)
        address = f"{who}+{folder}@{random.choice(DOMAINS)}".encode()
    elif chance < 0.82:
        user, _, at = _split(random.choice(exact))
        folder = random.choice(FOLDERS).replace("/", site.separator)
        address = user + b"+" + folder.encode() + at
    else:
        number = random.choice(("", "", str(random.randrange(1000))))
        address = f"{random.choice(UNKNOWN_NAMES)}{number}@{random.choice(DOMAINS)}".encode()
    for _ in range(random.choice((0, 0, 0, 1, 1, 2))):
        address = random.choice(_VARIATIONS)(random, address)
    return address


def _split(address: bytes) -> tuple[bytes, bytes, bytes]:
    """Local part, plus part with its plus sign, and domain with its at sign."""
    before, at, domain = address.rpartition(b"@") if b"@" in address else (address, b"", b"")
    local, plus, folder = before.partition(b"+")
    return local, plus + folder, at + domain


def _other_domain(random: Random, address: bytes) -> bytes:
    local, plus, _ = _split(address)
    other = random.choice(("", f"@{EMPTY_DOMAIN}", *(f"@{domain}" for domain in DOMAINS)))
    return local + plus + other.encode()


def _domain_in_capitals(random: Random, address: bytes) -> bytes:
    local, plus, domain = _split(address)
    return local + plus + random.choice((domain.upper(), domain.title()))


def _case_changed(random: Random, address: bytes) -> bytes:
    local, plus, domain = _split(address)
    change = random.choice((bytes.upper, bytes.lower, bytes.swapcase, bytes.title))
    if random.random() < 0.5:
        return change(local) + plus + domain
    return local + change(plus) + domain


def _folder_added(random: Random, address: bytes) -> bytes:
    local, plus, domain = _split(address)
    glue = random.choice((b"+", b"/", b".", b"", b"^"))
    more = random.choice(FOLDERS).encode()
    return local + (plus + glue + more if plus else b"+" + more) + domain


def _folder_changed(random: Random, address: bytes) -> bytes:
    local, plus, domain = _split(address)
    return local + random.choice((b"", b"+", plus[:-1], plus + b"/", plus + b".", b"++")) + domain


def _byte_inserted(random: Random, address: bytes) -> bytes:
    at = random.randrange(len(address) + 1)
    return address[:at] + bytes([random.choice(_ODD)]) + address[at:]


def _byte_removed(random: Random, address: bytes) -> bytes:
    at = random.randrange(len(address) + 1)
    return address[:at] + address[at + 1 :]


def _separators_swapped(random: Random, address: bytes) -> bytes:
    local, plus, domain = _split(address)
    old, new = random.sample((b".", b"/", b"^", b"_"), 2)
    return local.replace(old, new) + plus.replace(old, new) + domain


def _prefixed(random: Random, address: bytes) -> bytes:
    return random.choice((b"user.", b"user/", b"+user.", b"+", b"bb+", b"INBOX.")) + address


def _lengthened(random: Random, address: bytes) -> bytes:
    local, plus, domain = _split(address)
    return local + plus + b"l" * random.choice((30, 100, 300)) + domain


_VARIATIONS = (
    _other_domain, _other_domain, _domain_in_capitals, _case_changed, _case_changed, _folder_added,
    _folder_changed, _byte_inserted, _byte_removed, _separators_swapped, _prefixed, _lengthened,
)  # fmt: skip


def batches(site: Site, addresses: list[bytes]) -> Iterator[list[bytes]]:
    """All addresses, in groups in which few are likely to meet in one mailbox.

    Alone are those of the default domain in other capitals, of which lmtpd may die.
    """
    default = site.plain("defaultdomain").encode()
    groups: dict[bytes, list[bytes]] = {}
    for address in addresses:
        local, plus, at = _split(address)
        if default and at[1:].lower() == default.lower() and at[1:] != default:
            yield [address]
            continue
        key = plus if not local or len(local) < 3 else local
        groups.setdefault(key.lower(), []).append(address)
    for start in range(0, max(map(len, groups.values()), default=0), _TOGETHER):
        yield [each for group in groups.values() for each in group[start : start + _TOGETHER]]
