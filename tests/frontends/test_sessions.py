"""The sessions of each front end, made of its table of gateway.toml: what is set shows, and is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.counted import Declared
from tests.frontends.test_policy_session import request as policy_request
from tests.rigs.socketmap import frame
from tests.rigs.socketmap import request as socketmap_request
from tests.support.serving import Served

SEEN = Declared("seen", ("what",), "For these tests.")
ASKED = {
    "policy": policy_request(b"nobody@example.org"),
    "socketmap": socketmap_request(b"nobody@example.org"),
}
REFUSED = {
    "policy": b"action=550 5.1.1 User unknown\n\n",
    "socketmap": frame(b"NOTFOUND Mailbox does not exist"),
}
ACCEPTED = {"policy": b"action=DUNNO\n\n", "socketmap": frame(b"OK nobody@example.org")}
EACH = pytest.mark.parametrize("name", ASKED)


@EACH
def test_its_mode_is_that_of_its_table(name: str, tmp_path: Path) -> None:
    """A front end reads its own table; nothing on the way names the key."""
    assert Served(tmp_path, name).say(ASKED[name]) == REFUSED[name]
    assert Served(tmp_path, name, 'mode = "observe"').say(ASKED[name]) == ACCEPTED[name]


@EACH
def test_each_answer_is_counted(name: str, tmp_path: Path) -> None:
    """By outcome, whether it was cached or not."""
    served = Served(tmp_path, name)
    for _ in range(3):
        assert served.say(ASKED[name]) == REFUSED[name]
    counts: dict[str, int] = {}
    for (kind, _, _), count in served.counters.outcomes():
        counts[kind] = counts.get(kind, 0) + count
    assert counts == {"nonexistent": 3}
    assert (served.complaints, served.defects) == ([], [])


def test_what_else_is_counted_goes_by_its_metric(tmp_path: Path) -> None:
    """`counted` of the front end's counters, whose keys a declared metric gives."""
    counted = Served(tmp_path, "policy").counters.counted
    counted.add(SEEN.of("bird"), 0)
    counted.add(SEEN.of("tree"))
    counted.add(SEEN.of("tree"), 2)
    assert counted.numbers == {SEEN.of("tree"): 3, SEEN.of("bird"): 0}
