"""The door of the milter: who waits on the listening socket's descriptor, and when nobody comes."""

from __future__ import annotations

import os
import resource
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from gateway.daemon.milterdoor import HELD_BACK, MilterDoor

# Open files of this process while a test runs, beyond those that it has: more than are held back.
MORE = 200


def limit() -> int:
    """The numbers that descriptors may have: what is open now, and MORE."""
    return max(map(int, os.listdir("/proc/self/fd"))) + MORE


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """A listening socket, in a process that may open few files more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket"))
        made.listen(16)
        made.setblocking(False)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit(), hard))
        yield made
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(listener: socket.socket) -> socket.socket:
    """A client of the true socket."""
    made = socket.socket(socket.AF_UNIX)
    made.connect(listener.getsockname())
    return made


def comes(listener: socket.socket) -> bool:
    """Whether libmilter would find a client."""
    return bool(select.select([listener], [], [], 0)[0])


def take_all() -> Iterator[int]:
    """Every descriptor that there is."""
    while True:
        try:
            yield os.dup(0)
        except OSError:
            return


def test_it_shuts_when_no_descriptor_is_left_and_opens_when_there_is_room(
    listener: socket.socket,
) -> None:
    """While it is shut there is room for databases, and clients wait."""
    with ExitStack() as stack:
        client = stack.enter_context(connect(listener))
        path = listener.getsockname()
        door = stack.enter_context(closing(MilterDoor(listener)))
        assert not door.look()
        assert comes(listener)
        taken = list(take_all())
        assert door.look()
        assert not door.open
        assert not comes(listener)
        free = list(take_all())
        assert len(free) >= min(HELD_BACK, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 8)
        for descriptor in free:
            os.close(descriptor)
        for _ in range(3):
            assert not door.look()
        for descriptor in taken:
            os.close(descriptor)
        assert door.look()
        assert door.open
        assert comes(listener)
        accepted, _ = listener.accept()
        accepted.close()
        assert client.recv(1) == b""
        assert listener.getsockname() == path


def test_who_waits_on_the_decoy_is_woken(listener: socket.socket) -> None:
    """libmilter looks for a client for five seconds; it need not wait them out."""
    with closing(MilterDoor(listener)) as door, select.epoll() as looking:
        door.shut()
        # What a poll(2) that has begun looks at is the socket, not its number.
        waiting = os.dup(listener.fileno())
        looking.register(waiting, select.EPOLLIN)
        assert not looking.poll(0)
        assert door.look()
        assert looking.poll(10)
        assert not comes(listener)
        # The next time nobody is left there.
        door.shut()
        assert not comes(listener)
        os.close(waiting)
