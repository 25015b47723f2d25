"""How long others wait while a gateway is attacked: p50 and p99 before and during each attack.

    .venv/bin/python -m tests.faults.latency [--seconds 3] [--attack NAME] [INTERFACE...]

A witness asks PACE questions a second on one connection, before the attack and
during it; each row is one attack on one interface.  The gateway has
processor 0, attackers and witness share processor 1, where the witness goes
first; as root both go before whatever else the machine does.  So what shows is
what the gateway makes others wait, and not who gets a processor.

Nothing is judged here: it prints.  Limits: one question at a time, so that one
long pause counts as one; see the column max.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress

from tests.faults.attacks import ATTACKS
from tests.faults.undisturbed import Target, attacked
from tests.rigs.witnesses import FRED, INTERFACES, NOBODY, Witness

# The priority of the gateway and of attackers, where root may give it.
FIRST = -20
_MICRO = 1e6
# Questions a second, about: as many as a busy mail server asks.
PACE = 1000


def waits(witness: Witness, seconds: float) -> list[float]:
    """Ask at PACE for that time; the microseconds that the answers took, sorted."""
    # A witness that never rests would leave no processor to the attackers.
    now = time.perf_counter
    found = []
    before = now()
    end = before + seconds
    while before < end:
        for recipient in (FRED, NOBODY):
            before = now()
            witness.ask(recipient)
            found.append((now() - before) * _MICRO)
            time.sleep(1 / PACE)
    return sorted(found)


def at(found: Sequence[float], share: float) -> float:
    return found[min(len(found) - 1, int(share * len(found)))]


def measure(managed: Target, interface: str, name: str, seconds: float) -> str:
    """One row of the table."""
    with closing(Witness(managed, interface)) as witness, before_attackers():
        witness.answers()
        usual = waits(witness, seconds)
        argv = [
            sys.executable,
            "-m",
            "tests.faults.attacks",
            name,
            interface,
            managed.path(interface),
        ]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as attacker:
            assert attacker.stdout is not None
            try:
                assert attacker.stdout.readline(), "the attack did not begin"
                _first(attacker.pid)
                under = waits(witness, seconds)
                assert attacker.poll() is None, "the attack has ended by itself"
            finally:
                attacker.kill()
    numbers = [*_shares(usual), *_shares(under), under[-1]]
    cells = [name, interface, *(f"{number:.0f}" for number in numbers)]
    ratio = at(under, 0.99) / at(usual, 0.99)
    return f"| {' | '.join(cells)} | {ratio:.1f} | {len(under)} |"


def _shares(found: Sequence[float]) -> tuple[float, float]:
    return at(found, 0.5), at(found, 0.99)


def _first(task: int) -> None:
    """Let a task, and what it starts, go before others by its weight, where that is allowed."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, task, FIRST)


def _always_first(task: int) -> None:
    """Let a task go before all others whenever it has something to do, where that is allowed."""
    with suppress(PermissionError):
        os.sched_setscheduler(task, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))


@contextmanager
def before_attackers() -> Iterator[None]:
    """This process goes before everything else for a while."""
    _always_first(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def place(managed: Target, processors: Sequence[int]) -> None:
    """The gateway to the first processor, before what else is there."""
    for pid in managed.every():
        for task in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(task), processors[:1])
            _always_first(int(task))


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seconds", type=float, default=3.0, help="of each measure")
    options.add_argument("--attack", choices=ATTACKS, action="append", help="default: all")
    options.add_argument(
        "interfaces", nargs="*", metavar="INTERFACE", help=f"of {', '.join(INTERFACES)}"
    )
    chosen = options.parse_args()
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, processors[1:2] or processors)
    print(
        "| attack | interface | p50, µs | p99 | attacked: p50 | p99 | max | p99 ratio | answers |"
    )
    print("|" + "---|" * 9)
    for interface in chosen.interfaces or INTERFACES:
        for name in chosen.attack or ATTACKS:
            with attacked() as managed:
                place(managed, processors)
                print(measure(managed, interface, name, chosen.seconds), flush=True)


if __name__ == "__main__":
    main()
