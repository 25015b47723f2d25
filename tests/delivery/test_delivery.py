"""No recipient that Cyrus delivers to is permanently refused: Debian's lmtpd, with DATA, is the judge.

Random installations, random stores, random recipients, at all front ends; and
our smmapd against the C program on the same.  The seeds are the same in every
run, so that a change fails and not chance; `make delivery` runs others, and
many more.
"""

from __future__ import annotations

import os

import pytest

from tests.delivery.figures import Figures
from tests.delivery.running import trials
from tests.rigs.cyrus_tools import PACKAGES
from tests.rigs.debian import DEBIAN_12, DEBIAN_13, kept_root
from tests.rigs.require import require

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.delivery]

SIZES = {DEBIAN_12: 20_000, DEBIAN_13: 5_000}
SEED = int(os.environ.get("DELIVERY_SEED", "20260101"))


@pytest.mark.parametrize("release", SIZES)
def test_whom_cyrus_delivers_to_is_not_refused(release: str) -> None:
    """Every difference has its reason, and none is a refusal of what was delivered."""
    require("cyrus", "package")
    root = kept_root(*PACKAGES, release=release) if release != DEBIAN_12 else None
    figures = Figures()
    for made in trials(SIZES[release], SEED, os.cpu_count() or 1, root, "delivery"):
        figures.add(made)
    said = "\n".join(figures.lines())
    assert figures.refused_though_delivered == 0, said
    assert not figures.unexplained, said
    assert not figures.smmapds, said
    assert figures.recipients >= SIZES[release]
    # A comparison in which everything is refused, or nothing, would prove little.
    for front_end in ("socketmap", "policy", "milter"):
        share = {
            kind: figures.counts[(front_end, *kind)] / figures.recipients
            for kind in (
                ("accepted", "delivered"),
                ("refused", "refused"),
                ("deferred", "deferred"),
            )
        }
        assert share["accepted", "delivered"] > 0.2, said
        assert share["refused", "refused"] > 0.1, said
        assert share["deferred", "deferred"] > 0.01, said
