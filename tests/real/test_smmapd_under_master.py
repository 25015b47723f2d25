"""The life of smmapd under Debian's real Cyrus master: one process, and how it comes and goes."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable

import pytest

from tests.rigs.folders import folder
from tests.rigs.processes import account
from tests.rigs.require import require
from tests.rigs.socketmap import Connection, SocketmapError
from tests.rigs.under_master import NOT_FOUND, SERVICE, Serving, descriptors, serving, tell
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

ONE_OF_EACH = [
    (b"fred", b"OK fred"),
    (b"fred@example.org", NOT_FOUND),
    (b"nobody", NOT_FOUND),
    (b"over", b"TEMP Over quota"),
    (b"+news", b"PERM Permission denied"),
]


@pytest.mark.parametrize("prefork", [0, 1])
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_it_answers(prefork: int, tcp: bool) -> None:
    """On a Unix socket and on TCP, started beforehand or for the first client."""
    require("cyrus")
    with serving(prefork=prefork, tcp=tcp) as service:
        with service.connect() as connection:
            for key, reply in ONE_OF_EACH:
                assert connection.ask(key) == reply
        service.pid()
        assert service.complaints() == []


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_500_connections_are_served_by_one_process(tcp: bool) -> None:
    """All of them are open at once, each is answered, and master never starts a second process."""
    require("cyrus")
    with serving("-U 1000", tcp=tcp) as service:
        service.ask(b"fred")
        pid = service.pid()
        connections = [service.connect() for _ in range(500)]
        try:
            for number, connection in enumerate(connections):
                key, reply = ONE_OF_EACH[number % len(ONE_OF_EACH)]
                assert connection.ask(key) == reply
            assert service.pids() == [pid]
            assert descriptors(pid) > 500
        finally:
            for connection in connections:
                connection.close()
        assert service.ask(b"fred") == b"OK fred"
        assert service.pids() == [pid]
        assert service.complaints() == []


@pytest.mark.parametrize("prefork", [0, 1])
def test_after_u_connections_a_successor_serves(prefork: int) -> None:
    """-U 3: each process leaves when three clients have been served, and every client is."""
    require("cyrus")
    with serving("-U 3", prefork=prefork) as service:
        for _ in range(20):
            assert service.ask(b"nobody", b"fred") == b"OK fred"
        ends = [line for line in service.log.messages() if "connections were served" in line]
        assert len(ends) >= 5
        assert all("leaving: 3 connections" in line for line in ends)
        pids = [line.partition("[")[2].partition("]")[0] for line in ends]
        assert len(set(pids)) == len(pids)
        for pid in pids:
            assert service.end_of(int(pid)) == "exited normally"
        assert service.complaints() == []


def test_connections_that_are_still_open_are_not_counted() -> None:
    """-U counts clients that were served to their end, as the C program serves one at a time."""
    require("cyrus")
    with serving("-U 3") as service:
        connections = [service.connect() for _ in range(10)]
        for connection in connections:
            assert connection.ask(b"fred") == b"OK fred"
        pid = service.pid()
        for connection in connections[:5]:
            connection.close()
        # It is leaving now, serves the other five to their end, and a successor the new ones.
        service.log.wait_for("leaving: ")
        assert service.ask(b"fred") == b"OK fred"
        for connection in connections[5:]:
            assert connection.ask(b"nobody") == NOT_FOUND
            connection.close()
        assert service.end_of(pid) == "exited normally"
        assert service.ask(b"fred") == b"OK fred"
        assert service.complaints() == []


def test_without_a_new_connection_for_t_seconds_it_leaves() -> None:
    """-T 2: after a client has been served and nobody else comes, it ends by itself."""
    require("cyrus")
    with serving("-T 2") as service:
        # Its time begins when the client has gone, so it is here to be found as long as that stays.
        with service.connect() as connection:
            assert connection.ask(b"fred") == b"OK fred"
            pid = service.pid()
        assert service.end_of(pid) == "exited normally"
        assert any("no connection for a while" in line for line in service.log.messages())
        assert service.ask(b"fred") == b"OK fred"
        assert service.complaints() == []


class _Load:
    """Clients that ask in loops: half of them keep their connection, half take a new one a time."""

    def __init__(self, service: Serving, clients: int) -> None:
        self._service = service
        self._stop = threading.Event()
        self.wrong: list[object] = []
        self.answered = [0] * clients
        self._threads = [
            threading.Thread(target=self._run, args=(number, body), daemon=True)
            for number in range(clients)
            for body in [self._keep if number % 2 else self._come_again]
        ]

    def _run(self, number: int, body: Callable[[int], None]) -> None:
        try:
            body(number)
        except (OSError, SocketmapError) as error:
            self.wrong.append(error)

    def _ask(self, connection: Connection, number: int) -> None:
        key, reply = ONE_OF_EACH[self.answered[number] % len(ONE_OF_EACH)]
        answer = connection.ask(key)
        if answer != reply:
            self.wrong.append((key, answer))
        self.answered[number] += 1

    def _keep(self, number: int) -> None:
        with self._service.connect() as connection:
            while not self._stop.is_set():
                self._ask(connection, number)

    def _come_again(self, number: int) -> None:
        while not self._stop.is_set():
            with self._service.connect() as connection:
                self._ask(connection, number)

    def start(self) -> None:
        """Begin, and return when everybody has been answered."""
        for thread in self._threads:
            thread.start()
        self.go_on()

    def go_on(self) -> None:
        """Return when every client has been answered ten times more, or something went wrong."""
        before = list(self.answered)
        wait_until(
            lambda: (
                self.wrong
                or all(now >= then + 10 for now, then in zip(self.answered, before, strict=True))
            ),
            "every client is answered",
        )

    def stop(self) -> None:
        """Let the clients finish the question that they are at."""
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("prefork", [0, 1])
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_sighup_under_load_loses_no_request(prefork: int, tcp: bool) -> None:
    """master relays SIGHUP: old clients are served on, new ones by a new process, none in vain."""
    require("cyrus")
    with serving("-U 100000", prefork=prefork, tcp=tcp) as service:
        load = _Load(service, 20)
        load.start()
        old = service.pid()
        service.cyrus.reload()
        service.log.wait_for("leaving: SIGHUP")
        load.go_on()  # those who come again can only be served by the new process
        new = [pid for pid in service.pids() if pid != old]
        assert len(new) == 1
        load.go_on()
        load.stop()
        assert load.wrong == []
        assert service.end_of(old) == "exited normally"
        assert service.pids() == new
        assert service.complaints() == []


def test_program_that_changes_under_load_loses_no_request() -> None:
    """An upgrade puts another file in the program's place: the old process drains and leaves."""
    require("cyrus")
    with serving("-U 100000", own_program=True) as service:
        load = _Load(service, 6)
        load.start()
        old = service.pid()
        shutil.copy2(service.program, service.program + ".new")
        os.rename(service.program + ".new", service.program)
        service.log.wait_for("leaving: the program file has changed")
        load.go_on()
        load.stop()
        assert load.wrong == []
        assert service.end_of(old) == "exited normally"
        assert service.complaints() == []


