"""What is measured, as data: which servers meet, on which store, under which load.

The entrants of a scenario are measured in turn, round after round, so that
whatever else the machine does meets all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tests.bench.firstanswers import InProcess
from tests.bench.measures import (
    EVERY,
    PARENTS,
    REPEATED,
    UNIQUE,
    Load,
    Measure,
    MilterLoad,
    MilterWitness,
)
from tests.bench.peers import BareMilter, MtaStsResolver, QuotaStatus, RateLimit
from tests.bench.servers import (
    CSmmapd,
    Echo,
    Gateway,
    Interpreter,
    OurSmmapd,
    Remote,
    Server,
)
from tests.bench.starts import (
    ColdService,
    FirstAnswers,
    LongestWait,
    NewProcess,
    OpenAll,
    PythonAlone,
    StandardInput,
)
from tests.bench.stores import Store

SMALL, MIDDLE, LARGE = 1000, 100_000, 1_000_000

# The builtin milter, with room for the silent connections.
BUILTIN = 'library = "builtin"\nmax_connections = 10000\n'

# Every server by its name in the results, made for a store with or without quota roots.
SERVERS: Mapping[str, Callable[[Store, bool], Server]] = {
    "c": lambda store, quota: CSmmapd(store, quota=quota),
    "ours": lambda store, quota: OurSmmapd(store, quota=quota),
    "echo": lambda store, quota: Echo(),
    "gateway": lambda store, quota: Gateway("socketmap", store, quota=quota),
    "gateway-2": lambda store, quota: Gateway("socketmap", store, quota=quota, workers=2),
    "remote": lambda store, quota: Remote(store),
    "policy": lambda store, quota: Gateway("policy", store, quota=quota),
    "milter": lambda store, quota: Gateway("milter", store, quota=quota),
    "milter-builtin": lambda store, quota: Gateway("milter", store, quota=quota, more=BUILTIN),
    "resolver": lambda store, quota: MtaStsResolver(),
    "quota-status": lambda store, quota: QuotaStatus(store.repeated()),
    "rate-limit": lambda store, quota: RateLimit(),
    "bare-milter": lambda store, quota: BareMilter(),
    "python": lambda store, quota: Interpreter(),
    "engine": lambda store, quota: InProcess(store),
}


# Seconds of load before the first measure.  Ours makes an index while it answers; what it
# does meanwhile is in the results, too.  The others have nothing to make.
WARM_UP_S: Mapping[int, float] = {SMALL: 1.0, MIDDLE: 4.0, LARGE: 20.0}
WARM_UP_OTHERS_S = 1.0


# The milters, and how many connections are busy.
MILTERS = ("milter", "milter-builtin", "bare-milter")
MILTER_CONNECTIONS = (1, 20, 100)

# What others do while a milter's witness asks: a name, and how many are busy and silent.
WITNESSED = (("alone", 0, 0), ("20 busy", 20, 0), ("5000 silent", 0, 5000))


@dataclass(frozen=True, slots=True)
class Entrant:
    """One server under one load; `label` is its name within the scenario.

    `warm_up` is how many seconds of this load the server must have had.  `copy` tells two
    servers of the same kind apart.
    """

    label: str
    server: str
    measure: Measure
    mailboxes: int = MIDDLE
    quota: bool = True
    warm_up: float = 0.0
    copy: int = 0

    @property
    def control(self) -> Entrant:
        """The same server, started a second time, under the same load."""
        return replace(self, label=control_label(self.label), copy=1)


def control_label(label: str) -> str:
    """What the control of an entrant is called."""
    return f"{label} (control)"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Entrants that meet.  `rounds` and `seconds` are at most; a quick run has `quick_rounds`.

    The entrants with the labels in `twice` are there a second time, as their own control.
    """

    name: str
    title: str
    entrants: tuple[Entrant, ...]
    twice: tuple[str, ...] = ()
    quick: bool = False
    rounds: int = 99
    seconds: float = 99.0
    quick_rounds: int = 0

    @property
    def everyone(self) -> tuple[Entrant, ...]:
        """The entrants and their controls, which come last: as far away as the rivals are."""
        return self.entrants + tuple(e.control for e in self.entrants if e.label in self.twice)


def _both(measure: Measure) -> tuple[Entrant, ...]:
    return Entrant("c", "c", measure), Entrant("ours", "ours", measure)


