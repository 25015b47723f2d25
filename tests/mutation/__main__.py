"""Changes modules, one thing at a time, and names the changes that no test notices.

    python -m tests.mutation                                  every module of modules.toml
    python -m tests.mutation gateway/cyrus/quota.py           this one
    python -m tests.mutation gateway/cyrus/quota.py --tests tests/cyrus/test_quota.py --most 40

modules.toml has the tests of each module, and what is not tried for a reason:
`bounds`, constants that only say how much is done at once, and mutants that
survive because they change no answer.  `--again` tries these mutants too.
Exit code 1: a mutant survives without a reason, or one with a reason is
noticed or no longer there.  `--most` takes that many mutants, evenly spread;
`never run` says that no test goes through the line.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from tests.mutation.mutants import mutants
from tests.mutation.trials import ROOT, Trials

KNOWN = Path(__file__).with_name("modules.toml")


class Module(NamedTuple):
    """What modules.toml says of one module."""

    tests: list[str]
    bounds: tuple[str, ...]
    justified: set[str]


def known_modules() -> dict[str, Module]:
    """The modules of modules.toml."""
    table: dict[str, Any] = tomllib.loads(KNOWN.read_text(encoding="utf-8"))
    return {
        path: Module(
            known["tests"],
            tuple(f": {name} = " for name in known.get("bounds", ())),
            {name for each in known.get("survives", ()) for name in each["mutants"]},
        )
        for path, known in table.items()
    }


def faults(path: str, module: Module, most: int, *, again: bool) -> int:
    """Try the mutants of one module, print what is not as it should be, and count it."""
    begun = time.monotonic()
    everything = mutants((ROOT / path).read_text(encoding="utf-8"))
    tried = [
        mutant
        for mutant in everything
        if not mutant.name.startswith(module.bounds)
        and (again or mutant.name not in module.justified)
    ]
    tried = tried[:: max(1, -(-len(tried) // most))]
    found = [f"no longer there: {name}" for name in module.justified - {m.name for m in everything}]
    for line in found:
        print(f"{path}: {line}")
    noticed = 0
    survived = set()
    with tempfile.TemporaryDirectory() as scratch:
        trials = Trials(path, module.tests, scratch)
        for mutant in tried:
            if trials.noticed(mutant):
                noticed += 1
                continue
            survived.add(mutant.name)
            if mutant.name not in module.justified:
                never = "" if trials.reached(mutant) else " (never run)"
                found.append(f"{mutant.name}{never}")
                print(f"{path}:{mutant.lines[0]}: {found[-1]}", flush=True)
    for name in (module.justified & {mutant.name for mutant in tried}) - survived:
        found.append(f"justified, but noticed: {name}")
        print(f"{path}: {found[-1]}")
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
        module = known.get(path, Module([], (), set()))
        tests = given.tests or module.tests
        if not tests:
            words.error(f"which tests? {path} is not in modules.toml")
        try:
            count += faults(path, module._replace(tests=tests), given.most, again=given.again)
        except RuntimeError as fault:
            print(f"{path}: {fault}", file=sys.stderr)
            return 2
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
