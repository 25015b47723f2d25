"""quotalegacy: a file a quota root."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.quotalegacy import ABSENT, QuotaLegacy, folder_hash
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from gateway.cyrus.folderwatch import FolderWatch
from gateway.errors import DatabaseDamaged, DatabaseMissing, DatabaseUnavailable, StoreError
from tests.golden import FOLDER
from tests.support.ages import let_age


def _put(folder: object, name: str, text: bytes) -> str:
    path = f"{folder}/{name}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(text)
    return path


@pytest.mark.parametrize(
    ("name", "full", "letter"),
    [
        (b"fred", False, b"f"),
        (b"Fred", False, b"f"),
        (b"9lives", False, b"q"),
        (b"\xe9t\xe9", False, b"q"),
        (b"[x", False, b"q"),
        (b"", False, b"q"),
        # Worked out by hand from the C function: n = (n << 3) ^ (n >> 5) ^ byte, modulo 23.
        (b"a", True, bytes((65 + 97 % 23,))),
        (b"ab", True, bytes((65 + ((97 << 3) ^ (97 >> 5) ^ 98) % 23,))),
        (b"a.b", True, bytes((65 + 97 % 23,))),
        (b"abc", True, bytes((65 + ((873 << 3) ^ (873 >> 5) ^ 99) % 23,))),
        (b"", True, b"A"),
    ],
)
def test_the_hash_folder_is_that_of_dir_hash_c(name: bytes, full: bool, letter: bytes) -> None:
    """The letter of `dir_hash_c`, for both settings of fulldirhash."""
    assert folder_hash(name, full) == letter


@given(st.binary(max_size=300))
def test_the_full_hash_stays_within_its_letters(name: bytes) -> None:
    """Any name gives one of A to W."""
    assert b"A" <= folder_hash(name, True) <= b"W"


@pytest.mark.parametrize("name", ["head-twoskip", "head-flat", "head-skiplist", "head-sql"])
def test_golden_roots_equal_those_in_twoskip(name: str) -> None:
    """The same quota roots, kept as files and in one database, give the same records."""
    other = Twoskip(FileView(f"{FOLDER}/head-twoskip-qtwoskip/conf/quotas.db"))
    files = QuotaLegacy(f"{FOLDER}/{name}/conf", virtdomains=True)
    records = dict(other.items())
    assert dict(files.items()) == records
    for root, record in records.items():
        assert files.get(root) == record
        assert files.state(root) != ABSENT
    assert [root for root, _record in files.items(b"user.o")] == sorted(
        root for root in records if root.startswith(b"user.o")
    )
    other.close()


@pytest.mark.parametrize(
    ("root", "virtdomains", "full", "file"),
    [
        (b"user.fred", False, False, "quota/f/user.fred"),
        (b"user.fred.Sent", False, False, "quota/f/user.fred.Sent"),
        (b"shared", False, False, "quota/s/shared"),
        (b"user.fred", False, True, "quota/{fred}/user.fred"),
        (b"example.org!user.fred", True, False, "domain/e/example.org/quota/f/user.fred"),
        (b"example.org!", True, False, "domain/e/example.org/quota/root"),
        (
            b"example.org!user.fred",
            True,
            True,
            "domain/{example}/example.org/quota/{fred}/user.fred",
        ),
        (b"a!user.fred", False, False, "quota/f/a!user.fred"),
        (b"x", False, False, "quota/x/x"),
        (b"user." + b"x" * 250, False, False, "quota/x/user." + "x" * 250),
    ],
)
def test_where_the_files_are(
    tmp_path: object, root: bytes, virtdomains: bool, full: bool, file: str
) -> None:
    """Each root has its file, and `items` finds it there."""
    letters = {name: folder_hash(name.encode(), True).decode() for name in ("fred", "example")}
    _put(tmp_path, file.format(**letters), b"1\n2\n")
    database = QuotaLegacy(str(tmp_path), virtdomains=virtdomains, fulldirhash=full)
    assert database.get(root) == b"1 2"
    assert list(database.items()) == [(root, b"1 2")]
    assert database.get(root + b"x") is None
    assert database.state(root + b"x") == ABSENT
    if not virtdomains and not full:
        assert QuotaLegacy(str(tmp_path)).get(root) == b"1 2"


@pytest.mark.parametrize(
    ("text", "record"),
    [
        (b"%(S (1 2) M (3 4))\n", b"%(S (1 2) M (3 4))"),
        (b"1024\n2048\n", b"1024 2048"),
        (b"1024 2048 M 3 4\n", b"1024 2048 M 3 4"),
        (b"1024\n2048 M 3 4\n", b"1024 2048 M 3 4"),
        (b"1\n2\n3\n", b"1 2\n3"),
        (b"\n", b""),
        (b"", b""),
    ],
)
def test_forms_of_records(tmp_path: object, text: bytes, record: bytes) -> None:
    """The last LF goes; the old form's first LF becomes a blank."""
    _put(tmp_path, "quota/f/user.fred", text)
    assert QuotaLegacy(str(tmp_path)).get(b"user.fred") == record


