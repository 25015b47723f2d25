"""What the tests that read while somebody writes have in common: how much they ask, and their account.

WRITERS_QUESTIONS=n is how many are asked at least in all tests together, before
those that are asked until enough is written; WRITERS_SEED=n draws other
questions and other moments of death; WRITERS_TOTALS=file gets a line for each
test: answers, wrong ones, operations, writers killed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from tests.real.readers import Crowd
from tests.real.writers import Writer

QUESTIONS = int(os.environ.get("WRITERS_QUESTIONS", "200000"))
SEED = int(os.environ.get("WRITERS_SEED", "0"))
TOTALS = os.environ.get("WRITERS_TOTALS", "")


def settle_account(
    title: str,
    crowd: Crowd,
    writer: Writer,
    log: Sequence[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Print what there was, and fail, with `log`, if an answer was wrong or the writer could not go on."""
    wrong = crowd.wrong + writer.wrong
    operations, killed = writer.done.total(), writer.killed.total()
    by_interface = ", ".join(
        f"{interface} {count}" for interface, count in crowd.by_interface().items()
    )
    with capsys.disabled():
        print(
            f"\n{title}: {crowd.answered} answers ({by_interface}), {len(wrong)} wrong;"
            f" {operations} operations, {killed} writers killed: {dict(writer.killed)}"
        )
    if TOTALS:
        with open(TOTALS, "a", encoding="ascii") as file:
            file.write(f"{crowd.answered} {len(wrong)} {operations} {killed}\n")
    assert not wrong, "\n".join([*wrong, *log])
    if writer.error is not None:
        raise writer.error
