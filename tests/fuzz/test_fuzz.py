"""Every fuzz target, for a moment: seeds, changed seeds, and bytes of any kind."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, Target

ROOT = Path(__file__).parents[2]
EXAMPLES = 60


def _changed(target: Target) -> st.SearchStrategy[bytes]:
    """Seeds with some bytes overwritten, cut out or put in."""
    edit = st.tuples(
        st.integers(0, 1 << 16), st.binary(max_size=9), st.sampled_from([0, 1, 4, 8, 64])
    )

    def apply(seed: bytes, edits: list[tuple[int, bytes, int]]) -> bytes:
        for place, data, dropped in edits:
            at = place % (len(seed) + 1)
            seed = seed[:at] + data + seed[at + dropped :]
        return seed

    return st.builds(apply, st.sampled_from(target.seeds), st.lists(edit, max_size=6))


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_makes_a_target_fail(name: str) -> None:
    """No input makes it fail."""
    target = TARGETS[name]
    for seed in target.seeds:
        target.run(seed)

    @settings(max_examples=EXAMPLES)
    @given(_changed(target) | st.binary(max_size=300))
    def holds(data: bytes) -> None:
        target.run(data)

    holds()


# atheris is an extra (`fuzz`) that the tests do without: the same targets run above.
if find_spec("atheris") is not None:

    def test_guided_by_coverage() -> None:
        """The guided run works; `make fuzz` makes longer ones."""
        words = [sys.executable, "-m", "tests.fuzz", "--seconds", "2", "netstring"]
        done = subprocess.run(
            words, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
