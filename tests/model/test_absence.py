"""Who may not look into a folder does not know that there is no quota: only ENOENT proves that."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.rigs import kernels as worlds
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import Mailbox
from tests.rigs.folders import folder
from tests.rigs.gateway import Gateway
from tests.rigs.require import require
from tests.rigs.responders import LATER, YES, Front, Milter, Policy, Socketmap
from tests.rigs.socketmap import Connection

pytestmark = pytest.mark.real

# Turns after which nothing is looked at any more that need not be.
ROUNDS = 3


@pytest.fixture(params=["today", "unwatched"])
def site(request: pytest.FixtureRequest) -> Iterator[tuple[str, list[Front]]]:
    """The folder of fred's quota root, which is empty, and a gateway's front ends."""
    require("cyrus")
    with ExitStack() as stack:
        cyrus = stack.enter_context(
            Cyrus({"virtdomains": "userid", "defaultdomain": "example.org"})
        )
        cyrus.tools.load_mailboxes([Mailbox("user.fred")])
        place = os.path.join(cyrus.config, "quota", "f")
        os.makedirs(place)
        path = worlds.make(request.param, stack.enter_context(folder("world")))
        gateway = stack.enter_context(
            Gateway(cyrus.imapd_conf, {"scope": {"domains": ["example.org"]}}, python_path=path)
        )
        gateway.start()
        front_ends: list[Front] = [
            Socketmap("socketmap", lambda: Connection.to(gateway.path("socketmap"))),
            Policy(gateway.path("policy")),
            Milter(gateway.path("milter")),
        ]
        for front in front_ends:
            stack.callback(front.close)
        yield place, front_ends


def _lock(place: str) -> Callable[[], None]:
    os.chmod(place, 0)  # it is root's
    return lambda: os.chmod(place, 0o755)


def _block(place: str) -> Callable[[], None]:
    os.rename(place, place + ".away")
    with open(place, "wb"):
        pass

    def back() -> None:
        os.unlink(place)
        os.rename(place + ".away", place)

    return back


def _loop(place: str) -> Callable[[], None]:
    os.rename(place, place + ".away")
    os.symlink(place, place)

    def back() -> None:
        os.unlink(place)
        os.rename(place + ".away", place)

    return back


def test_a_quota_folder_that_cannot_be_entered_is_a_temporary_failure(
    site: tuple[str, list[Front]],
) -> None:
    """At all front ends, with verdicts that are remembered and without; and over when it is."""
    place, front_ends = site
    for hinder in (_lock, _block, _loop):
        for front in front_ends:
            for _ in range(ROUNDS):
                assert front.ask([b"fred"]) == [YES], (front.name, hinder)
        back = hinder(place)
        for front in front_ends:
            assert front.ask([b"fred"]) == [LATER], (front.name, hinder)
        back()
        for front in front_ends:
            assert front.ask([b"fred"]) == [YES], (front.name, hinder)
