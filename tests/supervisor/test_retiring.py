"""Processes that leave after a reload, with clients whose sessions are long."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, closing

from gateway.supervisor.generation import MAX_RETIRING
from tests.rigs.waiting import wait_until
from tests.supervisor.conftest import DEADLINE, Connection, Running

# Seconds; far more than a test takes.
LONG = 3600
PATIENT = {"name": "milter", "listeners": ["main"], "session_timeout": LONG}


def reload(running: Running) -> None:
    """SIGHUP, and wait until the new generation serves."""
    running.signal(signal.SIGHUP)
    running.wait_told("RELOADING")
    running.wait_told("READY")


def client(running: Running, generation: int) -> Connection:
    """A client of that generation; the one before may be about to hear that it takes no more."""

    def connected() -> Connection | None:
        made = Connection(running.socket_path)
        if made.answer.generation == generation:
            return made
        made.close()
        return None

    return wait_until(connected, f"generation {generation} answers", DEADLINE)


def begin(running: Running, *, graceful: float = 0.1, **child: object) -> None:
    """Start with one such child, and wait until it serves."""
    running.plan({**PATIENT, **child}, graceful_timeout=graceful)
    running.start()
    running.wait_told("READY")


def test_a_session_goes_on_after_the_graceful_timeout(running: Running) -> None:
    """Its process leaves when the last one is over; the log says how many there are."""
    begin(running)
    with closing(Connection(running.socket_path)) as old:
        gone = running.watch(old.answer.pid)
        reload(running)
        assert running.wait_log("takes no new").endswith(
            f"milter (pid {old.answer.pid}) of configuration 1 takes no new clients; 1 are left"
        )
        # Others come and go meanwhile, each later than the graceful timeout of the one before.
        for wanted in (3, 4):
            reload(running)
            client(running, wanted).close()
        assert old.echo(b"still there") == b"still there"
    running.wait_gone(gone)
    running.signal(signal.SIGTERM)
    assert running.exit_code() == 0
    assert not [line for line in running.rest_of_log() if "cut off" in line]


def test_sessions_have_a_limit(running: Running) -> None:
    """Those that are left then are cut off, and the log says how many."""
    begin(running, session_timeout=0.2)
    with closing(Connection(running.socket_path)) as old:
        reload(running)
        assert running.wait_log("did not stop in time").startswith("WARNING milter")
        assert running.wait_log("cut off") == (
            f"WARNING milter (pid {old.answer.pid}) of configuration 1: 1 clients were cut off"
        )


def test_many_reloads_leave_a_bounded_number_of_generations(running: Running) -> None:
    """The oldest has to go, with a warning; the others go on."""
    begin(running)
    with ExitStack() as stack:
        clients: list[Connection] = []
        for _ in range(MAX_RETIRING + 1):
            clients.append(stack.enter_context(closing(client(running, len(clients) + 1))))
            reload(running)
        oldest, *others = clients
        assert "configuration 1 have to go" in running.wait_log("reloads")
        assert running.wait_log("cut off").startswith(
            f"WARNING milter (pid {oldest.answer.pid}) of configuration 1: 1 "
        )
        for each in others:
            assert each.echo(b"on") == b"on"


def test_a_stop_reaches_those_who_leave_already(running: Running) -> None:
    """Or their sessions would keep the sockets from the next instance."""
    begin(running, graceful=LONG)
    with closing(Connection(running.socket_path)):
        reload(running)
        running.signal(signal.SIGTERM)
        assert running.exit_code() == 0


def test_one_that_hangs_while_it_leaves_is_killed(running: Running) -> None:
    """Its clients would wait for an answer until the end of its time."""
    begin(running, silence_limit=5, behaviour={"silent": False})
    with closing(Connection(running.socket_path)) as old:
        gone = running.watch(old.answer.pid)
        reload(running)
        os.kill(old.answer.pid, signal.SIGSTOP)
        assert f"(pid {old.answer.pid}) is silent; killed" in running.wait_log("is silent")
        running.wait_gone(gone)
