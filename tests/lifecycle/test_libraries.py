"""Which library serves the milter: said in the log, a process a socket, and what is told where it is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.gateway import LIBRARY
from tests.rigs.managed import ManagedGateway
from tests.rigs.milter import CONTINUE, MilterClient
from tests.rigs.ports import LOOPBACK, free_ports
from tests.rigs.program import ROOT
from tests.rigs.waiting import wait_until

FRED = b"<fred@example.org>"
NOBODY = b"<nobody@example.org>"
UNKNOWN = b"550 5.1.1 User unknown"


@pytest.fixture
def managed() -> Iterator[ManagedGateway]:
    """A gateway with a milter."""
    with ManagedGateway({"logging": {"level": "info"}}, milter=True) as made:
        yield made


def ask(path: str) -> tuple[bytes, bytes]:
    """What a new MTA is told of a good and an unknown recipient."""
    with MilterClient(path) as mta:
        mta.connect()
        mta.mail()
        return mta.rcpt(FRED), mta.rcpt(NOBODY)


@pytest.mark.milter
def test_the_log_says_which_library_serves(managed: ManagedGateway) -> None:
    """At the start and at each reload, and after a change the new one does."""
    managed.begin()
    line = "the milter speaks its protocol by way of"
    assert managed.logged(line, LIBRARY)
    other = "builtin" if LIBRARY == "pymilter" else "pymilter"
    managed.configure({"milter": {"library": other}})
    with MilterClient(managed.path("milter")) as before:
        before.connect()
        before.mail()
        managed.reload()
        assert managed.logged(line, other)
        # An MTA that was there goes on with what it has.
        assert before.rcpt(NOBODY) == UNKNOWN
        assert ask(managed.path("milter")) == (CONTINUE, UNKNOWN)


@pytest.mark.milter
def test_each_of_several_sockets_is_served(managed: ManagedGateway) -> None:
    """Each is served; on pymilter by a process of its own, of which one may die without the others."""
    paths = [managed.path("milter"), managed.path("milter-two"), managed.path("milter-three")]
    (port,) = free_ports(1)
    listen = [*(f"unix:{path}" for path in paths), f"inet:{LOOPBACK}:{port}"]
    managed.configure({"milter": {"listen": listen}})
    managed.begin()
    assert len(managed.pids("milter")) == (len(listen) if LIBRARY == "pymilter" else 1)
    for path in paths:
        assert ask(path) == (CONTINUE, UNKNOWN)
    for pid in managed.pids("milter"):
        os.kill(pid, 9)
    for path in paths:
        assert ask(path) == (CONTINUE, UNKNOWN)
    managed.configure({"milter": {"listen": listen[1:]}})
    managed.reload()
    assert not os.path.exists(paths[0])
    for path in paths[1:]:
        assert ask(path) == (CONTINUE, UNKNOWN)
    # Those of before have no sessions to wait for.
    processes = 3 if LIBRARY == "pymilter" else 1
    wait_until(lambda: len(managed.pids("milter")) == processes, "the old processes have left")


@pytest.mark.parametrize("command", ["serve", "check-config"])
def test_where_pymilter_is_missing(managed: ManagedGateway, tmp_path: Path, command: str) -> None:
    """One message says what to install, and that the builtin library needs nothing."""
    (tmp_path / "milter.py").write_text("raise ImportError('libmilter.so.1.0.1: not here')\n")
    argv = [sys.executable, "-P", "-m", "gateway.cli.main", command, "-c", managed.configuration]
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}

    def said(library: str) -> list[str]:
        managed.configure({"milter": {"library": library}})
        done = subprocess.run(
            argv, env=env, capture_output=True, text=True, timeout=60, check=False
        )
        if library == "pymilter":
            assert done.returncode == os.EX_CONFIG
        return [line for line in (done.stdout + done.stderr).splitlines() if "pymilter" in line]

    (message,) = said("pymilter")
    for word in ("milter.library", "libmilter.so.1.0.1", "python3-milter", 'library = "builtin"'):
        assert word in message
    if command == "check-config":
        assert said("builtin") == []


def test_the_process_on_pymilter_has_nothing_of_gevent() -> None:
    """Its loop and its patches are another world's: libmilter's threads are native ones."""
    code = (
        "import sys, gateway.worker.pymilterprocess;"
        "sys.exit(any(name.partition('.')[0] in ('gevent', 'greenlet') for name in sys.modules))"
    )
    argv = [sys.executable, "-P", "-c", code]
    subprocess.run(argv, env={**os.environ, "PYTHONPATH": ROOT}, check=True, timeout=60)
