"""Names: what an address reaches, case by case, after imap/mboxname.c."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cyrus.imapdconf import VIRTDOMAINS_ON, ImapdConf
from gateway.cyrus.namepath import NamePath
from gateway.cyrus.names import Naming

OFF = Naming()
VIRTUAL = Naming(keeps_domains=True, default_domain=b"example.com")
DOTS = Naming(separator=b".")
SKIP = Naming(skip_plus=True)
CASE = Naming(downcase=False, keeps_domains=True, default_domain=b"example.com")
BB = Naming(postuser=b"bb")
BB_VIRTUAL = Naming(keeps_domains=True, default_domain=b"example.com", postuser=b"bb")

# naming, address, internal name of the mailbox that is reached, userid as it is addressed
CASES = [
    (OFF, b"alice", b"user.alice", b"alice"),
    (OFF, b"ALICE", b"user.alice", b"alice"),
    (CASE, b"Alice", b"user.Alice", b"Alice"),
    (OFF, b"john.doe", b"user.john^doe", b"john.doe"),
    (OFF, b"john^doe", b"user.john^doe", b"john^doe"),
    # folders
    (OFF, b"alice+Work", b"user.alice.Work", b"alice"),
    (OFF, b"ALICE+Work", b"user.alice.Work", b"alice"),
    (OFF, b"alice+Work/Deep", b"user.alice.Work.Deep", b"alice"),
    (OFF, b"alice+Work.Deep", b"user.alice.Work^Deep", b"alice"),
    (OFF, b"alice+Work^Deep", b"user.alice.Work^Deep", b"alice"),
    (OFF, b"alice+", b"user.alice", b"alice"),
    (OFF, b"alice+/", b"user.alice", b"alice"),
    (OFF, b"alice+/Work//Deep/", b"user.alice.Work.Deep", b"alice"),
    (OFF, b"alice+Work+Deep", b"user.alice.Work+Deep", b"alice"),
    (OFF, b"alice++", b"user.alice.+", b"alice"),
    (DOTS, b"alice+Work.Deep", b"user.alice.Work.Deep", b"alice"),
    (DOTS, b"alice+Work/Deep", b"user.alice.Work/Deep", b"alice"),
    (DOTS, b"alice+.", b"user.alice", b"alice"),
    (SKIP, b"alice+Work", b"user.alice", b"alice"),
    (SKIP, b"alice+Work@x", b"user.alice", b"alice"),
    (OFF, "alice+Größe".encode(), b"user.alice.Gr&APYA3w-e", b"alice"),
    (OFF, b"alice+Gr&APYA3w-e", b"user.alice.Gr&APYA3w-e", b"alice"),
    (OFF, b"alice+A&B", b"user.alice.A&-B", b"alice"),
    (OFF, b"alice+A&-B", b"user.alice.A&-B", b"alice"),
    (OFF, b"alice+\xff", b"user.alice.&,,0-", b"alice"),
    (OFF, b"alice+Work\x1fDeep", b"user.alice.Work&AB8-Deep", b"alice"),
    # domains
    (OFF, b"alice@virt.org", b"user.alice", b"alice"),
    (OFF, b"alice@", b"user.alice", b"alice"),
    (VIRTUAL, b"alice", b"user.alice", b"alice"),
    (VIRTUAL, b"alice@example.com", b"user.alice", b"alice"),
    (VIRTUAL, b"alice@EXAMPLE.Com", b"user.alice", b"alice@example.com"),
    (CASE, b"Alice@EXAMPLE.Com", b"EXAMPLE.Com!user.Alice", b"Alice@EXAMPLE.Com"),
    (VIRTUAL, b"alice@Virt.ORG", b"virt.org!user.alice", b"alice@virt.org"),
    (CASE, b"alice@Virt.ORG", b"Virt.ORG!user.alice", b"alice@Virt.ORG"),
    (VIRTUAL, b"a.b+C.d@virt.org", b"virt.org!user.a^b.C^d", b"a.b@virt.org"),
    (VIRTUAL, b"alice@", b"!user.alice", b"alice@"),
    (VIRTUAL, b"a@b.c@virt.org", b"virt.org!user.a@b^c", b"a@b.c@virt.org"),
    (VIRTUAL, b"alice+x@y@virt.org", b"virt.org!user.alice.x@y", b"alice@virt.org"),
    # shared folders
    (OFF, b"+shared", b"shared", None),
    (OFF, b"+shared/post", b"shared.post", None),
    (OFF, b"+shared/post@virt.org", b"shared.post", None),
    (OFF, b"+Info.dotted", b"Info^dotted", None),
    (VIRTUAL, b"+shared/post@EXAMPLE.COM", b"user.shared.post", b"@example.com"),
    (VIRTUAL, b"+shared/post@virt.org", b"virt.org!user.shared.post", b"@virt.org"),
    (BB, b"bb+shared/post", b"shared.post", None),
    (BB, b"BB+shared/post@x", b"shared.post", None),
    (BB, b"bb", b"", None),
    (BB_VIRTUAL, b"bb+shared@virt.org", b"virt.org!user.bb.shared", b"bb@virt.org"),
    (OFF, b"", b"", None),
    (OFF, b"+", b"", None),
    (OFF, b"@", b"", None),
    (VIRTUAL, b"@virt.org", b"virt.org!user", b"@virt.org"),
    # what is reached decides, not how it is spelt
    (BB, b"+over", b"user.over", b""),
    (BB, b"+over/Child", b"user.over.Child", b""),
    (BB, b"+", b"user", b""),
    (OFF, b"over\x1fOwn", b"user.over.own", b"over\x1fown"),
    (OFF, b"q!z", b"user.q!z", b"q!z"),
    (OFF, b"mia+new!old", b"user.mia.new!old", b"mia"),
    (OFF, b"+list!old", b"list!old", None),
    (OFF, b"+user/bob/Spam", b"user.bob.Spam", None),
    (OFF, b"+DELETED/user/gone/6B02C8A0", b"DELETED.user.gone.6B02C8A0", None),
    (OFF, b"+DELETED/user/gone/0x6b02c8a0", b"DELETED.user.gone.6B02C8A0", None),
    (OFF, b"+DELETED/user/alice/zz", b"user.alice", None),
    (OFF, b"+DELETED/user", b"DELETED.user", None),
    # the time of a deletion is a number of strtoul's, of which 32 bits are written
    (OFF, b"+DELETED/shared/6b02c8a1", b"DELETED.shared.6B02C8A1", None),
    (OFF, b"+DELETED/shared/6b02c8a1x", b"DELETED.shared.6B02C8A1", None),
    (OFF, b"+DELETED/shared/0XaB", b"DELETED.shared.AB", None),
    (OFF, b"+DELETED/shared/+1", b"DELETED.shared.1", None),
    (OFF, b"+DELETED/shared/-1", b"DELETED.shared.FFFFFFFF", None),
    (OFF, b"+DELETED/shared/-ffffffffffffffff", b"DELETED.shared.1", None),
    (OFF, b"+DELETED/shared/10000000000000000", b"DELETED.shared.FFFFFFFF", None),
    (OFF, b"+DELETED/shared/0x", b"shared", None),
    (OFF, b"+DELETED/shared/0xg", b"shared", None),
    # the domain ends at the first mark, and in a key it is cut to 509 bytes
    (VIRTUAL, b"alice@virt!org", b"virt!org!user.alice", b"alice@virt!org"),
    (VIRTUAL, b"alice@virt\x1dorg", b"virt!org\x1duser.alice", b"alice@virt\x1dorg"),
    (VIRTUAL, b"alice@" + b"d" * 509, b"d" * 509 + b"!user.alice", b"alice@" + b"d" * 509),
    (VIRTUAL, b"alice@" + b"d" * 510, b"d" * 509 + b"!user.alice", b"alice@" + b"d" * 510),
    (VIRTUAL, b"alice@" + b"d" * 511, b"d" * 509 + b"!user.alice", b"alice@" + b"d" * 511),
    (VIRTUAL, b"+example.com!x", b"example^com!x", None),
    (Naming(separator=b"."), b"+virt.org!shared.v", b"virt.org!shared.v", None),
]


@pytest.mark.parametrize(("naming", "address", "internal", "userid"), CASES)
def test_what_an_address_reaches(
    naming: Naming, address: bytes, internal: bytes, userid: bytes | None
) -> None:
    """Each address has, at first, the internal name and the user that Cyrus' rules give it."""
    name = naming.recipient(address)
    assert name.internal == internal
    assert name.userid == userid


