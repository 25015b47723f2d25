"""The mailbox list: records of three generations, keys of two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cyrus import dlist
from gateway.cyrus import mailboxrecord as m
from gateway.cyrus.mailboxlist import MailboxList
from gateway.cyrus.mailboxrecord import MailboxEntry
from gateway.cyrus.names import Naming
from gateway.errors import RecordDamaged
from tests.support.memory import MemoryDatabase, ReplacedDatabase

NAMING = Naming(keeps_domains=True, default_domain=b"example.com")
KEY = b"Nuser\x1ffred"


def look(address: bytes, records: dict[bytes, bytes]) -> MailboxEntry | None:
    return MailboxList(MemoryDatabase(records)).lookup(NAMING.recipient(address))


# record, mbtype, partition, server, acl, uniqueid
RECORDS = [
    (b"%(T e)", 0, b"", b"", b"", b""),
    (
        b"%(T e I 5b-9 P default V 1 C 1 F 2 M 3 A %(fred lrs anyone p))",
        0,
        b"default",
        b"",
        b"fred\tlrs\tanyone\tp\t",
        b"5b-9",
    ),
    (
        b"%(T er P p S backend.example.org A %())",
        m.MBTYPE_REMOTE,
        b"p",
        b"backend.example.org",
        b"",
        b"",
    ),
    (b"%(T em P p S s)", m.MBTYPE_MOVING, b"p", b"s", b"", b""),
    (b"%(T ez)", m.MBTYPE_RESERVE, b"", b"", b"", b""),
    (b"%(T ezd)", m.MBTYPE_RESERVE | m.MBTYPE_DELETED, b"", b"", b"", b""),
    (b"%(T el)", m.MBTYPE_LEGACY_DIRS, b"", b"", b"", b""),
    (b"%(T c)", m.MBTYPE_CALENDAR, b"", b"", b"", b""),
    (b"%(T rc)", m.MBTYPE_CALENDAR | m.MBTYPE_REMOTE, b"", b"", b"", b""),
    (b"%(T )", 0, b"", b"", b"", b""),
    (b"%(P p T NIL)", 0, b"p", b"", b"", b""),
    (b"%(P p)", 0, b"p", b"", b"", b""),
    (b"%(T e T er)", m.MBTYPE_REMOTE, b"", b"", b"", b""),
    (b"%(T e H (%(N x T ed P q)))", 0, b"", b"", b"", b""),
    (b"%(T e H (%(N x T ed P q)) P p)", 0, b"p", b"", b"", b""),
    (b"%(T e I NIL A %(fred l))", 0, b"", b"", b"fred\tl\t", b""),
    (b"%(T e I x A %(fred NIL))", 0, b"", b"", b"fred\t\t", b"x"),
    (b'%(T e I "x" A %(fred l))', 0, b"", b"", b"fred\tl\t", b"x"),
    (b"%({1}\r\nT z A %(fred l))", m.MBTYPE_RESERVE, b"", b"", b"fred\tl\t", b""),
    (b'%(T e I x A %(fred "l"))', 0, b"", b"", b"fred\tl\t", b"x"),
    (b'%(T e A %("group:a b" lrs -anyone p))', 0, b"", b"", b"group:a b\tlrs\t-anyone\tp\t", b""),
    (b"0 default fred\tlrs\tanyone\tp\t", 0, b"default", b"", b"fred\tlrs\tanyone\tp\t", b""),
    (b"0 default ", 0, b"default", b"", b"", b""),
    (b"0 default", 0, b"default", b"", b"", b""),
    (b"0 host!default x\tl\t", 0, b"default", b"host", b"x\tl\t", b""),
    (b"16 host!default x\tl\t", m.MBTYPE_REMOTE, b"default", b"host", b"x\tl\t", b""),
    (b"+16 host!default x\tl\t", m.MBTYPE_REMOTE, b"default", b"host", b"x\tl\t", b""),
    (b"1 default x\tl\t", m.MBTYPE_NETNEWS, b"default", b"", b"x\tl\t", b""),
    (b"0 default a!b\tl\t", 0, b"default", b"", b"a!b\tl\t", b""),
    (b"(uniqueid abc specialuse \\Sent) 0 default x\tl\t", 0, b"default", b"", b"x\tl\t", b"abc"),
    (b"(uniqueid abc) 0 default x\tl\t", 0, b"default", b"", b"x\tl\t", b"abc"),
    (b"(uniqueid abc)0 default", 0, b"default", b"", b"", b"abc"),
    (b"(specialuse \\Sent uniqueid abc) 0 default", 0, b"default", b"", b"", b"abc"),
    (b"(uniqueid abc", 0, b"", b"", b"", b"abc"),
    (b"() 0 default", 0, b")", b"", b"0 default", b""),
    (b"garbage", 0, b"garbage", b"", b"", b""),
    (b"0 default x\tl\t\0more", 0, b"default", b"", b"x\tl\t", b""),
]


@pytest.mark.parametrize(("record", "mbtype", "partition", "server", "acl", "uniqueid"), RECORDS)
def test_records_of_each_generation_are_read(
    record: bytes, mbtype: int, partition: bytes, server: bytes, acl: bytes, uniqueid: bytes
) -> None:
    """Each generation of records gives type, place, server, ACL and id."""
    assert look(b"fred", {KEY: record}) == MailboxEntry(
        b"user.fred", mbtype, partition=partition, server=server, acl=acl, uniqueid=uniqueid
    )


# letter, number in a list of Cyrus 3.6, number in an older one (imap/mboxlist.h)
TYPES = [
    (b"e", 0, 0),
    (b"n", 1, 1 << 2),
    (b"s", 2, 1 << 9),
    (b"p", 3, 1 << 10),
    (b"j", 4, None),
    (b"f", 5, None),
    (b"b", 8, 1 << 7),
    (b"c", 9, 1 << 5),
    (b"a", 10, 1 << 6),
    (b"r", 1 << 4, 1),
    (b"z", 1 << 5, 1 << 1),
    (b"m", 1 << 6, 1 << 3),
    (b"d", 1 << 7, 1 << 4),
    (b"i", 1 << 8, 1 << 8),
    (b"l", 1 << 9, None),
]


@pytest.mark.parametrize(("letter", "number", "old"), TYPES)
def test_each_type_has_a_letter_and_a_number(letter: bytes, number: int, old: int | None) -> None:
    """Each has a letter and a number; in older lists it had another number."""

    def mbtype(key: bytes, value: bytes) -> int:
        found = MailboxList(MemoryDatabase({key: value})).record(NAMING.recipient(b"fred"))
        assert found is not None
        return found.mbtype

    assert mbtype(KEY, b"%%(T %b)" % letter) == number
    assert mbtype(KEY, b"%d default" % number) == number
    if old is not None:
        assert mbtype(b"user.fred", b"%d default" % old) == number


@pytest.mark.parametrize("record", [b"%(T eQ)", b"%(T Q)", b"%(T eQ P p A %(fred l))"])
def test_an_unknown_letter_is_no_flag_in_an_older_list(record: bytes) -> None:
    """Up to Cyrus 3.4 it is passed over; later it is damage."""
    found = MailboxList(MemoryDatabase({b"user.fred": record})).record(NAMING.recipient(b"fred"))
    assert found is not None
    assert found.mbtype == m.MBTYPE_EMAIL
    with pytest.raises(RecordDamaged):
        look(b"fred", {KEY: record})


@pytest.mark.parametrize("record", [b"%(T ed)", b"%(T ei)", b"%(T edi)", b"128 p", b"256 p"])
def test_deleted_and_intermediate_mailboxes_do_not_exist(record: bytes) -> None:
    """They are kept for Cyrus' own sake; mail cannot go there."""
    assert look(b"fred", {KEY: record}) is None


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (b"", b"Mailbox has an invalid format"),
        (b"%(T e?)", b"Mailbox has an invalid format"),
        (b"%(T e I unterminated", b"Invalid identifier"),
        (b"%(A %(broken))", b"Invalid identifier"),
        (b"%", b"Invalid identifier"),
        (b"%(T e) ", b"System I/O error"),
    ],
)
def test_damage_is_told_apart_from_absence(record: bytes, text: bytes) -> None:
    """Damage is told apart from absence, with the C program's words for it."""
    with pytest.raises(RecordDamaged) as caught:
        look(b"fred", {KEY: record})
    assert (caught.value.text, caught.value.key) == (text, KEY)
    assert "/memory.db" in str(caught.value)