@pytest.mark.parametrize("text", [b"1024\n2048", b"%(S (1 2", b"x" * 100_000])
def test_records_without_an_end_are_damaged(tmp_path: object, text: bytes) -> None:
    """A file that is cut off is damaged, and the message names it."""
    path = _put(tmp_path, "quota/f/user.fred", text)
    with pytest.raises(DatabaseDamaged) as caught:
        QuotaLegacy(str(tmp_path)).get(b"user.fred")
    assert caught.value.path == path


@pytest.mark.parametrize(
    "root",
    [
        b"",
        b".",
        b"..",
        b"../../secret",
        b"user.a/b",
        b"a\0b",
        b"!user.fred",
        b"..!user.fred",
        b"a/b!x",
    ],
)
def test_names_that_lead_out_of_the_folder_have_no_record(tmp_path: object, root: bytes) -> None:
    """No key leaves the quota folders, and none of those has a quota."""
    _put(tmp_path, "secret", b"1\n2\n")
    os.makedirs(f"{tmp_path}/base/quota/q")
    database = QuotaLegacy(f"{tmp_path}/base", virtdomains=True)
    assert database.get(root) is None
    assert database.state(root) == ABSENT


def test_endless_names_have_no_record(tmp_path: object) -> None:
    """A name that is longer than a file's can be has no record; other faults are not hidden."""
    database = QuotaLegacy(str(tmp_path))
    assert database.state(b"user." + b"x" * 5000) == ABSENT
    assert database.get(b"user." + b"x" * 5000) is None


@given(root=st.binary(max_size=40))
def test_any_root_is_answered(root: bytes) -> None:
    """Whatever the key is, the answer is None, a record or an error of the store."""
    database = QuotaLegacy(f"{FOLDER}/head-flat/conf", virtdomains=True)
    try:
        assert database.get(root) is None or database.state(root) != ABSENT
    except StoreError:
        pytest.fail("the golden files are sound")


