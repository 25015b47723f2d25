"""A backup that is copied over a database in place, and as much committed since as there had been.

The file then has the length, the number of records and of commits that it had,
and another past: nothing that was remembered of the first may be believed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.history import TAIL_BYTES
from gateway.cyrus.db.reopening import ReopeningDatabase
from gateway.cyrus.db.skiplist.log import Log
from gateway.cyrus.db.twoskip.format import HEADER_SIZE
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from gateway.errors import DatabaseDamaged, StoreError
from tests.cyrus.db.pasts import DUMMY_END, FORMATS, PASTS, Disk, Reader, delete, store
from tests.support.ages import let_age


@pytest.fixture(params=FORMATS)
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Disk:
    """An empty one, of each format."""
    return Disk(tmp_path, request.param)


def records(reader: Reader) -> dict[bytes, bytes | None]:
    """What `get` says of every key in the pasts."""
    names = (b"anna", b"bob", b"carl", b"fred", b"zoe", b"mary", b"mark", b"ruth")
    return {b"user." + name: reader.get(b"user." + name) for name in names}


@pytest.mark.parametrize("young", [True, False])
@pytest.mark.parametrize("past", PASTS)
def test_another_past_of_the_same_length_is_another_state(
    disk: Disk, past: str, young: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody can tell which keys were written since the first; and back again."""
    if not young:
        let_age(monkeypatch)
    images = [disk.image(part) for part in PASTS[past]]
    assert len(images[0]) == len(images[1])
    assert images[0] != images[1]
    disk.put(images[0])
    reader = disk.reader()
    prepared(reader)
    states = [reader.state()]
    assert reader.state() == states[0]
    for image in (images[1], images[0]):
        disk.put(image)
        fresh = disk.reader()
        assert reader.state() not in states
        assert all(reader.changes(state) is None for state in states)
        assert records(reader) == records(fresh)
        states.append(reader.state())
        assert reader.state() == states[-1]
        fresh.close()
    disk.put(images[1])
    fresh = disk.reader()
    assert records(reader) == records(fresh)  # without a look at the state before
    fresh.close()
    reader.close()


