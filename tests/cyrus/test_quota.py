"""Quota roots: which one decides, what its record says, and when it is exceeded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cyrus import dlist, quota
from gateway.cyrus.ordinary_records import has_room
from gateway.cyrus.quota import STORAGE_UNIT as KIB
from gateway.cyrus.quota import QuotaRecord, QuotaRoots, in_bytes
from gateway.errors import RecordDamaged
from tests.support.memory import MemoryDatabase


def record(value: bytes) -> QuotaRecord:
    found = QuotaRoots(MemoryDatabase({b"user.fred": value})).find(b"user.fred")
    assert found is not None
    return found


# value, storage used and limit, messages used and limit
RECORDS: list[tuple[bytes, int, int | None, int, int | None]] = [
    (b"%(S (1024 1) M (3 4) AS (0 9) NF (1 9) MODSEQ 2)", 1024, 1, 3, 4),
    (b"%(S (0 100) M (0))", 0, 100, 0, None),
    (b"%(S (2048) M (1))", 2048, None, 1, None),
    (b"%(M (5 1))", 0, None, 5, 1),
    (b"%()", 0, None, 0, None),
    (b"%(S (2048 1.5))", 2048, 0, 0, None),
    (b"%(S (x 1))", 0, 1, 0, None),
    (b"%(S (5 -1))", 5, 0, 0, None),
    (b"%(S ((9) 1))", 0, 1, 0, None),
    (b"%(S 5 M (1 2))", 0, None, 1, 2),
    (b"%(S (5 1) S (9 9))", 5, 1, 0, None),
    (b"%(S (5 18446744073709551615))", 5, None, 0, None),
    (b"%(S (5 18446744073709551616))", 5, 0, 0, None),
    (b"%(S (5 00000000000000000000000001))", 5, 1, 0, None),
    (b"%(S (5 9223372036854775807))", 5, 2**63 - 1, 0, None),
    (b"%(S (5 9223372036854775808))", 5, None, 0, None),
    (b"%(S (5 9999999999999999999))", 5, None, 0, None),
    (b"%(S (5 " + b"9" * 5000 + b"))", 5, 0, 0, None),
    (b"%(S (x 0))", 0, 0, 0, None),
    (b"%(S (x))", 0, None, 0, None),
    (b"%(S () M (1 2))", 0, None, 1, 2),
    (b"%(S (5 1 9 9))", 5, 1, 0, None),
    (b"%(s (5 1))", 0, None, 0, None),
    # a list that breaks off limits nothing
    (b"%(S (5 1) ", 0, None, 0, None),
    (b"%garbage", 0, None, 0, None),
    # the old form
    (b"5000 4", 5000, 4, 0, None),
    (b"5000\n4", 5000, 4, 0, None),
    (b" 5000\t4 \r\n", 5000, 4, 0, None),
    (b"100 -1", 100, None, 0, None),
    (b"5000 4 123", 5000, 4, 0, None),
    (b"5000 4 M 7 8", 5000, 4, 7, 8),
    (b"5000 4 99 m 7 8 99 AS 1 2 NF 3 4", 5000, 4, 7, 8),
    (b"5000 4 S 6 7", 6, 7, 0, None),
    (b"5000x 4y", 5000, 4, 0, None),
    (b"+5000 +4", 5000, 4, 0, None),
    (b"+5x +4y", 5, 4, 0, None),
    (b"-5 4", -5, 4, 0, None),
    (b"1000000000000000000 4", 10**18, 4, 0, None),
    (b"-99999999999999999999 4", -(2**63), 4, 0, None),
    (b"99999999999999999999 4", 2**63 - 1, 4, 0, None),
    (b"5000 4\0garbage", 5000, 4, 0, None),
    # a root without a record has no limit
    (b"", 0, None, 0, None),
    (b"\0\0", 0, None, 0, None),
]


@pytest.mark.parametrize(
    ("value", "storage_used", "storage_limit", "messages_used", "messages_limit"), RECORDS
)
def test_both_forms_are_read(
    value: bytes,
    storage_used: int,
    storage_limit: int | None,
    messages_used: int,
    messages_limit: int | None,
) -> None:
    """Both forms of records give used and limit, with Cyrus' idea of odd numbers."""
    found = record(value)
    assert found is not None
    assert (found.root, found.storage_used, found.storage_limit) == (
        b"user.fred",
        storage_used,
        in_bytes(storage_limit),
    )
    assert (found.messages_used, found.messages_limit) == (messages_used, messages_limit)


