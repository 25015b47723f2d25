"""Debian's C smmapd as an oracle: random stores, random questions, both daemons side by side.

The stores are written by Cyrus' own tools.  A difference is a failure unless
`INTENDED` names it.  What a failure prints is enough to see it again: the seed
(`ORACLE_SEED=n` repeats it, `ORACLE_QUESTIONS=n` asks more) and the site.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.real.population import DEFAULT_DOMAIN, Site, populate, questions
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import PROGRAMS
from tests.rigs.require import require, require_program
from tests.rigs.socketmap import SocketmapError, StdioServer

pytestmark = [pytest.mark.real, pytest.mark.slow]

QUESTIONS = int(os.environ.get("ORACLE_QUESTIONS", "3000"))
SEED = int(os.environ.get("ORACLE_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
# More would bury the first one.
_SHOWN = 25

SITES = (
    Site("off", True),
    Site("off", False),
    Site("userid", True),
    Site("userid", False),
    Site("on", True),
    Site("on", False),
    Site("userid", True, mboxlist_db="skiplist", quota_db="twoskip"),
    Site("on", True, mboxlist_db="flat", quota_db="flat"),
    Site("off", True, mboxlist_db="skiplist", quota_db="skiplist"),
    Site("userid", True, defaultdomain=None),
    Site("off", True, postuser="bb"),
    Site("userid", False, postuser="bb"),
    Site("userid", True, settings={"lmtp_downcase_rcpt": "no"}),
    Site("off", True, settings={"lmtp_over_quota_perm_failure": "yes", "altnamespace": "no"}),
    Site("userid", True, settings={"altnamespace": "yes", "lmtp_fuzzy_mailbox_match": "yes"}),
)


@dataclass(frozen=True, slots=True)
class Intended:
    """One kind of answer that differs on purpose: where, and why ours is the better one."""

    reason: str
    applies: Callable[[Site, bytes, bytes, bytes], bool]


def _fault_is_temporary(site: Site, key: bytes, theirs: bytes, ours: bytes) -> bool:
    faults = (
        b"Mailbox is currently reserved",
        b"Mailbox has an invalid format",
        b"Invalid identifier",
        b"System I/O error",
    )
    return theirs[:5] == b"PERM " and theirs[5:] in faults and ours == b"TEMP " + theirs[5:]


def _default_domain_in_capitals(site: Site, key: bytes, theirs: bytes, ours: bytes) -> bool:
    domain = key.rpartition(b"@")[2]
    default = DEFAULT_DOMAIN.encode()
    return (
        site.defaultdomain is not None
        and domain != default
        and domain.lower() == default
        and theirs.startswith(b"OK ")
        and ours.partition(b" ")[2] == b"Over quota"
    )


def _quota_of_what_is_reached(site: Site, key: bytes, theirs: bytes, ours: bytes) -> bool:
    return (
        site.postuser is not None
        and theirs.startswith(b"OK ")
        and ours.partition(b" ")[2] == b"Over quota"
    )


INTENDED = (
    Intended("a fault of the server is temporary, never permanent", _fault_is_temporary),
    Intended(
        "the default domain is compared without regard to case, so that nobody passes a full"
        " quota by writing it in capitals",
        _default_domain_in_capitals,
    ),
    Intended(
        "what a recipient reaches decides, not how it was spelt: with postuser the user that a"
        " shared folder's name leads to counts",
        _quota_of_what_is_reached,
    ),
)


class _Oracle:
    """The C daemon; it may abort on a key, and is then started anew."""

    def __init__(self, cyrus: Cyrus) -> None:
        self._cyrus = cyrus
        self._server: StdioServer | None = None
        self.aborted: list[bytes] = []

    def ask(self, key: bytes) -> bytes | None:
        """The reply, or None if the program ended instead of answering."""
        if self._server is None:
            self._server = self._cyrus.smmapd()
        try:
            return self._server.ask(key)
        except (SocketmapError, ConnectionError):
            self.aborted.append(key)
            self._server.abandon()
            self._server = None
            return None

    def close(self) -> None:
        if self._server is not None:
            self._server.close()


def compare(site: Site, program: str, seed: int, count: int) -> Counter[bytes]:
    """Ask both; fails with the differences.  Returns how often each kind of reply came."""
    differences: list[str] = []
    kinds: Counter[bytes] = Counter()
    population = populate(seed, site)
    with Cyrus(site.imapd_conf()) as cyrus:
        cyrus.tools.load_mailboxes(population.mailboxes)
        cyrus.tools.set_quotas(population.quotas, site.quota_db)
        oracle = _Oracle(cyrus)
        with cyrus.smmapd(program) as ours:
            for key in questions(seed, site, population, count):
                mine = ours.ask(key)
                theirs = oracle.ask(key)
                if theirs is None:
                    continue
                kinds[theirs.partition(b" ")[0] if theirs.startswith(b"OK ") else theirs] += 1
                if mine != theirs and not any(
                    intended.applies(site, key, theirs, mine) for intended in INTENDED
                ):
                    differences.append(f"{key!r}: C {theirs!r}, ours {mine!r}")
        oracle.close()
    if differences:
        shown = "\n".join(differences[:_SHOWN])
        pytest.fail(
            f"ORACLE_SEED={seed} {site}: {len(differences)} differences of {count}:\n{shown}",
            pytrace=False,
        )
    assert len(oracle.aborted) < count // 100, f"the C daemon died of {oracle.aborted[:_SHOWN]!r}"
    return kinds


@pytest.mark.parametrize("site", SITES, ids=str)
def test_ours_answers_as_the_c_daemon_does(site: Site) -> None:
    """Thousands of random questions about a random store: the same replies, byte for byte."""
    require("cyrus")
    program = require_program(
        os.path.join(os.path.dirname(sys.executable), "smmapd"), "run `make venv`"
    )
    kinds = compare(site, program, SEED, QUESTIONS)
    # A comparison in which everything is refused would prove little.
    assert kinds[b"OK"] > QUESTIONS // 20
    assert kinds[b"NOTFOUND Mailbox does not exist"] > QUESTIONS // 20
    assert kinds[b"TEMP Over quota"] + kinds[b"PERM Over quota"] > QUESTIONS // 100
    assert kinds[b"PERM Permission denied"] > 0


def test_the_oracle_agrees_with_itself() -> None:
    """The C daemon compared with itself shows no difference: the harness adds none."""
    require("cyrus")
    kinds = compare(SITES[0], os.path.join(PROGRAMS, "smmapd"), SEED, 300)
    assert sum(kinds.values()) == 300


def test_a_seed_gives_the_same_store_and_questions() -> None:
    """What a failure prints is enough to ask the same questions again."""
    first, again = populate(SEED, SITES[2]), populate(SEED, SITES[2])
    assert first == again
    assert list(questions(SEED, SITES[2], first, 500)) == list(
        questions(SEED, SITES[2], again, 500)
    )
