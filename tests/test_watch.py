"""What `make watch` runs for a change."""

from __future__ import annotations

import pytest

from tests.sources import ROOT
from tests.watch import mirrored


@pytest.mark.parametrize(
    ("changed", "tests"),
    [
        ("gateway/protocols/socketmap.py", ["tests/protocols/test_socketmap.py"]),
        ("gateway/upstream/breaker.py", ["tests/upstream/test_breaker.py"]),
        ("gateway/verification/steps.py", ["tests/verification"]),
        ("smmapd/stdio.py", ["tests/smmapd/test_stdio.py"]),
        ("tests/test_files.py", ["tests/test_files.py"]),
        ("tests/sources.py", []),
    ],
)
def test_a_change_runs_the_tests_that_mirror_it(changed: str, tests: list[str]) -> None:
    """The file of that name, or its folder; all of them exist."""
    assert mirrored([ROOT / changed]) == tests
    assert all((ROOT / each).exists() for each in [changed, *tests])
