"""A dict of very many keys: it answers as a dict does, and lets go in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.verification import largedict
from gateway.verification.largedict import LargeDict

KEYS = st.integers(0, 40).map(lambda number: b"key%d" % number)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.integers()),
        st.tuples(st.just("pop"), KEYS, st.just(0)),
        st.tuples(st.just("aside"), st.just(b""), st.just(0)),
        st.tuples(st.just("release"), st.just(b""), st.integers(0, 9)),
    )
)


@given(steps=STEPS, most=st.sampled_from((100, 1000)))
def test_it_answers_as_a_dict_does(steps: list[tuple[str, bytes, int]], most: int) -> None:
    """Whatever is kept, taken away, put aside and let go, in any order; in one dict or in many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(largedict, "PIECE", 128 if most == 100 else 4)
        found: LargeDict[bytes, int] = LargeDict(most)
        found._each = 1000  # whatever the hashes are, nobody gives way
        wanted: dict[bytes, int] = {}
        for step, key, value in steps:
            if step == "put":
                assert not found.put(key, value)
                wanted[key] = value
            elif step == "pop":
                assert found.pop(key) == wanted.pop(key, None)
            elif step == "aside":
                found.put_aside()
                found._each = 1000
                wanted.clear()
            else:
                found.release(value)
            assert sorted(found) == sorted(wanted)
            assert len(found) == len(wanted)
            assert found.get(key) == wanted.get(key)
            assert (key in found) is (key in wanted)
            newest = found.newest.get(key)
            assert (found.older(key) if newest is None else newest) == wanted.get(key)


@pytest.mark.parametrize("most", [1, 16, 100, 1000])
def test_memory_is_bounded_and_the_oldest_give_way(most: int) -> None:
    """What is dropped is told, and is older than those that are left."""
    found: LargeDict[int, int] = LargeDict(most)
    gone: set[int] = set()
    for number in range(3 * most):
        gone.update(found.put(number, number))
        assert len(found) <= most
        assert found.get(number) == number
    assert gone | set(found) == set(range(3 * most))
    assert max(gone) < min(found)


def test_as_many_as_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """In many dicts none is larger than it may be, and all of those who come last are there."""
    monkeypatch.setattr(largedict, "PIECE", 64)
    found: LargeDict[bytes, int] = LargeDict(1024)
    gone: list[int] = []
    for number in range(5000):
        gone += found.put(b"key%d" % number, number)
        assert len(found) <= 1024
        assert len(found.newest) <= len(found._moving) + 128
        assert max(map(len, found._older), default=0) <= 768 // 13
    left = [found.get(key) or 0 for key in found]
    assert sorted([*gone, *left]) == [*range(5000)]
    assert len(found) > 768
    assert all(found.get(b"key%d" % number) == number for number in range(4800, 5000))
    assert len(found._older) % 2
    found.put_aside()
    for number in range(5000):
        found.put(b"key%d" % number, number)
    assert 768 < len(found) <= 1024
    found.put_aside(10)
    for number in range(5000):
        found.put(b"key%d" % number, number)
    assert len(found) <= 10


@pytest.mark.parametrize(("most", "newest"), [(64, 64), (65, 16), (256, 64), (1024, 128)])
def test_how_many_are_the_newest(monkeypatch: pytest.MonkeyPatch, most: int, newest: int) -> None:
    """All where one dict is enough, else a quarter or two pieces, whichever is less."""
    monkeypatch.setattr(largedict, "PIECE", 64)
    found: LargeDict[int, int] = LargeDict(most)
    for number in range(newest):
        found.put(number, number)
    assert len(found.newest) == newest
    assert bool(found.put(newest, newest)) is (most == 64)
    assert len(found.newest) == (61 if most == 64 else 1)


def test_a_key_is_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept again when it is not among the newest any more, it is the newest, and only once there."""
    monkeypatch.setattr(largedict, "PIECE", 64)
    found: LargeDict[int, int] = LargeDict(1024)
    for number in range(700):
        found.put(number, number)
    assert 3 not in found.newest
    assert found.older(3) == 3
    assert not found.put(3, 33)
    assert (found.newest[3], found.older(3), found.get(3)) == (33, None, 33)
    assert (found.pop(3), found.get(3), found.pop(3)) == (33, None, None)
    assert (found.pop(4), found.get(4), found.pop(4)) == (4, None, None)


@pytest.mark.parametrize(("most", "left"), [(2, 2), (64, 61)])
def test_a_sixteenth_gives_way(most: int, left: int) -> None:
    """One at least."""
    found: LargeDict[int, int] = LargeDict(most)
    for number in range(most + 1):
        found.put(number, number)
    assert len(found) == left


def test_a_value_that_is_kept_again_pushes_nobody_out() -> None:
    """It has its place already."""
    found: LargeDict[int, str] = LargeDict(2)
    for number in (1, 2, 1, 2):
        assert not found.put(number, "x")
    assert sorted(found) == [1, 2]


def test_what_was_put_aside_is_let_go_in_pieces() -> None:
    """In idle time, and with each addition; nothing of it is found any more."""
    found: LargeDict[int, object] = LargeDict(1000)

    class Value:
        """Tells when it is let go."""

        alive = 0

        def __init__(self) -> None:
            Value.alive += 1

        def __del__(self) -> None:
            Value.alive -= 1

    for number in range(100):
        found.put(number, Value())
    found.put_aside()
    assert not len(found)
    assert Value.alive == 100
    assert found.release(30)
    assert Value.alive == 70
    found.put(1, "x")
    assert Value.alive == 70 - largedict._RELEASED
    assert list(found) == [1]
    assert found.release(1)
    assert Value.alive == 70 - largedict._RELEASED - 1
    assert found.release(Value.alive)
    assert Value.alive == 0
    assert not found.release(30)
    assert list(found) == [1]


def test_fewer_from_now_on() -> None:
    """And never more than before."""
    found: LargeDict[int, int] = LargeDict(100)
    found.put_aside(10)
    for number in range(50):
        found.put(number, number)
    assert len(found) <= 10
    found.put_aside(1000)
    for number in range(50):
        found.put(number, number)
    assert len(found) <= 10


@pytest.mark.parametrize("most", [15, 16, 17, 18, 24, 31, 32, 33, 47, 63, 64, 65, 100, 129, 300])
def test_never_more_than_said(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the room is divided among dicts; and of all that comes a good part is there."""
    monkeypatch.setattr(largedict, "PIECE", 16)
    found: LargeDict[int, int] = LargeDict(most)
    for number in range(20 * most):
        found.put(number * 7919, number)
        assert len(found) <= most
    assert len(found) >= most // 2
