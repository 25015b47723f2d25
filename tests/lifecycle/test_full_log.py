"""A syslog that nobody reads: /dev/log is full, and mail goes on.

(Standard error is in tests/observability/logging/test_handlers.py.)
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.rigs.gateway import Tables
from tests.rigs.load import FRED, NOBODY
from tests.rigs.managed import ManagedGateway
from tests.rigs.milter import CONTINUE, MilterClient
from tests.rigs.require import require_root
from tests.rigs.syslog import Syslog

# Twice as many lines, more than a queue of datagrams holds (net.unix.max_dgram_qlen: 10 to 512).
QUESTIONS = 300
UNKNOWN = b"550 5.1.1 User unknown"
# A client whose address is of no family.
NO_FAMILY = b"host\0Z\0\0a\0"
BROKEN_MTAS = 20


def tables(target: str) -> Tables:
    """Every verdict is a line."""
    return {"logging": {"target": target, "level": "info"}}


@pytest.fixture
def syslog() -> Iterator[Syslog]:
    """A /dev/log that is not read."""
    require_root("only root makes mount namespaces")
    with Syslog(reads=False) as made:
        yield made


def ask_all(managed: ManagedGateway, questions: int) -> None:
    """Everybody is answered at every interface, in one conversation and in new ones."""
    for interface, good, bad in (
        ("socketmap", b"OK " + FRED, b"NOTFOUND Mailbox does not exist"),
        ("policy", b"DUNNO", UNKNOWN),
    ):
        with managed.open(interface) as client:
            for _ in range(questions):
                assert client.ask(FRED) == good
                assert client.ask(NOBODY) == bad
        assert managed.ask(interface, FRED) == good
    with MilterClient(managed.path("milter")) as mta:
        mta.connect()
        mta.mail()
        for _ in range(questions):
            assert mta.rcpt(b"<%s>" % FRED) == CONTINUE
            assert mta.rcpt(b"<%s>" % NOBODY) == UNKNOWN


def broken_mtas(managed: ManagedGateway) -> list[MilterClient]:
    """MTAs that break the protocol, each of which is worth a line."""
    broken = [MilterClient(managed.path("milter")) for _ in range(BROKEN_MTAS)]
    for mta in broken:
        mta.send(b"C", NO_FAMILY)
    return broken


def test_a_full_syslog_holds_up_nobody(syslog: Syslog) -> None:
    """Nor reloads, restarts, broken MTAs and the end; and what was lost is told."""
    with ManagedGateway(tables("syslog"), milter=True) as managed:
        managed.start(prefix=syslog.wrap([]))
        managed.wait_told("READY")
        ask_all(managed, QUESTIONS)
        os.kill(managed.pid("core"), signal.SIGKILL)
        ask_all(managed, 1)
        old = managed.watch(managed.pid("milter"))
        managed.reload()
        # The next clients shall be its successor's, which has nobody to end for.
        managed.wait_gone(old)
        ask_all(managed, QUESTIONS)
        broken = broken_mtas(managed)
        ask_all(managed, 1)
        syslog.read()
        for mta in broken:
            mta.close()
        ask_all(managed, 1)
        syslog.wait_for("log lines were lost")
        managed.signal(signal.SIGTERM)
        assert managed.exit_code() == os.EX_OK
