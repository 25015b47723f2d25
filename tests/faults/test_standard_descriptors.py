"""A gateway that was started with closed standard descriptors, as by a careless script."""

from __future__ import annotations

import os

import pytest

from tests.rigs.clients import INTERFACES
from tests.rigs.load import FRED, NOBODY
from tests.rigs.managed import ManagedGateway

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_no_socket_takes_the_place_of_standard_error(closed: str) -> None:
    """Log lines go nowhere, and above all not to a client."""
    with ManagedGateway({"logging": {"level": "debug"}}, milter=True) as managed:
        managed.start(prefix=("/bin/sh", "-c", f'exec "$@" {closed}', "sh"))
        managed.wait_told("READY")
        for interface in INTERFACES:
            assert managed.ask(interface, FRED) != managed.ask(interface, NOBODY)
        pids = [managed.daemon.pid, managed.pid("core"), managed.pid("milter")]
        assert {os.readlink(f"/proc/{pid}/fd/2") for pid in pids} == {os.devnull}
