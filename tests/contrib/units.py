"""The systemd units of contrib/, taken apart: their settings, and what systemd makes of them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

UNITS = Path(__file__).parents[2] / "contrib" / "systemd"
SERVICE = "smmapd-gateway.service"
SOCKET = "smmapd-gateway.socket"
# Of which user the gateway of these tests is; everybody has it.
USER = "daemon"


def settings(name: str) -> dict[str, list[str]]:
    """A unit's assignments; those that are made several times in their order."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text().splitlines():
        key, mark, value = line.partition("=")
        if mark and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def value(key: str, unit: str = SERVICE) -> str:
    """The only value of a setting."""
    (only,) = settings(unit)[key]
    return only


def analyze(*words: str) -> tuple[str, str]:
    """What systemd-analyze finds, and what it complains about."""
    done = subprocess.run(["systemd-analyze", *words], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def _filter_sets() -> dict[str, set[str]]:
    """systemd's sets of system calls by name, with what they hold."""
    sets: dict[str, set[str]] = {}
    listed, _ = analyze("syscall-filter", "--no-pager")
    for line in listed.splitlines():
        if line.startswith("@"):
            sets[line] = set()
        elif line.startswith("    ") and not line.strip().startswith("#"):
            sets[list(sets)[-1]].add(line.strip())
    return sets


def _members(names: list[str], sets: dict[str, set[str]]) -> Iterator[str]:
    """The system calls behind the names of sets and of single ones."""
    for name in names:
        if name.startswith("@"):
            yield from _members(sorted(sets[name]), sets)
        else:
            yield name


def allowed_calls() -> set[str]:
    """What the service's filter lets through."""
    sets = _filter_sets()
    found = set(_members(["@default"], sets))
    for each in settings(SERVICE)["SystemCallFilter"]:
        if each.startswith("~"):
            found -= set(_members(each[1:].split(), sets))
        else:
            found |= set(_members(each.split(), sets))
    return found
