"""The processes of a gateway: who they are, what they may, and that none stays behind."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import pairwise

import pytest

from gateway.supervisor.children import FIRST_DELAY
from tests.rigs.load import FRED, NOBODY
from tests.rigs.managed import ManagedGateway
from tests.rigs.processes import Account, account
from tests.rigs.program import gateway_python
from tests.rigs.require import require_root

# Kills until the delay has grown; each process that has lived for ten seconds, as on a busy
# machine it may, starts it again.
MOST_KILLS = 20
# A user and a group that every Debian has, and that do not belong together.
USER, GROUP = "daemon", "mail"


@pytest.fixture
def managed() -> Iterator[ManagedGateway]:
    """All three interfaces, not started."""
    with ManagedGateway(milter=True) as made:
        yield made


def other_user(managed: ManagedGateway) -> Account:
    """Another user, that can reach the program."""
    managed.python = gateway_python(USER)
    return account(USER)


def status(pid: int) -> dict[str, str]:
    """The fields of /proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        pairs = (line.split(":", 1) for line in file)
        return {name: value.strip() for name, value in pairs}


def effective_users(managed: ManagedGateway) -> set[str]:
    """Whom the processes run as; those that a reload has replaced may end while this looks."""
    found = set()
    for pid in managed.daemon.members():
        with suppress(FileNotFoundError, ProcessLookupError):
            found.add(status(pid)["Uid"].split()[1])
    return found


# --- what the service manager hears ------------------------------------------------------


def test_the_service_manager_hears_the_protocol_of_notify_reload(managed: ManagedGateway) -> None:
    """READY; RELOADING with its time and READY again, also if refused; STOPPING at the end."""
    managed.start()
    told = managed.wait_told("READY")
    assert told["MAINPID"] == str(managed.daemon.pid)
    assert told["STATUS"] == "serving with core, milter"
    for spoilt in (False, True):
        if spoilt:
            managed.write_configuration("mode = 1")
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        managed.signal(signal.SIGHUP)
        reloading = managed.told()
        while "RELOADING" not in reloading:
            assert set(reloading) == {"STATUS"}, reloading
            reloading = managed.told()
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        assert reloading["RELOADING"] == "1"
        assert before <= int(reloading["MONOTONIC_USEC"]) <= after
        assert managed.wait_told("READY")["READY"] == "1"
    managed.signal(signal.SIGTERM)
    assert int(managed.wait_told("STOPPING")["EXTEND_TIMEOUT_USEC"]) > 0


def test_the_watchdog_is_fed_from_the_start_and_through_reloads(managed: ManagedGateway) -> None:
    """The service manager's main process keeps saying that it lives."""
    managed.start(env={"WATCHDOG_USEC": "400000"})
    managed.wait_told("READY")
    for _ in range(3):
        managed.wait_told("WATCHDOG")
        managed.signal(signal.SIGHUP)
        managed.wait_told("RELOADING")
        managed.wait_told("READY")


def test_no_process_speaks_for_the_supervisor(managed: ManagedGateway) -> None:
    """The children have none of the variables that are meant for it."""
    managed.start(env={"WATCHDOG_USEC": "60000000"})
    managed.wait_told("READY")
    for pid in (managed.pid("core"), managed.pid("milter")):
        with open(f"/proc/{pid}/environ", "rb") as file:
            names = {line.partition(b"=")[0] for line in file.read().split(b"\0")}
        assert not {name for name in names if name.startswith((b"NOTIFY", b"WATCHDOG", b"LISTEN"))}


# --- ends that nobody wanted --------------------------------------------------------------


@pytest.mark.parametrize("module", ["core", "milter"])
@pytest.mark.slow
def test_a_crashed_process_comes_back_with_a_growing_delay(
    managed: ManagedGateway, module: str
) -> None:
    """Each time on the same socket; nobody is refused in between."""
    managed.configure({"logging": {"level": "info"}})
    managed.begin()
    delays: list[float] = []
    while 8 * FIRST_DELAY not in delays:
        assert len(delays) < MOST_KILLS, delays
        (pid,) = managed.pids(module)
        os.kill(pid, signal.SIGKILL)
        line = managed.wait_log(f"{module} starts again in", count=len(delays) + 1)[-1]
        delays.append(float(re.search(r"in ([0-9.]+) seconds", line)[1]))  # type: ignore[index]
        assert managed.ask("socketmap", FRED) == b"OK " + FRED
        told = managed.wait_told("STATUS")
        while told["STATUS"] != "serving with core, milter":
            told = managed.wait_told("STATUS")
    assert delays[0] == FIRST_DELAY
    assert all(after in (2 * before, FIRST_DELAY) for before, after in pairwise(delays)), delays
    assert len(managed.logged(f"{module} (pid ", "was ended by SIGKILL")) == len(delays)


def test_no_process_outlives_a_supervisor_that_was_killed(managed: ManagedGateway) -> None:
    """kill -9; the next start replaces the sockets that it left."""
    managed.configure({"": {"workers": 2}})
    managed.begin()
    children = [*managed.pids("core"), *managed.pids("milter")]
    assert len(children) == 3
    watched = [managed.watch(pid) for pid in children]
    managed.signal(signal.SIGKILL)
    for pidfd in watched:
        managed.wait_gone(pidfd)
    assert managed.exit_code() == -signal.SIGKILL
    assert all(os.path.lexists(managed.path(front)) for front in managed.front_ends)
    managed.begin()
    assert managed.ask("policy", NOBODY) == b"550 5.1.1 User unknown"


