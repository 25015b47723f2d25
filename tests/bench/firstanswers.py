"""What a recipient costs who is asked for the first time, in this process' processor time.

    .venv/bin/python -m tests.bench.firstanswers [--mailboxes N] [--against TREE] [--rounds N]

For each authority, with the index of keys and without it, for recipients with and
without a mailbox: the least of all rounds, their median, and the ratio of
the control, which is the same program a second time: what differs there is the noise of
this run, and a row whose control is off by more than 10 % says so.  `--against` measures
another state of the project (`git archive COMMIT | tar x -C TREE`) in turn with this one.

Processor time, and the least of many rounds, because the machine may have other work;
nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import product

from tests.bench import stores
from tests.bench.servers import Server
from tests.bench.stores import Store
from tests.rigs.folders import folder
from tests.rigs.processes import RigError

# Rounds, and questions in each: no more than there are users, so that nobody is asked twice.
ROUNDS, COUNT = 12, 400
# Beyond this the control says that the row tells nothing.
NOISE = 0.1
_HERE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "firstworker.py")


class Worker:
    """One process on the tree at `tree`, whose engines serve the store in `store`."""

    def __init__(self, tree: str, store: str, folder: str) -> None:
        self.samples: list[float] = []
        self._process = subprocess.Popen(
            [sys.executable, _WORKER, store, folder],
            env={**os.environ, "PYTHONPATH": tree},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        """Its pid."""
        return self._process.pid

    def ask(self, question: dict[str, object]) -> float:
        """What it answers to one question.  Raises `RigError` where it has ended instead."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RigError(f"the engine's process ended at {question}")
        return float(line)

    def measure(self, question: dict[str, object]) -> None:
        """One round."""
        self.samples.append(self.ask(question))

    def end(self) -> None:
        """Close its standard input, and wait."""
        self._process.communicate()


class InProcess(Server):
    """A Worker on this state of the project, as a server that is not reached by any socket."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._folder = folder("bi")
        self._worker: Worker | None = None

    def start(self) -> None:
        """Start it; it makes its engines when they are first asked."""
        self._worker = Worker(_HERE, self._store.folder, self._folder.__enter__())

    def stop(self) -> None:
        """End it and remove its folder."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()
            self._folder.__exit__(None, None, None)

    def root(self) -> int:
        """Its pid.  Raises `RigError` if it was not started."""
        return self._running().pid

    def ask(self, question: dict[str, object]) -> float:
        """What it answers to one question of firstworker.py."""
        return self._running().ask(question)

    def _running(self) -> Worker:
        if self._worker is None:
            raise RigError("the engine was not started")
        return self._worker


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="what first answers cost")
    parser.add_argument("--mailboxes", type=int, default=100_000)
    parser.add_argument("--against", metavar="TREE", help="another state of the project")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    store = stores.store(arguments.mailboxes).folder
    trees = [_HERE, _HERE] + ([os.path.abspath(arguments.against)] if arguments.against else [])
    with tempfile.TemporaryDirectory(prefix="first-") as folder:
        workers = [Worker(tree, store, folder) for tree in trees]
        print(f"{'us of CPU a first answer':28}{'least':>8}{'median':>8}{'control':>9}", end="")
        print(f"{'against':>9}{'ratio':>7}" if arguments.against else "")
        for index, answers, known in product((False, True), ("smmapd", "delivery"), (True, False)):
            question = {"answers": answers, "index": index, "known": known, "count": COUNT}
            for worker in workers:
                worker.samples.clear()
            for number in range(arguments.rounds):
                for worker in workers if number % 2 else reversed(workers):
                    worker.measure(question)
            name = f"{answers}, {'index' if index else 'no index'}, "
            print(f"{name + ('known' if known else 'unknown'):28}{_row(workers)}", flush=True)
        for worker in workers:
            worker.end()


def _row(workers: list[Worker]) -> str:
    """The figures of one row."""
    ours, control, *other = (worker.samples for worker in workers)
    noise = min(control) / min(ours)
    row = f"{min(ours):8.1f}{statistics.median(ours):8.1f}{noise:9.2f}"
    for samples in other:
        row += f"{min(samples):9.1f}{min(ours) / min(samples):7.2f}"
    return row + ("  control off by more than 10 %" if abs(noise - 1) > NOISE else "")


if __name__ == "__main__":
    main()
