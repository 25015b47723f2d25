"""The service protocol of Cyrus master, with the test in master's place.

The program is started as master starts it: its name in the environment, the
pipe on descriptor 3, the listening socket on 4.  The real master is asked in
tests/real; here every message and exit code is seen.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.rigs.require import require_module
from tests.rigs.socketmap import Connection
from tests.rigs.waiting import wait_until
from tests.stores import FlatStore, record

ROOT = Path(__file__).resolve().parents[2]
CONNECTION_MULTI, UNAVAILABLE = 4, 2

# What the launcher does; as root the program would have to say -X.
LAUNCHER = f"""
import os, resource, sys
if limit := int(os.environ.pop("OPEN_FILES", 0)):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
sys.path[:0] = {[str(ROOT), *[p for p in sys.path if p.endswith("-packages")]]!r}
os.geteuid = lambda: 1000
for descriptor, source in enumerate(os.environ.pop("DESCRIPTORS").split(), 3):
    os.dup2(int(source), descriptor)
    os.close(int(source))
exec(os.environ.pop("FIRST", ""))
from smmapd.main import main
sys.exit(main())
"""

# The system's resolver hangs; questions to an SQL server have less time than usual.
HANGING_NAMES = """
import socket, threading
import gateway.cyrus.db.sqlserver.location
gateway.cyrus.db.sqlserver.location.ANSWER_SECONDS = 0.5
socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
"""


class Master:
    """The other side of the two descriptors."""

    def __init__(self, folder: Path, store: FlatStore) -> None:
        self.path = str(folder / "socket")
        self.program = folder / "launcher"
        self.program.write_text(LAUNCHER)
        self._conf = store.conf_path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(32)
        self._status, self._theirs = os.pipe()
        os.set_blocking(self._status, False)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *words: str, **variables: str) -> None:
        """Start the program; whether it is ready shows when it answers."""
        # The launcher puts them in their places; they must not be there yet.
        sources = [
            fcntl.fcntl(descriptor, fcntl.F_DUPFD, 100)
            for descriptor in (self._theirs, self._listener.fileno())
        ]
        self._process = subprocess.Popen(
            [sys.executable, str(self.program), "-C", self._conf, *words],
            pass_fds=sources,
            env={
                "PATH": os.environ["PATH"],
                "DESCRIPTORS": " ".join(map(str, sources)),
                "CYRUS_SERVICE": "smmap",
                "CYRUS_ID": "1",
                **variables,
            },
            stdin=subprocess.DEVNULL,
        )
        for descriptor in sources:
            os.close(descriptor)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The program."""
        assert self._process is not None
        return self._process

    def connect(self) -> Connection:
        """One client."""
        return Connection.to(self.path)

    def messages(self) -> list[int]:
        """The messages that have come since the last call; each bears the program's pid."""
        try:
            data = os.read(self._status, 4096)
        except BlockingIOError:
            return []
        messages = list(struct.iter_unpack("=ii", data))
        assert {pid for _, pid in messages} == {self.process.pid}
        return [message for message, _ in messages]

    def exit_code(self) -> int:
        """The program's exit code, once it has ended."""
        return self.process.wait(timeout=60)

    def close(self) -> None:
        """End what is still there."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._listener.close()
        os.close(self._status)
        os.close(self._theirs)


@pytest.fixture
def store(tmp_path: Path) -> FlatStore:
    """A store that knows fred."""
    store = FlatStore(str(tmp_path / "store"), mailboxes={b"user.fred": record()})
    store.write()
    return store


@pytest.fixture
def master(tmp_path: Path, store: FlatStore) -> Iterator[Master]:
    """Master, before it has started the program."""
    master = Master(tmp_path, store)
    yield master
    master.close()


@contextmanager
def client(master: Master) -> Iterator[Connection]:
    """A client that has been answered once."""
    with master.connect() as connection:
        assert connection.ask(b"fred") == b"OK fred"
        yield connection


def test_one_message_for_each_connection_and_none_at_the_start(master: Master) -> None:
    """A service that has just started counts as ready; AVAILABLE would be one too much."""
    master.start()
    with client(master):
        assert master.messages() == [CONNECTION_MULTI]
        with client(master), client(master):
            assert master.messages() == [CONNECTION_MULTI] * 2
    assert master.messages() == []


@pytest.mark.parametrize("connected", [0, 2])
def test_sighup_drains(master: Master, connected: int) -> None:
    """master hears that it may start another one; connected clients are served; then exit code 0."""
    master.start()
    with client(master):
        pass
    connections = [master.connect() for _ in range(connected)]
    for connection in connections:
        assert connection.ask(b"fred") == b"OK fred"
    master.messages()
    master.process.send_signal(signal.SIGHUP)
    wait_until(lambda: master.messages() == [UNAVAILABLE], "it says that it takes no more")
    for connection in connections:
        assert master.process.poll() is None
        assert connection.ask(b"nobody") == b"NOTFOUND Mailbox does not exist"
        connection.close()
    assert master.exit_code() == 0
    assert master.messages() == []


def test_another_sighup_changes_nothing(master: Master) -> None:
    """It drains already."""
    master.start()
    with client(master) as connection:
        for _ in range(3):
            master.process.send_signal(signal.SIGHUP)
            assert connection.ask(b"fred") == b"OK fred"
        wait_until(lambda: UNAVAILABLE in master.messages(), "it says that it takes no more")
    assert master.exit_code() == 0
    assert master.messages() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("draining", [False, True])
def test_told_to_leave(master: Master, number: signal.Signals, draining: bool) -> None:
    """75 at once, in a drain too; clients see the end of their connections."""
    master.start("-U", "1")
    with client(master) as first, client(master) as second:
        if draining:
            first.close()
            wait_until(lambda: UNAVAILABLE in master.messages(), "it drains")
        master.process.send_signal(number)
        assert master.exit_code() == 75
        assert second.at_end()


def test_new_clients_of_a_draining_process_wait_for_the_next(master: Master) -> None:
    """They stay in the listening socket's queue, and nothing of theirs is lost."""
    master.start()
    with client(master) as old:
        master.process.send_signal(signal.SIGHUP)
        wait_until(lambda: UNAVAILABLE in master.messages(), "it drains")
        first = master.process
        with master.connect() as new:
            master.start()
            assert new.ask(b"fred") == b"OK fred"
            assert old.ask(b"fred") == b"OK fred"
            old.close()
            assert first.wait(timeout=60) == 0


