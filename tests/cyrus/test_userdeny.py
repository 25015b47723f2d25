"""userdeny: records, services and what the blocked user is told."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cyrus.db.reopening import ReopeningDatabase
from gateway.cyrus.userdeny import DEFAULT_MESSAGE, MAX_MESSAGE, Denial, UserDeny
from gateway.errors import DatabaseMissing, DatabaseUnavailable
from tests.support.memory import MemoryDatabase

# record, what the user is told at service smmap; None where he is not blocked
CASES = [
    (b"2\t*\tAccount closed", b"Account closed"),
    (b"2\t*", DEFAULT_MESSAGE),
    (b"2\t*\t", DEFAULT_MESSAGE),
    (b"2\t*\t ", b" "),
    (b"1\tsmmap", DEFAULT_MESSAGE),
    (b"1\tsmmap\ttext", None),
    (b"2\timap", None),
    (b"2\timap,pop3,smmap", DEFAULT_MESSAGE),
    (b"2\timap, smmap", None),
    (b"2\t,,smmap,", DEFAULT_MESSAGE),
    (b"2\tsmm*", DEFAULT_MESSAGE),
    (b"2\tSMMAP", None),
    # the first match from the left decides
    (b"2\t!smmap,*", None),
    (b"2\tsmmap,!smmap", DEFAULT_MESSAGE),
    (b"2\t!imap", None),
    (b"2\t!imap,*", DEFAULT_MESSAGE),
    (b"2\t!!smmap", None),
    (b"2\t!", None),
    # control bytes become blanks, a tab belongs to the message
    (b"2\t*\ttab\there and\rCR", b"tab here and CR"),
    (b"2\t*\t\x7f\xc3\xb6", b"\x7f\xc3\xb6"),
    (b"2\t*\ttext\0more", b"text"),
    (b"2\t*\t" + b"L" * 5000, b"L" * MAX_MESSAGE),
    # versions
    (b"3\t*\ttext", None),
    (b"0\t*\ttext", None),
    (b"-1\t*\ttext", None),
    (b" 2\t*", DEFAULT_MESSAGE),
    (b"\t+02\t*", DEFAULT_MESSAGE),
    (b"+2\t*", DEFAULT_MESSAGE),
    (b"++2\t*", None),
    (b"2x\t*", None),
    (b"2 \t*", None),
    (b"2", None),
    (b"2,*", None),
    (b"garbage", None),
    (b"", None),
    (b"\0", None),
    (b"9" * 5000 + b"\t*", None),
]


@pytest.mark.parametrize(("record", "message"), CASES)
def test_a_record_blocks_with_its_text(record: bytes, message: bytes | None) -> None:
    """Each record blocks with its text, or does not block at all."""
    denial = UserDeny(MemoryDatabase({b"fred": record})).check(b"fred", b"smmap")
    assert (denial.message if denial is not None else None) == message


def test_the_pattern_is_reported() -> None:
    """The denial names the pattern that matched, for the log."""
    deny = UserDeny(MemoryDatabase({b"fred": b"2\timap,s*\tno"}))
    assert deny.check(b"fred", b"smmap") == Denial(b"s*", b"no")


@pytest.mark.parametrize("userid", [b"", b"other", b"fre", b"fred\0", b"Fred"])
def test_other_users_are_not_blocked(userid: bytes) -> None:
    """The whole userid is the key; nobody has an empty one or one with a NUL."""
    assert UserDeny(MemoryDatabase({b"fred": b"2\t*", b"": b"2\t*"})).check(userid, b"x") is None


def test_without_a_database_nobody_is_blocked() -> None:
    """A user_deny.db that does not exist is the normal state."""
    assert UserDeny(MemoryDatabase(None)).check(b"fred", b"smmap") is None


def test_a_database_that_goes_away_blocks_whom_it_blocked(tmp_path: Path) -> None:
    """Which user is blocked is not known any more, so nobody passes."""
    path = tmp_path / "user_deny.db"
    deny = UserDeny(ReopeningDatabase(str(path), "flat"))

    def blocks_nobody() -> bool:
        with contextlib.suppress(DatabaseMissing):
            deny.database.state()
        return deny.blocks_nobody

    assert blocks_nobody()
    assert deny.check(b"fred", b"smmap") is None
    path.write_bytes(b"fred\t2\xff\x89*\n")
    assert not blocks_nobody()
    assert deny.check(b"fred", b"smmap") is not None
    path.unlink()
    assert not blocks_nobody()
    with pytest.raises(DatabaseUnavailable, match="was there and is missing"):
        deny.check(b"fred", b"smmap")


@given(st.binary(), st.binary())
def test_no_record_raises_anything(record: bytes, service: bytes) -> None:
    """No record raises anything, and what is told fits one line."""
    denial = UserDeny(MemoryDatabase({b"fred": record})).check(b"fred", service)
    if denial is not None:
        assert 0 < len(denial.message) <= MAX_MESSAGE
        assert min(denial.message) >= 0x20
