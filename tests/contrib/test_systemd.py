"""The units: systemd itself reads them, and the gateway needs nothing that they forbid.

No systemd runs here.  What the service's sandbox would refuse is found by
looking at every system call of a gateway that starts, serves, reloads and
stops; test_sandbox.py runs one in a sandbox like it.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config.tables.general import GeneralSettings
from gateway.server import builderprocess
from gateway.server.builderprocess import BuilderProcess
from gateway.supervisor import processes
from gateway.supervisor.children import START_LIMIT
from gateway.supervisor.supervisor import FATAL_AT_START
from tests.contrib.units import (
    SERVICE,
    SOCKET,
    UNITS,
    USER,
    allowed_calls,
    analyze,
    settings,
    value,
)
from tests.rigs.load import FRED, NOBODY
from tests.rigs.managed import ManagedGateway
from tests.rigs.program import gateway_python
from tests.rigs.require import require
from tests.rigs.waiting import wait_until
from tests.support.twoskip_writer import Writer

# systemd's own measure, from 0 to 10; less than 3 is what it calls OK.
MOST_EXPOSED = 2.5

SEVERAL, INSTANCE = "smmapd-gateway@.service", "smmapd-gateway@mx2.service"


# --- what must fit together ---------------------------------------------------------------


def test_the_unit_waits_longer_than_the_program() -> None:
    """For what is in progress at the end, and for a core between two signs of life."""
    timeout = int(value("TimeoutStopSec").removesuffix("s"))
    assert GeneralSettings().graceful_timeout < timeout
    assert int(value("WatchdogSec")) > processes.ALIVE_INTERVAL
    # systemd's own limit for a start (DefaultTimeoutStartSec) is 90 seconds.
    assert "TimeoutStartSec" not in settings(SERVICE)
    assert START_LIMIT < 90


def test_what_no_restart_mends_is_not_restarted() -> None:
    """The exit codes after which the supervisor gives up, too."""
    assert {int(code) for code in value("RestartPreventExitStatus").split()} == set(FATAL_AT_START)


def test_it_is_started_again_however_often_it_is_killed() -> None:
    """Within the two seconds that it may be away, of which the start takes most on a busy machine."""
    assert value("Restart") == "on-failure"
    assert int(value("RestartSec")) <= 1
    assert value("StartLimitIntervalSec") == "0"


def test_a_process_that_the_kernel_ends_does_not_end_the_others() -> None:
    """Where there is no memory left: by default (OOMPolicy=stop) systemd would stop them all."""
    assert value("OOMPolicy") == "continue"


def test_the_socket_goes_with_the_service_and_its_users() -> None:
    """Its name is what the comment tells to listen on; its group and folder are made."""
    name = value("FileDescriptorName", SOCKET)
    assert f'"fd:{name}"' in (UNITS / SOCKET).read_text()
    assert value("Service", SOCKET) == SERVICE
    assert f"\nu {value('SocketGroup', SOCKET)} " in (UNITS / "sysusers.conf").read_text()
    folder = os.path.dirname(value("ListenStream", SOCKET))
    assert f"\nd {folder} 0755 root root " in (UNITS / "tmpfiles.conf").read_text()
    assert f"-{folder}" in value("ReadWritePaths").split()


# --- what systemd says --------------------------------------------------------------------


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units with a program that this machine has."""
    require("systemd")
    for name, target in ((SERVICE, SERVICE), (SOCKET, SOCKET), (SEVERAL, INSTANCE)):
        text = (UNITS / name).read_text()
        (tmp_path / target).write_text(text.replace("/usr/bin/smmapd-gateway", "/bin/true"))
    return tmp_path


@pytest.mark.real
@pytest.mark.parametrize("name", [SERVICE, SOCKET, INSTANCE])
def test_systemd_finds_nothing_wrong(installed: Path, name: str) -> None:
    """Each setting is known, with a value that means something."""
    assert analyze("verify", "--man=no", str(installed / name)) == ("", "")


@pytest.mark.real
@pytest.mark.parametrize("name", [SERVICE, INSTANCE])
def test_the_service_is_little_exposed(installed: Path, name: str) -> None:
    """As far as one that starts as root and serves a network can be."""
    said, _ = analyze("security", "--offline=true", "--no-pager", str(installed / name))
    found = re.search(r"exposure level for \S+: ([0-9.]+)", said)
    assert found is not None, said
    assert float(found[1]) <= MOST_EXPOSED, said


# --- what the gateway does ----------------------------------------------------------------


