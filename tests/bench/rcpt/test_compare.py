"""The comparison itself, with a handful of recipients: real servers, every kind of question."""

from __future__ import annotations

import pytest

from tests.bench.rcpt.age import CREATED, DELETED, FILLED, WIDENED
from tests.bench.rcpt.compare import compare
from tests.bench.rcpt.questions import AGAIN, KINDS, SESSIONS, Sizes
from tests.bench.rcpt.sites import CONTROLS, NOTHING
from tests.rigs.folders import folder
from tests.rigs.require import require

CONTROLLED = "socketmap"
CONTROL = CONTROLS[CONTROLLED]

SIZES = Sizes(rounds=1, requests=20, again=3, first=4, full=2)


@pytest.mark.real
def test_a_small_comparison() -> None:
    """Each site gives a sample of each kind with the right answers, or none of this counts.

    Ours follows each change at once.
    """
    require("build", "cyrus", "postfix")
    sites = (NOTHING, CONTROLLED, CONTROL)
    with folder("br") as where:
        found = compare(sites, SIZES, where)
    assert found.reasons == {}
    for site in sites:
        kinds = (AGAIN, SESSIONS) if site == NOTHING else KINDS
        assert set(found.samples[site]) == set(kinds)
        assert all(sample for kind in kinds for sample in found.samples[site][kind])
    assert set(found.ages) == {CONTROLLED}
    for change in (CREATED, DELETED, FILLED, WIDENED):
        assert found.ages[CONTROLLED][change]["wrong"] == 0
