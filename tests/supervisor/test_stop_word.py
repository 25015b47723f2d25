"""The word STOP: how a child is told to stop."""

from __future__ import annotations

import socket
import sys
from contextlib import closing

import pytest

from gateway.observability.metrics.registry import ProcessRegistry
from gateway.supervisor.channel import Leave, Supervised
from gateway.supervisor.children import Child, ChildSpec


@pytest.mark.parametrize(("word", "patience"), [(b"STOP 9.5\n", 9.5), (b"STOP 0\n", 0.0)])
def test_the_word_tells_the_patience(word: bytes, patience: float) -> None:
    """A child learns that it is to stop, and how many seconds it has; in pieces, too."""
    near, far = socket.socketpair()
    near.setblocking(False)
    registry = ProcessRegistry()
    with near, far, closing(registry):
        me = Supervised(
            name="milter",
            index=0,
            generation=1,
            listeners={},
            configuration=b"",
            files={},
            channel=near,
            metrics_slot=registry.lend(),
        )
        far.sendall(word[:3])
        assert me.receive() == []
        far.sendall(word[3:])
        assert me.receive() == [Leave(patience)]


# Says what it heard by its exit code.
PROGRAM = """
import os
from gateway.supervisor.channel import Leave, supervised
me = supervised(os.environ)
me._channel.setblocking(True)
while not (messages := me.receive()):
    pass
raise SystemExit(7 if messages == [Leave(2.5)] else 8)
"""


def test_a_child_is_told_over_its_channel_and_gets_no_signal() -> None:
    """SIGTERM would end this program, and says nothing of patience."""
    spec = ChildSpec("milter", (sys.executable, "-c", PROGRAM))
    with closing(ProcessRegistry()) as registry:
        child = Child(spec, 0, 1, {}, registry.lend())
        child.stop(2.5)
        assert child._process.wait() == 7
        child.close()
