"""Another store in the place of the one that a running gateway answers from."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.rigs.load import FRED
from tests.rigs.managed import ManagedGateway

# Enough that nothing is looked at any more before the change, and few enough
# that the look that comes by itself now and then (QUIET_TICKS) is not due.
QUESTIONS = 20


@pytest.mark.parametrize("interface", ["socketmap", "policy"])
def test_a_configdirectory_that_is_exchanged_shows_in_the_next_answer(interface: str) -> None:
    """Its symbolic link leads to a restored copy, in which fred has no mailbox; and back."""
    with ManagedGateway() as managed:
        place, full, bare = (
            os.path.join(managed.folder, name) for name in ("conf", "full", "bare")
        )
        os.rename(place, full)
        shutil.copytree(full, bare)
        with open(os.path.join(bare, "mailboxes.db"), "wb"):
            pass
        os.symlink(full, place)
        managed.begin()
        with managed.open(interface) as client:
            known = client.ask(FRED)
            for target, same in ((bare, False), (full, True), (bare, False)):
                for _ in range(QUESTIONS):
                    before = client.ask(FRED)
                os.symlink(target, place + ".NEW")
                os.rename(place + ".NEW", place)
                assert (client.ask(FRED) == known) is same
                assert before != client.ask(FRED)
