"""Cached replies: given again only while the verdict and the scope's files stand.

(Those of the policy server are in test_policy_cache.py.)
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.frontends import replycache, watched
from gateway.frontends.counters import OutcomeCounters
from gateway.frontends.judge import Judge
from gateway.frontends.milter_conversation import MAX_KEY, MilterConversation, Rcpt
from gateway.frontends.milter_session import MilterSession
from gateway.frontends.replies import ReplyTable
from gateway.frontends.replycache import DecisionCache
from gateway.frontends.scope import Scope, ScopeRules
from gateway.protocols.milter import CONTINUE, packet, refusal
from gateway.verification import largedict
from gateway.verification.cache import VerdictCache
from gateway.verification.largedict import LargeDict
from gateway.verification.verifier import Verifier
from tests.rigs.witnesses import NEGOTIATION
from tests.stores import FlatStore, quota, record

if TYPE_CHECKING:
    from gateway.frontends.milter_conversation import Key

UNKNOWN = refusal(b"550 5.1.1 User unknown")
OVER = refusal(b"452 4.2.2 Over quota")
EXEMPT, CLIENT = b"192.0.2.1", b"198.51.100.1"


class Site:
    """A milter's memory and one session, on a flat store with fred and a file of aliases."""

    def __init__(self, root: Path, *, check_size: bool = False) -> None:
        self.aliases = root / "aliases"
        self.aliases.write_text("info: fred\n")
        store = FlatStore(
            str(root),
            {b"user.fred": record(), b"user.over": record()},
            {b"user.over": quota((5000, 1))},
            options={"virtdomains": "userid", "defaultdomain": "example.org"},
        )
        store.write()
        conf = imapdconf.load(store.conf_path, "smmap")
        self.cache = VerdictCache(Verifier.for_store(CyrusStore(conf, b"smmap")))
        rules = ScopeRules(
            domains=("example.org",),
            mailers=("lmtp",),
            alias_files=(str(self.aliases),),
            exempt_clients=("192.0.2.0/24",),
            exempt_authenticated=True,
        )
        judge = Judge(Scope(rules, sees_mailers=True), ReplyTable(), check_size=check_size)
        self.refusals: deque[Any] = deque()
        self.counters = OutcomeCounters(self.refusals)
        self.reply_cache: DecisionCache[Key] = DecisionCache(
            self.cache, judge, self.counters.cached_decision
        )
        self.seen: list[Rcpt] = []
        conversation = MilterConversation(
            self.cache,
            judge,
            reply_cache=self.reply_cache,
            observe=lambda rcpt, _decision: self.seen.append(rcpt),
        )
        self.session = MilterSession(conversation)
        self.session.receive(NEGOTIATION)
        self.session.replies()
        self.connect(CLIENT)

    def say(self, command: bytes, data: bytes) -> bytes:
        """One step in a turn of its own; its reply."""
        self.cache.watch.drain()
        self.cache.begin_tick()
        self.session.receive(packet(command, data))
        return self.session.replies()

    def connect(self, address: bytes) -> None:
        """Another client, and its mail."""
        self.say(b"C", b"mx.test\x004\0\x19" + address + b"\0")
        self.mail()

    def mail(self, *words: bytes) -> None:
        """MAIL FROM with its parameters."""
        self.say(b"M", b"".join(b"%b\0" % word for word in words or (b"<joe@sender.test>",)))

    def ask(self, recipient: bytes) -> tuple[bytes, bool]:
        """The reply for a recipient, and whether it was cached."""
        before = sum(counter.count for counter in self.counters.cached.values())
        reply = self.say(b"R", b"<%b>\0" % recipient)
        return reply, sum(counter.count for counter in self.counters.cached.values()) > before


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Files count as soon as they are changed."""
    monkeypatch.setattr(watched, "SETTLE", 0.0)
    return Site(tmp_path)


@pytest.mark.parametrize(
    ("recipient", "reply", "ready_"),
    [
        (b"fred@example.org", CONTINUE, True),
        (b"over@example.org", OVER, True),
        (b"info@example.org", CONTINUE, True),
        (b"nobody@other.test", CONTINUE, True),
        # Strangers are remembered apart, and there are too many of them.
        (b"nobody@example.org", UNKNOWN, False),
    ],
)
def test_a_reply_becomes_ready(site: Site, recipient: bytes, reply: bytes, ready_: bool) -> None:
    """Judged, refused, an alias, not ours; the log hears of each time."""
    assert site.ask(recipient) == (reply, False)
    # The first look at a young file is not believed.
    assert site.ask(recipient)[0] == reply
    assert site.ask(recipient) == (reply, ready_)
    assert [rcpt.recipient for rcpt in site.seen] == [recipient] * 3


def test_an_alias_counts_for_the_next_question(site: Site) -> None:
    """Added or taken away."""
    for _ in range(3):
        assert site.ask(b"over@example.org")[0] == OVER
    site.aliases.write_text("over: fred\n")
    assert site.ask(b"over@example.org") == (CONTINUE, False)
    assert site.ask(b"over@example.org") == (CONTINUE, True)
    assert site.ask(b"info@example.org")[0] == UNKNOWN


def test_what_a_changed_file_makes_invalid_is_let_go_bit_by_bit(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is given again, and nobody waits until all of it is gone."""
    monkeypatch.setattr(largedict, "_RELEASED", 2)
    addresses = [name + b"@example.org" for name in (b"fred", b"Fred", b"FRED", b"over", b"OVER")]
    for _ in range(3):
        asked = [site.ask(address) for address in addresses]
    replies = [CONTINUE, CONTINUE, CONTINUE, OVER, OVER]
    assert asked == [(reply, True) for reply in replies]
    site.aliases.write_text("info: fred\nmore: fred\n")
    left = []
    for address, reply in zip(addresses, replies, strict=True):
        assert site.ask(address) == (reply, False)
        left.append(sum(map(len, site.reply_cache._known._aside)))
    assert left == [3, 1, 0, 0, 0]
    assert [site.ask(address) for address in addresses] == asked