def _warm(label: str, server: str, measure: Measure, mailboxes: int, quota: bool) -> Entrant:
    ours = server in ("ours", "gateway", "gateway-2")
    warm_up = WARM_UP_S[mailboxes] if ours else WARM_UP_OTHERS_S
    return Entrant(label, server, measure, mailboxes, quota, warm_up)


def _both_warm(measure: Measure, mailboxes: int) -> tuple[Entrant, ...]:
    return tuple(_warm(server, server, measure, mailboxes, True) for server in ("c", "ours"))


def first_answers_label(answers: str, index: bool) -> str:
    """What an entrant of the scenario first-answers is called."""
    return f"{answers}, {'index' if index else 'no index'}"


def _new_process(seconds: float) -> tuple[Entrant, ...]:
    measure = NewProcess(seconds)
    return tuple(Entrant(server, server, measure, LARGE) for server in ("c", "ours"))


def _connections(server: str, keys: str) -> tuple[Entrant, ...]:
    looks_up = server != "echo"
    return tuple(
        Entrant(f"{server}-{n}", server, Load(n, keys=keys, anything_goes=not looks_up))
        for n in CONNECTIONS
    )


def _sizes(server: str) -> tuple[Entrant, ...]:
    entrants = []
    for mailboxes in (SMALL, MIDDLE, LARGE):
        for name, keys, quota in (
            ("unknown", UNIQUE, True),
            ("existing", EVERY, True),
            ("no-quota", EVERY, False),
        ):
            label = f"{server}-{name}-{mailboxes}"
            entrants.append(_warm(label, server, Load(keys=keys), mailboxes, quota))
    return tuple(entrants)


CONNECTIONS = (1, 10, 50, 200, 500)
_ECHO = Entrant("echo", "echo", Load(keys=REPEATED, anything_goes=True))
_PYTHON = Entrant("python", "python", PythonAlone())