def test_idle_process_sees_that_its_program_has_changed() -> None:
    """Nobody connects, and it leaves all the same."""
    require("cyrus")
    with serving(own_program=True, prefork=1) as service:
        assert service.ask(b"fred") == b"OK fred"
        old = service.pid()
        os.utime(service.program)
        assert service.end_of(old) == "exited normally"
        wait_until(lambda: service.pid() != old, "a new process is there")
        assert service.complaints() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("clients", [0, 3])
def test_told_to_leave_it_leaves_at_once(number: signal.Signals, clients: int) -> None:
    """Exit code 75, for master a normal end ("was killed"), with clients or without."""
    require("cyrus")
    with serving(prefork=1) as service:
        service.ask(b"fred")
        connections = [service.connect() for _ in range(clients)]
        for connection in connections:
            assert connection.ask(b"fred") == b"OK fred"
        pid = service.pid()
        tell(pid, number)
        for connection in connections:
            assert connection.at_end()
            connection.close()
        assert service.end_of(pid) == "was killed"
        assert service.ask(b"fred") == b"OK fred"
        assert service.complaints() == []


def test_killed_process_is_replaced() -> None:
    """kill -9: its clients see the end of their connections, new ones are served by a new process."""
    require("cyrus")
    with serving(prefork=1) as service:
        for _ in range(3):
            with service.connect() as connection:
                assert connection.ask(b"fred") == b"OK fred"
                pid = service.pid()
                tell(pid, signal.SIGKILL)
                assert connection.at_end()
            assert service.ask(b"fred") == b"OK fred"
            assert service.pid() != pid


def test_maxchild_is_respected() -> None:
    """maxchild=1: there is never a second process, not even while the first one is leaving."""
    require("cyrus")
    with serving("-U 1", maxchild=1) as service:
        with service.connect() as first:
            assert first.ask(b"fred") == b"OK fred"
            pid = service.pid()
            service.cyrus.reload()
            service.log.wait_for("leaving: SIGHUP")
            waiting = [service.connect() for _ in range(20)]
            assert first.ask(b"nobody") == NOT_FOUND
            assert service.pids() == [pid]
        for connection in waiting:
            assert connection.ask(b"fred") == b"OK fred"
            assert len(service.pids()) == 1
        for connection in waiting:
            connection.close()
        assert service.complaints() == []


def test_sigusr1_turns_debug_lines_on() -> None:
    """As for every Cyrus service; connections are not disturbed."""
    require("cyrus")
    with serving(settings={"debug": "no"}) as service, service.connect() as connection:
        assert connection.ask(b"fred") == b"OK fred"
        tell(service.pid(), signal.SIGUSR1)
        service.log.wait_for(f"{SERVICE}[{service.pid()}]: debug logging turned on")
        assert connection.ask(b"fred") == b"OK fred"
        tell(service.pid(), signal.SIGUSR1)
        service.log.wait_for("debug logging turned off")


def test_signal_before_it_serves_is_no_failure() -> None:
    """SIGHUP while it starts: master sees a normal end, and the waiting client is served."""
    require("cyrus")
    with folder("once", account("cyrus")) as place:
        # The debugger of the first process: it sends the signal before anything is served.
        command = f": %s; mkdir {place}/done 2>/dev/null && kill -HUP %d; : %s"
        with serving("-D", settings={"debug_command": command}) as service:
            assert service.ask(b"fred") == b"OK fred"
            assert os.path.isdir(f"{place}/done")
            service.log.wait_for("exited normally")
            assert service.complaints() == []