def test_states_follow_one_root(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root's state changes with its file alone, and not before the file is old is it believed."""
    path = _put(tmp_path, "quota/f/user.fred", b"1\n2\n")
    other = _put(tmp_path, "quota/m/user.mike", b"1\n2\n")
    database = QuotaLegacy(str(tmp_path))
    assert database.state(b"user.fred") != database.state(b"user.fred")
    os.utime(path, (1000, 1000))
    # An old time of writing is not proof: `cp -p` and `rsync -t` set one.
    assert database.state(b"user.fred") != database.state(b"user.fred")
    let_age(monkeypatch)
    state = database.state(b"user.fred")
    assert database.state(b"user.fred") == state
    os.remove(other)
    assert database.state(b"user.fred") == state
    with open(path + ".NEW", "wb") as file:
        file.write(b"2\n2\n")
    os.utime(path + ".NEW", (1000, 1000))
    os.rename(path + ".NEW", path)
    assert database.state(b"user.fred") != state
    os.remove(path)
    assert database.state(b"user.fred") == database.state(b"user.mike") == ABSENT
    assert database.state() != database.state()


def test_the_times_of_a_young_file_prove_nothing(tmp_path: object) -> None:
    """It may change once more without their showing it; a folder that is watched tells."""
    path = _put(tmp_path, "quota/f/user.fred", b"1\n2\n")
    written = os.stat(path).st_mtime_ns
    watch = FolderWatch()
    for now, watching, proved in (
        (written, None, False),
        (written + 10**12, None, True),
        (written, watch, True),
    ):
        database = QuotaLegacy(str(tmp_path), now=repeat(now).__next__)
        record, proof = database.get_proved(b"user.fred", watching)
        assert record == b"1 2"
        assert (proof is not None and proof.holds()) is proved
    watch.close()


def test_a_folder_that_is_gone_is_no_freedom_from_quota(tmp_path: object) -> None:
    """Where the whole folder is missing, there is an error instead of "no quota"."""
    folder = f"{tmp_path}/base"
    with pytest.raises(DatabaseMissing, match="quota roots' folder"):
        QuotaLegacy(folder)
    os.mkdir(folder)
    database = QuotaLegacy(folder)
    assert database.get(b"user.fred") is None
    os.rmdir(folder)
    with pytest.raises(DatabaseMissing):
        database.get(b"user.fred")
    with open(folder, "wb"):
        pass
    with pytest.raises(DatabaseUnavailable):
        database.get(b"user.fred")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_in_a_records_place_is_a_fault(
    tmp_path: object, make: Callable[[str], None]
) -> None:
    """It is an error of the store, and is not waited for."""
    os.makedirs(f"{tmp_path}/quota/f")
    make(f"{tmp_path}/quota/f/user.fred")
    with pytest.raises(DatabaseUnavailable, match="regular"):
        QuotaLegacy(str(tmp_path)).get(b"user.fred")


@pytest.mark.parametrize(("size", "sound"), [(64 * 1024, True), (64 * 1024 + 1, False)])
def test_the_longest_record(tmp_path: object, size: int, sound: bool) -> None:
    """64 KiB; Cyrus' longest are below 200 bytes."""
    _put(tmp_path, "quota/f/user.fred", b"1 2".ljust(size - 1) + b"\n")
    database = QuotaLegacy(str(tmp_path))
    if sound:
        assert database.get(b"user.fred") == b"1 2".ljust(size - 1)
    else:
        with pytest.raises(DatabaseDamaged, match=f"is {size} bytes long"):
            database.get(b"user.fred")


def test_reading_writes_nothing(tmp_path: object) -> None:
    """Not even the time of access."""
    path = _put(tmp_path, "quota/f/user.fred", b"1\n2\n")
    os.utime(path, (1000, 2000))
    assert QuotaLegacy(str(tmp_path)).get(b"user.fred") == b"1 2"
    assert os.stat(path).st_atime == 1000


def test_another_users_files_are_read_all_the_same(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the owner may leave out the time of access; who may not tries it once."""
    _put(tmp_path, "quota/f/user.fred", b"1\n2\n")
    tried = []
    really = os.open

    def refuse(path: str, flags: int) -> int:
        tried.append(bool(flags & os.O_NOATIME))
        if flags & os.O_NOATIME:
            raise PermissionError(1, "Operation not permitted")
        return really(path, flags)

    monkeypatch.setattr(os, "open", refuse)
    database = QuotaLegacy(str(tmp_path))
    for _ in range(2):
        assert database.get(b"user.fred") == b"1 2"
    assert tried == [True, False, False]


def _linked(folder: str, target: str) -> None:
    os.symlink(target, f"{folder}/linked")


def _has_two_names(folder: str, target: str) -> None:
    os.link(target, f"{folder}/linked")


def _none(_folder: str, _target: str) -> None:
    pass


@pytest.mark.parametrize("owner", [True, False])
@pytest.mark.parametrize(
    ("make", "there", "watched"),
    [(_none, False, True), (_linked, True, False), (_has_two_names, True, False)],
)
def test_what_a_watched_folder_tells_of(
    tmp_path: object,
    monkeypatch: pytest.MonkeyPatch,
    owner: bool,
    make: Callable[[str, str], None],
    there: bool,
    watched: bool,
) -> None:
    """That a file comes, but not what becomes of a file that has another name outside."""
    outside = _put(tmp_path, "outside", b"1\n2\n")
    _put(tmp_path, "quota/f/fred", b"3\n4\n")
    _put(tmp_path, "quota/l/other", b"5\n6\n")
    make(f"{tmp_path}/quota/l", outside)
    really = os.open

    def refuse(path: str, flags: int) -> int:
        if flags & os.O_NOATIME:
            raise PermissionError(1, "Operation not permitted")
        return really(path, flags)

    if not owner:
        monkeypatch.setattr(os, "open", refuse)
    watch = FolderWatch()
    database = QuotaLegacy(str(tmp_path), now=lambda: 1 << 62)
    assert (database.keeps_files, database.told_by_kernel) == (True, True)
    record, proof = database.get_proved(b"linked", watch)
    assert (record, proof is not None and proof.folder is not None) == (
        b"1 2" if there else None,
        watched,
    )
    record, proof = database.get_proved(b"fred", watch)
    assert proof is not None
    assert (record, proof.folder is not None) == (b"3 4", True)
    watch.close()
