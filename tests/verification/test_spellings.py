"""Every spelling of a recipient that Cyrus delivers to, in newer and older lists.

The answers are those of the C smmapd of each list's version, but for what it
forgets: a quota or a block of the mailbox that is reached under another name.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.verification.kinds import Kind
from gateway.verification.model import Query, Verdict
from gateway.verification.verifier import Verifier
from tests.stores import FlatStore, denial, quota, record

OK, NOWHERE, TEMP = Kind.DELIVERABLE, Kind.NONEXISTENT, Kind.OVER_QUOTA
DENIED, CLOSED = Kind.DENIED, Kind.NOT_POSTABLE

POST = b"anyone\tp"
# As Cyrus 2.4, 2.5 and 3.0 wrote a record.
TEXT = b"0 default anyone\tp\t"
OF_25 = b"%(A %(anyone p) I 1 P default V 1 M 1)"
OF_30 = b"%(A %(anyone p) I 1 P default V 1 F 5 M 1)"

# Names that a user or a folder of Cyrus can have, with what means something elsewhere.
ODD = [b"q!z", b"!q", b"q!", b"q!!z", b"n-1", b"a_b", b"a=b", b"a b", b"$x", b"~x", b"a~", b"x%y"]
ODD += [
    b"a'b",
    b'a"b',
    b"a\\b",
    b"a:b",
    b"a*b",
    b"a#b",
    b"a,b",
    b"a&-b",
    b"\xc3\xa4".hex().encode(),
]

OVER = quota((1_000_000, 10))


def decide(store: FlatStore, recipient: bytes) -> Kind:
    store.write()
    conf = imapdconf.load(store.conf_path, "smmap")
    verdict = Verifier.for_store(CyrusStore(conf, b"smmap")).decide(Query(recipient))
    assert isinstance(verdict, Verdict)
    return verdict.kind


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("name", ODD)
def test_odd_users_and_folders(tmp_path: Path, name: bytes, older: bool) -> None:
    """Found, over quota, or blocked: as any other."""
    mailboxes = {
        b"user." + name: record(),
        b"user.mia": record(),
        b"user.mia." + name: record(),
        b"list." + name: record(POST),
        b"shut." + name: record(b"anyone\tl"),
    }
    store = FlatStore(str(tmp_path), mailboxes, older=older)
    shared = [b"+list/" + name, b"+shut/" + name]
    mine = [name, b"mia+" + name, name + b"+"]
    assert [decide(store, recipient) for recipient in mine] == [OK] * 3
    assert [decide(store, recipient) for recipient in shared] == [OK, CLOSED]
    assert decide(store, b"+" + name) is NOWHERE
    store.quotas = {mailbox: OVER for mailbox in mailboxes if mailbox != b"user.mia"}
    assert [decide(store, recipient) for recipient in mine] == [TEMP] * 3
    assert [decide(store, recipient) for recipient in shared] == [TEMP, CLOSED]
    store.denials = {name: denial(), b"mia": denial(b"", b"*,!smmap")}
    assert [decide(store, recipient) for recipient in (name, name + b"+")] == [DENIED] * 2
    store.denials = {b"mia": denial()}
    assert [decide(store, recipient) for recipient in mine] == [TEMP, DENIED, TEMP]


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize(("virtdomains", "kind"), [("off", TEMP), ("on", OK)])
def test_the_root_above_a_folder_with_a_bang(
    tmp_path: Path, older: bool, virtdomains: str, kind: Kind
) -> None:
    """What comes before the `!` is a domain where there are domains (quota_findroot)."""
    mailboxes = {b"user.mia": record(), b"user.mia.new!old": record()}
    options = {"virtdomains": virtdomains}
    store = FlatStore(str(tmp_path), mailboxes, {b"user.mia": OVER}, options=options, older=older)
    assert [decide(store, name) for name in (b"mia", b"mia+new!old")] == [TEMP, kind]


# Quota roots that are exceeded, recipient, the kind in a newer list with domains.
ROOTS = [
    # the domain ends at the `!`, and the key loses the dot behind it
    (b"user.q!.Work", b"q!+Work", TEMP),
    (b"user.q!Work", b"q!+Work", OK),
    (b"user.q", b"q!+Work", OK),
    # the name as it is formed, and the mailbox that it reaches
    (b"user..mia", b"+mia", TEMP),
    (b"user.mia", b"+mia", TEMP),
    (b"virt.org!user.mia", b"mia@VIRT.org", TEMP),
    (b"user.mia", b"mia@VIRT.org", TEMP),
    (b"user.zoe", b"mia@VIRT.org", OK),
]


@pytest.mark.parametrize(("root", "recipient", "kind"), ROOTS)
def test_a_root_under_either_name_counts(
    tmp_path: Path, root: bytes, recipient: bytes, kind: Kind
) -> None:
    """The quota of the mailbox that is reached, and the one that the C program finds."""
    options = {"virtdomains": "on", "defaultdomain": "virt.org", "postuser": "bb"}
    mailboxes = {b"user.mia": record(), b"user.q!Work": record(), b"user.zoe": record()}
    store = FlatStore(str(tmp_path), mailboxes, {root: OVER}, options=options)
    assert decide(store, recipient) is kind


# Mailboxes, recipient, the kind in a newer list, in an older one, with these options.
SPELLINGS: list[tuple[list[bytes], bytes, Kind, Kind, dict[str, str]]] = [
    # A folder's `&`.
    ([b"user.mia.R&-D-Team"], b"mia+R&D-Team", OK, OK, {}),
    ([b"user.mia.Q&-A 1"], b"mia+Q&A 1", OK, OK, {}),
    ([b"user.mia.A&-B-C"], b"mia+A&B-C", OK, OK, {}),
    ([b"user.mia.A&-B-C"], b"mia+A&-B-C", OK, OK, {}),
    ([b"user.mia.A&-B.C&-D-"], b"mia+A&B/C&D-", OK, OK, {}),
    ([b"R&-D-Team"], b"+R&D-Team", OK, OK, {}),
    ([b"user.mia.&AOQ-"], b"mia+&AOQ-", OK, OK, {}),
    ([b"user.mia.&AOQ-"], "mia+ä".encode(), OK, OK, {}),
    ([b"user.mia.&-AOQ-"], b"mia+&AOQ-", OK, OK, {}),
    ([b"user.mia.&-AOQ-.&AOQ-"], b"mia+&-AOQ-/&AOQ-", OK, OK, {}),
    ([b"user.mia.R&-D"], b"mia+R&E", NOWHERE, NOWHERE, {}),
    # `+user` with another postuser: the empty user vanishes from newer keys only.
    ([b"user.mia", b"user.mia.Work"], b"+mia", OK, NOWHERE, {"postuser": "bb"}),
    ([b"user.mia", b"user.mia.Work"], b"+mia/Work", OK, NOWHERE, {"postuser": "bb"}),
    ([b"user.user"], b"+user", OK, NOWHERE, {"postuser": "bb"}),
    ([b"user"], b"+", OK, NOWHERE, {"postuser": "bb"}),
    # Shared folders with a `$`, and what only looks like keys of the other kind.
    ([b"$offers", b"$offers.new"], b"+$offers", OK, OK, {}),
    ([b"$offers", b"$offers.new"], b"+$offers/new", OK, OK, {}),
    ([b"list", b"Nlist"], b"+list", OK, OK, {}),
    ([b"list"], b"+Nlist", NOWHERE, NOWHERE, {}),
    ([b"Nlist"], b"+list", NOWHERE, NOWHERE, {}),
    ([b"Nlist", b"user.mia"], b"+Nlist", OK, OK, {}),
    ([b"Nuser", b"user.mia"], b"+user", NOWHERE, NOWHERE, {}),
    # The default domain in other letters.
    ([b"user.uw"], b"uw@VIRT.org", OK, OK, {"virtdomains": "on", "defaultdomain": "virt.org"}),
    ([b"user.uw"], b"uw@virt.org", OK, OK, {"virtdomains": "on", "defaultdomain": "Virt.ORG"}),
    (
        [b"virt.org!user.uw"],
        b"uw@virt.org",
        OK,
        OK,
        {"virtdomains": "on", "defaultdomain": "Virt.ORG"},
    ),
]


@pytest.mark.parametrize(("mailboxes", "recipient", "newer", "older", "options"), SPELLINGS)
def test_recipients_are_found_in_each_spelling(
    tmp_path: Path,
    mailboxes: list[bytes],
    recipient: bytes,
    newer: Kind,
    older: Kind,
    options: dict[str, str],
) -> None:
    """Each recipient in a list that has these mailboxes."""
    names = [*mailboxes, b"user.zoe"]  # whose key tells which kind of keys the list has
    store = FlatStore(str(tmp_path), dict.fromkeys(names, record(POST)), options=options)
    assert decide(store, recipient) is newer
    store.older = True
    assert decide(store, recipient) is older


@pytest.mark.parametrize(
    ("value", "kind"), [(TEXT, OK), (OF_25, OK), (OF_30, NOWHERE), (record(POST), OK)]
)
def test_what_only_cyrus_up_to_2_5_finds(tmp_path: Path, value: bytes, kind: Kind) -> None:
    """Its records tell: shared folders in a domain, and users' names that are divided."""
    mailboxes = {b"virt.org!list.one": value, b"virt.org!user.mia": value, b"user.mia": value}
    mailboxes[b"user.mia.work"] = value
    options = {"virtdomains": "on", "defaultdomain": "example.com", "postuser": "bb"}
    store = FlatStore(str(tmp_path), mailboxes, options=options, older=True)
    assert decide(store, b"bb+list/one@virt.org") is kind
    assert decide(store, b"mia/Work") is kind
    assert decide(store, b"bb+list/two@virt.org") is NOWHERE
    assert decide(store, b"mia@virt.org") is OK
    mailboxes[b"virt.org!list.one"] = value.replace(b"anyone p", b"anyone l").replace(
        b"anyone\tp", b"anyone\tl"
    )
    assert decide(store, b"bb+list/one@virt.org") is (CLOSED if kind is OK else NOWHERE)
    store.older = False
    assert decide(store, b"bb+list/one@virt.org") is NOWHERE
    assert decide(store, b"mia/Work") is NOWHERE


