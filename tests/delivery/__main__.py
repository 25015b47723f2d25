"""Deliver for real, as long as asked for.

    python -m tests.delivery [--recipients N] [--release bookworm|trixie] [--seed N]
                             [--jobs N] [--answers delivery|smmapd]

Prints, for each front end, how often what we said and what happened, then
every kind of difference with examples.  Exit code 1 where a recipient was
refused for ever whose mail was delivered.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from tests.delivery.figures import Figures
from tests.delivery.trial import Trial, trial
from tests.rigs.cyrus_tools import PACKAGES
from tests.rigs.debian import DEBIAN_12, DEBIAN_13, Root, kept_root
from tests.rigs.gateway import Tables

# Of one store.
_RECIPIENTS = 1500


def main() -> int:
    """The program; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.delivery", allow_abbrev=False)
    parser.add_argument("--recipients", type=int, default=20_000)
    parser.add_argument("--release", choices=(DEBIAN_12, DEBIAN_13), default=DEBIAN_12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--answers", default="")
    words = parser.parse_args()
    root = None
    if words.release == DEBIAN_13:
        root = kept_root(*PACKAGES, release=DEBIAN_13)
    tables: Tables = {"": {"answers": words.answers}} if words.answers else {}
    figures = Figures()
    for made in _trials(words.recipients, words.seed, words.jobs, root, tables):
        figures.add(made)
        if figures.stores % 20 == 0:
            print(
                f"{figures.recipients} recipients, {figures.refused_though_delivered}"
                " refused for ever though delivered", flush=True,
            )  # fmt: skip
    for line in figures.lines():
        print(line)
    return 1 if figures.refused_though_delivered else 0


def _trials(
    recipients: int, seed: int, jobs: int, root: Root | None, tables: Tables
) -> Iterator[Trial]:
    """Trials of one seed after the other until there were so many recipients."""
    done = 0
    with ProcessPoolExecutor(jobs) as pool:
        running: set[Future[Trial]] = set()
        while done < recipients:
            while len(running) < jobs:
                running.add(pool.submit(trial, seed, _RECIPIENTS, root, tables))
                seed += 1
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                done += future.result().recipients
                yield future.result()
        for future in running:
            yield future.result()


if __name__ == "__main__":
    sys.exit(main())
