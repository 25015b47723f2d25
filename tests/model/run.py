"""Rounds of one store: one to five changes and no question between them, then everybody is asked.

    python -m tests.model.run --rounds 50000 --answers 5000000

goes through all stores, kernels and file systems in turn until there have been so many of both.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random

from tests.model import oracle
from tests.model.changes import NAMES, Store
from tests.model.databases import Cyrus as CyrusDatabase
from tests.model.databases import Database, Roots, Sqlite, Twom
from tests.rigs import kernels as worlds
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import PROGRAMS
from tests.rigs.folders import folder
from tests.rigs.gateway import Gateway, Tables
from tests.rigs.program import smmapd_program
from tests.rigs.responders import DELIVERY, DENIED, LATER, SMMAPD, Front, Milter, Policy, Socketmap
from tests.rigs.socketmap import Connection

# Formats of mailbox list, quotas and userdeny.
FORMATS = (
    ("twoskip", "quotalegacy", "flat"),
    ("skiplist", "twoskip", "twoskip"),
    ("flat", "skiplist", "flat"),
    ("twoskip", "flat", "skiplist"),
    ("sql", "sql", "flat"),
    ("twom", "twom", "twoskip"),
)
# Those that Debian's C program reads, so that it can say what is true, too.
_OF_C = frozenset(("twoskip", "skiplist", "flat", "quotalegacy"))
SERVICE = "smmap"
# How often a round begins with a reload, and as often with the death of a process: each
# costs a second of processor time.
SHOCKS = 0.01


@dataclass
class Totals:
    """What has been done, and what was wrong."""

    rounds: int = 0
    answers: int = 0
    damaged: int = 0  # rounds without questions, because Cyrus had damaged a file
    changes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        changes = ", ".join(f"{count} {name}" for name, count in sorted(self.changes.items()))
        return (
            f"{self.rounds} rounds, {self.answers} answers, {len(self.wrong)} wrong;"
            f" {self.damaged} times damaged; {changes}"
        )


class Model:
    """A store, what answers from it, and what happens."""

    def __init__(
        self,
        cyrus: Cyrus,
        conf: str,
        store: Store,
        gateway: Gateway,
        front_ends: list[Front],
        c: bool,
    ) -> None:
        self._cyrus = cyrus
        self._conf = conf
        self.store = store
        self._gateway = gateway
        self._front_ends = front_ends
        self._c = c
        self.shocks = SHOCKS
        self._authorities = {SMMAPD, *(front.answers for front in front_ends)}

    def round(self, chance: Random, totals: Totals, *, programs: bool) -> None:
        """Changes, and questions; with `programs` what is true is said by programs just started."""
        done = [self.store.change(chance) for _ in range(chance.randint(1, 5))]
        if chance.random() < self.shocks:
            self._gateway.daemon.send_signal(signal.SIGHUP)
            done.append("SIGHUP")
        if chance.random() < self.shocks:
            module = chance.choice(("core", "milter"))
            for pid in self._gateway.pids(module):
                os.kill(pid, signal.SIGKILL)
            done.append(f"kill {module}")
        totals.changes.update(each.split(" ", 1)[0] for each in done)
        truth = {each: oracle.engine(self._conf, NAMES, each) for each in self._authorities}
        true = truth[SMMAPD]
        if self.store.stale and self.store.is_whole and LATER in true:
            # A writer that went on over a restore has damaged a file: which question meets the
            # damage depends on their order.
            totals.damaged += 1
            self.store.fix()
            return
        if programs:
            self._agree(true, "our program", smmapd_program())
            # 3.6.1 knows no userdeny here, and refuses for good where it cannot read.
            if self._c and not self.store.stale and not {LATER, DENIED}.intersection(true):
                self._agree(true, "the C program", os.path.join(PROGRAMS, "smmapd"))
        names = list(enumerate(NAMES))
        for front in chance.sample(self._front_ends, len(self._front_ends)):
            chance.shuffle(names)
            true = truth[front.answers]
            said = front.ask([name for _, name in names])
            totals.answers += len(said)
            for (number, name), word in zip(names, said, strict=True):
                if word != true[number]:
                    fresh = oracle.engine(self._conf, [name], front.answers)
                    later = front.ask([name, name]), fresh
                    totals.wrong.append(
                        f"{front.name}: {name!r} is {word}, not {true[number]}; round"
                        f" {totals.rounds}, behind {'; '.join(done)}; asked again: {later}"
                    )
        totals.rounds += 1

    def _agree(self, true: list[str], who: str, program: str) -> None:
        said = oracle.program(self._cyrus, program, self._conf, NAMES)
        assert said == true, f"{who} says {said}, a fresh engine {true}"


@contextmanager
def model(formats: tuple[str, str, str], world: str, seed: int) -> Iterator[Model]:
    """A store of these formats, in one of worlds.WORLDS."""
    mailboxes, quotas, denials = formats
    with ExitStack() as stack:
        cyrus = stack.enter_context(
            Cyrus({"virtdomains": "userid", "defaultdomain": "example.org"})
        )
        place = os.path.join(cyrus.config, "m")
        os.mkdir(place)
        os.chown(place, *_owner(cyrus.config))
        conf = cyrus.another_imapd_conf(
            "model",
            {
                "mboxlist_db": mailboxes,
                "quota_db": quotas,
                "userdeny_db": denials,
                "mboxlist_db_path": f"{place}/mailboxes.db",
                "userdeny_db_path": f"{place}/user_deny.db",
                "quota_db_path": f"{place}/quotas.db",
                "sql_engine": "sqlite",
                "sql_database": f"{place}/sql.db",
            },
        )
        # Its tools read an imapd.conf of the rig's, which names no format that they do not know.
        shelves: list[Database] = [
            _database(form, f"{place}/{name}.db", cyrus.imapd_conf, seed)
            for form, name in zip(formats, ("mailboxes", "quotas", "user_deny"), strict=True)
        ]
        store = Store(*shelves)
        stack.callback(store.close)
        path = worlds.make(world, stack.enter_context(folder("world")))
        # Policy and milter say in every second store what delivery does in the end.
        answers = DELIVERY if seed % 2 else SMMAPD
        tables: Tables = {
            "": {"answers": SMMAPD},
            "policy": {"answers": answers},
            "milter": {"answers": answers},
            "scope": {"domains": ["example.org"]},
            "logging": {"level": "warning"},
        }
        gateway = stack.enter_context(Gateway(conf, tables, python_path=path))
        gateway.start()
        front_ends: list[Front] = [
            Socketmap("socketmap", lambda: Connection.to(gateway.path("socketmap"))),
            Policy(gateway.path("policy")),
            Milter(gateway.path("milter")),
            Socketmap("standard input", lambda: cyrus.smmapd(smmapd_program(), imapd_conf=conf)),
        ]
        cyrus.add_service(SERVICE, f"{smmapd_program()} -C {conf}")
        cyrus.start()
        address = cyrus.socket_path(SERVICE)
        front_ends.append(Socketmap("under master", lambda: Connection.to(address)))
        for front in front_ends:
            front.answers = answers if front.name in ("policy", "milter") else SMMAPD
            stack.callback(front.close)
        yield Model(cyrus, conf, store, gateway, front_ends, _OF_C.issuperset(formats))


def _owner(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_uid, status.st_gid


def _database(form: str, path: str, imapd_conf: str, seed: int) -> Database:
    match form:
        case "quotalegacy":
            return Roots(os.path.dirname(path))
        case "sql":
            folder_, name = os.path.split(path)
            return Sqlite(f"{folder_}/sql.db", name.replace(".", "_"))
        case "twom":
            return Twom(path, seed)
    return CyrusDatabase(path, form, imapd_conf)


def main() -> int:
    """Run until there is enough of it; exit code 1 at the first wrong answer."""
    parser = argparse.ArgumentParser(prog="tests.model.run")
    parser.add_argument("--rounds", type=int, default=50_000)
    parser.add_argument("--answers", type=int, default=5_000_000)
    parser.add_argument("--each", type=int, default=500, metavar="ROUNDS", help="of one store")
    parser.add_argument("--shocks", type=float, default=SHOCKS, help="reloads, and kills, a round")
    parser.add_argument(
        "--stale", type=float, default=0.0, help="how often writers go on over a restore"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    # The servers are ended, however this ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    total = Totals()
    seed = options.seed
    began = time.monotonic()
    while total.rounds < options.rounds or total.answers < options.answers:
        formats = FORMATS[seed % len(FORMATS)]
        world = list(worlds.WORLDS)[seed // len(FORMATS) % len(worlds.WORLDS)]
        chance = Random(seed)
        with model(formats, world, seed) as running:
            running.shocks = options.shocks
            running.store.stale = options.stale
            for number in range(options.each):
                running.round(chance, total, programs=number % 50 == 0)
                if total.wrong:
                    print(f"seed {seed}, {formats}, {world}:", *total.wrong, sep="\n")
                    return 1
        print(
            f"{time.monotonic() - began:.0f} s, seed {seed}, {formats}, {world}: {total}",
            flush=True,
        )
        seed += 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