def test_refusals_are_kept_with_their_mail(site: Site) -> None:
    """Whichever recipient the first refusal was for."""
    for sender in (b"<one@sender.test>", b"<two@sender.test>", b"<three@sender.test>"):
        site.mail(sender)
        site.ask(b"over@example.org")
    (_, _, recipient, sender_, client, _) = site.refusals[-1]
    assert (recipient, sender_, client) == (b"over@example.org", b"three@sender.test", CLIENT)


def test_what_makes_a_difference(site: Site) -> None:
    """Client, login and mailer, where the configuration heeds them; each is known apart."""
    for _ in range(2):
        site.connect(EXEMPT)
        assert site.ask(b"nobody@example.org")[0] == CONTINUE
        site.connect(CLIENT)
        assert site.ask(b"nobody@example.org")[0] == UNKNOWN
        site.say(b"D", b"M{auth_authen}\0alice\0")
        site.mail()
        assert site.ask(b"nobody@example.org")[0] == CONTINUE
        site.say(b"D", b"M{auth_authen}\0\0")
        site.mail()
        site.say(b"D", b"R{rcpt_mailer}\0smtp\0")
        assert site.ask(b"nobody@example.org")[0] == CONTINUE
        site.say(b"D", b"R{rcpt_mailer}\0lmtp\0")
        assert site.ask(b"nobody@other.test")[0] == UNKNOWN


@pytest.mark.parametrize(
    ("check_size", "words", "recipient"),
    [
        (False, (b"<double-bounce@mx.example.org>",), b"fred@example.org"),
        (False, (b"<Double-Bounce12x@mx.example.org>",), b"fred@example.org"),
        (True, (b"<joe@sender.test>", b"SIZE=1000"), b"fred@example.org"),
        (False, (b"<joe@sender.test>",), b"x" * MAX_KEY + b"@other.test"),
    ],
)
def test_what_is_judged_each_time(
    tmp_path: Path, check_size: bool, words: tuple[bytes, ...], recipient: bytes
) -> None:
    """A probe, an announced size where sizes count, and what is longer than any address."""
    site = Site(tmp_path, check_size=check_size)
    site.mail(*words)
    for _ in range(3):
        assert site.ask(recipient) == (CONTINUE, False)


def test_a_process_that_leaves_keeps_few(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had goes, and what comes then stays small."""
    monkeypatch.setattr(replycache, "FEW_REPLIES", 16)
    site.ask(b"before@other.test")
    while site.reply_cache.shrink():
        pass
    assert not site.reply_cache._known
    for number in range(40):
        site.ask(b"u%d@other.test" % number)
    assert 0 < len(site.reply_cache._known) <= 16


def test_the_oldest_give_way(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded."""
    monkeypatch.setattr(site.reply_cache, "_known", LargeDict(16))
    for number in range(40):
        site.ask(b"u%d@other.test" % number)
    assert len(site.reply_cache._known) <= 16
    assert site.ask(b"u39@other.test") == (CONTINUE, True)