# naming, address, the readings: N key or none, older key, owner, userid
READINGS = [
    # One reading, and both keys of it.
    (OFF, b"alice+Work", [(b"Nuser\x1falice\x1fWork", b"user.alice.Work", b"alice", b"alice")]),
    (OFF, b"q!z", [(b"Nuser.q\x1dz", b"user.q!z", None, b"q!z")]),
    (OFF, b"mia+new!old", [(b"Nuser.mia.new\x1dold", b"user.mia.new!old", None, b"mia")]),
    (OFF, b"a^b", [(b"Nuser\x1fa.b", b"user.a^b", b"a.b", b"a^b")]),
    (
        VIRTUAL,
        b"a^b+c^d@virt.org",
        [
            (
                b"Nvirt.org\x1duser\x1fa.b\x1fc.d",
                b"virt.org!user.a^b.c^d",
                b"a.b@virt.org",
                b"a^b@virt.org",
            )
        ],
    ),
    (BB, b"+mia", [(b"Nuser\x1fmia", b"user..mia", b"mia", b"")]),
    (BB, b"+mia/Work", [(b"Nuser\x1fmia\x1fWork", b"user..mia.Work", b"mia", b"")]),
    (BB, b"+", [(b"Nuser", b"user.", None, b"")]),
    (BB, b"@x", [(b"Nuser", b"user.", None, b"")]),
    # The default domain in other letters.
    (
        VIRTUAL,
        b"uw@EXAMPLE.com",
        [
            (b"Nuser\x1fuw", b"example.com!user.uw", b"uw", b"uw@example.com"),
            (b"Nuser\x1fuw", b"user.uw", b"uw", b"uw"),
        ],
    ),
    (
        Naming(keeps_domains=True, default_domain=b"Virt.ORG"),
        b"uw@virt.org",
        [
            (b"Nvirt.org\x1duser\x1fuw", b"virt.org!user.uw", b"uw@virt.org", b"uw@virt.org"),
            (b"Nuser\x1fuw", b"user.uw", b"uw", b"uw"),
        ],
    ),
    # A `&`, which may be one or begin a group of modified UTF-7.
    (
        OFF,
        b"+R&D-Team",
        [(b"NR&-D-Team", b"R&-D-Team", None, None), (b"NR&D-Team", b"R&D-Team", None, None)],
    ),
    (
        OFF,
        b"+R&AOQ-",
        [(b"NR&AOQ-", b"R&AOQ-", None, None), (b"NR&-AOQ-", b"R&-AOQ-", None, None)],
    ),
    (OFF, b"+Q&A 1", [(b"NQ&-A 1", b"Q&-A 1", None, None), (None, b"Q&A 1", None, None)]),
    (
        OFF,
        b"mia+\xc3\xa4/1.2",
        [
            (b"Nuser\x1fmia\x1f&AOQ-\x1f1.2", b"user.mia.&AOQ-.1^2", b"mia", b"mia"),
            (None, b"user.mia.\xc3\xa4.1^2", b"mia", b"mia"),
        ],
    ),
    # Up to Cyrus 2.5 the separator divides users' names, and shared folders have domains.
    (
        OFF,
        b"fred/Wo.rk",
        [
            (b"Nuser\x1ffred/wo.rk", b"user.fred/wo^rk", b"fred/wo.rk", b"fred/wo.rk"),
            (None, b"user.fred.wo^rk", b"fred", b"fred/wo.rk"),
        ],
    ),
    (
        DOTS,
        b"fred.work+a.b",
        [
            (b"Nuser\x1ffred.work\x1fa\x1fb", b"user.fred^work.a.b", b"fred.work", b"fred.work"),
            (None, b"user.fred.work.a.b", b"fred", b"fred.work"),
        ],
    ),
    (
        BB_VIRTUAL,
        b"bb+list/o.ne@virt.org",
        [
            (
                b"Nvirt.org\x1duser\x1fbb\x1flist\x1fo.ne",
                b"virt.org!user.bb.list.o^ne",
                b"bb@virt.org",
                b"bb@virt.org",
            ),
            (None, b"virt.org!list.o^ne", None, None),
        ],
    ),
    (
        VIRTUAL,
        b"+list@virt.org",
        [
            (b"Nvirt.org\x1duser\x1flist", b"virt.org!user..list", b"list@virt.org", b"@virt.org"),
            (None, b"virt.org!list", None, None),
        ],
    ),
]


