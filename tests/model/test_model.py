"""Two changes and no question between them: all front ends say what a program says that was just started.

python -m tests.model.run       (make model: the long run)
"""

from __future__ import annotations

import os
from random import Random

import pytest

from tests.model.run import FORMATS, Totals, model
from tests.rigs import kernels as worlds
from tests.rigs.require import require

pytestmark = pytest.mark.real

# Of each store; 300 in all.  MODEL_ROUNDS is the number of each, MODEL_SEED another beginning.
ROUNDS = int(os.environ.get("MODEL_ROUNDS", "50"))
SEED = int(os.environ.get("MODEL_SEED", "0"))
# Rounds in which a fresh engine is not enough, and programs are started.
PROGRAMS = 3


@pytest.mark.parametrize("number", range(len(FORMATS)), ids=["-".join(form) for form in FORMATS])
def test_every_answer_is_true_at_the_moment_of_its_question(number: int) -> None:
    """In each format, kernel and file system; with reloads and killed processes in between."""
    require("cyrus")
    totals = Totals()
    names = list(worlds.WORLDS)
    seed = SEED * len(FORMATS) + number
    with model(FORMATS[number], names[(number + SEED) % len(names)], seed) as running:
        chance = Random(seed)
        for number_ in range(ROUNDS):
            running.round(chance, totals, programs=number_ % PROGRAMS == 0)
            assert not totals.wrong, "\n".join(totals.wrong)
    assert totals.rounds == ROUNDS
    assert totals.answers > 50 * ROUNDS
