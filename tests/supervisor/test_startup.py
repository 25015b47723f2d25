"""The supervisor's first steps, where a predecessor that was killed still has the sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config.endpoints import Endpoint, InetEndpoint, UnixEndpoint
from gateway.errors import ConfigurationErrors
from gateway.supervisor import startup
from gateway.supervisor.generation import Plan
from gateway.supervisor.listeners import listen_inet


@pytest.fixture(params=["unix", "inet"])
def taken(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, Plan]]:
    """Somebody else's listening socket, and a plan that wants its place."""
    endpoint: Endpoint
    if request.param == "unix":
        endpoint = UnixEndpoint(str(tmp_path / "socket"))
        holder = socket.socket(socket.AF_UNIX)
        holder.bind(endpoint.path)
        holder.listen()
    else:
        holder = listen_inet(InetEndpoint("127.0.0.1", 0))
        endpoint = InetEndpoint("127.0.0.1", holder.getsockname()[1])
    with holder:
        yield holder, Plan((), {"main": (endpoint,)})


def test_who_is_about_to_leave_is_waited_for(
    taken: tuple[socket.socket, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The children of a supervisor that was killed need a moment to hear of it."""
    holder, plan = taken
    pauses = iter(("it is still there", "and still", "now it leaves"))

    def pause() -> None:
        if next(pauses) == "now it leaves":
            holder.close()

    monkeypatch.setattr(startup, "_pause", pause)
    listeners, _ = startup.open_and_drop(plan, {})
    listeners.close()
    assert not list(pauses)


def test_who_stays_is_another_instance(
    taken: tuple[socket.socket, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place is not taken, and the start ends."""
    _, plan = taken
    monkeypatch.setattr(startup, "PREDECESSOR_SECONDS", 0.1)
    with pytest.raises(ConfigurationErrors, match="cannot listen on"):
        startup.open_and_drop(plan, {})


def test_what_waiting_does_not_mend_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is not there."""
    monkeypatch.setattr(startup, "_pause", lambda: pytest.fail("it waited"))
    plan = Plan((), {"main": (UnixEndpoint(str(tmp_path / "none" / "socket")),)})
    with pytest.raises(ConfigurationErrors, match="create the folder"):
        startup.open_and_drop(plan, {})