# Records of userdeny, recipient, whether it is blocked where the mailboxes are there.
BLOCKS: list[tuple[bytes, bytes, bool]] = [
    (b"a^b", b"a^b", True),
    (b"a.b", b"a^b", True),
    (b"a.b", b"a.b", True),
    (b"a^b", b"a.b", False),
    (b"q!z", b"q!z", True),
    (b"uw@virt.org", b"uw@virt.org", True),
    (b"uw", b"uw@virt.org", True),
    (b"uw@Virt.ORG", b"uw@virt.org", False),
    (b"uw", b"uw@Virt.ORG", True),
    (b"mia", b"+mia", True),
    (b"mia", b"+mia/Work", True),
    (b"gone", b"+gone", False),
    (b"mia", b"bb+user/mia", True),
]


@pytest.mark.parametrize(("denied", "recipient", "blocked"), BLOCKS)
def test_either_name_blocks(tmp_path: Path, denied: bytes, recipient: bytes, blocked: bool) -> None:
    """The name as the C program forms it, and that of the user whose mailbox is reached."""
    names = [b"user.a^b", b"user.q!z", b"user.uw", b"user.mia", b"user.mia.Work"]
    store = FlatStore(
        str(tmp_path),
        dict.fromkeys(names, record(POST)),
        denials={denied: denial()},
        options={"virtdomains": "on", "defaultdomain": "Virt.ORG", "postuser": "bb"},
    )
    assert (decide(store, recipient) is DENIED) is blocked