@pytest.mark.parametrize("address", [b"", b"+", b"@", b"fred\0", b"barney", b"+fred"])
def test_what_is_not_there(address: bytes) -> None:
    """Neither the empty name nor a NUL byte finds anything, whatever the list holds."""
    records = {KEY: b"%(T e)", b"N": b"%(T e)", b"Nuser\x1ffred\0": b"%(T e)", b"": b"0 p"}
    assert look(address, records) is None


OLD = {
    b"$RACL$U$fred": b"",
    b"INBOX.dotted": b"0 default anyone\tp\t",
    b"Info": b"0 default anyone\tp\t",
    b"News.local": b"0 default anyone\tp\t",
    b"user.fred": b"0 default fred\tlrs\t",
    b"user.fred.Sent": b"%(A %(fred lrs) I 5b P default)",
    b"user.john^doe": b"0 default x\tl\t",
    b"user.remote": b"1 backend!default x\tl\t",
    b"user.veryold": b"1 backend x\tl\t",
    b"user.reserved": b"2 default x\tl\t",
    b"user.moving": b"8 host!default x\tl\t",
    b"user.gone": b"16 default x\tl\t",
    b"user.between": b"256 default x\tl\t",
    b"user.calendar": b"33 host!default x\tl\t",
    b"user.book": b"64 default x\tl\t",
    b"virt.org!user.fred": b"0 virtual x\tl\t",
}


