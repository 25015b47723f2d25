"""What the documents say of Postfix' own times is what Postfix has built in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.rigs.processes import run
from tests.rigs.require import require

ROOT = Path(__file__).parents[2]
# A parameter and its default in brackets: `address_verify_poll_delay` (3 s).
_SAID = re.compile(r"`([a-z0-9_]+_(?:time|delay))` \((\d+) (s|m|h|d)\)")


def said() -> dict[str, set[str]]:
    """By parameter, the times that the documents give it."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for name, number, unit in _SAID.findall(path.read_text(encoding="utf-8")):
            found.setdefault(name, set()).add(number + unit)
    return found


@pytest.mark.real
def test_times_of_postfix() -> None:
    """Each parameter's, in every document that names one."""
    require("postfix")
    times = said()
    assert len(times) >= 5, "where have the documents' times gone?"
    lines = run(["/usr/sbin/postconf", "-d", *times]).decode().splitlines()
    built_in = dict(line.split(" = ", 1) for line in lines)
    assert times == {name: {value} for name, value in built_in.items()}


@pytest.mark.real
@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("`address_verify_poll_count`, 3, or 1 under stress", "${stress?{1}:{3}}"),
        ("`unverified_recipient_reject_code`, 450", "450"),
    ],
)
def test_numbers_of_postfix(words: str, value: str) -> None:
    """What is not a time, in docs/from-smmapd.md."""
    require("postfix")
    assert words in (ROOT / "docs" / "from-smmapd.md").read_text(encoding="utf-8")
    parameter = words.split("`")[1]
    assert run(["/usr/sbin/postconf", "-dh", parameter]).decode().strip() == value
