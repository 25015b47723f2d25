"""The process that makes an index for another one: it hands it over, or it is over with it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from gateway.server import builderprocess
from gateway.server.builderprocess import BuilderProcess
from tests.rigs.waiting import wait_until
from tests.support.twoskip_writer import Writer

pytestmark = pytest.mark.processes


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A small mailbox list."""
    writer = Writer(seed=1)
    writer.fill((b"user.%d" % n, b"value") for n in range(300))
    file = tmp_path / "mailboxes.db"
    file.write_bytes(writer.image())
    return str(file)


@pytest.fixture
def start() -> Iterator[Callable[[str], BuilderProcess]]:
    """Starts one, which is ended behind the test."""
    started: list[BuilderProcess] = []

    def begin(path: str) -> BuilderProcess:
        started.append(BuilderProcess(path))
        return started[-1]

    yield begin
    for each in started:
        each.close()


def outcome(builder: BuilderProcess) -> int | None:
    """The descriptor that it hands over before it ends, if it does."""
    found: list[int] = []

    def over() -> bool:
        descriptor = builder.poll()
        if descriptor is not None:
            found.append(descriptor)
        return builder.ended

    wait_until(over, "the process has ended")
    return found[0] if found else None


def forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if an index took for ever."""
    monkeypatch.setattr(
        builderprocess,
        "_PROGRAM",
        builderprocess._PROGRAM.replace(
            "sys.exit(",
            "import gateway.worker.indexbuilder as it;"
            " it.Twoskip.build_index_step = lambda self: True; sys.exit(",
        ),
    )


def is_gone(pid: int) -> bool:
    """Whether there is no such process, nor a zombie of it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_an_index_is_made_and_handed_over(
    path: str, start: Callable[[str], BuilderProcess]
) -> None:
    """One that a reader of the file believes; the process is not a zombie then."""
    builder = start(path)
    descriptor = outcome(builder)
    assert descriptor is not None
    assert builder.failed == ""
    assert not os.get_inheritable(descriptor)
    database = Twoskip(FileView(path))
    database.offer_index(descriptor)
    os.close(descriptor)
    while database.build_index_step(alone=False):
        pass
    database.state()
    assert database.known_absent(b"user.nobody")
    assert database.get_seen(b"user.299") == b"value"
    database.close()
    assert is_gone(builder.pid)


