"""One smtpd's conversation: where the policy server acts, in which order, and how it fails."""

from __future__ import annotations

import pytest

from gateway.frontends.judge import Decision, Judge, Question
from gateway.frontends.judging_session import BATCH
from gateway.frontends.policy_session import PolicySession
from gateway.frontends.replies import ReplyTable
from gateway.frontends.scope import Scope, ScopeRules
from gateway.protocols.policy import MAX_LINE, PolicyRequest
from gateway.verification.kinds import Kind
from gateway.verification.model import NO_EVIDENCE, Pending, Query, Verdict

RULES = ScopeRules(domains=("example.org",))
NOBODY = b"550 5.1.1 User unknown"
OVER = b"DEFER_IF_PERMIT 4.2.2 Over quota"
SERVER = "backend.example.org"

KINDS = {
    b"fred@example.org": Kind.DELIVERABLE,
    b"over@example.org": Kind.OVER_QUOTA,
    b"broken@example.org": Kind.STORE_FAULT,
}


class Engine:
    """Knows KINDS and nobody else; recipients that begin with `away` live on another server."""

    def __init__(self) -> None:
        self.asked: list[Query] = []

    def decide(self, query: Query) -> Verdict | Pending:
        """Remember and answer."""
        self.asked.append(query)
        if query.recipient.startswith(b"away"):
            return Pending(query, SERVER, NO_EVIDENCE)
        return Verdict(KINDS.get(query.recipient, Kind.NONEXISTENT), b"")

    def expire_tick(self) -> None:
        """Nothing is remembered here."""


class Talk:
    """A session, what it said, and what others heard of it."""

    def __init__(self, *, check_size: bool = False) -> None:
        self.engine = Engine()
        self.observed: list[tuple[PolicyRequest, Decision]] = []
        self.complaints: list[str] = []
        judge = Judge(Scope(RULES), ReplyTable(), check_size=check_size)
        self.session = PolicySession(
            self.engine,
            judge,
            observe=lambda request, decision: self.observed.append((request, decision)),
            complain=self.complaints.append,
        )

    def say(self, data: bytes) -> bytes:
        """Bytes from smtpd, and everything that is answered to them."""
        self.session.receive(data)
        out = b""
        while True:
            more = self.session.replies()
            out += more
            if not more:
                return out

    def act(self, **attributes: bytes) -> bytes:
        """The action for one request."""
        reply = self.say(request(**attributes))
        assert reply.startswith(b"action=")
        assert reply.endswith(b"\n\n")
        return reply[len(b"action=") : -2]


def request(recipient: bytes = b"nobody@example.org", **attributes: bytes) -> bytes:
    """A request at RCPT, with more or other attributes."""
    fields = {
        "request": b"smtpd_access_policy",
        "protocol_state": b"RCPT",
        "sender": b"joe@sender.test",
        "recipient": recipient,
        "size": b"0",
        **attributes,
    }
    lines = [b"%s=%s\n" % (name.encode(), value) for name, value in fields.items()]
    return b"".join(lines) + b"\n"


@pytest.mark.parametrize(
    ("state", "recipient", "action"),
    [
        (b"RCPT", b"nobody@example.org", NOBODY),
        (b"RCPT", b"fred@example.org", b"DUNNO"),
        (b"RCPT", b"over@example.org", OVER),
        (b"RCPT", b"nobody@other.test", b"DUNNO"),
        (b"RCPT", b"@example.org", b"553 5.1.3 Bad recipient address syntax"),
        (b"RCPT", b"", b"DUNNO"),
        (b"VRFY", b"nobody@example.org", NOBODY),
        (b"VRFY", b"over@example.org", OVER),
        (b"END-OF-MESSAGE", b"over@example.org", OVER),
        (b"END-OF-MESSAGE", b"", b"DUNNO"),
    ],
)
def test_where_it_acts(state: bytes, recipient: bytes, action: bytes) -> None:
    """It judges at RCPT and VRFY, and at the end of a message to one recipient."""
    assert Talk().act(protocol_state=state, recipient=recipient) == action


@pytest.mark.parametrize("state", [b"CONNECT", b"EHLO", b"HELO", b"MAIL", b"DATA", b"ETRN", b"XYZ"])
def test_where_it_does_not_act(state: bytes) -> None:
    """Everywhere else it says DUNNO, and asks and tells nobody."""
    talk = Talk()
    assert talk.act(protocol_state=state) == b"DUNNO"
    assert not talk.engine.asked
    assert not talk.observed


