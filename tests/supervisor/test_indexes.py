"""Indexes that children make: which child makes one, which are given it, and what is kept."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from gateway.observability.metrics.sharedmemory import MetricsSlot, SharedMetrics
from gateway.supervisor import channel, indexes
from gateway.supervisor.channel import Index, Leave, MakeIndex, Supervised
from gateway.supervisor.children import Child
from gateway.supervisor.indexes import MAKING, MOST, SharedIndexes

PATH = "/var/lib/cyrus/mail boxes.db"


class Pair:
    """A child as the supervisor has it, without a process, and its own side."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self.child = Child.__new__(Child)
        self.child.channel = ours
        self.child._reader = channel.ChannelReader(ours)
        self.child.indexes = []
        self.child.wanted_index = ""
        shared = SharedMetrics.create()
        self.own = Supervised(
            name="core",
            index=0,
            generation=1,
            listeners={},
            configuration=b"",
            files={},
            channel=theirs,
            metrics_slot=MetricsSlot(shared, 1, 1),
        )
        self._closing: list[socket.socket | SharedMetrics] = [ours, theirs, shared]

    def heard(self) -> list[channel.Message]:
        """What the child hears."""
        messages = self.own.receive()
        assert messages is not None
        return messages

    def close(self) -> None:
        self.child.close()
        for each in self._closing:
            each.close()


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    """Three children."""
    made = [Pair() for _ in range(3)]
    yield made
    for each in made:
        each.close()


@pytest.fixture
def shared() -> Iterator[SharedIndexes]:
    """What the supervisor keeps."""
    made = SharedIndexes()
    yield made
    made.close()


def tell(shared: SharedIndexes, pair: Pair, pairs: list[Pair]) -> None:
    """The supervisor hears a child."""
    assert pair.child.listen()
    shared.heard(pair.child, [each.child for each in pairs])


def file_of(content: bytes) -> int:
    """A descriptor with that content."""
    descriptor = os.memfd_create("test", os.MFD_CLOEXEC)
    os.write(descriptor, content)
    return descriptor


def share(pair: Pair, content: bytes, path: str = PATH) -> None:
    """The child has made an index."""
    descriptor = file_of(content)
    pair.own.share_index(path, descriptor)
    os.close(descriptor)


def contents(messages: list[channel.Message]) -> list[bytes]:
    """Of the indexes among the messages, which are closed."""
    found = []
    for each in messages:
        if isinstance(each, Index):
            assert not os.get_inheritable(each.descriptor)
            found.append(os.pread(each.descriptor, 99, 0))
            os.close(each.descriptor)
    return found


def test_one_of_those_that_want_an_index_makes_it(pairs: list[Pair], shared: SharedIndexes) -> None:
    """The first; it is reminded where it asks again."""
    for pair in pairs:
        pair.own.wants_index(PATH)
        tell(shared, pair, pairs)
    assert [pair.heard() for pair in pairs] == [[MakeIndex()], [], []]
    pairs[0].own.wants_index(PATH)
    pairs[1].own.wants_index("/another/list")
    for pair in pairs[:2]:
        tell(shared, pair, pairs)
    assert [pair.heard() for pair in pairs] == [[MakeIndex()], [MakeIndex()], []]


def test_what_one_has_made_is_given_to_the_others(pairs: list[Pair], shared: SharedIndexes) -> None:
    """And kept for those that come later."""
    share(pairs[1], b"first")
    tell(shared, pairs[1], pairs)
    assert [contents(pair.heard()) for pair in pairs] == [[b"first"], [], [b"first"]]
    (kept,) = shared.descriptors
    assert os.pread(kept, 99, 0) == b"first"
    share(pairs[0], b"second")
    tell(shared, pairs[0], pairs)
    assert [contents(pair.heard()) for pair in pairs] == [[], [b"second"], [b"second"]]
    (kept,) = shared.descriptors
    assert os.pread(kept, 99, 0) == b"second"


def test_words_and_descriptors_come_in_any_pieces(pairs: list[Pair], shared: SharedIndexes) -> None:
    """Several lines at once, each index with its own descriptor."""
    pairs[0].own.ready()
    share(pairs[0], b"first", "/a")
    pairs[0].own.alive()
    share(pairs[0], b"second", "/b")
    pairs[0].own.wants_index(PATH)
    for _ in range(4):
        tell(shared, pairs[0], pairs)
    assert [os.pread(each, 99, 0) for each in shared.descriptors] == [b"first", b"second"]
    pairs[1].child.stop = lambda patience: None  # type: ignore[method-assign]
    pairs[1].child.tell_restarts("core", 3)
    heard = []
    for _ in range(4):
        heard += pairs[1].heard()
    assert contents(heard) == [b"first", b"second"]
    assert not any(isinstance(each, Leave) for each in heard)
    assert pairs[0].heard() == [MakeIndex()]


def test_what_is_kept_is_bounded(pairs: list[Pair], shared: SharedIndexes) -> None:
    """The oldest gives way, and its descriptor is given back."""
    first: tuple[int, ...] = ()
    for number in range(MOST + 3):
        share(pairs[0], b"%d" % number, f"/{number}")
        tell(shared, pairs[0], [])
        first = first or shared.descriptors
    found = [os.pread(each, 99, 0) for each in shared.descriptors]
    assert found == [b"%d" % number for number in range(3, MOST + 3)]


def test_another_one_makes_it_where_the_first_is_gone_or_hangs(
    pairs: list[Pair], shared: SharedIndexes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, or so slow that nobody waits for it."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for pair in pairs[:2]:
        pair.own.wants_index(PATH)
        tell(shared, pair, pairs)
    assert [pair.heard() for pair in pairs] == [[MakeIndex()], [], []]
    shared.gone(pairs[0].child)
    pairs[1].own.wants_index(PATH)
    tell(shared, pairs[1], pairs)
    assert pairs[1].heard() == [MakeIndex()]
    now[0] += MAKING + 1
    pairs[2].own.wants_index(PATH)
    tell(shared, pairs[2], pairs)
    assert pairs[2].heard() == [MakeIndex()]


def test_nothing_stays_open_of_a_child_that_has_gone(pairs: list[Pair]) -> None:
    """What it has said last, and what nobody has taken."""
    before = len(os.listdir("/proc/self/fd"))
    share(pairs[0], b"first")
    assert pairs[0].child.listen()
    assert len(os.listdir("/proc/self/fd")) == before + 1
    pairs[0].child.close()
    assert len(os.listdir("/proc/self/fd")) == before - 1
    assert indexes.MOST > 0


def test_a_line_without_its_descriptor_is_no_index(
    pairs: list[Pair], shared: SharedIndexes
) -> None:
    """As where this process may open no more files."""
    pairs[0].own._say(f'{channel.INDEX} "{PATH}"')
    tell(shared, pairs[0], pairs)
    assert shared.descriptors == ()
    pairs[0].child.channel.send(f'{channel.INDEX} "{PATH}"\n'.encode())
    assert pairs[0].heard() == []
