"""A gateway that was started with closed standard descriptors, as by a careless script."""

from __future__ import annotations

import os

import pytest

from tests.life.doors import DOORS
from tests.life.load import FRED, NOBODY
from tests.life.running import Life

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_no_socket_takes_the_place_of_standard_error(closed: str) -> None:
    """Log lines go nowhere, and above all not to a client."""
    with Life({"logging": {"level": "debug"}}, milter=True) as life:
        life.start(prefix=("/bin/sh", "-c", f'exec "$@" {closed}', "sh"))
        life.wait_told("READY")
        for door in DOORS:
            assert life.ask(door, FRED) != life.ask(door, NOBODY)
        pids = [life.daemon.pid, life.pid("core"), life.pid("milter")]
        assert {os.readlink(f"/proc/{pid}/fd/2") for pid in pids} == {os.devnull}
