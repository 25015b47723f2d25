"""A new process at a million mailboxes: every user is asked once, from its first second on.

    .venv/bin/python -m tests.bench.newprocess [--mailboxes N] [--rounds N] [--seconds S,S,...]

The C daemon and ours, under master, in turn: each is started again for each row, and
50 connections ask everybody once.  A row is the first S seconds of that, or all of
it (`everybody`); ours makes its index of keys while it answers.  Medians, with the least
and the most.  A control is the same server once more: what differs there is the noise of
this run.

Nothing is asserted.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

from tests.bench import stores
from tests.bench.measures import Client, Sample, rates
from tests.bench.servers import CSmmapd, OurSmmapd, Server
from tests.bench.stores import Store

CONNECTIONS = 50
SECONDS = "1,5"
ROUNDS = 3
FIGURES = ("requests_per_s", "cpu_us", "p50_us", "p99_us", "p999_us", "max_us")
SERVERS: dict[str, Callable[[Store], Server]] = {
    "c": lambda store: CSmmapd(store, quota=True),
    "ours": lambda store: OurSmmapd(store, quota=True),
    "ours (control)": lambda store: OurSmmapd(store, quota=True),
}


def sample(server: Server, store: Store, ends: list[str]) -> Sample:
    """What 50 connections meet who ask a server everybody once, until `ends`."""
    words = ["-a", server.address, "-n", str(CONNECTIONS), "-k", store.every_user, "-e", "OK"]
    with Client("load", [*words, *ends]) as client:
        before = server.cpu_seconds()
        result = client.result()
        return rates(result, server.cpu_seconds() - before)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="a new process, everybody asked once")
    parser.add_argument("--mailboxes", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", default=SECONDS, help="the rows, in seconds")
    arguments = parser.parse_args()
    store = stores.store(arguments.mailboxes)
    rows = [(f"{each} s", ["-t", each]) for each in arguments.seconds.split(",") if each]
    rows.append(("everybody", ["-r", str(store.users)]))
    print(f"{'':28}" + "".join(f"{figure:>26}" for figure in FIGURES))
    for name, ends in rows:
        found: dict[str, list[Sample]] = {label: [] for label in SERVERS}
        for number in range(arguments.rounds):
            for label in list(SERVERS)[:: 1 if number % 2 else -1]:
                with SERVERS[label](store) as server:
                    found[label].append(sample(server, store, ends))
        for label, samples in found.items():
            row = "".join(f"{_figure(samples, figure):>26}" for figure in FIGURES)
            print(f"{name + ', ' + label:28}{row}", flush=True)


def _figure(samples: list[Sample], figure: str) -> str:
    """The median, and the spread."""
    values = [each[figure] for each in samples]
    most = max(values)
    digits = 0 if most >= 100 else 1
    spread = f"{min(values):.{digits}f}-{most:.{digits}f}"
    return f"{statistics.median(values):.{digits}f} ({spread})" if len(values) > 1 else spread


if __name__ == "__main__":
    main()
