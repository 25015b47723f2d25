"""Limits of open files from far too few to just enough: a refusal with the limit, or right answers."""

from __future__ import annotations

import os
import resource
from contextlib import ExitStack

import pytest

from tests.rigs.gateway import Tables
from tests.rigs.load import FRED, NOBODY
from tests.rigs.managed import ManagedGateway
from tests.rigs.milter import CONTINUE, MilterClient
from tests.rigs.waiting import wait_until

PRLIMIT = "/usr/bin/prlimit"
# Only a failure waits so long; a busy machine starts slowly.
PATIENCE_S = 180.0
ADVICE = ("open files are too few", "LimitNOFILE=")


def start(managed: ManagedGateway, limit: int) -> bool:
    """Start with that limit; whether it became ready."""
    managed.start(prefix=[PRLIMIT, f"--nofile={limit}:{limit}"])

    def ended_or_ready() -> str:
        if not managed.daemon.running():
            return "ended"
        return "ready" if managed.heard("READY") else ""

    return wait_until(ended_or_ready, "it is ready, or has ended", PATIENCE_S) == "ready"


@pytest.mark.parametrize("limit", [20, 26])
def test_below_what_a_client_takes_nothing_is_served(limit: int) -> None:
    """The log says the limit, what was open, and what to raise."""
    with ManagedGateway(milter=True) as managed:
        assert not start(managed, limit)
        assert managed.exit_code() == os.EX_CONFIG
        assert managed.logged(f"{limit} {ADVICE[0]}", ADVICE[1])


def test_who_is_ready_answers() -> None:
    """At the lowest limit with which it is."""
    for limit in range(34, 80, 8):
        with ManagedGateway(milter=True) as managed:
            if not start(managed, limit):
                assert managed.logged(*ADVICE)
                continue
            assert managed.ask("policy", NOBODY) == b"550 5.1.1 User unknown"
            assert managed.ask("socketmap", FRED) == b"OK " + FRED
            with MilterClient(managed.path("milter")) as mta:
                mta.connect()
                mta.mail()
                assert mta.rcpt(b"<%b>" % FRED) == CONTINUE
                assert mta.rcpt(b"<%b>" % NOBODY) == b"550 5.1.1 User unknown"
            return
    raise AssertionError("no limit is enough")


@pytest.mark.slow
def test_idle_clients_do_not_keep_others_out() -> None:
    """As many as may be are connected and say nothing; `IDLE_CLIENTS=9000` makes it that many."""
    count = int(os.environ.get("IDLE_CLIENTS", "30"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    tables: Tables = {each: {"max_connections": count} for each in ("socketmap", "policy")}
    try:
        with ManagedGateway(tables) as managed, ExitStack() as stack:
            managed.begin()
            for interface in tables:
                for _ in range(count):
                    stack.enter_context(managed.open(interface))
            assert managed.ask("socketmap", FRED) == b"OK " + FRED
            assert managed.ask("policy", FRED) == b"DUNNO"
            for interface in tables:
                assert len(managed.logged(f"all that max_connections of [{interface}] allows")) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