def test_what_is_asked_and_told() -> None:
    """The engine hears address and size, the observer each request with its decision."""
    talk = Talk(check_size=True)
    talk.act(recipient=b"fred@example.org", size=b"4711", queue_id=b"4ABC")
    talk.act(recipient=b"fred@example.org")
    talk.act(recipient=b"fred@other.test")
    asked = [(query.recipient, query.size) for query in talk.engine.asked]
    assert asked == [(b"fred@example.org", 4711), (b"fred@example.org", None)]
    (first, judged), _, (_, skipped) = talk.observed
    assert first.queue_id == b"4ABC"
    assert judged.verdict == Verdict(Kind.DELIVERABLE, b"")
    assert skipped.skip is not None


def test_a_vrfy_has_no_sender() -> None:
    """VRFY's empty sender is not the null sender, for which a fault of ours would be forgiven."""
    talk = Talk()
    broken = b"broken@example.org"
    assert talk.act(recipient=broken, sender=b"") == b"DUNNO"
    deferred = b"DEFER_IF_PERMIT 4.3.0 System I/O error"
    assert talk.act(recipient=broken, sender=b"", protocol_state=b"VRFY") == deferred


@pytest.mark.parametrize("step", [1, 2, 7, 100])
def test_in_any_pieces(step: int) -> None:
    """However the bytes arrive, each request has one action, in order."""
    talk = Talk()
    data = request() + request(b"fred@example.org") + request(b"over@example.org")
    said = b"".join(talk.say(data[at : at + step]) for at in range(0, len(data), step))
    assert said == b"".join(b"action=%s\n\n" % action for action in (NOBODY, b"DUNNO", OVER))
    assert talk.session.idle


def test_a_turn_has_its_limit() -> None:
    """One call answers a turn's worth of requests and leaves the others for the next."""
    talk = Talk()
    talk.session.receive(request() * (BATCH + 3))
    assert talk.session.replies().count(b"action=") == BATCH
    assert talk.session.busy
    assert talk.session.replies().count(b"action=") == 3
    assert not talk.session.busy


def test_another_server_is_asked_first() -> None:
    """Nothing behind a question for another server is answered before it is."""
    talk = Talk()
    talk.session.receive(request(b"away@example.org") + request())
    assert talk.session.replies() == b""
    pending = talk.session.pending
    assert isinstance(pending, Pending)
    assert pending.server == SERVER
    assert talk.session.resolved(Verdict(Kind.OVER_QUOTA, b"")) == b"action=" + OVER + b"\n\n"
    assert talk.session.pending is None
    assert talk.session.replies() == b"action=" + NOBODY + b"\n\n"


@pytest.mark.parametrize(
    "bad",
    [
        b"no equals sign\n",
        b"recipient=a@example.org\nrecipient=b@example.org\n\n",
        b"request=something_else\n\n",
        b"size=large\nrequest=smtpd_access_policy\n\n",
        b"x" * (MAX_LINE + 1),
    ],
)
def test_in_trouble_it_says_nothing(bad: bytes) -> None:
    """What breaks the protocol is told to the log; smtpd gets what it had asked for before, and no more."""
    talk = Talk()
    assert talk.say(request() + bad + request(b"fred@example.org")) == b"action=%s\n\n" % NOBODY
    assert talk.session.finished
    assert len(talk.complaints) == 1
    assert talk.say(request()) == b""
    assert len(talk.observed) == 1


def test_an_end_between_requests_is_no_trouble() -> None:
    """smtpd closes when it has nothing more to ask; within a request that is worth a line."""
    talk = Talk()
    talk.say(request())
    talk.say(b"")
    assert not talk.complaints
    talk = Talk()
    talk.say(request()[:40])
    talk.say(b"")
    assert len(talk.complaints) == 1
    assert talk.session.finished


def test_questions_carry_client_and_login() -> None:
    """Client and login reach the judge: they decide about exemptions."""
    heard: list[Question] = []

    class Recorder(Judge):
        __slots__ = ()

        def prepare(self, question: Question) -> Query | Verdict | Decision:
            heard.append(question)
            return super().prepare(question)

    session = PolicySession(Engine(), Recorder(Scope(RULES), ReplyTable()))
    session.receive(request(client_address=b"2001:db8::1", sasl_username=b"alice"))
    session.replies()
    assert [(q.client, q.authenticated) for q in heard] == [(b"2001:db8::1", b"alice")]
