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


@given(steps=STEPS)
def test_it_answers_as_a_dict_does(steps: list[tuple[str, bytes, int]]) -> None:
    """Whatever is kept, taken away, put aside and let go, in any order."""
    found: LargeDict[bytes, int] = LargeDict(40 * largedict.PIECE)
    wanted: dict[bytes, int] = {}
    for step, key, value in steps:
        if step == "put":
            assert not found.put(key, value)
            wanted[key] = value
        elif step == "pop":
            assert found.pop(key) == wanted.pop(key, None)
        elif step == "aside":
            found.put_aside()
            wanted.clear()
        else:
            found.release(value)
        assert sorted(found) == sorted(wanted)
        assert len(found) == len(wanted)
        assert found.get(key) == wanted.get(key)
        assert (key in found) is (key in wanted)
        assert found.dicts[hash(key) % len(found.dicts)].get(key) == wanted.get(key)


@pytest.mark.parametrize("most", [1, 16, 100, 1000])
def test_memory_is_bounded_and_the_oldest_give_way(most: int) -> None:
    """Who gives way is told, and is nobody who came after those that are left."""
    found: LargeDict[int, int] = LargeDict(most)
    gone: set[int] = set()
    for number in range(3 * most):
        gone.update(found.put(number, number))
        assert len(found) <= most
        assert found.get(number) == number
    assert gone | set(found) == set(range(3 * most))
    assert max(gone) < min(found)


def test_as_many_as_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """In several dicts, too, of which none is larger than a piece."""
    monkeypatch.setattr(largedict, "PIECE", 64)
    found: LargeDict[bytes, int] = LargeDict(1024)
    assert len(found.dicts) % 2
    for number in range(5000):
        found.put(b"key%d" % number, number)
    assert 512 < len(found) <= 1024
    assert max(map(len, found.dicts)) <= 64
    assert found.get(b"key4999") == 4999
    found.put_aside(10)
    for number in range(5000):
        found.put(b"key%d" % number, number)
    assert len(found) == len(found.dicts)


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
    """By whoever has time, and by each that comes; nothing of it is found any more."""
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
