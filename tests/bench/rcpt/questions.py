"""What a site is asked, and how it is measured: smtpload.c on its smtpd.

- `first`: recipients with a mailbox that this site has not been asked about before;
- `again`: others, that it has been asked about;
- `unknown`: names without a mailbox, each once;
- `full`: mailboxes over quota, asked before;
- `sessions`: connect, EHLO, MAIL, RCPT (as `again`), QUIT, on many connections at once.

All but `sessions` are RCPT commands of one connection and one mail: the latency of a server
that has little to do.  Where a first question waits for a probe (reject_unverified_recipient polls
its answer each `address_verify_poll_delay`), fewer are asked, on many connections at once:
each waits for itself, and the wait is what is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tests.bench.measures import Client, Sample, WrongAnswers, rates
from tests.bench.rcpt.ground import Ground
from tests.bench.rcpt.sites import NOTHING, Site
from tests.bench.servers import DOMAIN

FIRST, AGAIN, UNKNOWN, FULL, SESSIONS = "first", "again", "unknown", "full", "sessions"
KINDS = (FIRST, AGAIN, UNKNOWN, FULL, SESSIONS)
# Whom smtpd lets in when nobody is asked is nothing to compare.
_OF_NOTHING = (AGAIN, SESSIONS)
# Connections of sessions, and of questions that wait for a probe.
_MANY, _WAITING = 20, 50
# Each measure with names that never repeat gets a range of its own.
_UNIQUE_STEP = 1 << 20
# Sessions before those that are measured.
_WARM_S = 0.5
_SEED = 0x9E3779B97F4A7C1
# More recipients than a measure has: for the first one accepted, Postfix opens a file.
_ONE_MAIL = 1_000_000
# Seconds without any answer, after which the rest is lost; above every wait of verify(8).
_PATIENCE_S = 30


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is asked in each round; `waiting` is how many where each waits for a probe.

    With `requests` a measure ends after so many, instead of after `seconds`.
    """

    rounds: int = 7
    seconds: float = 0.5
    requests: int = 0
    again: int = 200
    first: int = 1000
    full: int = 60
    waiting: int = 100
    watch_s: float = 20.0


def kinds(site: Site) -> Sequence[str]:
    """What this site is asked."""
    return _OF_NOTHING if site.name == NOTHING else KINDS


def words(site: Site, kind: str, ground: Ground, sizes: Sizes, number: int) -> list[str]:
    """smtpload's, for one measure of round `number`."""
    found = ["-a", site.address, "-D", DOMAIN, "-w", str(_PATIENCE_S)]
    expected = {FULL: site.full, UNKNOWN: "5"}.get(kind, "2")
    found += ["-e", expected, "-m", str(_ONE_MAIL)]
    asked_once = kind in (FIRST, UNKNOWN)
    if kind == SESSIONS:
        found += ["-s", "-n", str(_MANY)]
    elif asked_once and site.waits:
        found += ["-n", str(_WAITING)]
    if kind == UNKNOWN:
        found += ["-u", str(_UNIQUE_STEP * (number + 1))]
    elif kind == FIRST:
        found += ["-k", ground.keys(FIRST), "-o", str(number * sizes.first)]
    else:
        keys = ground.keys(FULL if kind == FULL else AGAIN)
        found += ["-k", keys, "-R", str(_SEED * (number + 1))]
    if asked_once and site.waits:
        return [*found, "-r", str(sizes.waiting)]
    requests = sizes.first if kind == FIRST else sizes.requests
    return [*found, "-r", str(requests)] if requests else [*found, "-t", str(sizes.seconds)]


def ask_before(site: Site, ground: Ground) -> None:
    """Ask about everybody once who will be asked again."""
    who: Mapping[str, tuple[str, ...]] = {
        AGAIN: ground.recipients.again,
        FULL: ground.recipients.full,
    }
    for kind, names in who.items():
        asked = ["-a", site.address, "-D", DOMAIN, "-w", str(_PATIENCE_S), "-n", str(_WAITING)]
        with Client("smtpload", [*asked, "-k", ground.keys(kind), "-r", str(len(names))]) as client:
            rates(client.result(), 0)


def measure(site: Site, kind: str, ground: Ground, sizes: Sizes, number: int) -> Sample:
    """One sample, as `measures` has it; raises `WrongAnswers` and `RigError` as that does.

    Before sessions there are some that do not count: Postfix starts its processes for them.
    """
    if kind == SESSIONS:
        warm = words(site, kind, ground, replace(sizes, seconds=_WARM_S), number)
        with Client("smtpload", warm) as client:
            client.result()
    with Client("smtpload", words(site, kind, ground, sizes, number)) as client:
        before = site.cpu_seconds()
        result = client.result()
        used = site.cpu_seconds() - before
    sample = rates(result, used)
    if not sample["answered"]:
        raise WrongAnswers(f"no answer within {sizes.seconds:g} s")
    return sample
