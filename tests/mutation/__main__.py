"""Changes modules, one thing at a time, and names the changes that no test notices.

    python -m tests.mutation                                  every module of modules.toml
    python -m tests.mutation gateway/cyrus/quota.py           this one
    python -m tests.mutation gateway/cyrus/quota.py --tests tests/cyrus/test_quota.py --most 40

modules.toml has the tests of each module.  What is not tried for a reason has a mark
in the source (marks.py): bounds, which only say how much is done at once, and mutants
that survive because they change no answer.  `--again` tries these mutants too.
Exit code 1: a mutant survives without a mark, or one with a mark is noticed or no
longer there.  What it prints of a survivor is what its mark would say; `never run`
says that no test goes through the line.  `--most` takes that many mutants, evenly spread.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

from tests.mutation.marks import explained, shown
from tests.mutation.mutants import mutants
from tests.mutation.trials import ROOT, Trials

KNOWN = Path(__file__).with_name("modules.toml")


def known_modules() -> dict[str, list[str]]:
    """The modules of modules.toml, each with its tests."""
    table: dict[str, Any] = tomllib.loads(KNOWN.read_text(encoding="utf-8"))
    return {path: known["tests"] for path, known in table.items()}


def faults(path: str, tests: list[str], most: int, *, again: bool) -> int:
    """Try the mutants of one module, print what is not as it should be, and count it."""
    begun = time.monotonic()
    source = (ROOT / path).read_text(encoding="utf-8")
    everything = mutants(source)
    marked = explained(source, everything)
    tried = [
        at
        for at in range(len(everything))
        if at not in marked.untried and (again or at not in marked.same)
    ]
    tried = tried[:: max(1, -(-len(tried) // most))]
    found = [f"{path}:{fault}" for fault in marked.stale]
    for line in found:
        print(line)
    noticed = 0
    with tempfile.TemporaryDirectory() as scratch:
        trials = Trials(path, tests, scratch)
        for at in tried:
            seen = trials.noticed(everything[at])
            noticed += seen
            if seen is (at in marked.same):
                found.append(f"{path}:{shown(everything, at)}")
                if seen:
                    found[-1] += " (marked, but noticed)"
                elif not trials.reached(everything[at]):
                    found[-1] += " (never run)"
                print(found[-1], flush=True)
    print(
        f"{path}: {len(everything)} mutants, {len(tried)} tried, {noticed} noticed, "
        f"{time.monotonic() - begun:.0f} s",
        flush=True,
    )
    return len(found)


def main() -> int:
    """Exit code 1 where something is not as it should be, 2 where the tests fail by themselves."""
    known = known_modules()
    words = argparse.ArgumentParser(prog="tests.mutation", description=__doc__)
    words.add_argument("modules", nargs="*", default=list(known))
    words.add_argument("--tests", nargs="+", default=None)
    words.add_argument("--most", type=int, default=1 << 30)
    words.add_argument("--again", action="store_true")
    given = words.parse_args()
    count = 0
    for path in given.modules:
        tests = given.tests or known.get(path)
        if not tests:
            words.error(f"which tests? {path} is not in modules.toml")
        try:
            count += faults(path, tests, given.most, again=given.again)
        except (RuntimeError, ValueError) as fault:
            print(f"{path}: {fault}", file=sys.stderr)
            return 2
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