@pytest.mark.parametrize(
    ("limit", "room"),
    [
        (2**42, True), (2**53 - 1, True), (2**53, False), (2**54, False), (2**62, False),
        (2**63 - 1, False), (2**63, True), (2**64, False),
    ],
)  # fmt: skip
def test_limits_that_do_not_fit_into_64_bits(limit: int, room: bool) -> None:
    """lmtpd of 3.6.1 and 3.10.2 says so of 1000 bytes in use, in both forms of records."""
    for value in (b"%%(S (1000 %d))", b"%%(S (1000 %d) M (2))"):
        found = record(value % limit)
        assert found is not None
        assert found.exceeded(0, 0) is not room
        assert room or not has_room(value % limit)


@pytest.mark.parametrize(("used", "over"), [(2**63 - 2, True), (2**63 - 1, False)])
def test_sums_that_do_not_fit_into_64_bits(used: int, over: bool) -> None:
    """smmapd of 3.6.1 and 3.10.2 says OK to one more than the largest number."""
    for value in (b"%%(S (0) M (%d 5))", b"%%(S (0 5) M (%d 5))", b"0 5 M %d 5"):
        found = record(value % used)
        assert found is not None
        assert found.exceeded() is over
    full = record(b"%%(S (%d 5))" % used)
    assert full is not None
    assert full.exceeded(1) is over


@pytest.mark.parametrize(
    ("value", "annotations", "folders"),
    [
        (b"%(S (1024 1) M (3 4) AS (0 9) NF (1 9) MODSEQ 2)", (0, 9), (1, 9)),
        (b"5000 4 99 m 7 8 99 AS 1 2 NF 3 4", (1, 2), (3, 4)),
        (b"%(AS (5) NF (7))", (5, None), (7, None)),
        (b"%(S (1 2))", (0, None), (0, None)),
    ],
)
def test_annotations_and_mailboxes_count_for_delivery(
    value: bytes, annotations: tuple[int, int | None], folders: tuple[int, int | None]
) -> None:
    """Annotations and mailboxes count for delivery; a record has the limit of annotations in KiB."""
    found = record(value)
    assert found is not None
    used, limit = annotations
    assert (found.annotations_used, found.annotations_limit) == (used, in_bytes(limit))
    assert (found.folders_used, found.folders_limit) == folders


@pytest.mark.parametrize(
    ("record", "with_folders", "without"),
    [
        (QuotaRecord(b"user.fred", 0, annotations_used=1024, annotations_limit=KIB), False, False),
        (QuotaRecord(b"user.fred", 0, annotations_used=1025, annotations_limit=KIB), True, True),
        (QuotaRecord(b"user.fred", 0, folders_used=3, folders_limit=3), False, False),
        (QuotaRecord(b"user.fred", 0, folders_used=4, folders_limit=3), True, False),
        (QuotaRecord(b"user.fred", 9, folders_used=4), False, False),
    ],
)
def test_more_than_mail_is_over_its_limit(
    record: QuotaRecord, with_folders: bool, without: bool
) -> None:
    """A resource that is just full is not over its limit."""
    assert record.exceeded_otherwise(folders=True) is with_folders
    assert record.exceeded_otherwise(folders=False) is without


@pytest.mark.parametrize(
    "value",
    [
        b"garbage",
        b"5000",
        b"5000 x",
        b"x 5000",
        b"- 1",
        b"5000 4 X 1 2",
        b"5000 4 M 1",
        b"5000 4 1 2",
        b" ",
        b"%(S (5 1)) ",
        b"%()x",
        b"%(MODSEQ 5) S (5 1))",
    ],
)
def test_a_damaged_record_is_a_fault(value: bytes) -> None:
    """A record that makes no sense is a fault and no answer."""
    with pytest.raises(RecordDamaged) as caught:
        record(value)
    assert caught.value.text == b"Mailbox has an invalid format"
    assert caught.value.key == b"user.fred"


