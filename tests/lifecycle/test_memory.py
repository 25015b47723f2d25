"""A limit of memory: a process that has none left ends and is replaced; nobody is refused for good.

The limit is that of addresses (RLIMIT_AS), lowered on the process that serves:
the next piece of memory is refused, wherever it is wanted.  A control group
ends the process instead, which is SIGKILL (test_processes.py).
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator

import pytest

from tests.rigs.clients import ClosedError
from tests.rigs.load import FRED
from tests.rigs.managed import DEADLINE_S, ManagedGateway
from tests.rigs.milter import CONTINUE, MilterClient, MilterError
from tests.rigs.waiting import wait_until

# What is left to the process; less than a new recipient and the next arena of Python take.
LEFT = 200_000
# Recipients that nobody has asked for, so that there is something to remember.
QUESTIONS = 300


@pytest.fixture
def managed() -> Iterator[ManagedGateway]:
    """A gateway that serves."""
    with ManagedGateway({"logging": {"level": "info"}}, milter=True) as made:
        yield made.begin()


def limit(pid: int) -> None:
    """Leave almost nothing to a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (size + LEFT, size + LEFT))


def unknown(number: int) -> bytes:
    """A long address that is new each time."""
    return b"%d-%s@example.org" % (number, b"x" * 200)


def ask_interfaces(managed: ManagedGateway, number: int) -> None:
    """Good ones are good or have no answer; a client without one asks again, as MTAs do."""
    try:
        with managed.open("policy") as policy, managed.open("socketmap") as socketmap:
            for each in range(number, number + QUESTIONS):
                assert policy.ask(FRED) == b"DUNNO"
                assert policy.ask(unknown(each)) == b"550 5.1.1 User unknown"
                assert socketmap.ask(FRED) == b"OK " + FRED
    except (ClosedError, ConnectionResetError, BrokenPipeError):
        return


def ask_milter(managed: ManagedGateway, number: int) -> None:
    """The same; an MTA defers where the milter has gone.

    One session at a time: libmilter begins with two threads, and a session for which it gets no
    memory for a third is left waiting until the MTA's own time is up.  That is libmilter's, and
    it does not end the process.
    """
    for first in range(number, number + QUESTIONS, QUESTIONS // 10):
        try:
            with MilterClient(managed.path("milter")) as client:
                client.connect()
                client.mail()
                for each in range(first, first + QUESTIONS // 10):
                    said = client.rcpt(b"<%s>" % FRED)
                    assert said == CONTINUE or said.startswith(b"4"), said
                    said = client.rcpt(b"<%s>" % unknown(each))
                    assert said.startswith((b"550 5.1.1", b"4")), said
        except (MilterError, OSError):
            return


@pytest.mark.slow
@pytest.mark.parametrize(
    ("process", "ask"), [("core", ask_interfaces), ("milter", ask_milter)], ids=["core", "milter"]
)
def test_a_process_without_memory_is_replaced(
    managed: ManagedGateway, process: str, ask: Callable[[ManagedGateway, int], None]
) -> None:
    """The log says what was wanting, and its successor serves."""
    first = managed.pid(process)
    gone = managed.watch(first)
    limit(first)
    asked = iter(range(0, 10**9, QUESTIONS))

    def replaced() -> bool:
        ask(managed, next(asked))
        return first not in managed.pids(process)

    wait_until(replaced, f"the {process} ends", DEADLINE_S)
    managed.wait_gone(gone)
    # Of its own accord, or where a library gives up on it.
    print(managed.wait_log(f"{process} (pid {first}) ")[0])
    wait_until(lambda: managed.pids(process), f"there is another {process}", DEADLINE_S)
    ask(managed, next(asked))
    assert managed.ask("policy", FRED) == b"DUNNO"
    with MilterClient(managed.path("milter")) as mta:
        mta.connect()
        mta.mail()
        assert mta.rcpt(b"<%s>" % FRED) == CONTINUE
