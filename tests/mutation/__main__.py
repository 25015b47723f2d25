"""Changes modules, one thing at a time, and names the changes that no test notices.

    python -m tests.mutation                                  every module of modules.toml
    python -m tests.mutation gateway/cyrus/quota.py           this one
    python -m tests.mutation gateway/cyrus/quota.py --tests tests/cyrus/test_quota.py --most 40

modules.toml has the tests of each module, and the mutants that survive for a
reason.  Exit code 1: a mutant survives without one, or a reason is given for
what is noticed or no longer there.  `--most` takes that many mutants, evenly
spread; `never run` says that no test goes through the line.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from tests.mutation.mutants import mutants
from tests.mutation.trials import ROOT, Trials

KNOWN = Path(__file__).with_name("modules.toml")


class Module(NamedTuple):
    """What modules.toml says of one module."""

    tests: list[str]
    justified: set[str]


def known_modules() -> dict[str, Module]:
    """The modules of modules.toml."""
    table: dict[str, Any] = tomllib.loads(KNOWN.read_text(encoding="utf-8"))
    return {
        path: Module(
            known["tests"], {name for each in known.get("survives", ()) for name in each["mutants"]}
        )
        for path, known in table.items()
    }


def faults(path: str, module: Module, most: int) -> int:
    """Try the mutants of one module, print what is not as it should be, and count it."""
    begun = time.monotonic()
    everything = mutants((ROOT / path).read_text(encoding="utf-8"))
    chosen = everything[:: max(1, -(-len(everything) // most))]
    found = [f"no longer there: {name}" for name in module.justified - {m.name for m in everything}]
    counts: Counter[str] = Counter()
    excused = set()
    with tempfile.TemporaryDirectory() as scratch:
        trials = Trials(path, module.tests, scratch)
        for mutant in chosen:
            if trials.noticed(mutant):
                counts["noticed"] += 1
            elif mutant.name in module.justified:
                counts["justified"] += 1
                excused.add(mutant.name)
            else:
                counts["survive"] += 1
                never = "" if trials.reached(mutant) else " (never run)"
                print(f"{path}:{mutant.lines[0]}: {mutant.name}{never}", flush=True)
    found += [
        f"justified, but noticed: {name}"
        for name in (module.justified & {m.name for m in chosen}) - excused
    ]
    for line in found:
        print(f"{path}: {line}")
    print(
        f"{path}: {len(chosen)} of {len(everything)} mutants, {counts['noticed']} noticed, "
        f"{counts['justified']} justified, {counts['survive']} survive, "
        f"{time.monotonic() - begun:.0f} s",
        flush=True,
    )
    return len(found) + counts["survive"]


def main() -> int:
    """Exit code 1 where something is not as it should be, 2 where the tests fail by themselves."""
    known = known_modules()
    words = argparse.ArgumentParser(prog="tests.mutation", description=__doc__)
    words.add_argument("modules", nargs="*", default=list(known))
    words.add_argument("--tests", nargs="+", default=None)
    words.add_argument("--most", type=int, default=1 << 30)
    given = words.parse_args()
    count = 0
    for path in given.modules:
        module = known.get(path, Module([], set()))
        tests = given.tests or module.tests
        if not tests:
            words.error(f"which tests? {path} is not in modules.toml")
        try:
            count += faults(path, module._replace(tests=tests), given.most)
        except RuntimeError as fault:
            print(f"{path}: {fault}", file=sys.stderr)
            return 2
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