@pytest.mark.parametrize(
    "content", [None, b"", b"no mailbox list", b"\xa1\x02\x8b\x0dtwoskip file"]
)
def test_there_is_none_of_what_is_no_mailbox_list(
    tmp_path: Path, start: Callable[[str], BuilderProcess], content: bytes | None
) -> None:
    """A file that is not there, or that Cyrus did not write."""
    path = tmp_path / "mailboxes.db"
    if content is not None:
        path.write_bytes(content)
    builder = start(str(path))
    assert outcome(builder) is None
    assert builder.failed == "the process that was to make it ended without one"
    assert is_gone(builder.pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_one_that_is_killed_has_made_none(
    path: str,
    start: Callable[[str], BuilderProcess],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    """Whatever kills it."""
    forever(monkeypatch)
    builder = start(path)
    os.kill(builder.pid, number)
    assert outcome(builder) is None
    assert builder.failed == "the process that was to make it ended without one"
    assert is_gone(builder.pid)


def test_one_that_hangs_is_given_up(
    path: str, start: Callable[[str], BuilderProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says something each second, else."""
    forever(monkeypatch)
    monkeypatch.setattr(builderprocess, "SILENCE", 0.2)
    builder = start(path)
    os.kill(builder.pid, signal.SIGSTOP)
    assert outcome(builder) is None
    assert "silent" in builder.failed
    assert is_gone(builder.pid)


def test_one_that_is_at_work_is_waited_for(
    path: str, start: Callable[[str], BuilderProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For as long as it says so."""
    forever(monkeypatch)
    builder = start(path)
    begun = builder._heard
    wait_until(lambda: builder.poll() or builder._heard > begun, "it says that it is at work")
    assert not builder.ended
    assert builder.failed == ""


def test_it_ends_with_the_process_that_started_it(
    path: str, start: Callable[[str], BuilderProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose end of the pair closes, however that process ended."""
    forever(monkeypatch)
    builder = start(path)
    wait_until(lambda: b"indexbuilder" in command_line(builder.pid), "it runs")
    builder._channel.close()
    builder._done = True
    wait_until(lambda: builder.poll() or builder.ended, "it has ended")
    assert is_gone(builder.pid)


def command_line(pid: int) -> bytes:
    """As /proc has it."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()


def test_it_has_nothing_of_the_process_that_started_it(
    path: str, start: Callable[[str], BuilderProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No descriptor but its own, not even those that other programs would get; no group of ours."""
    forever(monkeypatch)
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    builder = start(path)
    os.close(writer)

    def held() -> set[str]:
        folder, found = f"/proc/{builder.pid}/fd", set()
        for each in os.listdir(folder):
            with suppress(FileNotFoundError):  # a module that it has just read
                found.add(os.readlink(f"{folder}/{each}"))
        return found

    wait_until(lambda: path in held(), "it reads the file")
    kinds = {each.split(":")[0] for each in held()}
    assert kinds == {"socket", "/dev/null", path}
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert os.getpgid(builder.pid) == builder.pid
    with open(f"/proc/{builder.pid}/stat", encoding="ascii", errors="replace") as file:
        nice = int(file.read().rsplit(")", 1)[1].split()[16])
    assert nice > os.getpriority(os.PRIO_PROCESS, 0) or nice == 19


def test_it_is_the_first_that_ends_where_memory_runs_out(
    path: str, start: Callable[[str], BuilderProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before those that serve: without it there is only no index yet."""
    forever(monkeypatch)
    builder = start(path)

    def rather() -> bool:
        with open(f"/proc/{builder.pid}/oom_score_adj", encoding="ascii") as file:
            return file.read() == "1000\n"

    wait_until(rather, "it has said so")


class Slow:
    """A channel that is looked at just before the process hands over what it has, and ends."""

    def __init__(self, builder: BuilderProcess) -> None:
        self._really = builder._channel
        self._pid = builder.pid
        self.close = builder._channel.close

    def recvmsg(self, *words: int) -> object:
        try:
            return self._really.recvmsg(*words)
        except BlockingIOError:
            os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
            raise


def test_what_is_handed_over_between_two_looks_is_heard(
    path: str, start: Callable[[str], BuilderProcess]
) -> None:
    """The look at the channel is before, and that at the process behind."""
    builder = start(path)
    builder._channel = Slow(builder)  # type: ignore[assignment]
    descriptor = outcome(builder)
    assert (builder.failed, descriptor is None) == ("", False)
    assert descriptor is not None
    os.close(descriptor)


@pytest.fixture
def ignored() -> Iterator[None]:
    """The kernel forgets each child that ends, and nobody can wait for one."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.mark.usefixtures("ignored")
def test_one_that_nobody_can_wait_for_has_ended(
    path: str, start: Callable[[str], BuilderProcess]
) -> None:
    """As where the program that started this one has it ignore SIGCHLD."""
    builder = start(path)
    descriptor = outcome(builder)
    assert descriptor is not None
    os.close(descriptor)
    assert builder.failed == ""
    builder.close()


@pytest.mark.usefixtures("ignored")
def test_one_that_is_killed_and_that_nobody_can_wait_for_has_made_none(
    path: str, start: Callable[[str], BuilderProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by a look, or when it was to be ended."""
    forever(monkeypatch)
    first, second, third = start(path), start(path), start(path)
    for each in (first, second):
        os.kill(each.pid, signal.SIGKILL)
    assert outcome(first) is None
    assert first.failed == "the process that was to make it ended without one"
    second.close()
    third.close()
    assert second.ended
    assert is_gone(third.pid)


def test_what_lies_beside_our_packages_does_not_hide_pythons_own(
    path: str,
    tmp_path: Path,
    start: Callable[[str], BuilderProcess],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They may be in site-packages, where anybody's `socket.py` may be."""
    (tmp_path / "gateway").symlink_to(os.path.join(builderprocess._HOME, "gateway"))
    (tmp_path / "socket.py").write_text("raise SystemExit(1)")
    monkeypatch.setattr(builderprocess, "_HOME", str(tmp_path))
    builder = start(path)
    descriptor = outcome(builder)
    assert (builder.failed, descriptor is None) == ("", False)
    assert descriptor is not None
    os.close(descriptor)


@pytest.mark.parametrize("program", ["/nonexistent/python", "", None])
def test_what_cannot_be_started_says_so(
    monkeypatch: pytest.MonkeyPatch, program: str | None
) -> None:
    """And leaves nothing open."""
    monkeypatch.setattr(sys, "executable", program)
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        BuilderProcess("/nonexistent")
    assert set(os.listdir("/proc/self/fd")) == before
