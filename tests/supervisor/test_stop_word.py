"""The word STOP: how a child is told to stop."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import closing
from pathlib import Path

import pytest

from gateway.observability.metrics.registry import ProcessRegistry
from gateway.supervisor.channel import Leave, Supervised
from gateway.supervisor.children import Child, ChildSpec
from tests.rigs.waiting import wait_until


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


# Closes its channel, and ends when the pipe's other end has been closed.
LEAVES = """
import os
from gateway.supervisor.channel import supervised
me = supervised(os.environ)
waits = os.open(os.environ["WAITS"], os.O_RDONLY)
me._channel.close()
os.read(waits, 1)
raise SystemExit(7)
"""


def test_a_child_that_is_ending_already_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was told to hurry just then was killed before its exit."""
    path = tmp_path / "waits"
    os.mkfifo(path)
    monkeypatch.setenv("WAITS", str(path))
    spec = ChildSpec("milter", (sys.executable, "-c", LEAVES))
    with closing(ProcessRegistry()) as registry:
        child = Child(spec, 0, 1, {}, registry.lend())
        held = os.open(path, os.O_WRONLY)
        wait_until(lambda: not child.listen(), "the child has closed its channel")
        child.stop(0.0)
        os.close(held)
        assert child._process.wait() == 7
        child.close()


def test_a_child_is_told_over_its_channel_and_gets_no_signal() -> None:
    """SIGTERM would end this program, and says nothing of patience."""
    spec = ChildSpec("milter", (sys.executable, "-c", PROGRAM))
    with closing(ProcessRegistry()) as registry:
        child = Child(spec, 0, 1, {}, registry.lend())
        child.stop(2.5)
        assert child._process.wait() == 7
        child.close()
