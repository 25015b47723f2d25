"""The two orders of keys."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.cyrus.db.order import MAILBOX, PLAIN, orders


def test_mailbox_order_puts_a_folder_behind_its_parent() -> None:
    """In mailbox order `user.a.b` follows `user.a`; in plain order `user.a-x` comes between."""
    names = [b"user.a", b"user.a.b", b"user.a x", b"user.a-x", b"user.ab"]
    assert sorted(names, key=lambda name: name.translate(MAILBOX)) == names
    assert sorted(names) != names


def test_the_lowest_bytes() -> None:
    """NUL, then TAB and LF alike, then the dot, then all others as they are."""
    ranks = bytes(range(256)).translate(MAILBOX)
    assert (ranks[0], ranks[9], ranks[10], ranks[0x2E]) == (0, 1, 1, 2)
    others = [rank for byte, rank in enumerate(ranks) if byte not in (0, 9, 10, 0x2E)]
    assert others == sorted(set(others))
    assert min(others) == 3


@given(st.binary(), st.binary())
def test_only_tab_and_lf_are_confused(first: bytes, second: bytes) -> None:
    """Two keys rank alike only when they are equal but for TAB and LF."""
    alike = first.translate(MAILBOX) == second.translate(MAILBOX)
    assert alike == (first.replace(b"\t", b"\n") == second.replace(b"\t", b"\n"))


def test_the_configured_order_comes_first() -> None:
    """`orders` gives both, the likelier one first."""
    assert orders(False) == (PLAIN, MAILBOX)
    assert orders(True) == (MAILBOX, PLAIN)
