"""flat: lines of key, TAB and value."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cyrus.db import flat
from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.flat import Flat, decode, encode
from gateway.cyrus.db.order import MAILBOX, PLAIN
from gateway.errors import DatabaseDamaged, StoreError
from tests.golden import FOLDER
from tests.support.ages import let_age


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"{tmp_path_factory.mktemp('flat')}/file.db"


def _open(path: str, text: bytes) -> Flat:
    with open(path, "wb") as file:
        file.write(text)
    return Flat(FileView(path))


def _lines(records: dict[bytes, bytes], order: bytes | None = MAILBOX) -> bytes:
    """The file that Cyrus would write, or sort(1)."""
    escaped = {encode(key): encode(value) for key, value in records.items()}
    keys = sorted(escaped, key=lambda key: (key + b"\t").translate(order))
    return b"".join(key + b"\t" + escaped[key] + b"\n" for key in keys)


@pytest.mark.parametrize(
    ("plain", "escaped"),
    [
        (b"plain text", b"plain text"),
        (b"\0\t\r\n", b"\xff\x80\xff\x89\xff\x8d\xff\x8a"),
        (b"\xff", b"\xff\xff"),
        (b"2\t*\tclosed", b"2\xff\x89*\xff\x89closed"),
        (b"", b""),
    ],
)
def test_bytes_that_would_break_lines_are_escaped(plain: bytes, escaped: bytes) -> None:
    """Bytes that would break the lines are written as 0xff and another byte."""
    assert encode(plain) == escaped
    assert decode(escaped) == plain


def test_an_escape_without_its_byte_is_dropped() -> None:
    """As the C program does, a lone 0xff at the end is not a byte."""
    assert decode(b"abc\xff") == b"abc"


@given(st.binary())
def test_decoding_undoes_encoding(plain: bytes) -> None:
    """Every byte string survives, and never holds what separates lines and fields."""
    escaped = encode(plain)
    assert decode(escaped) == plain
    assert not set(escaped) & set(b"\0\t\r\n")


@pytest.mark.parametrize("whole", [flat.WHOLE, 0])
@pytest.mark.parametrize("name", ["head-flat/conf/mailboxes.db", "head-twom/conf/user_deny.db"])
def test_golden_files_are_read_completely(
    name: str, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every line is listed and found, read as a whole or bisected."""
    monkeypatch.setattr(flat, "WHOLE", whole)
    database = Flat(FileView(f"{FOLDER}/{name}"))
    with open(database.path, "rb") as file:
        lines = file.read().splitlines()
    records = list(database.items())
    assert len(records) == len(lines) > 20
    for key, value in records:
        assert database.get(key) == value
        assert database.get(key + b"\0") is None
        assert database.get(b"-" + key) is None
    database.close()


