"""The benchmark: servers side by side in one run, alternating, several rounds.

    python -m tests.bench.run [--quick] [--only SCENARIO] [--rounds N] [--seconds S]
                              [--output FOLDER] [--list]

Writes results.json, table.txt and cost.svg into the output folder and prints
the table.  Ends with 0 when everything that was to be measured was measured,
whether the targets were reached or not; 69 when something that no row can do
without is missing, with the way to get it; 1 when a server did not start or
did not answer as it must; 130 after ctrl-C, with everything cleaned up.

Limits: the load client runs on the same machine, on one core of its own at
best.  On a busy machine ratios are still fair, since all servers meet the same
noise; figures are not.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from tests.bench import needs, report
from tests.bench.garage import NOT_STARTED, Garage
from tests.bench.measures import Sample, WrongAnswers
from tests.bench.needs import Missing
from tests.bench.plot import plot
from tests.bench.rows import ROWS, outcome
from tests.bench.scenarios import SCENARIOS, Entrant, Scenario
from tests.bench.servers import PROJECT
from tests.bench.stores import installed_cyrus
from tests.rigs.folders import write_text

EX_UNAVAILABLE = 69
INTERRUPTED = 130
FULL = (4, 1.2)  # rounds and seconds of one measure
QUICK = (2, 0.5)

Found = dict[str, dict[str, list[Sample | None]]]


class Run:
    """One run: its samples, and why something has none."""

    def __init__(self, rounds: int, seconds: float, *, quick: bool) -> None:
        self.quick = quick
        self.rounds = rounds
        self.seconds = seconds
        self.results: Found = {}
        self.reasons: dict[str, str] = {}

    def scenario(self, garage: Garage, scenario: Scenario) -> None:
        """Measure every entrant in every round; the order turns round each time."""
        garage.keep(scenario.everyone)
        found = self.results.setdefault(scenario.name, {})
        for entrant in scenario.everyone:
            found[entrant.label] = []
        rounds = scenario.quick_rounds if self.quick and scenario.quick_rounds else scenario.rounds
        for number in range(min(self.rounds, rounds)):
            order = scenario.everyone[:: -1 if number % 2 else 1]
            if number == 0:
                for entrant in order:
                    self._warm_up(garage, scenario, entrant)
            for entrant in order:
                found[entrant.label].append(self._measure(garage, scenario, entrant))

    def _warm_up(self, garage: Garage, scenario: Scenario, entrant: Entrant) -> None:
        """Load a server that has not been loaded for long enough; a result of its own."""
        if not entrant.warm_up:
            return
        first = f"{entrant.label}, first {entrant.warm_up:g} s"
        sample = self._measure(garage, scenario, entrant, entrant.warm_up)
        if sample is not None:
            self.results[scenario.name][first] = [sample]

    def _measure(
        self, garage: Garage, scenario: Scenario, entrant: Entrant, warm_up: float = 0.0
    ) -> Sample | None:
        """One sample, or None with a reason; with `warm_up` only if that is still to be done."""
        name = f"{scenario.name}/{entrant.label}"
        try:
            server, store, progress = garage.get(entrant)
            if warm_up and progress.warmed_s >= warm_up:
                return None
            progress.warmed_s = max(progress.warmed_s, warm_up)
            seconds = warm_up or min(self.seconds, scenario.seconds)
            return entrant.measure.take(server, store, progress, seconds)
        except (*NOT_STARTED, WrongAnswers) as error:
            if name not in self.reasons:
                print(f"{name}: {error}", file=sys.stderr)
            self.reasons[name] = str(error)
            return None


def machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "cyrus": installed_cyrus(),
    }


def write_results(run: Run, folder: str, command: str, took: float) -> str:
    """Write the three files; the table's text."""
    os.makedirs(folder, exist_ok=True)
    about = machine()
    rows = []
    for row in ROWS:
        found = outcome(row, run.results)
        entry: dict[str, object] = {"row": row.what, "target": report.target_text(row)}
        if found is not None:
            entry |= {
                "value": found.value,
                "lowest": found.lowest,
                "highest": found.highest,
                "ours": found.over,
                "other": found.under,
                "control": found.control,
                "noisy": found.noisy,
                "reached": found.reached,
            }
        rows.append(entry)
    everything = {
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        "seconds": round(took, 1),
        "machine": about,
        "rounds": run.rounds,
        "rows": rows,
        "not_measured": run.reasons,
        "samples": run.results,
    }
    write_text(os.path.join(folder, "results.json"), json.dumps(everything, indent=1) + "\n")
    where = ", ".join(f"{name} {value}" for name, value in about.items())
    text = (
        f"{command}\n{where}\n{took:.0f} s, {run.rounds} rounds; CPU is the servers' own, a request;"
        " control: the same server twice, 1 is no noise"
        f"\n\n{report.table(run.results, run.reasons)}\n\n{report.details(run.results)}\n"
    )
    write_text(os.path.join(folder, "table.txt"), text)
    picture = plot(run.results)
    if picture is not None:
        write_text(os.path.join(folder, "cost.svg"), picture)
    return text


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.run", description=__doc__.split("\n")[0]
    )
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--quick", action="store_true", help="the main rows, in about a minute")
    parser.add_argument("--only", action="append", choices=names, help="only this scenario")
    parser.add_argument("--rounds", type=int, help="rounds of each scenario")
    parser.add_argument("--seconds", type=float, help="seconds of each measure")
    parser.add_argument("--output", default=os.path.join(PROJECT, "build", "bench"), help="folder")
    parser.add_argument("--list", action="store_true", help="name the scenarios and end")
    return parser.parse_args(arguments)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Run; the exit code."""
    options = parse(arguments)
    if options.list:
        for scenario in SCENARIOS:
            print(f"{scenario.name:16}{'quick ' if scenario.quick else '':6}{scenario.title}")
        return 0
    try:
        needs.check_machine()
    except Missing as error:
        print(f"missing: {error}", file=sys.stderr)
        return EX_UNAVAILABLE
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    # User cyrus cannot write byte code into the checkout; an installed package has its own.
    for package in ("gateway", "smmapd"):
        compileall.compile_dir(os.path.join(PROJECT, package), quiet=1)
    writer = os.path.join(PROJECT, "contrib", "writearchive.py")
    subprocess.run([sys.executable, "-I", writer, PROJECT], check=True)
    rounds, seconds = QUICK if options.quick else FULL
    run = Run(options.rounds or rounds, options.seconds or seconds, quick=options.quick)
    begin = time.monotonic()
    chosen = [s for s in SCENARIOS if s.quick or not options.quick]
    if options.only:
        chosen = [s for s in SCENARIOS if s.name in options.only]
    try:
        with Garage() as garage:
            for scenario in chosen:
                print(f"{time.monotonic() - begin:4.0f} s  {scenario.title}", file=sys.stderr)
                run.scenario(garage, scenario)
    except KeyboardInterrupt:
        print("interrupted; the servers are ended, nothing was written", file=sys.stderr)
        return INTERRUPTED
    command = " ".join(["python -m tests.bench.run", *arguments])
    print(write_results(run, options.output, command, time.monotonic() - begin))
    print(f"written: {options.output}/results.json, table.txt, cost.svg")
    return 1 if run.reasons else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