@pytest.mark.parametrize("form", ["skiplist", "checkpointed"])
@pytest.mark.parametrize("past", PASTS)
def test_another_past_that_comes_while_the_log_is_read_is_another_state(
    tmp_path: Path, form: str, past: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look that proves the first one and the reading of what follows it."""
    let_age(monkeypatch)
    disk = Disk(tmp_path, form)
    more = store(b"user.ruth")
    first, second = ((disk.image(part), disk.image(part, more)) for part in PASTS[past])
    disk.put(first[0])
    reader = disk.reader()
    states = [reader.state()]
    really = Log.refresh

    def refresh(log: Log) -> None:
        disk.put(second[1])
        really(log)

    disk.put(first[1])
    with monkeypatch.context() as patch:
        patch.setattr(Log, "refresh", refresh)
        assert reader.state()[1] != states[0][1]  # type: ignore[index]
    fresh = disk.reader()
    assert records(reader) == records(fresh)
    assert all(reader.changes(state) is None for state in states)
    fresh.close()
    reader.close()


def prepared(reader: Reader) -> None:
    """With an index, where the format has one."""
    if isinstance(reader, Twoskip):
        while reader.build_index_step():
            pass


@pytest.mark.parametrize("past", PASTS)
def test_what_is_absent_in_one_past_is_not_absent_in_the_other(tmp_path: Path, past: str) -> None:
    """The index does not outlive the history that it was made of, nor does a half-made one."""
    disk = Disk(tmp_path, "twoskip")
    first, second = (disk.image(part) for part in PASTS[past])
    disk.put(first)
    database = ReopeningDatabase(str(disk.path), "twoskip")
    database.get(b"user.fred")
    assert database.build_index_step()  # half of it
    disk.put(second)
    while database.build_index_step():
        pass
    for image in (second, first, second):
        disk.put(image)
        fresh = ReopeningDatabase(str(disk.path), "twoskip")
        database.state()
        for name in (b"anna", b"bob", b"mary", b"mark", b"ruth"):
            known = fresh.get(b"user." + name)
            assert not database.known_absent(b"user." + name) or known is None
            assert database.get(b"user." + name) == known
        while database.build_index_step():
            pass
        database.state()
        assert database.known_absent(b"user.nobody")
        fresh.close()
    database.close()


def test_the_same_history_goes_on_however_long_it_gets(disk: Disk) -> None:
    """Commits, transactions that are longer than what is compared, and records that are."""
    commits = [
        *(store(b"user.%04d" % number) for number in range(700)),
        store(*(b"more.%04d" % number for number in range(900))),
        store(b"large", value=b"v" * (2 * TAIL_BYTES)),
        *(store(b"last.%04d" % number) for number in range(3)),
        delete(b"user.0007"),
        store(b"user.anna", value=b"another"),
    ]
    disk.put(disk.image())
    reader = disk.reader()
    reader.state()
    for count in (1, 2, 100, 400, 699, 700, 701, 702, 703, 705, 706, 707):
        before = reader.history
        state = reader.state()
        disk.put(disk.image(*commits[:count]))
        assert reader.state() != state
        assert reader.history is before
        keys = reader.changes(state)
        assert keys is None or {key for _, key, _ in commits[count - 1] if key} <= keys
    reader.close()


def test_a_difference_is_found_at_either_end_of_what_is_compared(disk: Disk) -> None:
    """Its first record and its last one, in a long history."""
    image = disk.image(*(store(b"user.%04d" % n, value=b"v" * 120) for n in range(600)))
    disk.put(image)
    reader = disk.reader()
    reader.state()
    tail = reader._history.tail
    assert TAIL_BYTES - 500 < tail.end - tail.start <= 2 * TAIL_BYTES
    for number in range(2):
        state = reader.state()
        begin = (
            image.index(b"user.0", tail.start) if number else image.rindex(b"user.0", 0, tail.end)
        )
        changed = bytearray(image)
        changed[begin : begin + 4] = b"USER"
        disk.put(bytes(changed))
        assert reader.state() != state
        disk.put(image)
        assert reader.state() != state
    reader.close()


def test_what_is_kept_moves_on_with_the_log(disk: Disk) -> None:
    """Pointers may change in all of it, and a difference anywhere is found, also behind a trim."""
    commits = [store(b"user.%04d" % number, value=b"v" * 150) for number in range(1000)]
    disk.put(disk.image(*commits[:500]))
    reader = disk.reader()
    reader.state()
    past = reader.history
    for count in range(520, 1001, 60):
        disk.put(disk.image(*commits[:count]))
        reader.state()
        assert reader.history is past
    # Neighbours of what is kept get other pointers.
    image = disk.image(*commits, store(*(b"user.09%02dx" % number for number in range(0, 100, 9))))
    disk.put(image)
    reader.state()
    assert reader.history is past
    tail = reader._history.tail
    assert tail.start > DUMMY_END
    for number in (990, 995, 999):
        at = image.index(b"user.%04d" % number) + 40
        state = reader.state()
        disk.put(image[:at] + b"w" + image[at + 1 :])
        assert reader.state() != state
        disk.put(image)
    reader.close()


def test_another_past_with_much_more_behind_it_is_another_one(disk: Disk) -> None:
    """However much has been appended since."""
    more = [store(b"user.%04d" % number, value=b"v" * 150) for number in range(600)]
    first, second = PASTS["another recipient"]
    disk.put(disk.image(first))
    reader = disk.reader()
    state, past = reader.state(), reader.history
    disk.put(disk.image(second, *more))
    assert reader.state() != state
    assert reader.history is not past
    reader.close()


def test_another_past_whose_last_record_is_longer_than_what_is_compared(disk: Disk) -> None:
    """Behind it there is little more than the commit, which is the same in both."""
    pasts = [store(b"large", value=letter * (TAIL_BYTES + 4096)) for letter in (b"v", b"w")]
    disk.put(disk.image(pasts[0]))
    reader = disk.reader()
    state, past = reader.state(), reader.history
    disk.put(disk.image(pasts[1]))
    assert reader.state() != state
    assert reader.history is not past
    reader.close()


@pytest.mark.parametrize("disk", ["twoskip", "twom"], indirect=True)
def test_what_is_appended_and_is_no_record_is_no_history(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is remembered of a file that does not read as a log."""
    let_age(monkeypatch)
    disk.put(disk.image())
    reader = disk.reader()
    states = [reader.state()]
    image = disk.image(store(b"user.ruth"), store(b"user.mary"))
    at = image.index(b"user.ruth")
    disk.put(image[: at - 40] + b"\xee" * 60 + image[at + 20 :])
    for _ in range(2):
        try:
            states.append(reader.state())
        except DatabaseDamaged:
            continue
    assert len(set(states)) == len(states)
    disk.put(image)
    reader.close()


def test_where_records_do_not_lead_to_the_end_every_look_is_at_another_state(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damage in what is compared proves nothing, until it is mended."""
    let_age(monkeypatch)
    image = disk.image(*(store(b"user.%04d" % number) for number in range(40)))
    disk.put(image)
    view = FileView(str(disk.path))
    reader = disk._open(view)
    state = reader.state()
    at = image.rindex(b"user.0003") - 60
    damaged = bytearray(image)
    damaged[at : at + 50] = b"\xee" * 50
    disk.put(bytes(damaged))
    assert _states(reader) == {None} or len(_states(reader)) == 2
    disk.put(image)
    mended = disk.reader()
    assert mended.state() != state
    assert mended.state() == mended.state()
    mended.close()
    reader.close()


def _states(reader: Reader) -> set[object]:
    """Two looks; None for each that is a fault."""
    found: set[object] = set()
    for _ in range(2):
        try:
            found.add(reader.state())
        except DatabaseDamaged:
            found.add(None)
    return found


@pytest.fixture
def twoskip(tmp_path: Path) -> Iterator[tuple[Disk, Twoskip]]:
    """A twoskip file with a long log, and its reader."""
    disk = Disk(tmp_path, "twoskip")
    disk.put(disk.image(*(store(b"user.%04d" % number) for number in range(300))))
    reader = disk.reader()
    assert isinstance(reader, Twoskip)
    yield disk, reader
    reader.close()


def test_nothing_is_compared_while_nobody_writes(
    twoskip: tuple[Disk, Twoskip], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look is two system calls then."""
    disk, reader = twoskip
    let_age(monkeypatch)
    state = reader.state()
    compared = []

    def peek(view: FileView, offset: int, length: int) -> bytes:
        compared.append((offset, length))
        return os.pread(view._fd, length, offset)

    monkeypatch.setattr(FileView, "peek", peek)
    for _ in range(3):
        assert reader.state() == state
    assert compared == [(0, HEADER_SIZE)] * 3
    os.utime(disk.path, (1, 1))
    assert reader.state() == state
    assert len(compared) == 5
    assert reader.state() == state
    assert len(compared) == 6


def test_what_was_once_overwritten_is_only_what_a_look_up_finds(disk: Disk) -> None:
    """Cyrus' own processes may write into it what its log does not explain."""
    first, second = (disk.image(part) for part in PASTS["another recipient"])
    disk.put(first)
    reader = disk.reader()
    reader.state()
    assert not reader.overwritten
    disk.put(second)
    state = reader.state()
    assert reader.overwritten
    disk.put(disk.image(PASTS["another recipient"][1], store(b"user.ruth")))
    assert reader.state() != state
    assert reader.changes(state) is None
    reader.close()


def test_a_file_stays_overwritten_for_its_next_reader_and_until_another_takes_its_place(
    disk: Disk,
) -> None:
    """A fault on the way, as while it was half written, may be all that was seen of it."""
    first, second = (disk.image(part) for part in PASTS["another recipient"])
    form = "twoskip"
    disk.put(first)
    database = ReopeningDatabase(str(disk.path), form)
    state = database.state()
    disk.put(second[:100])
    with pytest.raises(StoreError):
        database.get(b"user.fred")
    disk.put(first)
    again = database.state()
    assert again != state
    disk.put(disk.image(PASTS["another recipient"][0], store(b"user.ruth")))
    assert database.state() != again
    assert database.changes(again) is None
    os.rename(disk.path, disk.path.with_name("kept"))
    disk.put(first)
    state = database.state()
    disk.put(disk.image(PASTS["another recipient"][0], store(b"user.ruth")))
    database.state()
    assert database.changes(state) == frozenset([b"user.ruth"])
    database.close()