@pytest.mark.parametrize(("naming", "address", "readings"), READINGS)
def test_the_readings_of_an_address(
    naming: Naming,
    address: bytes,
    readings: list[tuple[bytes | None, bytes, bytes | None, bytes | None]],
) -> None:
    """Each has its keys in newer and older lists, the reached user and the addressed one."""
    found = naming.readings(address)
    assert [
        (name.dbkey or None, name.oldkey, name.owner, name.userid) for name in found
    ] == readings
    assert found[0] == naming.recipient(address)


KEYS = [
    (OFF, b"alice", b"Nuser\x1falice"),
    (OFF, b"john.doe+Sub.x/y", b"Nuser\x1fjohn.doe\x1fSub.x\x1fy"),
    (VIRTUAL, b"a.b+C@virt.org", b"Nvirt.org\x1duser\x1fa.b\x1fC"),
    (OFF, b"+shared/dotted.name", b"Nshared\x1fdotted.name"),
    (OFF, b"+DELETED/user/gone/6b02c8a0", b"NDELETED\x1fuser\x1fgone\x1f6B02C8A0"),
    (OFF, b"", b"N"),
    (VIRTUAL, b"alice@" + b"d" * 511, b"N" + b"d" * 511 + b"\x1duser\x1falice"),
]


@pytest.mark.parametrize(("naming", "address", "key"), KEYS)
def test_the_key_of_the_mailbox_list(naming: Naming, address: bytes, key: bytes) -> None:
    """From Cyrus 3.6 on a key is N and the parts between control bytes."""
    assert naming.recipient(address).dbkey == key


