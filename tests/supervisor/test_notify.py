"""What systemd hears."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.supervisor.notify import Notifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that stands for systemd's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(10)
        yield listener


def notifier(systemd: socket.socket, **extra: str) -> Notifier:
    """A notifier that speaks to it."""
    return Notifier({"NOTIFY_SOCKET": systemd.getsockname(), **extra})


def test_states_are_sent_as_assignments(systemd: socket.socket) -> None:
    """One datagram a state."""
    teller = notifier(systemd)
    assert teller.enabled
    assert teller.ready("serving")
    assert systemd.recv(999).decode().split("\n") == [
        "READY=1",
        "STATUS=serving",
        f"MAINPID={os.getpid()}",
    ]
    assert teller.stopping(within=20)
    assert systemd.recv(999).split(b"\n") == [b"STOPPING=1", b"EXTEND_TIMEOUT_USEC=30000000"]
    assert teller.watchdog()
    assert systemd.recv(999) == b"WATCHDOG=1"
    assert teller.status("two\nlines")
    assert systemd.recv(999) == b"STATUS=two\\nlines"


def test_a_reload_is_told_with_its_time(systemd: socket.socket) -> None:
    """As Type=notify-reload wants it: CLOCK_MONOTONIC in microseconds."""
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert notifier(systemd).reloading()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    first, second = systemd.recv(999).decode().split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= after


def test_an_abstract_socket_is_spoken_to() -> None:
    """Its name begins with @ in the variable and with NUL in the address."""
    name = f"smmapd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name)
        listener.settimeout(10)
        assert Notifier({"NOTIFY_SOCKET": "@" + name}).watchdog()
        assert listener.recv(99) == b"WATCHDOG=1"


@pytest.mark.parametrize("value", ["", "relative", "vsock:2:1"])
def test_without_an_address_nothing_is_sent(value: str) -> None:
    """The service runs the same."""
    teller = Notifier({"NOTIFY_SOCKET": value})
    assert not teller.enabled
    assert not teller.ready()


def test_a_supervisor_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    """The message is dropped."""
    assert not Notifier({"NOTIFY_SOCKET": str(tmp_path / "none")}).ready()


def test_a_supervisor_that_does_not_read_stops_nothing(systemd: socket.socket) -> None:
    """The socket's queue fills up, and the next message is dropped."""
    teller = notifier(systemd)
    assert any(not teller.watchdog() for _ in range(100_000))


@pytest.mark.parametrize(
    ("variables", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdogs_interval_is_ours_or_none(
    variables: dict[str, str], interval: float | None
) -> None:
    """In seconds; another process' watchdog is not ours."""
    assert Notifier(variables).watchdog_interval == interval


def test_no_child_inherits_the_variables(systemd: socket.socket) -> None:
    """They are taken out of the environment."""
    environ = {
        "NOTIFY_SOCKET": systemd.getsockname(),
        "WATCHDOG_USEC": "1",
        "WATCHDOG_PID": "1",
        "PATH": "/bin",
    }
    Notifier(environ)
    assert environ == {"PATH": "/bin"}
