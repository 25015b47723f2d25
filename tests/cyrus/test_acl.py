"""ACLs: what nobody in particular may do with a shared folder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cyrus import acl

L, P = acl.LOOKUP, acl.POST

CASES = [
    (b"", 0),
    (b"anyone\tlrsp\t", L | P),
    (b"anyone\tlrs\t", L),
    (b"anyone\tp\t", P),
    (b"anonymous\tp\t", P),
    (b"anyone\tl\tanonymous\tp\t", L | P),
    (b"fred\tlrsp\tgroup:mail\tlrsp\tadmin\tlrswipkxtecda\t", 0),
    (b"anyone\tlp\t-anyone\tp\t", L),
    (b"-anyone\tp\tanyone\tlp\t", L),
    (b"anyone\tlrsp\t-anonymous\tlp\t", 0),
    (b"anyone\tlp\t-fred\tlp\t", L | P),
    (b"Anyone\tlp\t", 0),
    (b"anyone\tP\t", 0),
    (b"anyone\tl~p\t", L | P),
    # not complete: the last pair does not count
    (b"anyone\tp", 0),
    (b"anyone", 0),
    (b"anyone\tl\tanyone\tp", L),
    # an empty identifier in the middle shifts nothing
    (b"\tp\tanyone\tl\t", L),
    (b"anyone\t\tanonymous\tp\t", P),
    (b"anyone\tl\t\0anyone\tp\t", L),
]


@pytest.mark.parametrize(("text", "mask"), CASES)
def test_who_may_see_and_post(text: bytes, mask: int) -> None:
    """`anyone` and `anonymous` count, negative rights last, half a pair not at all."""
    assert acl.rights(text) & (L | P) == mask


@pytest.mark.parametrize(
    ("letters", "mask"),
    [
        (b"c", acl.CREATE | acl.DELETEMBOX),
        (b"ck", acl.CREATE),
        (b"cx", acl.DELETEMBOX),
        (b"d", acl.DELETEMSG | acl.EXPUNGE),
        (b"dt", acl.DELETEMSG),
        (b"cd", acl.CREATE | acl.DELETEMBOX | acl.DELETEMSG | acl.EXPUNGE),
        (b"lrswip", acl.LOOKUP | acl.READ | acl.SETSEEN | acl.WRITE | acl.INSERT | acl.POST),
        (
            b"kxtean",
            acl.CREATE | acl.DELETEMBOX | acl.DELETEMSG | acl.EXPUNGE | acl.ADMIN | acl.ANNOTATEMSG,
        ),
        (b"0123456789", 0),
    ],
)
def test_older_letters_stand_for_their_members(letters: bytes, mask: int) -> None:
    """The older c and d stand for their members unless one of these is given."""
    assert acl.rights(b"fred\t%b\t" % letters, {b"fred"}) == mask


def test_each_right_is_a_bit_of_its_own() -> None:
    """No letter gives what another one gives."""
    letters = [bytes([letter]) for letter in b"lrswipkxtean"]
    masks = [acl.rights(b"fred\t%b\t" % letter, {b"fred"}) for letter in letters]
    assert masks == [2**place for place in range(len(letters))]


@given(st.binary())
def test_no_acl_raises_anything(text: bytes) -> None:
    """No ACL raises anything."""
    assert acl.rights(text) >= 0