@pytest.mark.parametrize(
    ("address", "mbtype", "partition", "server"),
    [
        (b"fred", 0, b"default", b""),
        (b"fred+Sent", 0, b"default", b""),
        (b"john.doe", 0, b"default", b""),
        (b"fred@virt.org", 0, b"virtual", b""),
        (b"+News/local", 0, b"default", b""),
        (b"+Info", 0, b"default", b""),
        (b"remote", m.MBTYPE_REMOTE, b"default", b"backend"),
        (b"veryold", m.MBTYPE_REMOTE, b"backend", b"backend"),
        (b"reserved", m.MBTYPE_RESERVE, b"default", b""),
        (b"moving", m.MBTYPE_MOVING, b"default", b"host"),
        (b"calendar", m.MBTYPE_CALENDAR | m.MBTYPE_REMOTE, b"default", b"host"),
        (b"book", m.MBTYPE_ADDRESSBOOK, b"default", b""),
    ],
)
def test_lists_from_before_3_6(
    address: bytes, mbtype: int, partition: bytes, server: bytes
) -> None:
    """A list with internal names as keys is read with its own numbers for types."""
    entry = look(address, OLD)
    assert entry is not None
    assert (entry.mbtype, entry.partition, entry.server) == (mbtype, partition, server)


@pytest.mark.parametrize("address", [b"gone", b"between", b"nobody", b"+$RACL$U$fred", b"+user"])
def test_what_is_not_in_an_old_list(address: bytes) -> None:
    """Deleted mailboxes and Cyrus' own notes are not mailboxes there either."""
    assert look(address, OLD) is None


@pytest.mark.parametrize(
    "newer",
    [
        {b"Nuser\x1falice": b"%(T e)"},
        {b"I1-2": b'%(T e N "user\x1falice")', b"Nshared": b"%(T e)"},
        {b"Nshared\x1fnews": b"%(T e)"},
        {b"Nvirt.org\x1dshared": b"%(T e)"},
        {b"Nvirt.org\x1duser\x1falice": b"%(T e)"},
    ],
)
def test_a_newer_list_is_not_asked_for_old_keys(newer: dict[bytes, bytes]) -> None:
    """A sender cannot name an id record, which an old key could look like."""
    secret = {b"Isecret": b"0 p anyone\tp\t", b"user.bob": b"0 p x\tl\t"}
    assert look(b"+Isecret", newer | secret) is None
    assert look(b"bob", newer | secret) is None


@pytest.mark.parametrize("value", [b"0 p", b"%(T e P p)", b"%(N", b"%", b""])
def test_a_shared_folder_of_an_old_list_may_look_like_an_id_record(value: bytes) -> None:
    """Only a record that names its mailbox is one."""
    older = {b"Info": value, b"News": b"0 p", b"user.bob": b"0 p"}
    assert look(b"bob", older) is not None


def test_a_list_is_known_to_be_newer_once_it_has_shown_it() -> None:
    """Nothing is known before the first look-up, nor from an empty list."""
    mailboxes = MailboxList(MemoryDatabase({KEY: b"%(T e)"}))
    assert not mailboxes.is_newer
    mailboxes.lookup(NAMING.recipient(b"nobody"))
    assert mailboxes.is_newer
    for records in ({}, OLD):
        mailboxes = MailboxList(MemoryDatabase(records), may_be_empty=True)
        mailboxes.lookup(NAMING.recipient(b"nobody"))
        assert not mailboxes.is_newer