# --- other people's files and instances ---------------------------------------------------


def test_a_second_instance_is_refused_and_the_first_serves_on(managed: ManagedGateway) -> None:
    """It says which sockets are taken and how to find the process that has them; its code is that of a bad setting."""
    managed.begin()
    first = managed.daemon
    second = managed.start()
    assert managed.exit_code(second) == os.EX_CONFIG
    for front in managed.front_ends:
        assert managed.logged(
            f"cannot listen on unix:{managed.path(front)}", "perhaps a second instance"
        )
    assert first.running()
    assert managed.ask("socketmap", FRED) == b"OK " + FRED
    assert len(first.members()) == 3


def _file(path: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write("precious")


@pytest.mark.parametrize(
    "make",
    [_file, os.mkdir, lambda path: os.symlink("/nowhere", path), os.mkfifo],
    ids=["file", "folder", "symbolic link", "pipe"],
)
def test_what_is_no_socket_is_never_replaced(make: Callable[[str], None]) -> None:
    """The start ends; the file stays as it is, and the other sockets are given back."""
    with ManagedGateway() as managed:
        make(managed.path("policy"))
        before = os.lstat(managed.path("policy"))
        managed.start()
        assert managed.exit_code() == os.EX_CONFIG
        assert managed.logged("policy is not a socket; it is left alone, so move it away")
        after = os.lstat(managed.path("policy"))
        assert (before.st_ino, before.st_mode, before.st_size) == (
            after.st_ino,
            after.st_mode,
            after.st_size,
        )
        assert not os.path.lexists(managed.path("socketmap"))


# --- who they are -------------------------------------------------------------------------


def test_every_process_leaves_root_for_good(managed: ManagedGateway) -> None:
    """User and group in all four forms, the user's groups, and no capability."""
    require_root("only root becomes somebody else")
    who = other_user(managed)
    gid = account(GROUP).gid
    managed.configure({"": {"user": USER, "group": GROUP}})
    managed.begin()
    assert not managed.logged("runs as root")
    pids = managed.daemon.members()
    assert len(pids) == 3
    for pid in pids:
        found = status(pid)
        assert found["Uid"].split() == [str(who.uid)] * 4
        assert found["Gid"].split() == [str(gid)] * 4
        assert {int(group) for group in found["Groups"].split()} == set(os.getgrouplist(USER, gid))
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(found[kind], 16) == 0, kind
    for front in managed.front_ends:
        made = os.lstat(managed.path(front))
        assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (who.uid, gid, 0o660)
    # And so do those that come later: after a crash, and after a reload.
    os.kill(managed.pid("core"), signal.SIGKILL)
    assert managed.ask("socketmap", FRED) == b"OK " + FRED
    managed.reload()
    assert effective_users(managed) == {str(who.uid)}
    assert managed.ask("policy", FRED) == b"DUNNO"


def test_an_ordinary_user_starts_it_without_root(managed: ManagedGateway) -> None:
    """As its own user, whatever `user` says: only root can become another one."""
    require_root("only root becomes somebody else")
    who = other_user(managed)
    os.chown(managed.folder, who.uid, who.gid)
    managed.configure({"": {"user": "cyrus"}})
    managed.start(user=who)
    managed.wait_told("READY")
    assert effective_users(managed) == {str(who.uid)}
    assert managed.ask("socketmap", FRED) == b"OK " + FRED
    managed.reload()
    managed.signal(signal.SIGTERM)
    assert managed.exit_code() == os.EX_OK
    assert not os.path.lexists(managed.path("socketmap"))


def test_the_folder_that_it_is_started_in_is_not_searched_for_modules() -> None:
    """A file of a module's name lies there, as in /tmp it may."""
    with ManagedGateway() as managed:
        for name in ("gateway", "gevent"):
            os.mkdir(managed.path(name))
            _file(os.path.join(managed.path(name), "__init__.py"))
        managed.start(prefix=["/usr/bin/env", "-C", managed.folder])
        managed.wait_told("READY")
        assert managed.ask("socketmap", FRED) == b"OK " + FRED


# --- descriptors --------------------------------------------------------------------------


def limited(soft: int, hard: int) -> list[str]:
    """A command's prefix that limits its descriptors."""
    return ["/usr/bin/prlimit", f"--nofile={soft}:{hard}"]


def test_the_soft_limit_of_descriptors_is_no_limit() -> None:
    """A shell's 1024 would cut max_connections; the hard limit is the administrator's word."""
    with ManagedGateway() as managed, ExitStack() as stack:
        managed.start(prefix=limited(64, 1000))
        managed.wait_told("READY")
        clients = [stack.enter_context(managed.open("socketmap")) for _ in range(200)]
        for client in clients:
            assert client.ask(FRED) == b"OK " + FRED


def test_at_the_hard_limit_clients_wait_and_nobody_is_lost() -> None:
    """The log says so at the start; databases can still be opened, and who leaves makes room."""
    with ManagedGateway({"socketmap": {"max_connections": 500}}) as managed, ExitStack() as stack:
        managed.start(prefix=limited(64, 64))
        managed.wait_told("READY")
        assert managed.logged(
            "max_connections of [socketmap] is 500, and 64 open files", "LimitNOFILE"
        )
        clients = [stack.enter_context(managed.open("socketmap")) for _ in range(100)]
        for client in clients:
            client.send(client.question(FRED))
        for client in clients:
            assert client.receive() == b"OK " + FRED
            client.close()
        assert managed.ask("policy", FRED) == b"DUNNO"
        assert not managed.logged("cannot accept more clients")
