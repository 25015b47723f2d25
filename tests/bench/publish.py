"""Puts the figures of build/bench into the documents, so that nobody copies one by hand.

    .venv/bin/python -m tests.bench.publish [--from FOLDER]

Of `make bench` (results.json) the table of targets goes into docs/performance.md and what each
server did into tests/bench/README.md; of `make bench-peers` (peers.json) the tables go into
docs/performance.md and README.md and the picture to docs/peers.svg.  What was not run is left as
it is.  Each goes between two comments, `<!-- figures: NAME -->` and `<!-- figures end -->`, and
whatever else a document says about it has to be read again after each run.

Ends with 1 where there is nothing to put in, or a document has no such place.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence

from tests.bench import report
from tests.bench.rcpt import chart, table
from tests.bench.servers import PROJECT
from tests.rigs.folders import write_text

_PLACE = "(<!-- figures: {name} -->\n).*?(<!-- figures end -->)"
# Files by what is put into them: the document, and the place's name.
TARGETS = ("docs/performance.md", "targets")
SCENARIOS = ("tests/bench/README.md", "scenarios")
PEERS = ("docs/performance.md", "peers")
PEERS_SHORT = ("README.md", "peers")
_PICTURE = "docs/peers.svg"


class NoPlaceError(Exception):
    """A document has no place of that name."""


def put(text: str, name: str, lines: Sequence[str]) -> str:
    """`text` with the lines in its place `name`.  Raises `NoPlaceError`."""
    body = "\n".join(["", *lines, "", ""])
    found, times = re.subn(
        _PLACE.format(name=re.escape(name)),
        lambda match: match[1] + body + match[2],
        text,
        flags=re.DOTALL,
    )
    if times != 1:
        raise NoPlaceError(f"there are {times} places <!-- figures: {name} -->")
    return found


def of_targets(results: Mapping[str, object]) -> list[str]:
    """The table of `make bench`, and what it was measured on."""
    rows = results["rows"]
    assert isinstance(rows, list)
    return [*report.markdown(rows), "", _where(results, results["machine"], results["seconds"])]


def of_scenarios(results: Mapping[str, object]) -> list[str]:
    """What each server did."""
    samples = results["samples"]
    assert isinstance(samples, dict)
    where = _where(results, results["machine"], results["seconds"])
    return [where, "", "```", report.details(samples), "```"]


def of_peers(found: table.Found) -> tuple[list[str], list[str]]:
    """The short table, and those with the spread."""
    where = _where({"date": found.date}, found.about, found.took_s)
    return [*table.markdown(found), "", where], [*table.markdown_with_spread(found), "", where]


def _where(results: Mapping[str, object], machine: object, seconds: object) -> str:
    assert isinstance(machine, dict)
    assert isinstance(seconds, int | float)
    minutes, rest = divmod(round(seconds), 60)
    about = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items())
    return f"Measured on {results['date']} in {minutes} min {rest} s; {about}."


def main(arguments: Sequence[str]) -> int:
    """Write; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.publish")
    build = os.path.join(PROJECT, "build", "bench")
    parser.add_argument("--from", dest="folder", default=build, help="of results.json, peers.json")
    folder = parser.parse_args(arguments).folder
    places: dict[tuple[str, str], list[str]] = {}
    results, peers = (os.path.join(folder, name) for name in ("results.json", "peers.json"))
    if os.path.exists(results):
        with open(results, encoding="utf-8") as file:
            of_bench = json.load(file)
        places[TARGETS] = of_targets(of_bench)
        places[SCENARIOS] = of_scenarios(of_bench)
    if os.path.exists(peers):
        with open(peers, encoding="utf-8") as file:
            found = table.Found(**json.load(file))
        places[PEERS_SHORT], places[PEERS] = of_peers(found)
        write_text(os.path.join(PROJECT, _PICTURE), chart.chart(found))
    if not places:
        print(f"{folder}: neither results.json nor peers.json is there", file=sys.stderr)
        return 1
    for (document, name), lines in places.items():
        path = os.path.join(PROJECT, document)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        try:
            write_text(path, put(text, name, lines))
        except NoPlaceError as error:
            print(f"{document}: {error}", file=sys.stderr)
            return 1
        print(f"{document}: {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