@pytest.fixture(scope="module")
def traced() -> Iterator[list[str]]:
    """The system calls of a gateway's whole life, one a line, of all of its processes."""
    require("systemd")
    with ManagedGateway({"": {"user": USER}}, milter=True) as managed:
        managed.python = gateway_python(USER)
        out = managed.path("trace")
        # Modules that were changed a moment ago are compiled, which the service cannot do either.
        strace = ["/usr/bin/strace", "-E", "PYTHONDONTWRITEBYTECODE=1", "-D", "-f", "-qq"]
        managed.start(prefix=[*strace, "-o", out])
        managed.wait_told("READY")
        assert managed.ask("socketmap", FRED) == b"OK " + FRED
        assert managed.ask("policy", NOBODY) == b"550 5.1.1 User unknown"
        os.kill(managed.pid("core"), signal.SIGKILL)
        assert managed.ask("socketmap", FRED) == b"OK " + FRED
        managed.reload()
        managed.signal(signal.SIGTERM)
        assert managed.exit_code() == os.EX_OK
        with open(out, encoding="utf-8", errors="replace") as file:
            yield [line.split(maxsplit=1)[1] for line in file]


@pytest.mark.real
def test_the_filter_lets_every_system_call_through(traced: list[str]) -> None:
    """Of the interpreter, gevent and libmilter, before and after root is left."""
    calls = {found[1] for line in traced if (found := re.match(r"([a-z0-9_]+)\(", line))}
    assert {"setresuid", "execve", "accept4", "sendto"} <= calls
    assert calls - allowed_calls() == set()


@pytest.mark.real
def test_the_process_that_makes_an_index_needs_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But to be nice to others, which the unit denies: it does its work without."""
    require("systemd")
    writer = Writer(seed=1)
    writer.fill((b"user.%d" % number, b"value") for number in range(100))
    path, out = tmp_path / "mailboxes.db", tmp_path / "trace"
    path.write_bytes(writer.image())
    # A system call that the unit's filter denies fails with EPERM (SystemCallErrorNumber=).
    words = ["/usr/bin/strace", "-f", "-qq", "-e", "inject=setpriority:error=EPERM", "-o", str(out)]
    command = builderprocess.command
    monkeypatch.setattr(builderprocess, "command", lambda path: [*words, *command(path)])
    builder = BuilderProcess(str(path))
    found: list[int] = []

    def over() -> bool:
        found.extend(each for each in [builder.poll()] if each is not None)
        return builder.ended

    wait_until(over, "it has ended")
    assert builder.failed == ""
    os.close(found[0])
    calls = set(re.findall(r"^\d+ +([a-z0-9_]+)\(", out.read_text(), re.MULTILINE))
    assert {"memfd_create", "sendmsg", "setpriority"} <= calls
    assert calls - allowed_calls() == {"setpriority"}


@pytest.mark.real
def test_no_memory_is_writable_and_executable(traced: list[str]) -> None:
    """MemoryDenyWriteExecute= refuses that, and to make memory executable later."""
    assert value("MemoryDenyWriteExecute") == "yes"
    for line in traced:
        assert not re.match(r"mmap\(.*PROT_WRITE\|PROT_EXEC", line), line
        assert not re.match(r"(pkey_)?mprotect\(.*PROT_EXEC", line), line


@pytest.mark.real
def test_only_the_allowed_kinds_of_sockets_are_made(traced: list[str]) -> None:
    """What RestrictAddressFamilies= names."""
    families = {found[1] for line in traced if (found := re.match(r"socket(?:pair)?\((\w+)", line))}
    assert families <= set(value("RestrictAddressFamilies").split())


@pytest.mark.real
def test_nothing_is_written_but_sockets(traced: list[str]) -> None:
    """ProtectSystem=strict: no file is opened for writing outside of /dev and /proc."""
    for line in traced:
        if re.match(r"open(at)?\(", line) and re.search(r"O_(WRONLY|RDWR|CREAT)", line):
            assert re.search(r'"/(dev|proc)/', line) or " = -1 " in line, line


def test_the_pieces_for_later_versions_are_whole() -> None:
    """notify-reload.conf takes back what the two kinds of reload cannot share."""
    check, signal_ = settings(SERVICE)["ExecReload"]
    assert settings("notify-reload.conf") == {
        "Type": ["notify-reload"],
        "ExecReload": ["", check],
    }
    assert value("Type") == "notify"
    assert check.endswith("check-config --reload -q")
    assert signal_ == '+/bin/sh -c "kill -HUP $MAINPID"'