# The authorities with the index of keys and without it.
FIRST_ANSWERS = tuple(
    (answers, index) for index in (True, False) for answers in ("smmapd", "delivery")
)

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "existing-100k",
        "50 connections, existing recipients with quota roots, 100 000 mailboxes",
        (*_both_warm(Load(), MIDDLE), Entrant("echo", "echo", Load(anything_goes=True))),
        twice=("ours",),
        quick=True,
    ),
    Scenario(
        "unknown-100k",
        "50 connections, unknown recipients that never repeat, 100 000 mailboxes",
        _both_warm(Load(keys=UNIQUE), MIDDLE),
        twice=("ours",),
        quick=True,
    ),
    Scenario(
        "repeated",
        "50 connections, 1000 recipients again and again",
        (
            *_both(Load(keys=REPEATED)),
            _ECHO,
            Entrant("ours-pipelined", "ours", Load(depth=16, keys=REPEATED)),
        ),
        twice=("ours", "ours-pipelined"),
        quick=True,
    ),
    Scenario(
        "stdin",
        "standard input, exec to first answer",
        (*_both(StandardInput()), _PYTHON),
        twice=("ours",),
        quick=True,
    ),
    Scenario(
        "cold",
        "under master, cold process to first answer",
        (*_both(ColdService()), _PYTHON),
        twice=("ours",),
        quick=True,
    ),
    Scenario(
        "open-500",
        "500 connections opened, each answered once",
        _both(OpenAll()),
        twice=("ours",),
        quick=True,
        rounds=3,
        quick_rounds=1,
    ),
    Scenario(
        "connections",
        "1 to 500 connections, 1000 recipients again and again",
        (
            *_connections("ours", REPEATED),
            *_connections("c", REPEATED),
            *_connections("echo", REPEATED),
            *_connections("resolver", PARENTS)[2:],
        ),
        twice=("ours-500",),
        rounds=3,
        seconds=1.0,
    ),
    Scenario(
        "policy",
        "50 connections, 1000 recipients again and again, policy delegation",
        (
            Entrant("policy", "policy", Load(keys=REPEATED, protocol="policy")),
            Entrant("socketmap", "gateway", Load(keys=REPEATED)),
            Entrant("quota-status", "quota-status", Load(keys=REPEATED, protocol="policy")),
            Entrant("rate-limit", "rate-limit", Load(keys=REPEATED, protocol="policy")),
        ),
        twice=("policy",),
        quick=True,
    ),
    Scenario(
        "resolver",
        "50 connections, socketmap servers in Python",
        (
            Entrant("gateway", "gateway", Load(keys=REPEATED)),
            Entrant("resolver", "resolver", Load(keys=PARENTS)),
        ),
        twice=("gateway",),
    ),
    Scenario(
        "milter",
        "RCPT commands on 1, 20 and 100 busy connections: 1000 recipients again and again, and each"
        " of the store",
        tuple(
            Entrant(f"{server}, {connections}", server, MilterLoad(connections))
            for connections in MILTER_CONNECTIONS
            for server in MILTERS
        )
        + tuple(
            Entrant(f"{server}, 20, every", server, MilterLoad(keys=EVERY))
            for server in MILTERS[:2]
        ),
        twice=(*(f"milter, {n}" for n in MILTER_CONNECTIONS), "milter-builtin, 20"),
    ),
    Scenario(
        "milter-witness",
        "RCPT commands of one connection: alone, beside 20 busy ones, and beside 5000 silent ones",
        tuple(
            Entrant(f"{server}, {beside}", server, MilterWitness(busy=busy, silent=silent))
            for beside, busy, silent in WITNESSED
            for server in MILTERS
        ),
        twice=tuple(f"milter-builtin, {beside}" for beside, _, _ in WITNESSED[1:]),
        rounds=3,
    ),
    Scenario(
        "remote",
        "50 connections, mailboxes on another gateway: answers that are not remembered, and those"
        " that are",
        (
            Entrant("cold", "remote", Load(keys=UNIQUE)),
            Entrant("remembered", "remote", Load(keys=REPEATED)),
            Entrant("local", "gateway", Load(keys=REPEATED)),
        ),
        twice=("cold", "remembered"),
    ),
    Scenario(
        "workers",
        "50 connections, the client on CPU 1, one worker and two: unknown and repeated recipients",
        (
            _warm("unknown-1", "gateway", Load(keys=UNIQUE, cpu=1), MIDDLE, True),
            _warm("unknown-2", "gateway-2", Load(keys=UNIQUE, cpu=1), MIDDLE, True),
            Entrant("repeated-1", "gateway", Load(keys=REPEATED, cpu=1)),
            Entrant("repeated-2", "gateway-2", Load(keys=REPEATED, cpu=1)),
        ),
    ),
    Scenario(
        "existing-1m",
        "50 connections, existing recipients with quota roots, 1 000 000 mailboxes",
        _both_warm(Load(), LARGE),
        twice=("ours",),
    ),
    Scenario(
        "unknown-1m",
        "50 connections, unknown recipients that never repeat, 1 000 000 mailboxes",
        _both_warm(Load(keys=UNIQUE), LARGE),
        twice=("ours",),
    ),
    Scenario(
        "sizes",
        "50 connections, 1000 to 1 000 000 mailboxes",
        (*_sizes("ours"), *_sizes("c")),
        twice=("ours-unknown-1000000",),
        rounds=3,
        seconds=1.0,
    ),
    Scenario(
        "first-answers",
        "1 000 000 mailboxes, an engine in a process without sockets: recipients not asked before",
        tuple(
            Entrant(first_answers_label(*each), "engine", FirstAnswers(*each), LARGE)
            for each in FIRST_ANSWERS
        ),
        twice=tuple(first_answers_label(*each) for each in FIRST_ANSWERS),
    ),
    Scenario(
        "waiting",
        "1 000 000 mailboxes, an engine in a process without sockets: everybody asked once",
        (Entrant("engine", "engine", LongestWait(), LARGE),),
        twice=("engine",),
        rounds=2,
    ),
    Scenario(
        "new-process",
        "1 000 000 mailboxes, a new process, of which 50 connections ask: its first second",
        _new_process(1.0),
        twice=("ours",),
        rounds=3,
    ),
    Scenario(
        "new-process-everybody",
        "1 000 000 mailboxes, a new process, of which 50 connections ask: everybody once",
        _new_process(0.0),
        twice=("ours",),
        rounds=2,
    ),
    Scenario(
        "everybody-once",
        "1 000 000 mailboxes, every user asked once, a new process",
        (Entrant("gateway", "gateway", Load(every_user_once=True), LARGE),),
        twice=("gateway",),
        rounds=1,
    ),
)
