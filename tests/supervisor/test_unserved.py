"""Clients of sockets that no process serves are disconnected, and no others."""

from __future__ import annotations

import errno
import math
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.config import endpoints
from gateway.supervisor.listeners import Listener
from gateway.supervisor.unserved import AT_ONCE, PATIENCE, PAUSE, Unserved
from tests.rigs.ports import LOOPBACK


@dataclass
class Child:
    """A process."""

    ready: bool = False


@dataclass
class Spec:
    """What runs."""

    listeners: tuple[str, ...] = ("socketmap",)


@dataclass
class Slot:
    """Its place."""

    child: Child | None = None
    failures: int = 1
    spec: Spec = field(default_factory=Spec)


class Counting(socket.socket):
    """A listening socket that counts attempts to accept, and fails with `error`."""

    attempts = 0
    error: OSError | None = None

    def accept(self) -> tuple[socket.socket, Any]:
        """The next client."""
        self.attempts += 1
        if self.error is not None:
            raise self.error
        return super().accept()


class World:
    """A socket, those who should serve it, and the supervisor's loop."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.readers: dict[int, Callable[[], None]] = {}
        self.unserved = Unserved(self.selector, self.readers)
        self.listener = Counting(socket.AF_INET)
        self.listener.bind((LOOPBACK, 0))
        self.listener.listen(2 * AT_ONCE)
        endpoint = endpoints.parse(f"inet:{LOOPBACK}:{self.listener.getsockname()[1]}")
        self.slots = [Slot(), Slot()]
        self.listeners = {"socketmap": (Listener(endpoint, self.listener),)}

    def look(self, now: float) -> None:
        """One round of the loop at that moment."""
        generation: Any = self
        self.unserved.look(generation, now)
        for key, _ in self.selector.select(0):
            self.readers[key.fd]()

    def client(self) -> socket.socket:
        """Somebody who connects."""
        return socket.create_connection(self.listener.getsockname())


@pytest.fixture
def world() -> Iterator[World]:
    """One."""
    world = World()
    with closing(world.selector), world.listener:
        yield world


def is_parted_from(client: socket.socket) -> bool:
    """Whether the other side has closed."""
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False


def test_who_connects_waits_for_a_moment_and_is_then_parted_from(world: World) -> None:
    """Also those who came before that; the moment is told, so that the loop wakes up for it."""
    with world.client() as early:
        world.look(100.0)
        assert world.unserved.due == 100.0 + PATIENCE
        assert not is_parted_from(early)
        world.look(100.0 + PATIENCE)
        assert is_parted_from(early)
    for _ in range(3):
        with world.client() as late:
            world.look(200.0)
            assert is_parted_from(late)


def test_a_process_that_is_only_slow_to_start_is_waited_for(world: World) -> None:
    """However long that takes on a busy machine, as long as none has failed."""
    world.slots[1].failures = 0
    with world.client() as client:
        for now in (100.0, 100.0 + PATIENCE, 160.0):
            world.look(now)
        assert not is_parted_from(client)
        world.slots[1].failures = 1
        world.look(170.0)
        world.look(170.0 + PATIENCE)
        assert is_parted_from(client)


@pytest.mark.parametrize("index", [0, 1])
def test_one_process_that_is_ready_is_enough(world: World, index: int) -> None:
    """From then on the supervisor takes nobody; and one that dies begins a new patience."""
    world.slots[0].child = Child()
    world.look(100.0)
    world.look(100.0 + PATIENCE)
    world.slots[index].child = Child(ready=True)
    with world.client() as client:
        world.look(110.0)
        assert not is_parted_from(client)
        world.slots[index].child = None
        world.look(120.0)
        assert not is_parted_from(client)
        world.look(120.0 + PATIENCE)
        assert is_parted_from(client)


def test_many_clients_do_not_hold_the_supervisor_up(world: World) -> None:
    """Each turn takes some."""
    clients = [world.client() for _ in range(AT_ONCE + 10)]
    world.look(100.0)
    world.look(100.0 + PATIENCE)
    assert sum(map(is_parted_from, clients)) == AT_ONCE
    world.look(101.0 + PATIENCE)
    assert all(map(is_parted_from, clients))
    for client in clients:
        client.close()


def test_sockets_are_left_alone_when_told(world: World) -> None:
    """They are about to be closed."""
    world.look(100.0)
    world.look(100.0 + PATIENCE)
    world.unserved.release()
    assert not world.readers
    assert not world.selector.get_map()


def test_where_no_client_can_be_taken_it_does_not_spin(world: World) -> None:
    """No open files are left; a client that waits would wake the supervisor without end."""
    world.listener.error = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    world.look(0.0)
    with world.client() as client:
        for _ in range(20):
            world.look(PATIENCE)
        assert world.listener.attempts == 1
        assert PATIENCE < world.unserved.due < math.inf
        world.listener.error = None
        world.look(time.monotonic() + PAUSE)
        assert is_parted_from(client)
        world.listener.error = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    with world.client():
        world.look(time.monotonic())
        world.unserved.release()
        assert not world.selector.get_map()
