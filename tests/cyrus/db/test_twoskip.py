"""twoskip: committed states, whatever is in the file beside them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.order import MAILBOX
from gateway.cyrus.db.twoskip import twoskip
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from gateway.errors import DatabaseUnavailable, StoreError
from tests.golden import FOLDER
from tests.support.twoskip_disk import ABSENT, KEYS, Disk, Interrupted
from tests.support.twoskip_writer import Step, Writer

GOLDEN = (
    "head-twoskip/conf/mailboxes.db",
    "head-twoskip-qtwoskip/conf/mailboxes.db",
    "head-twoskip-qtwoskip/conf/quotas.db",
)


def _check(database: Twoskip, committed: Mapping[bytes, bytes]) -> None:
    """The database holds exactly `committed`, by every way of asking."""
    assert dict(database.items()) == committed
    for key in KEYS + ABSENT:
        assert database.get(key) == committed.get(key), key


Operation = tuple[str, bytes, bytes]
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["store", "store", "delete", "commit", "abort"]),
        st.sampled_from(KEYS),
        st.binary(max_size=12),
    ),
    max_size=25,
)


def _written(operations: list[Operation], seed: int, table: bytes | None = None) -> Writer:
    writer = Writer(seed=seed, table=table)
    actions: dict[str, Callable[[bytes, bytes], None]] = {
        "store": writer.store,
        "delete": lambda key, _value: writer.delete(key),
        "commit": lambda _key, _value: writer.commit(),
        "abort": lambda _key, _value: writer.recover(),
    }
    for action, key, value in operations:
        actions[action](key, value)
    return writer


# Golden files that Cyrus wrote.


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_files_are_read_completely(name: str) -> None:
    """Every record that the header counts is listed, in order, and found by its key."""
    database = Twoskip(FileView(f"{FOLDER}/{name}"))
    records = list(database.items())
    header = FileView(f"{FOLDER}/{name}").read(0, 64)
    assert len(records) == int.from_bytes(header[32:40], "big")
    assert [key for key, _value in records] == sorted(key for key, _value in records)
    for key, value in records:
        assert database.get(key) == value
        assert database.get(key + b"\0") is None
        assert database.get(b"-" + key) is None
    some = [record for record in records if record[0].startswith(b"Nuser\x1f")]
    assert list(database.items(b"Nuser\x1f")) == some
    database.close()


# What a writer leaves behind.


@settings(max_examples=60, deadline=None)
@given(operations=OPERATIONS, seed=st.integers(0, 999), mboxsort=st.booleans())
def test_after_each_step_the_last_commit_is_seen(
    disk: Disk, operations: list[Operation], seed: int, mboxsort: bool
) -> None:
    """Between any two writes, open, aborted or died transactions included, only commits show."""
    writer = _written(operations, seed)
    os.ftruncate(disk.fd, 0)
    for number, step in enumerate(writer.steps):
        step.apply(disk.fd)
        if number:  # The file begins to exist with its header, the second write.
            database = disk.reader(mboxsort=mboxsort)
            _check(database, step.committed)
            database.close()


@settings(max_examples=60, deadline=None)
@given(operations=OPERATIONS, seed=st.integers(0, 999), data=st.data())
def test_half_a_write_is_never_a_wrong_answer(
    disk: Disk, operations: list[Operation], seed: int, data: st.DataObject
) -> None:
    """In the middle of a write the answer is committed before or after it, or an error."""
    writer = _written(operations, seed)
    torn = data.draw(st.integers(2, max(2, len(writer.steps) - 1)))
    disk.begin(writer.steps[:torn])
    states = [writer.steps[torn - 1].committed]
    for step in writer.steps[torn : torn + 1]:
        step.apply(disk.fd, part=data.draw(st.integers(0, len(step.data or b""))))
        states.append(step.committed)
    database = disk.reader()
    for key in KEYS + ABSENT:
        try:
            found = database.get(key)
        except StoreError:
            continue
        assert found in [state.get(key) for state in states]
    database.close()


@settings(max_examples=150, deadline=None)
@given(
    operations=OPERATIONS,
    seed=st.integers(0, 999),
    start=st.integers(2, 60),
    pauses=st.lists(st.integers(0, 12), max_size=60),
    key=st.sampled_from(KEYS + ABSENT),
)
def test_a_writer_between_any_two_reads_does_no_harm(
    disk: Disk, operations: list[Operation], seed: int, start: int, pauses: list[int], key: bytes
) -> None:
    """Whatever a writer does during a look-up, the answer was true at some moment of it."""
    steps = _written(operations, seed).steps
    disk.begin(steps[:start])
    view = Interrupted(disk.path, steps[start:], pauses)
    database = Twoskip(view)
    possible = [steps[min(start, len(steps)) - 1].committed, *view.seen]
    answer = database.get(key)
    possible += view.seen
    assert answer in [state.get(key) for state in possible]
    database.close()


@settings(max_examples=60, deadline=None)
@given(
    operations=OPERATIONS, seed=st.integers(0, 999), pauses=st.lists(st.integers(0, 9), max_size=80)
)
def test_listing_while_a_writer_works(
    disk: Disk, operations: list[Operation], seed: int, pauses: list[int]
) -> None:
    """`items` gives only committed values, no key twice, and all that were there all the time."""
    steps = _written(operations, seed).steps
    disk.begin(steps[:2])
    view = Interrupted(disk.path, steps[2:], pauses)
    before = steps[1].committed
    database = Twoskip(view)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twoskip, "BATCH", 2)
        records = list(database.items())
    database.close()
    states = [before, *view.seen]
    assert len({key for key, _value in records}) == len(records)
    for key, value in records:
        assert value in [state.get(key) for state in states]
    always = {key for key in before if all(key in state for state in states)}
    assert always <= {key for key, _value in records}


def test_repacked_files_hold_the_same(disk: Disk) -> None:
    """A repack makes another generation of the same records."""
    writer = Writer(seed=3)
    for number in range(300):
        writer.store(b"key%03d" % (number % 100), b"value %d" % number)
        writer.commit()
    writer.delete(b"key050")
    writer.commit()
    disk.apply(writer)
    old = disk.reader()
    records = list(old.items())
    state = old.state()
    old.close()
    disk.apply(writer.repacked())
    new = disk.reader()
    assert dict(records) == writer.committed
    assert list(new.items()) == records
    assert new.state() != state
    assert new.changes(state) is None
    new.close()


# Shapes of records and orders.


@pytest.mark.parametrize("long_lengths", [False, True])
@pytest.mark.parametrize("mboxsort", [False, True])
def test_records_of_every_size(disk: Disk, long_lengths: bool, mboxsort: bool) -> None:
    """Keys and values of any length are read, with short and with 64-bit lengths."""
    writer = Writer(seed=4, long_lengths=long_lengths)
    sizes = (0, 1, 7, 8, 9, 300, 430, 480, 500, 65534, 65535, 70000)
    records = {b"k" * size + b"%d" % size: b"v" * other for size in sizes for other in sizes}
    writer.fill(records.items())
    disk.apply(writer)
    database = disk.reader(mboxsort=mboxsort)
    assert dict(database.items()) == records
    for key, value in records.items():
        assert database.get(key) == value
        assert database.get(key + b"x") is None
    database.close()


@settings(max_examples=60, deadline=None)
@given(
    keys=st.sets(st.binary(min_size=1, max_size=4).map(lambda key: key + b"."), max_size=40)
    | st.sets(st.text(alphabet="a.-\x1f ", min_size=1, max_size=5).map(str.encode), max_size=40),
    sorted_as_mailboxes=st.booleans(),
    configured=st.booleans(),
    seed=st.integers(0, 9),
)
def test_the_order_in_the_file_decides(
    disk: Disk,
    keys: set[bytes],
    sorted_as_mailboxes: bool,
    configured: bool,
    seed: int,
) -> None:
    """Whichever order the file has and the configuration names, everything is found."""
    # Keys that differ in TAB and LF alone cannot both be in a file in mailbox order.
    distinct = {key.translate(MAILBOX): key for key in keys}.values()
    table = MAILBOX if sorted_as_mailboxes else None
    writer = Writer(seed=seed, table=table)
    writer.fill((key, b"value of " + key) for key in distinct)
    disk.apply(writer)
    database = disk.reader(mboxsort=configured)
    ordered = sorted(distinct, key=lambda key: key.translate(table))
    assert [key for key, _value in database.items()] == ordered
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twoskip, "BATCH", 3)
        for prefix in {key[:length] for key in distinct for length in (1, 2)} | {b"a-", b"."}:
            expected = [key for key in ordered if key.startswith(prefix)]
            assert [key for key, _value in database.items(prefix)] == expected
    for key in distinct:
        assert database.get(key) == b"value of " + key
        for absent in (key + b"-", key[:-1], key + b".", b"-" + key):
            assert (database.get(absent) is not None) == (absent in distinct)
    database.close()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("table", [None, MAILBOX])
@pytest.mark.parametrize("configured", [False, True])
def test_a_search_in_the_wrong_order_is_not_believed(
    disk: Disk, configured: bool, table: bytes | None, seed: int
) -> None:
    """It may end in good order and miss the key, or meet keys that go down."""
    names = (b"fred", b"fred.a", b"fred-x", b"fred.b", b"fred-y", b"g", b"h")
    keys = [b"user." + name for name in names]
    writer = Writer(seed=seed, table=table)
    writer.fill((key, b"value of " + key) for key in keys)
    disk.apply(writer)
    database = disk.reader(mboxsort=configured)
    for key in keys:
        assert database.get(key) == b"value of " + key
    database.close()


@pytest.mark.parametrize("configured", [False, True])
def test_keys_that_mailbox_order_takes_for_the_same(disk: Disk, configured: bool) -> None:
    """TAB and LF are alike there; in a file in plain order both are found all the same."""
    writer = Writer(seed=1)
    writer.fill((key, b"value of " + key) for key in (b"b\tc", b"b\nc"))
    disk.apply(writer)
    database = disk.reader(mboxsort=configured)
    for key in (b"b\tc", b"b\nc"):
        assert database.get(key) == b"value of " + key
    database.close()


# States.


def test_a_state_lasts_until_the_next_commit(disk: Disk) -> None:
    """Reading leaves the state as it is; a commit never gives an old one back."""
    writer = Writer(seed=7)
    states = set()
    for number in range(20):
        writer.store(b"key", b"%d" % number)
        writer.commit()
        disk.apply(writer)
        database = disk.reader()
        state = database.state()
        database.get(b"key")
        assert database.state(b"key") == state
        states.add(state)
        database.close()
    assert len(states) == 20


def test_a_writer_without_pause_is_an_error_in_the_end(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a commit comes into every attempt, the answer is an error and not an endless loop."""
    monkeypatch.setattr(twoskip, "ATTEMPTS", 10)
    writer = Writer(seed=10)
    writer.fill((key, b"value") for key in KEYS)
    disk.apply(writer)
    done = len(writer.steps)
    for number in range(300):
        writer.store(b"a", b"%d" % number)
        writer.commit()
    commits: list[Step] = writer.steps[done:]
    # Each look-up of a key reads more than twice, and each read lets a whole commit pass.
    view = Interrupted(disk.path, commits, [8] * 100_000)
    database = Twoskip(view)
    with pytest.raises(DatabaseUnavailable, match="attempts"):
        database.get(b"user.fred")
    assert view.counts.retries == 10
    database.close()