def test_u_counts_those_who_have_been_served(master: Master) -> None:
    """-U 2: the second one that goes is the last one that was accepted."""
    master.start("-U", "2")
    with client(master) as lasting:
        with client(master):
            pass
        with client(master):
            pass
        wait_until(lambda: UNAVAILABLE in master.messages(), "it has served two")
        assert lasting.ask(b"fred") == b"OK fred"
        assert master.process.poll() is None
    assert master.exit_code() == 0


def test_t_counts_from_the_last_client(master: Master) -> None:
    """-T 1: it leaves by itself when the last client has gone, with a message and 0."""
    master.start("-T", "1")
    with client(master):
        pass
    assert master.exit_code() == 0
    assert master.messages() == [CONNECTION_MULTI, UNAVAILABLE]


@pytest.mark.parametrize("change", ["touched", "replaced", "removed"])
def test_program_file_that_changes(master: Master, change: str) -> None:
    """It is looked at whenever a client comes or goes: the next one is the last."""
    master.start()
    with client(master) as connection:
        if change == "touched":
            os.utime(master.program)
        elif change == "replaced":
            (master.program.parent / "new").write_text(LAUNCHER)
            os.rename(master.program.parent / "new", master.program)
        else:
            master.program.unlink()
        with client(master):
            assert connection.ask(b"fred") == b"OK fred"
    assert master.exit_code() == 0
    assert master.messages() == [CONNECTION_MULTI, CONNECTION_MULTI, UNAVAILABLE]