ROOTS = [
    (b"user.fred", [b"user.fred", b"user"]),
    (b"user.fred.a.b", [b"user.fred.a.b", b"user.fred.a", b"user.fred", b"user"]),
    (b"shared", [b"shared"]),
    (b"d.org!user.fred", [b"d.org!user.fred", b"d.org!user", b"d.org!"]),
    (b"d.org!shared", [b"d.org!shared", b"d.org!"]),
    (b"!user.x", [b"!user.x", b"!user", b"!"]),
    (b"d.org!", [b"d.org!"]),
    (b".x", [b".x", b""]),
    (b"", []),
    (b"x" * 600, [b"x" * 510]),
]


@pytest.mark.parametrize(("internal", "roots"), ROOTS)
def test_candidates_end_with_the_domain(internal: bytes, roots: list[bytes]) -> None:
    """The roots are the name and the names above it, then the domain."""
    assert list(QuotaRoots(MemoryDatabase({})).candidates(internal)) == roots


def test_without_domains_a_bang_is_a_letter() -> None:
    """With virtdomains off the user's root is above a folder that is called `new!old`."""
    roots = QuotaRoots(MemoryDatabase({}), virtdomains=False)
    for internal, names in (
        (b"user.mia.new!old", [b"user.mia.new!old", b"user.mia", b"user"]),
        (b"user.q!z", [b"user.q!z", b"user"]),
        (b"list!old", [b"list!old"]),
    ):
        assert list(roots.candidates(internal)) == names


def test_the_nearest_root_decides_alone() -> None:
    """A root without a limit hides the one above it, and nothing further is read."""
    database = MemoryDatabase({b"user.fred": b"9999 1", b"user.fred.Own": b"%(S (5))"})
    roots = QuotaRoots(database)
    assert roots.find(b"user.fred.Own.Deep") == QuotaRecord(b"user.fred.Own", 5)
    assert database.asked == [b"user.fred.Own.Deep", b"user.fred.Own"]
    found = roots.find(b"user.fred.Other")
    assert found is not None
    assert (found.root, found.exceeded()) == (b"user.fred", True)


def test_of_several_names_a_root_that_is_exceeded_counts() -> None:
    """Else that of the first name that has one; a name without one says nothing."""
    full, free = b"user.full", b"user.free"
    database = MemoryDatabase({full: b"9999 1", free: b"5 1", b"user.also": b"9998 1"})
    roots = QuotaRoots(database)
    rows = [
        ((free, full), full),
        ((full, free), full),
        ((full, b"user.also"), full),
        ((b"other", free), free),
        ((free, b"other"), free),
        ((b"other", b"nobody"), None),
    ]
    for names, root in rows:
        found = roots.nearest(names)
        assert (found.root if found is not None else None) == root


@pytest.mark.parametrize("value", [b"%(S (5 1) M (2) AS (7) NF (3))", b"%(AS (7) NF (3) S (5 1))"])
def test_annotations_and_folders_are_counted(value: bytes) -> None:
    """Whether the record is of the ordinary shape or not."""
    assert (record(value).annotations_used, record(value).folders_used) == (7, 3)


def test_no_root_is_no_quota() -> None:
    """Without a root there is no record."""
    assert QuotaRoots(MemoryDatabase({b"user.freda": b"1 0"})).find(b"user.fred") is None


EXCEEDED: list[tuple[QuotaRecord, int, int, bool]] = [
    (QuotaRecord(b"r", 1024, KIB), 0, 1, False),
    (QuotaRecord(b"r", 1025, KIB), 0, 1, True),
    (QuotaRecord(b"r", 1024, KIB), 1, 1, True),
    (QuotaRecord(b"r", 0, 0), 0, 1, False),
    (QuotaRecord(b"r", 1, 0), 0, 1, True),
    (QuotaRecord(b"r", 10**15, None, 10**9, None), 10**9, 1, False),
    (QuotaRecord(b"r", 0, None, 1, 2), 0, 1, False),
    (QuotaRecord(b"r", 0, None, 2, 2), 0, 1, True),
    (QuotaRecord(b"r", 0, None, 0, 0), 0, 1, True),
    (QuotaRecord(b"r", 0, None, 2, 2), 0, 0, False),
    (QuotaRecord(b"r", 9999999999, 5000000 * KIB), 0, 1, True),
]