def test_a_shared_path_into_a_mailbox_keeps_its_owner() -> None:
    """The ACL decides (no userid), but the owner is known, so that he can be blocked."""
    name = OFF.recipient(b"+user/bob/Spam")
    assert (name.owner, name.userid, name.boxes) == (b"bob", None, (b"Spam",))


@pytest.mark.parametrize(
    "address", [b"alice\0", b"alice\0@virt.org", b"alice@vi\0rt", b"alice+W\0", b"\0", b"+\0"]
)
@pytest.mark.parametrize("naming", [OFF, SKIP, VIRTUAL])
def test_a_nul_byte_reaches_nothing(naming: Naming, address: bytes) -> None:
    """The NUL byte stays in the key, where no mailbox has one, -p or not."""
    assert b"\0" in naming.recipient(address).dbkey


def test_the_rules_come_from_imapd_conf() -> None:
    """from_conf takes each rule from its option."""
    conf = ImapdConf(
        configdirectory="/c",
        virtdomains=VIRTDOMAINS_ON,
        defaultdomain=b"d",
        postuser=b"p",
        unixhierarchysep=False,
        lmtp_downcase_rcpt=False,
        deletedprefix=b"GONE",
    )
    assert Naming.from_conf(conf, skip_plus=True) == Naming(
        default_domain=b"d",
        deletedprefix=b"GONE",
        downcase=False,
        keeps_domains=True,
        postuser=b"p",
        separator=b".",
        skip_plus=True,
    )
    assert Naming.from_conf(ImapdConf(configdirectory="/c")) == Naming()