@pytest.mark.parametrize("identifier", [b"N", b"I", b"A", b"H", b"T", b"P", b"F"])
@pytest.mark.parametrize("name", [b"Info", b"I", b"News", b"N", b"Aaa", b"Jobs"])
def test_identifiers_and_names_that_look_like_fields(
    tmp_path: Path, identifier: bytes, name: bytes
) -> None:
    """A list of any version is read, whatever the ACL of its first folder."""
    value = b"%%(A %%(%b lr anyone p) I 1 P default)" % identifier
    newer = {name: value[:-1] + b" N %b)" % name, b"user.mia": record()}
    store = FlatStore(str(tmp_path), newer)
    assert [decide(store, recipient) for recipient in (b"mia", b"+" + name)] == [OK, OK]
    store = FlatStore(str(tmp_path), {name: value, b"user.mia": record()}, older=True)
    assert [decide(store, recipient) for recipient in (b"mia", b"+" + name)] == [OK, OK]
    assert [decide(store, recipient) for recipient in (b"+" + name, b"mia")] == [OK, OK]


# The rights on the folders of both readings of `+R&AOQ-`; which is over quota; the kind.
BOTH: list[tuple[bytes, bytes, list[bytes], Kind]] = [
    (POST, POST, [], OK),
    (b"anyone\tl", POST, [], OK),
    (b"", POST, [], OK),
    (b"anyone\tl", b"", [], CLOSED),
    (b"", b"anyone\tl", [], CLOSED),
    (b"", b"", [], NOWHERE),
    (POST, POST, [b"R&AOQ-"], TEMP),
    (b"", POST, [b"R&-AOQ-"], TEMP),
]


@pytest.mark.parametrize(("one", "other", "over", "kind"), BOTH)
def test_where_both_readings_have_a_mailbox(
    tmp_path: Path, one: bytes, other: bytes, over: list[bytes], kind: Kind
) -> None:
    """The likelier one decides, unless it would refuse permanently what the other one takes."""
    mailboxes = {b"R&AOQ-": record(one), b"R&-AOQ-": record(other), b"user.zoe": record()}
    store = FlatStore(str(tmp_path), mailboxes, dict.fromkeys(over, OVER))
    assert decide(store, b"+R&AOQ-") is kind
    store.older = True
    assert decide(store, b"+R&AOQ-") is kind
