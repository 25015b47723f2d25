"""How old an answer can be: for how long a site says what is no longer true.

Four mailboxes a site: one is created after the site has been asked about it, one deleted,
one filled, and a full one's limit is raised.  From each change on the site is asked again
and again, until it says what is true now, or the watch is over: what takes longer is not
measured, and its bound is what is configured (`Verify.bound_s`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from tests.bench.measures import WrongAnswers
from tests.bench.rcpt.sites import Site
from tests.bench.servers import DOMAIN
from tests.rigs.processes import run
from tests.rigs.smtp import Conversation
from tests.rigs.waiting import wait_until

CREATED, DELETED, FILLED, WIDENED = "created", "deleted", "filled", "widened"
CHANGES = (CREATED, DELETED, FILLED, WIDENED)
# Between two questions about the same recipient.
_PAUSE_S = 0.02
_SENDER = b"someone@example.net"
_POSTCONF = "/usr/sbin/postconf"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class Age:
    """Seconds from the change to the first right answer, None if the watch ended before.

    `wrong` is how many answers of the old state came in between.
    """

    seconds: float | None
    wrong: int


@dataclass(slots=True)
class _Watch:
    user: str
    before: str
    after: str
    wrong: int = 0
    seconds: float | None = None


def ages(site: Site, watch_s: float, number: int = 0) -> dict[str, Age]:
    """By change, what was seen at the site; each `number` has mailboxes of its own.

    Raises `WrongAnswers` if it does not say what is true before the change, or says what was
    true neither before nor after.
    """
    watches = {
        change: _Watch(f"{change}.{site.name}.{number}", before, after)
        for change, before, after in (
            (CREATED, "5", "2"),
            (DELETED, "2", "5"),
            (FILLED, "2", site.full),
            (WIDENED, site.full, "2"),
        )
    }
    for change in (DELETED, FILLED, WIDENED):
        site.changes.create(watches[change].user)
    site.changes.fill(watches[WIDENED].user)
    host, _, port = site.address.rpartition(":")
    address = (host, int(port))
    with ThreadPoolExecutor(len(CHANGES)) as pool:
        # At the same time: what they hear is about as old when the changes come.
        list(pool.map(partial(_wait_for_the_old, address), watches.values()))
        followed = []
        for change, make in (
            (CREATED, site.changes.create),
            (DELETED, site.changes.delete),
            (FILLED, site.changes.fill),
            (WIDENED, site.changes.widen),
        ):
            make(watches[change].user)
            followed.append(pool.submit(_follow, address, watches[change], watch_s))
        for future in followed:
            future.result()
    return {change: Age(watch.seconds, watch.wrong) for change, watch in watches.items()}


def longest(seen: Sequence[Age]) -> Age:
    """Of several times the same change, the one after which the old answer went on for longest."""
    return max(seen, key=lambda age: math.inf if age.seconds is None else age.seconds)


def _follow(address: tuple[str, int], watch: _Watch, watch_s: float) -> None:
    """Ask until the answer is right, each time in a new session, as from another client."""
    changed = time.monotonic()
    while time.monotonic() < changed + watch_s:
        digit, line = _reply(address, watch.user)
        if digit == watch.after:
            watch.seconds = time.monotonic() - changed
            return
        if digit != watch.before:
            raise WrongAnswers(f"{watch.user} got {line}")
        watch.wrong += 1
        time.sleep(_PAUSE_S)


def _reply(address: tuple[str, int], user: str) -> tuple[str, str]:
    with Conversation(address) as smtp:
        smtp.mail(_SENDER)
        line = smtp.rcpt(f"{user}@{DOMAIN}".encode()).last.decode(errors="replace")
    return line[:1], line


def _wait_for_the_old(address: tuple[str, int], watch: _Watch) -> None:
    wait_until(
        lambda: _reply(address, watch.user)[0] == watch.before,
        f"{watch.user} gets {watch.before}xx before the change",
    )


@dataclass(frozen=True, slots=True)
class Verify:
    """Postfix' own times of address verification, in seconds, as `postconf -d` says them."""

    positive_refresh_s: int
    positive_expire_s: int
    negative_refresh_s: int
    negative_expire_s: int
    poll_delay_s: int
    poll_count: str

    def bound_s(self, change: str) -> int:
        """For how long the answer of before the change is given where somebody asks now and then.

        A probe that fails does not replace an answer that was good: that one ends with its
        expiry.  A refusal is probed again by the first question after the refresh time, and
        the one after that hears of it; with no question in between it ends with its expiry
        (`verify_update_service` and `verify_query_service` in Postfix' verify.c).
        """
        if change in (DELETED, FILLED):
            return self.positive_expire_s
        return self.negative_refresh_s


def verify_defaults() -> Verify:
    """What the Postfix on this machine has built in."""
    names = {
        "positive_refresh_s": "address_verify_positive_refresh_time",
        "positive_expire_s": "address_verify_positive_expire_time",
        "negative_refresh_s": "address_verify_negative_refresh_time",
        "negative_expire_s": "address_verify_negative_expire_time",
        "poll_delay_s": "address_verify_poll_delay",
        "poll_count": "address_verify_poll_count",
    }
    lines = run([_POSTCONF, "-d", *names.values()]).decode().splitlines()
    values = {name: value for name, _, value in (line.partition(" = ") for line in lines)}
    times = {field: seconds(values[name]) for field, name in names.items() if field[-2:] == "_s"}
    return Verify(poll_count=values[names["poll_count"]], **times)


def seconds(text: str) -> int:
    """Postfix' way to write a time: `3h` is 10800.  Raises `ValueError` for anything else."""
    if text[-1:] not in _UNITS:
        raise ValueError(f"no time of Postfix: {text!r}")
    return int(text[:-1]) * _UNITS[text[-1]]


def in_words(value: float) -> str:
    """A length of time for people: `100 us`, `1.8 s`, `3 h`, `31 d`."""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if value >= unit and value % unit == 0:
            return f"{value / unit:g} {name}"
    for part, name in ((1.0, "s"), (1e-3, "ms")):
        if value >= part:
            return f"{value / part:.3g} {name}"
    return f"{value / 1e-6:.3g} us"
