"""Names looked up within a deadline."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from gateway.server import resolver as module
from gateway.server.resolver import Names
from tests.rigs.waiting import wait_until
from tests.support.lines import DEADLINE_S

if TYPE_CHECKING:
    from gateway.upstream.connection import Found

ADDRESS: list[Found] = [(socket.AF_INET, ("192.0.2.1", 24))]


class Resolver:
    """The system's resolver: `found` or `error`, when the gate is open."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: OSError | UnicodeError | None = None
        self.gate = threading.Event()
        self.gate.set()

    def look_up(self, host: str, _port: int, _until: float) -> list[Found]:
        """Look up."""
        self.asked.append(host)
        assert self.gate.wait(DEADLINE_S)
        if self.error is not None:
            raise self.error
        return ADDRESS


@pytest.fixture
def resolver() -> Resolver:
    """A resolver."""
    return Resolver()


def soon() -> float:
    """A moment that is far enough."""
    return time.monotonic() + DEADLINE_S


def test_addresses_hold_for_a_while(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the name is looked up again."""
    names = Names(resolver.look_up)
    for _ in range(5):
        assert names.look_up("mail.example", 24, soon()) == ADDRESS
    assert resolver.asked == ["mail.example"]
    monkeypatch.setattr(module, "HOLD", 0.0)
    names = Names(resolver.look_up)
    names.look_up("mail.example", 24, soon())
    names.look_up("mail.example", 24, soon())
    wait_until(lambda: len(resolver.asked) > 2, "it is looked up again")


def test_a_resolver_that_hangs_costs_no_more_than_the_deadline(resolver: Resolver) -> None:
    """And all who ask for the same name wait for one look-up."""
    resolver.gate.clear()
    names = Names(resolver.look_up)
    for _ in range(3):
        with pytest.raises(TimeoutError, match="the name service does not answer in time"):
            names.look_up("mail.example", 24, time.monotonic() + 0.01)
    assert resolver.asked == ["mail.example"]
    resolver.gate.set()
    assert names.look_up("mail.example", 24, soon()) == ADDRESS


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        UnicodeError("label empty"),
    ],
)
def test_a_name_that_is_not_found_is_an_oserror(
    resolver: Resolver, error: OSError | UnicodeError
) -> None:
    """And is looked up again the next time."""
    resolver.error = error
    names = Names(resolver.look_up)
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            names.look_up("mail.example", 24, soon())
    resolver.error = None
    assert names.look_up("mail.example", 24, soon()) == ADDRESS


def test_old_addresses_serve_while_the_name_service_is_away(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it says so or says nothing."""
    monkeypatch.setattr(module, "HOLD", 0.0)
    names = Names(resolver.look_up)
    names.look_up("mail.example", 24, soon())
    resolver.error = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    assert names.look_up("mail.example", 24, soon()) == ADDRESS
    resolver.gate.clear()
    # Nobody waits, however much time there is.
    assert names.look_up("mail.example", 24, float("inf")) == ADDRESS
    assert names.look_up("mail.example", 24, 0.0) == ADDRESS
    resolver.gate.set()


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "fe80::1%eth0"])
def test_an_address_is_not_looked_up_on_a_thread(resolver: Resolver, host: str) -> None:
    """There is nothing to wait for, and nothing to remember."""
    names = Names(resolver.look_up)
    names.look_up(host, 24, soon())
    names.look_up(host, 24, soon())
    assert resolver.asked == [host, host]


def test_a_look_up_without_a_thread_fails_once(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as there are threads again, the name is looked up."""
    names = Names(resolver.look_up)

    def none_left(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        with pytest.raises(OSError, match="backend cannot be looked up: can't start new thread"):
            names.look_up("backend", 24, soon())
    assert names.look_up("backend", 24, soon()) == ADDRESS
