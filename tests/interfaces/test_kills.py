"""kill -9 of every process at random, while mail comes in through Postfix and Sendmail.

What is killed comes back: the core and the milter by their supervisor, the
supervisor by a service manager.  What the MTAs say meanwhile is theirs, and
set here as the manual recommends:

| interface             | what says what happens without an answer                         |
|------------------|------------------------------------------------------------------|
| postfix-maps     | nothing: a table that cannot be read is always 451               |
| postfix-policy   | default_action = DEFER (smtpd_policy_service_default_action)     |
| postfix-milter   | milter_default_action = tempfail                                 |
| sendmail-map     | -T<TMPF> of the K line, and the rule that makes it 451           |
| sendmail-milter  | F=T of the X line                                                |

So no unknown recipient gets through and no good one is refused for good, at
any moment.  With other words there (`accept`, `DUNNO`, no F=) the MTA lets
everybody in while nobody answers; a test shows that, too.

    make kills MINUTES=n         (KILLS_SEED=n kills in the same order again)
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.interfaces.askcases import MailSite
from tests.interfaces.load import BAD, GOOD, Load
from tests.interfaces.model import Interface
from tests.interfaces.servicemanager import VICTIMS, ServiceManager
from tests.interfaces.small import rcpt, small_site
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

# How long processes are killed; `make kills` takes longer.
SECONDS = float(os.environ.get("KILLS_SECONDS", "15"))
# The same number kills in the same order.
SEED = int(os.environ.get("KILLS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
# Two at each interface.
SESSIONS = 10
# In a row, without waiting for the service to come back.
VOLLEY = 3
# Within this a process is at its start, or serves, or tells others that it is gone.
LONGEST_PAUSE_S = 1.0


@pytest.fixture
def site() -> Iterator[MailSite]:
    """A gateway and MTAs on a small store."""
    with small_site() as everything:
        yield everything


def pause(chance: random.Random) -> None:
    """Some part of a second."""
    over = time.monotonic() + chance.uniform(0, LONGEST_PAUSE_S)
    wait_until(lambda: time.monotonic() >= over, "a pause is over")


@pytest.mark.slow
@pytest.mark.milter
def test_whoever_is_killed_nobody_is_refused_and_nobody_slips_through(site: MailSite) -> None:
    """One after the other, each as soon as all are served again; and in volleys."""
    chance = random.Random(SEED)
    back: dict[str, list[float]] = defaultdict(list)
    print(f"KILLS_SEED={SEED}")
    with (
        ServiceManager(site.gateway) as manager,
        Load(site, sessions=SESSIONS, deliver=True) as load,
    ):
        load.wait_accepted()
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            for victim in chance.sample(VICTIMS, len(VICTIMS)):
                wait_until(lambda victim=victim: manager.kill(victim), f"there is a {victim}")  # type: ignore[misc]
                began = time.monotonic()
                manager.wait_gone()
                load.wait_accepted()
                back[victim].append(time.monotonic() - began)
            for _ in range(VOLLEY):
                pause(chance)
                manager.kill(chance.choice(VICTIMS))
            load.wait_accepted()
    print(f"killed: {dict(manager.killed)}; supervisors ended: {dict(manager.ends)}")
    for victim, times in back.items():
        print(
            f"{victim}: every session served again after {statistics.median(times):.2f} s,"
            f" at most {max(times):.2f} s, of {len(times)} times"
        )
    good = sum(replies.total() for replies in load.replies.values())
    bad = sum(replies.total() for replies in load.unknown.values())
    late = sum(replies.total() for replies in load.deferred().values())
    print(f"{good} replies about good recipients, {late} of them temporary; {bad} about others")
    assert load.refused() == {}
    assert load.passed() == {}


def test_a_lenient_mta_lets_everybody_in_while_nobody_answers() -> None:
    """Where its settings say so; a map has no such setting, and a good recipient is never lost."""
    asked = (Interface.POSTFIX_POLICY, Interface.POSTFIX_MILTER, Interface.SENDMAIL_MILTER)
    maps = (Interface.POSTFIX_MAPS, Interface.SENDMAIL_MAP)
    with small_site(lenient=True) as site:
        assert {rcpt(site, interface, BAD)[:3] for interface in (*asked, *maps)} == {b"550"}
        site.gateway.stop()
        for recipient in (GOOD, BAD):
            assert {rcpt(site, interface, recipient)[:3] for interface in asked} == {b"250"}
            assert {rcpt(site, interface, recipient)[:3] for interface in maps} == {b"451"}
        site.gateway.start()
        for interface in (*asked, *maps):
            wait_until(
                lambda interface=interface: rcpt(site, interface, BAD).startswith(b"550"),  # type: ignore[misc]
                f"{interface.value} refuses",
            )