@pytest.mark.parametrize(
    ("number", "code", "messages"),
    [
        (signal.SIGHUP, 0, [UNAVAILABLE]),
        (signal.SIGTERM, 75, []),
        (signal.SIGINT, 75, []),
        (signal.SIGQUIT, 75, []),
    ],
)
def test_signal_before_it_serves(
    master: Master, store: FlatStore, number: signal.Signals, code: int, messages: list[int]
) -> None:
    """Neither is a failure of the service in master's eyes."""
    store.options = {"debug_command": f": %s; kill -{number.name.removeprefix('SIG')} %d; : %s"}
    store.write()
    master.start("-D")
    assert master.exit_code() == code
    assert master.messages() == messages


def test_client_that_waits_is_answered_whatever_the_signal(
    master: Master, store: FlatStore
) -> None:
    """SIGHUP while it starts: clients that have connected already are served to the end."""
    store.options = {"debug_command": ": %s; kill -HUP %d; : %s"}
    store.write()
    with master.connect() as waiting, master.connect() as other:
        waiting.send(b"10:cyrus fred,")
        master.start("-D")
        assert waiting.receive() == b"OK fred"
        assert other.ask(b"fred") == b"OK fred"
        assert waiting.ask(b"nobody") == b"NOTFOUND Mailbox does not exist"
    assert master.exit_code() == 0
    assert master.messages() == [CONNECTION_MULTI, CONNECTION_MULTI, UNAVAILABLE]


def test_its_descriptors_are_not_inherited(
    master: Master, store: FlatStore, tmp_path: Path
) -> None:
    """A debugger that stays behind must not hold master's socket; the service itself needs both."""
    master.start()
    with client(master):
        flags = Path(f"/proc/{master.process.pid}/fdinfo")
        for descriptor in (3, 4):
            text = (flags / str(descriptor)).read_text()
            bits = int(next(line for line in text.splitlines() if line.startswith("flags:"))[6:], 8)
            assert bits & os.O_CLOEXEC


def test_without_a_store_it_serves_all_the_same(master: Master, store: FlatStore) -> None:
    """A list that is not there yet is a temporary failure, and no reason to leave."""
    os.unlink(os.path.join(store.configdirectory, "mailboxes.db"))
    master.start()
    with master.connect() as connection:
        assert connection.ask(b"fred") == b"TEMP System I/O error"
        store.write()
        assert connection.ask(b"fred") == b"OK fred"


def queued(master: Master) -> Connection | None:
    """One more client, in the queue at least; None while that is full."""
    try:
        return master.connect()
    except BlockingIOError:
        return None


def test_clients_never_take_the_descriptors_that_databases_need(
    master: Master, store: FlatStore
) -> None:
    """`maxfds` of cyrus.conf, or a shell's 1024: others wait, and who is served gets right answers."""
    master.start(OPEN_FILES="64")
    with ExitStack() as stack:
        first = stack.enter_context(client(master))
        for _ in range(62):
            stack.enter_context(wait_until(partial(queued, master), "the queue has room"))
        for number in range(50):
            # A list in the place of the old one has to be opened.
            store.mailboxes[b"user.joe%d" % number] = record()
            store.write()
            assert first.ask(b"joe%d" % number) == b"OK joe%d" % number
            assert first.ask(b"nobody").startswith(b"NOTFOUND ")
    with client(master) as after:
        assert after.ask(b"joe0") == b"OK joe0"


def test_a_name_service_that_hangs_keeps_no_client_waiting(
    master: Master, store: FlatStore
) -> None:
    """That of the SQL server's name; the driver would wait for as long as the system's resolver does."""
    require_module("pymysql", "the extra `mysql`, which `make venv` installs")
    store.options |= {
        "mboxlist_db": "sql",
        "sql_engine": "mysql",
        "sql_database": "cyrus",
        "sql_hostnames": "db.example",
    }
    store.write()
    master.start(FIRST=HANGING_NAMES)
    for _ in range(3):
        with master.connect() as connection:
            assert connection.ask(b"fred").startswith(b"TEMP ")
    master.process.send_signal(signal.SIGTERM)
    assert master.exit_code() == os.EX_TEMPFAIL