def test_a_list_that_is_upgraded_is_read_with_the_new_keys() -> None:
    """Cyrus 3.6 rewrites an old list at its start; the reader follows."""
    database = MemoryDatabase(dict(OLD))
    mailboxes = MailboxList(database)
    assert mailboxes.lookup(NAMING.recipient(b"fred")) is not None
    database.records = {KEY: b"%(T e P new)"}
    entry = mailboxes.lookup(NAMING.recipient(b"fred"))
    assert entry is not None
    assert entry.partition == b"new"
    database.records[b"user.bob"] = b"0 p x\tl\t"
    assert mailboxes.lookup(NAMING.recipient(b"bob")) is None


@pytest.mark.parametrize(
    "newer",
    [
        {KEY: b"%(T e)"},
        {b"Nuser\x1falice": b"%(T e)"},
        {b"I1-2": b'%(T e N "user\x1falice")'},
        {b"Nshared": b"%(T e)"},
        {},
    ],
)
def test_a_list_is_replaced_by_an_older_one(newer: dict[bytes, bytes]) -> None:
    """Whatever showed that it was newer: a rollback to Cyrus 3.4, and the upgrade after it."""
    database = ReplacedDatabase(newer)
    mailboxes = MailboxList(database, may_be_empty=True)
    mailboxes.lookup(NAMING.recipient(b"fred"))
    mailboxes.lookup(NAMING.recipient(b"bob"))
    for old in (
        {b"user.bob": b"0 p x\tl\t"},
        {b"$RACL": b"", b"Nobody": b"0 p x\tl\t"} | OLD,
        {b"$RACL": b"", b"shared": b"0 p x\tl\t"},
    ):
        database.replace(dict(old))
        assert not mailboxes.is_newer
        for name in (b"bob", b"fred"):
            found = mailboxes.lookup(NAMING.recipient(name)) is not None
            assert found is (b"user." + name in old)
        assert not mailboxes.is_newer
        assert [entry for entry in mailboxes.entries() if isinstance(entry, RecordDamaged)] == []
    # Records of rights are in lists of both kinds, so they show neither.
    upgraded = {b"$RACL": b"", b"Nuser\x1falice": b"%(T e)", b"user.bob": b"0 p x\tl\t"}
    database.replace(upgraded)
    assert mailboxes.lookup(NAMING.recipient(b"bob")) is None
    assert mailboxes.is_newer


def test_an_empty_list_may_become_an_old_one() -> None:
    """Nothing is decided from an empty list."""
    database = MemoryDatabase({})
    mailboxes = MailboxList(database, may_be_empty=True)
    assert mailboxes.lookup(NAMING.recipient(b"fred")) is None
    database.records = dict(OLD)
    assert mailboxes.lookup(NAMING.recipient(b"fred")) is not None


@given(st.binary() | st.text('%()" Ae0123!\t').map(str.encode), st.booleans())
def test_no_record_raises_anything_but_its_damage(record: bytes, old: bool) -> None:
    """No record raises anything but RecordDamaged."""
    key = b"user.fred" if old else KEY
    try:
        look(b"fred", {key: record})
    except RecordDamaged as error:
        assert error.key == key


# The short way through records of the ordinary shape.


@given(
    st.lists(
        st.sampled_from(
            [
                b"%(",
                b"T e",
                b" ",
                b"I x",
                b" A %(",
                b"anyone",
                b" lrs",
                b")",
                b" H ()",
                b" H (%(x 1))",
                b"(",
                b"NIL",
                b"%",
                b'"a b"',
                b"{1}\r\nx",
                b"S host!part",
                b"P default",
                b"\\",
                b"T z",
            ]
        ),
        max_size=14,
    )
)
def test_the_short_way_reads_what_the_long_way_reads(pieces: list[bytes]) -> None:
    """Wherever it reads a record at all, the general parser finds the same in it."""
    value = b"".join(pieces)
    simple = m._simple_fields(value)
    if simple is None:
        return
    fields: dict[bytes, bytes] = {}
    acl = b""
    for event, key, string in dlist.events(value):
        if event == dlist.KVLIST_START and key == b"A":
            acl = b"\0"
        elif event == dlist.STRING and acl:
            acl += b"%b\t%b\t" % (key, string or b"")
        elif event == dlist.STRING:
            fields[key] = string or b""
    assert simple == (fields, acl[1:])


@pytest.mark.parametrize(
    "value",
    [
        b"%(T e I 6bdf609a-a796-44f9-b954-b5e91052f01d P default V 1 C 1 F 1 M 1 A %(fred lrswip))",
        b"%(T e I x J P-F P default V 1 C 1 F 1 M 1 A %(alice lrs anyone p) H ())",
        b"%(T r I x S host!part A %())",
    ],
)
def test_ordinary_records_take_the_short_way(value: bytes) -> None:
    """As Cyrus writes them."""
    assert m._simple_fields(value) is not None
