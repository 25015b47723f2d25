"""A listening socket whose clients can be kept waiting."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from gateway.server.intake import Intake
from tests.rigs.descriptors import open_descriptors


@pytest.fixture
def listener(tmp_path: Path) -> socket.socket:
    """A socket as the supervisor hands it over."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(tmp_path / "s"))
    made.listen(8)
    made.setblocking(False)
    return made


def test_clients_wait_while_it_is_shut(listener: socket.socket, tmp_path: Path) -> None:
    """Nobody is accepted; when it is open again, they are there."""
    intake = Intake(listener, 64)
    path = str(tmp_path / "s")
    intake.shut()
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.connect(path)
        with pytest.raises(BlockingIOError):
            listener.accept()
        intake.reopen()
        accepted, _ = listener.accept()
        accepted.close()
    intake.close()
    listener.close()


def test_who_accepts_is_woken(listener: socket.socket) -> None:
    """It waits for a client of the decoy's, and finds one."""
    intake = Intake(listener, 64)
    intake.shut()
    waiter = socket.socket(fileno=socket.dup(listener.fileno()))
    waiter.settimeout(30)
    intake.reopen()
    woken, _ = waiter.accept()
    woken.close()
    waiter.close()
    intake.close()
    listener.close()


def test_where_no_descriptor_is_left_clients_wait(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were held back are free then; there must be some room before it opens again."""
    intake = Intake(listener, 64)
    held = open_descriptors()

    def none_left(_descriptor: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    assert not intake.look()
    with monkeypatch.context() as patch:
        patch.setattr(os, "dup", none_left)
        assert intake.look()
        assert not intake.open
        assert open_descriptors() == held - 64 // 8
        assert not intake.look()
    assert intake.look()
    assert intake.open
    assert open_descriptors() == held
    intake.close()
    listener.close()


def test_after_the_end_clients_are_refused(listener: socket.socket, tmp_path: Path) -> None:
    """Nobody else has the true one."""
    Intake(listener, 64).close()
    with socket.socket(socket.AF_UNIX) as late, pytest.raises(ConnectionRefusedError):
        late.connect(str(tmp_path / "s"))
    listener.close()