@settings(deadline=None)
@given(
    records=st.dictionaries(
        st.text(alphabet="ab.-!\t\n\xff", min_size=1, max_size=6).map(
            lambda t: t.encode("latin-1")
        ),
        st.binary(max_size=8),
        max_size=40,
    ),
    whole=st.sampled_from([0, flat.WHOLE]),
    order=st.sampled_from([MAILBOX, PLAIN]),
)
def test_every_record_is_found(
    path: str, records: dict[bytes, bytes], whole: int, order: bytes | None
) -> None:
    """Bisecting or not, what is there is found, what is not is not, and prefixes are complete.

    In either order: somebody may have edited the file, and sorted it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flat, "WHOLE", whole)
        database = _open(path, _lines(records, order))
        assert dict(database.items()) == records
        for key, value in records.items():
            assert database.get(key) == value
            for other in (key[:-1], key + b"-", key + b".", b"-" + key):
                assert database.get(other) == records.get(other)
            for length in range(3):
                expected = {k: v for k, v in records.items() if k.startswith(key[:length])}
                assert dict(database.items(key[:length])) == expected
        assert list(database.items(b"nothing")) == []
        database.close()


def test_large_files_are_bisected(path: str) -> None:
    """A large file is not read as a whole for a look-up."""
    records = {b"user.name%05d.folder" % n: b"v" * (n * 7 % 3000) for n in range(2000)}
    database = _open(path, _lines(records))
    for key in list(records)[::97]:
        assert database.get(key) == records[key]
        assert database.get(key + b"x") is None
    assert len(list(database.items(b"user.name0012"))) == 10
    assert len(list(database.items())) == 2000
    database.close()


def test_a_small_file_need_not_be_sorted(path: str) -> None:
    """A deny list that was written by hand works in any order."""
    database = _open(path, b"zoe\t1\tsmmap\nanna\t2\t*\tclosed\nmike\t1\t*\n")
    assert database.get(b"anna") == b"2\t*\tclosed"
    assert database.get(b"zoe") == b"1\tsmmap"
    assert database.get(b"ann") is None
    assert list(database.items(b"mi")) == [(b"mike", b"1\t*")]
    assert list(database.items(b"an")) == [(b"anna", b"2\t*\tclosed")]
    assert list(database.items(b"z")) == [(b"zoe", b"1\tsmmap")]
    database.close()


def test_an_empty_file_is_an_empty_database(path: str) -> None:
    """Cyrus creates flat files empty."""
    database = _open(path, b"")
    assert database.get(b"fred") is None
    assert list(database.items()) == []
    database.close()


@pytest.mark.parametrize("whole", [flat.WHOLE, 0])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"anna\t1\nmike\t2", "line feed"),
        (b"anna\t1\nmi\0e\t2\n", "NUL"),
    ],
)
def test_visible_damage_is_not_an_absence(
    path: str, whole: int, text: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the format can show as damage is damage, never "no such record"."""
    monkeypatch.setattr(flat, "WHOLE", whole)
    database = _open(path, text)
    with pytest.raises(DatabaseDamaged, match=message):
        database.get(b"mike")
    with pytest.raises(DatabaseDamaged):
        list(database.items())
    database.close()


def test_damage_on_a_search(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line without TAB, without end or out of order is seen where a search meets it."""
    monkeypatch.setattr(flat, "WHOLE", 0)
    monkeypatch.setattr(flat, "MAX_LINE", 5000)
    for text, key, message in (
        (b"anna\t1\nmike\nzoe\t1\n", b"mmm", "tabulator"),
        (b"anna\t" + b"x" * 20_000 + b"\nmike\t1\n", b"aaa", "no end"),
        (b"zoe\t1\nmike\t1\nanna\t1\n", b"aaa", "not in order"),
        (b"mike\t1\n" * 8, b"zzz", "out of order"),
        (b"anna\t1\n" + b"mike\t1\n" * 8, b"bob", "out of order"),
        # The first two are in bytewise order only, the next two in that of mailboxes only.
        (b"a!\t1\na.\t1\nb.\t1\nb!\t1\nc\t1\n", b"b", "have no order"),
    ):
        database = _open(path, text)
        with pytest.raises(DatabaseDamaged, match=message):
            database.get(key)
        if "order" not in message:
            with pytest.raises(DatabaseDamaged, match=message):
                list(database.items())
        database.close()


@settings(deadline=None, max_examples=200)
@given(text=st.binary(max_size=300), key=st.binary(max_size=5), whole=st.sampled_from([0, 99999]))
def test_any_bytes_end_in_time(path: str, text: bytes, key: bytes, whole: int) -> None:
    """Whatever the file holds, asking ends with an answer or an error of the store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flat, "WHOLE", whole)
        database = _open(path, text)
        for ask in (lambda: database.get(key), lambda: list(database.items(key))):
            try:
                ask()
            except StoreError as error:
                assert error.path == path
        database.close()


def test_the_state_follows_the_file(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old file's state stays; a young one's equals nothing."""
    let_age(monkeypatch)
    with open(path, "wb") as file:
        file.write(b"anna\t1\n")
    os.utime(path, (1000, 1000))
    old = Flat(FileView(path))
    assert old.state() == old.state(b"anna")
    os.utime(path, (1000, 1001))
    before = old.state()
    os.utime(path, (1000, 1002))
    assert old.state() != before
    young = Flat(FileView(path), now=lambda: 1003 * 10**9)
    assert young.state() != young.state()
    old.close()
    young.close()
