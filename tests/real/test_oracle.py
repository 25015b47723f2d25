"""Debian's C smmapd as an oracle: random stores, random questions, both daemons side by side.

The stores are written by Cyrus' own tools.  A difference is a failure unless
`INTENDED` names it.  The seed is the same in every run, so that a change fails
and not chance; with `SOAK=1` it is another one each time.  What a failure
prints is enough to see it again: the seed (`ORACLE_SEED=n` repeats it,
`ORACLE_QUESTIONS=n` asks more) and the site.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

import pytest

from gateway.cyrus.mutf7 import decode
from tests.real.population import DEFAULT_DOMAIN, Site, populate, questions
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import PROGRAMS
from tests.rigs.require import require, require_program
from tests.rigs.socketmap import SocketmapError, StdioServer
from tests.support.cprogram import as_ours

pytestmark = pytest.mark.real

QUESTIONS = int(os.environ.get("ORACLE_QUESTIONS", "3000"))
# Any number: all that it has to do is stay.
_STEADY_SEED = 20260101


def _seed() -> int:
    """The one that is asked for, a new one in a soak, else always the same."""
    asked = int(os.environ.get("ORACLE_SEED", "0"))
    soak = os.environ.get("SOAK") == "1"
    return asked or (random.SystemRandom().randrange(1, 10**9) if soak else _STEADY_SEED)


SEED = _seed()
# More would bury the first one.
_SHOWN = 25

SITES = (
    Site("off", True),
    Site("off", False),
    Site("userid", True),
    Site("userid", False),
    Site("on", True),
    Site("on", False),
    # 3.6 and later ignore the option, so the list does not have the order that it names.
    Site(
        "userid",
        True,
        mboxlist_db="skiplist",
        quota_db="twoskip",
        settings={"improved_mboxlist_sort": "yes"},
    ),
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
    """One way in which ours differs on purpose, checked as strictly as equality.

    `respell` gives, for a key that it is about, the key under which the C
    daemon gives the right answer where `settings` stand in its imapd.conf;
    None for all other keys.
    """

    reason: str
    respell: Callable[[Site, bytes], bytes | None]
    settings: Mapping[str, str]


def _default_domain_in_lower_case(site: Site, key: bytes) -> bytes | None:
    local, _, domain = key.rpartition(b"@")
    default = DEFAULT_DOMAIN.encode()
    if site.defaultdomain is None or domain == default or domain.lower() != default:
        return None
    user, plus, folder = local.partition(b"+")
    return (user.lower() if site.downcases else user) + plus + folder + b"@" + default


def _user_before_the_plus(site: Site, key: bytes) -> bytes | None:
    if not key.startswith(b"+"):
        return None
    separator = b"/" if site.unixhierarchysep else b"."
    before, at, domain = key.rpartition(b"@") if b"@" in key else (key, b"", b"")
    user, _, folder = before[1:].strip(separator).partition(separator)
    domain = domain.lower() if site.downcases else domain
    return user + (b"+" + folder if folder else b"") + at + domain


def _folder_in_utf8(_: Site, key: bytes) -> bytes | None:
    before, at, domain = key.rpartition(b"@") if b"@" in key else (key, b"", b"")
    user, plus, folder = before.partition(b"+")
    if b"&" not in folder:
        return None
    try:
        return user + plus + decode(folder).encode() + at + domain
    except ValueError:
        return None


# A respelt key has the case that is meant.
_EXACT = {"lmtp_downcase_rcpt": "no"}
_NOBODY = {**_EXACT, "postuser": "is.no.user"}

INTENDED = (
    Intended(
        "Domains have no case: who writes the default domain in capitals reaches the same mailbox"
        " with the same quota. The C daemon forgets the quota or does not find the mailbox.",
        _default_domain_in_lower_case,
        _EXACT,
    ),
    Intended(
        "A folder in modified UTF-7 is the one that it stands for. From 3.4 to 3.12 the C daemon"
        " encodes it once more, before and after that it does not.",
        _folder_in_utf8,
        {},
    ),
    Intended(
        "What a recipient reaches decides, not how it was spelt: an empty local part that still"
        " leads to a user's mailbox has that user's quota. The C daemon forgets it.",
        _user_before_the_plus,
        _NOBODY,
    ),
    Intended(
        "Both: the C daemon takes the postuser with the default domain in capitals for a user.",
        _default_domain_in_lower_case,
        _NOBODY,
    ),
)


class _Oracle:
    """The C daemon; it may abort on a key, and is then started again."""

    def __init__(self, cyrus: Cyrus, imapd_conf: str) -> None:
        self._cyrus = cyrus
        self._imapd_conf = imapd_conf
        self._server: StdioServer | None = None
        self.aborted: list[bytes] = []

    def ask(self, key: bytes) -> bytes | None:
        """The reply, or None if the program ended instead of answering."""
        if self._server is None:
            self._server = self._cyrus.smmapd(imapd_conf=self._imapd_conf)
        try:
            return self._server.ask(key)
        except (SocketmapError, ConnectionError):
            self.aborted.append(key)
            self._server.abandon()
            self._server = None
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._server is not None:
            self._server.close()


def _agrees(
    site: Site, respelling: Sequence[_Oracle], key: bytes, theirs: bytes, ours: bytes
) -> bool:
    """Is ours the C daemon's reply, or the intended one instead of it?"""
    if ours == as_ours(theirs):
        return True
    for intended, oracle in zip(INTENDED, respelling, strict=True):
        respelt = intended.respell(site, key)
        if respelt is not None:
            right = oracle.ask(respelt)
            if ours == (b"OK " + key if right == b"OK " + respelt else right):
                return True
    return False


def compare(site: Site, program: str, seed: int, count: int) -> Counter[bytes]:
    """Ask both; fails with the differences.  Returns how often each kind of reply came."""
    differences: list[str] = []
    kinds: Counter[bytes] = Counter()
    population = populate(seed, site)
    with Cyrus(site.imapd_conf()) as cyrus:
        cyrus.tools.load_mailboxes(population.mailboxes)
        cyrus.tools.set_quotas(population.quotas, site.quota_db)
        respelling = [
            _Oracle(cyrus, cyrus.another_imapd_conf(f"respelt{number}", intended.settings))
            for number, intended in enumerate(INTENDED)
        ]
        with ExitStack() as stack:
            oracle = stack.enter_context(_Oracle(cyrus, cyrus.imapd_conf))
            server = stack.enter_context(cyrus.smmapd(program))
            for other in respelling:
                stack.enter_context(other)
            for key in questions(seed, site, population, count):
                ours, theirs = server.ask(key), oracle.ask(key)
                if theirs is None:
                    continue
                kinds[theirs.partition(b" ")[0] if theirs.startswith(b"OK ") else theirs] += 1
                if not _agrees(site, respelling, key, theirs, ours):
                    differences.append(f"{key!r}: C {theirs!r}, ours {ours!r}")
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