QUOTAS = [
    (OFF, b"alice+Work", (b"user.alice.Work",)),
    (OFF, b"mia+new!old", (b"user.mia.new!old",)),
    (OFF, b"q!+Work", (b"user.q!.Work",)),
    (OFF, b"+shared", (b"shared",)),
    (OFF, b"+user/bob/Spam", (b"user.bob.Spam",)),
    (OFF, b"a^b", (b"user.a^b",)),
    (BB, b"+over", (b"user..over", b"user.over")),
    (VIRTUAL, b"over@EXAMPLE.com", (b"example.com!user.over", b"user.over")),
    (VIRTUAL, b"over@virt.org", (b"virt.org!user.over",)),
]


@pytest.mark.parametrize(("naming", "address", "names"), QUOTAS)
def test_whose_quota_roots_count(naming: Naming, address: bytes, names: tuple[bytes, ...]) -> None:
    """Those of the name as it is formed, and of another user that is reached by it."""
    assert naming.recipient(address).quota_names == names


@pytest.mark.parametrize(
    ("address", "kinds"),
    [
        (b"alice", ["any"]),
        (b"alice+R&D", ["any", "older"]),
        (b"fred/Work", ["any", "2.x"]),
        (b"fred/Work+R&D", ["any", "older", "2.x", "2.x"]),
        (b"+list@virt.org", ["any", "2.x"]),
        (b"@virt.org", ["any"]),
    ],
)
def test_which_lists_have_a_reading(address: bytes, kinds: list[str]) -> None:
    """The first is in every list; others are in older ones, or those of Cyrus up to 2.5."""
    assert [
        "any" if name.dbkey else "2.x" if name.before_3 else "older"
        for name in VIRTUAL.readings(address)
    ] == kinds


PIECES = [b"a", b"B", b"user", b"DELETED", b"x.org", b"example.com", b"1F", b"\xc3\xb6", b"&-"]
MARKS = [b"+", b"@", b".", b"/", b"!", b"^", b"\x1d", b"\x1f", b"&", b"\xff", b"\0", b" "]
ADDRESSES = st.lists(st.sampled_from(PIECES + MARKS)).map(b"".join)


@given(ADDRESSES | st.binary(max_size=200), st.sampled_from([OFF, VIRTUAL, DOTS, CASE, BB]))
def test_the_short_way_gives_the_same_name(address: bytes, naming: Naming) -> None:
    """Plain names are not taken apart again; it would change nothing."""

    class Slow(Naming):
        __slots__ = ()

        def _is_plain(self, *parts: object) -> bool:
            return False

    slow = Slow.__new__(Slow)
    for field in Naming.__slots__:
        object.__setattr__(slow, field, getattr(naming, field))
    readings = naming.readings(address)
    assert readings
    assert readings[0].dbkey
    assert readings == slow.readings(address)


@pytest.mark.parametrize("localpart", [b"fred", b"q!z", b"over\x1fown", b"a.b", b"a^b", b""])
@pytest.mark.parametrize("domain", [None, b"virt.org", b"example.com", b"virt!org"])
@pytest.mark.parametrize("boxes", [(), (b"Work",), (b"a!b", b"c")])
def test_a_mailbox_of_parts_is_what_they_reach(
    localpart: bytes, domain: bytes | None, boxes: tuple[bytes, ...]
) -> None:
    """Plain names, which have a shorter way, and all others."""
    longer = VIRTUAL._reached(NamePath(localpart, domain, boxes))
    assert VIRTUAL.mailbox(localpart, domain, boxes) == longer
    shared = VIRTUAL._reached(NamePath(None, domain, boxes))
    assert VIRTUAL.mailbox(None, domain, boxes) == shared
