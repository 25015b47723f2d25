"""Deliver for real, as long as asked for.

    python -m tests.delivery [--recipients N] [--release bookworm|trixie] [--seed N]
                             [--jobs N] [--answers delivery|smmapd]

Prints, for each front end, how often what we said and what happened, then
every kind of difference with examples and its reason.  Exit code 1 where a
recipient was permanently refused whose mail was delivered, or a difference has
no reason.
"""

from __future__ import annotations

import argparse
import sys

from tests.delivery.figures import Figures
from tests.delivery.running import trials
from tests.rigs.cyrus_tools import PACKAGES
from tests.rigs.debian import DEBIAN_12, DEBIAN_13, kept_root


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
    figures = Figures()
    for made in trials(words.recipients, words.seed, words.jobs, root, words.answers):
        figures.add(made)
        if figures.stores % 5 == 0:
            print(
                f"{figures.recipients} recipients, {figures.refused_though_delivered}"
                " permanently refused though delivered", flush=True,
            )  # fmt: skip
    for line in figures.lines():
        print(line)
    return 1 if figures.refused_though_delivered or figures.unexplained or figures.smmapds else 0


if __name__ == "__main__":
    sys.exit(main())
