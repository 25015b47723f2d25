"""Which kind of keys a mailbox list has, and for how long that is believed."""

from __future__ import annotations

import pytest

from gateway.cyrus.keyformat import KeyForm
from tests.support.memory import MemoryDatabase, ReplacedDatabase

USER, OLD_USER, ID = b"Nuser\x1ffred", b"user.fred", b"I1-2"
NEW, OLD = b"%(T e)", b"0 p x\tl\t"
NAMES_ITSELF = b'%(T e N "user\x1ffred")'

# Records, and whether the list is newer.
KINDS: list[tuple[dict[bytes, bytes], bool]] = [
    ({}, True),
    ({USER: NEW}, True),
    ({USER: NEW, OLD_USER: OLD}, True),
    ({b"Nvirt.org\x1duser\x1ffred": NEW}, True),
    ({b"Nshared\x1fnews": NEW}, True),
    ({ID: NAMES_ITSELF}, True),
    ({ID: NAMES_ITSELF, b"Nshared": NEW}, True),
    ({ID: NEW}, False),
    ({b"Info": OLD, b"user.fred": OLD}, False),
    ({b"$RACL": b"", OLD_USER: OLD}, False),
    ({b"Nshared": OLD}, False),
    ({b"Nobody": OLD, OLD_USER: OLD}, False),
    ({b"INBOX.dotted": OLD}, False),
    # What an older list may hold that looks newer.
    ({b"Info": b"%(A %(N lr) I 1 P p)", OLD_USER: OLD}, False),
    ({b"I": b"%(A %(anyone p N lr) I 1 P p)"}, False),
    ({b"Info": b"%(I 1 H (%(N x)) P p)"}, False),
    ({b"News": OLD, b"Info": OLD}, False),
    ({b"$offers": OLD, b"Nobody": OLD}, False),
    ({b"$RACL$A$x": b"", b"$RUNQ$1": b"", OLD_USER: OLD}, False),
    # And the other way round.
    ({b"Nobody": NEW, b"I1-2": b"%(A %(I lr) N Nobody)"}, True),
    ({b"Nuser.q\x1dz": NEW}, True),
    ({b"I0": b"%(damaged", b"Nnews": NEW, b"Nvirt.org\x1duser\x1ffred": NEW}, True),
    ({b"A\x1ffred": b"", b"I0": b"%(T e", b"I1": NAMES_ITSELF, b"Nnews": NEW}, True),
    ({b"Archive": OLD, b"Jobs": OLD}, False),
    ({b"N%d" % number: OLD for number in range(40)} | {b"user.a": OLD}, False),
]


@pytest.mark.parametrize(("records", "newer"), KINDS)
def test_records_tell_the_kind_of_their_list(records: dict[bytes, bytes], newer: bool) -> None:
    """A user's mailbox or a record with an id makes a list newer, any other record older."""
    form = KeyForm(MemoryDatabase(records))
    assert not form.is_known_newer
    assert form.is_newer() is newer
    assert form.is_known_newer is (newer and bool(records))


@pytest.mark.parametrize(
    ("key", "value"),
    [(USER, NEW), (ID, NAMES_ITSELF)],
)
def test_of_another_file_the_record_that_showed_a_newer_one_is_looked_for(
    key: bytes, value: bytes
) -> None:
    """On an SQL server, where each look is at another file, that is one record and not all."""
    database = ReplacedDatabase({key: value})
    form = KeyForm(database)
    assert form.is_newer()
    database.replace({key: value})
    assert form.is_newer()
    assert (database.asked, database.listed) == ([key], [])


@pytest.mark.parametrize("older", [{OLD_USER: OLD}, {b"$SYNC": b""}, {b"Nshared": OLD}])
def test_what_shows_an_older_list_is_outweighed_by_what_comes_later(
    older: dict[bytes, bytes],
) -> None:
    """It is there as before; a reader that has just begun would call the list newer."""
    told = []
    database = ReplacedDatabase(older)
    form = KeyForm(database, lambda: told.append("older"))
    assert not form.is_newer()
    database.replace({**older, b"Nvirt": NEW})
    assert not form.is_newer()
    assert told == ["older"]
    database.replace({**older, USER: NEW})
    assert form.is_newer()


def test_of_the_same_file_nothing_is_asked_twice() -> None:
    """No record, and no list."""
    database = ReplacedDatabase({OLD_USER: OLD})
    form = KeyForm(database)
    form.is_newer()
    database.listed.clear()
    assert not form.is_newer()
    assert (database.asked, database.listed) == ([], [])


def test_a_newer_key_that_was_found_settles_it() -> None:
    """Nothing else is looked at, until the file is another one."""
    database = ReplacedDatabase({USER: NEW, OLD_USER: OLD})
    form = KeyForm(database)
    assert form.find(USER, OLD_USER) == (NEW, True)
    assert form.is_known_newer
    assert form.is_newer()
    assert (database.asked, database.listed) == ([USER], [])
    database.replace({OLD_USER: OLD})
    assert not form.is_known_newer
    assert not form.is_newer()


# What is there in the other file, and whether it is newer.
AFTERWARDS: list[tuple[dict[bytes, bytes], bool]] = [
    ({ID: NAMES_ITSELF}, True),
    ({ID: OLD, OLD_USER: OLD}, False),
    ({ID: NEW, OLD_USER: OLD}, False),
    ({OLD_USER: OLD}, False),
    ({USER: NEW}, True),
]


@pytest.mark.parametrize(("records", "newer"), AFTERWARDS)
def test_the_same_key_may_be_another_record(records: dict[bytes, bytes], newer: bool) -> None:
    """A shared folder of an older list may have the name that an id record had."""
    database = ReplacedDatabase({ID: NAMES_ITSELF})
    form = KeyForm(database)
    assert form.is_newer()
    database.replace(records)
    assert form.is_newer() is newer
