"""What people use to verify recipients, side by side, RCPT by RCPT through a real smtpd.

    python -m tests.bench.rcpt.compare [--rounds N] [--seconds S] [--only SITE] [--output FOLDER]

Every site has a Postfix of its own (`sites.py`) and is asked in turn, round after round,
every second one in reverse order (`questions.py`); each of ours is there twice, which tells the
noise.  At the end mailboxes change (`age.py`).  Writes peers.json, peers.txt and peers.svg
into the output folder and prints the table; `--picture FILE` draws the picture of a
peers.json again.  Exit codes as `tests.bench.run` has them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from types import FrameType

from tests.bench import needs
from tests.bench.garage import NOT_STARTED
from tests.bench.measures import WrongAnswers
from tests.bench.needs import Missing
from tests.bench.rcpt import age, chart, questions, table
from tests.bench.rcpt.ground import Ground, ground, recipients
from tests.bench.rcpt.questions import Sizes
from tests.bench.rcpt.sites import CONTROLS, SHORT_TIMES, SITES, VERIFY, Site
from tests.bench.rcpt.table import Found
from tests.bench.run import EX_UNAVAILABLE, INTERRUPTED, machine
from tests.bench.servers import PROJECT
from tests.rigs.folders import folder, write_text


def compare(names: Sequence[str], sizes: Sizes, where: str) -> Found:
    """Start everything, measure, and end it; `where` is a folder for key files."""
    found = Found(about=machine(), sizes=asdict(sizes), verify=asdict(age.verify_defaults()))
    who = recipients(sizes.again, sizes.first * sizes.rounds, sizes.full)
    with ExitStack() as stack:
        there = stack.enter_context(ground(who, where))
        sites = [site for name in names if (site := _open(stack, name, there, found)) is not None]
        for site in sites:
            _tell(f"asking {site.name} before")
            questions.ask_before(site, there)
        for number in range(sizes.rounds):
            _tell(f"round {number + 1} of {sizes.rounds}")
            for site in sites[:: -1 if number % 2 else 1]:
                _round(site, there, sizes, number, found)
        if VERIFY in names:
            sites += [s for name in SHORT_TIMES if (s := _open(stack, name, there, found))]
        controls = CONTROLS.values()
        for site in (each for each in sites if each.asked and each.name not in controls):
            _tell(f"changing mailboxes: {site.name}")
            _ages(site, sizes, found)
    return found


def _open(stack: ExitStack, name: str, there: Ground, found: Found) -> Site | None:
    """The site, running; None, and a reason, where it cannot run here."""
    try:
        return stack.enter_context({**SITES, **SHORT_TIMES}[name](there, name))
    except NOT_STARTED as error:
        _tell(f"{name}: {error}")
        found.reasons[name] = str(error)
        return None


def _round(site: Site, there: Ground, sizes: Sizes, number: int, found: Found) -> None:
    for kind in questions.kinds(site):
        samples = found.samples.setdefault(site.name, {}).setdefault(kind, [])
        try:
            samples.append(questions.measure(site, kind, there, sizes, number))
        except (*NOT_STARTED, WrongAnswers) as error:
            _tell(f"{site.name}, {kind}: {error}")
            found.reasons[f"{site.name}, {kind}"] = str(error)
            samples.append(None)


def _ages(site: Site, sizes: Sizes, found: Found) -> None:
    """What waits for a whole watch is looked at once, the others as often as there are rounds."""
    try:
        seen = [
            age.ages(site, sizes.watch_s, number)
            for number in range(1 if site.waits else sizes.rounds)
        ]
    except (*NOT_STARTED, WrongAnswers) as error:
        _tell(f"{site.name}, changes: {error}")
        found.reasons[f"{site.name}, changes"] = str(error)
        return
    found.ages[site.name] = {
        change: asdict(age.longest([one[change] for one in seen])) for change in age.CHANGES
    }


def _tell(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {what}", file=sys.stderr, flush=True)


def _write(found: Found, output: str) -> str:
    os.makedirs(output, exist_ok=True)
    text = table.text(found)
    write_text(os.path.join(output, "peers.json"), json.dumps(asdict(found), indent=1) + "\n")
    write_text(os.path.join(output, "peers.txt"), text)
    write_text(os.path.join(output, "peers.svg"), chart.chart(found))
    return text


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rcpt.compare")
    sizes = Sizes()
    parser.add_argument("--only", action="append", choices=list(SITES), help="only this site")
    parser.add_argument("--rounds", type=int, default=sizes.rounds)
    parser.add_argument("--seconds", type=float, default=sizes.seconds, help="of one measure")
    parser.add_argument("--watch", type=float, default=sizes.watch_s, help="seconds after a change")
    parser.add_argument("--output", default=os.path.join(PROJECT, "build", "bench"), help="folder")
    parser.add_argument("--picture", metavar="FILE", help="draw a peers.json, and nothing else")
    return parser.parse_args(arguments)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Run; the exit code."""
    options = _parse(arguments)
    if options.picture:
        with open(options.picture, encoding="utf-8") as file:
            print(_write(Found(**json.load(file)), options.output))
        return 0
    try:
        needs.check_machine()
        needs.check_packages(needs.RIG_PACKAGES, "postfix")
    except Missing as error:
        print(f"missing: {error}", file=sys.stderr)
        return EX_UNAVAILABLE
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    sizes = Sizes(rounds=options.rounds, seconds=options.seconds, watch_s=options.watch)
    begin = time.monotonic()
    try:
        with folder("br") as where:
            found = compare(options.only or list(SITES), sizes, where)
    except KeyboardInterrupt:
        print("interrupted; everything is ended, nothing was written", file=sys.stderr)
        return INTERRUPTED
    found.took_s = round(time.monotonic() - begin)
    found.date = time.strftime("%Y-%m-%d")
    print(_write(found, options.output))
    print(f"written: {options.output}/peers.json, peers.txt, peers.svg")
    return 1 if found.reasons else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