def test_a_quota_is_what_it_was_made_of() -> None:
    """Each number stands under its own name."""
    made = QuotaRecord(b"user.fred", 1, 2, 3, 4)
    assert made.root == b"user.fred"
    assert (made.storage_used, made.storage_limit) == (1, 2)
    assert (made.messages_used, made.messages_limit) == (3, 4)


@pytest.mark.parametrize(("quota", "storage_more", "messages_more", "exceeded"), EXCEEDED)
def test_a_quota_that_is_just_full_is_not_exceeded(
    quota: QuotaRecord, storage_more: int, messages_more: int, exceeded: bool
) -> None:
    """Just full is not over: more than the limit, and one more message than that of messages."""
    assert quota.exceeded(storage_more, messages_more) is exceeded


def test_a_message_more_is_what_is_asked_about() -> None:
    """Where the caller says nothing else: one of no size."""
    assert not QuotaRecord(b"r", 1024, KIB, 1, 2).exceeded()
    assert QuotaRecord(b"r", 0, None, 2, 2).exceeded()


@given(st.binary() | st.text("%()SM 0159-+\n").map(str.encode))
def test_no_record_raises_anything_but_its_damage(value: bytes) -> None:
    """No record raises anything but RecordDamaged."""
    try:
        record(value).exceeded()
    except RecordDamaged as error:
        assert error.key == b"user.fred"


@given(st.binary(max_size=600))
def test_candidates_get_shorter_and_shorter(internal: bytes) -> None:
    """The candidates get shorter and shorter."""
    roots = list(QuotaRoots(MemoryDatabase({})).candidates(internal))
    assert sorted(roots, key=len, reverse=True) == roots
    assert len(set(roots)) == len(roots)


# The short way through records of the ordinary shape.


@given(
    st.lists(
        st.sampled_from(
            [
                b"%(",
                b"S",
                b" (",
                b"10",
                b" 1",
                b") ",
                b")",
                b"M",
                b"MODSEQ",
                b" 5",
                b" ",
                b"AS",
                b"(",
                b"NIL",
                b"-1",
                b"99999999999999999999",
                b"000",
                b'"x"',
                b"%",
                b"\n",
            ]
        ),
        max_size=14,
    )
)
def test_the_short_way_reads_what_the_long_way_reads(pieces: list[bytes]) -> None:
    """Wherever it reads a record at all."""
    value = b"".join(pieces)
    ordinary = quota._ordinary(b"user.fred", value)
    if ordinary is not None:
        resources = quota._from_list(dlist.items(value) or ())
        assert ordinary == quota._from_resources(b"user.fred", resources)


@pytest.mark.parametrize(
    "value",
    [
        b"%(S (10396 1) M (2) AS (0) NF (2) MODSEQ 5)",
        b"%(S (10396 1) M (2 9) AS (0) NF (2) MODSEQ 5)",
        b"%(S (10396 1) M (2) AS (0) NF (2))",
        b"%(S (10396 1) M (2 3))",
        b"%(S (0 9223372036854775807))",
    ],
)
def test_ordinary_records_take_the_short_way(value: bytes) -> None:
    """As Cyrus writes them; what either way reads is the same."""
    ordinary = quota._ordinary(b"user.fred", value)
    assert ordinary is not None
    resources = quota._from_list(dlist.items(value) or ())
    assert ordinary == quota._from_resources(b"user.fred", resources)


@pytest.mark.parametrize(
    "value",
    [
        b"%(S (0 9223372036854775808))",
        b"%(S (010 1))",
        b"%(S (10 -1))",
        b"%(S (10  1))",
        b"%(S (1 2)) ",
        b"%(M (1 2))",
        b"%()",
        b"%(S (1 2) M (3) AS (4) NF (5) MODSEQ 6) 7",
        b"%(S (" + 400 * b"9" + b" 1))",
    ],
)
def test_what_is_not_written_so_takes_the_long_way(value: bytes) -> None:
    """Whatever may mean something else."""
    assert quota._ordinary(b"user.fred", value) is None
