"""This state of the project beside another one, in one run: what a change costs.

    .venv/bin/python -m tests.bench.before TREE [--only SCENARIO] [--rounds N] [--seconds S]

TREE is a checkout of the other state with an environment of its own (`git worktree add TREE
COMMIT`, then `make venv` there).  Each of our servers is started three times: of this
state, of this state again, and of TREE; they get the same load in turn, round after round.
A line is a figure of this state divided by TREE's, the median of the rounds with the least and
the most; the control is this state divided by itself, so it shows the noise of this run.
A rate below 1 and a cost above 1 are a loss.

Limits: settings that TREE does not know keep it from starting, and the line says so.
Nothing is asserted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace

from tests.bench.garage import Garage
from tests.bench.measures import Sample
from tests.bench.rows import NOISE
from tests.bench.run import Run
from tests.bench.scenarios import BUILTIN, SCENARIOS, SERVERS, Entrant, Scenario
from tests.bench.servers import Gateway, OurSmmapd, Server
from tests.bench.stores import Store

ROUNDS, SECONDS = 4, 1.0
# The figures of a sample that make a line, where it has them; latency beside them is for `run`.
FIGURES = ("requests_per_s", "cpu_us", "ms", "setup_s", "anonymous_mib")
# What says which tree an entrant is of.
BEFORE = " before"


def servers_of(programs: str) -> Mapping[str, Callable[[Store, bool], Server]]:
    """Our servers with the programs of another state."""
    return {
        "ours" + BEFORE: lambda store, quota: OurSmmapd(store, quota=quota, programs=programs),
        "milter-builtin" + BEFORE: lambda store, quota: Gateway(
            "milter", store, quota=quota, more=BUILTIN, programs=programs
        ),
        **{
            name + BEFORE: _gateway(front_end, programs)
            for name, front_end in (
                ("gateway", "socketmap"),
                ("policy", "policy"),
                ("milter", "milter"),
            )
        },
    }


def _gateway(front_end: str, programs: str) -> Callable[[Store, bool], Server]:
    return lambda store, quota: Gateway(front_end, store, quota=quota, programs=programs)


def beside(scenario: Scenario, names: Mapping[str, object]) -> Scenario | None:
    """The scenario with our servers only, each with its control and that of before."""
    ours = [each for each in scenario.entrants if each.server + BEFORE in names]
    before = [
        replace(each, label=each.label + BEFORE, server=each.server + BEFORE) for each in ours
    ]
    twice = tuple(each.label for each in ours)
    return replace(scenario, entrants=(*ours, *before), twice=twice) if ours else None


def lines(entrant: Entrant, found: Mapping[str, list[Sample | None]]) -> list[str]:
    """What is printed of one server in one scenario."""
    now = found[entrant.label]
    written = []
    for figure in FIGURES:
        before = _ratios(now, found[entrant.label + BEFORE], figure)
        control = _ratios(found[entrant.control.label], now, figure)
        if before:
            noise = statistics.median(control) if control else 1.0
            off = "  control off by more than 10 %" if abs(noise - 1) > NOISE else ""
            written.append(
                f"  {entrant.label:28}{figure:16}{statistics.median(before):7.3f}"
                f" ({min(before):.3f} to {max(before):.3f}) control {noise:.3f}{off}"
            )
    return written


def _ratios(over: list[Sample | None], under: list[Sample | None], figure: str) -> list[float]:
    pairs = [(a, b) for a, b in zip(over, under, strict=True) if a is not None and b is not None]
    return [a[figure] / b[figure] for a, b in pairs if figure in a and b.get(figure)]


def main() -> int:
    """Measure and print; 1 where something could not be measured."""
    parser = argparse.ArgumentParser(description="this state beside another one")
    parser.add_argument("tree", help="a checkout of the other state, with its .venv")
    parser.add_argument("--only", action="append", choices=[each.name for each in SCENARIOS])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    others = servers_of(os.path.join(os.path.abspath(options.tree), ".venv", "bin"))
    run = Run(options.rounds, options.seconds, quick=False)
    with Garage({**SERVERS, **others}) as garage:
        for each in SCENARIOS:
            scenario = beside(each, others) if each.name in (options.only or [each.name]) else None
            if scenario is None:
                continue
            run.scenario(garage, scenario)
            print(scenario.title)
            for entrant in scenario.entrants:
                if not entrant.label.endswith(BEFORE):
                    for line in lines(entrant, run.results[scenario.name]):
                        print(line, flush=True)
    return 1 if run.reasons else 0


if __name__ == "__main__":
    sys.exit(main())
