"""One client's socketmap conversation: order, turns, other servers, and its end."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.frontends.socketmap_judge import SocketmapJudge
from gateway.frontends.socketmap_session import BATCH, SocketmapSession
from gateway.frontends.waiver import Mode, Waiver, Waivers
from gateway.protocols.socketmap import encode
from gateway.verification.kinds import Kind
from gateway.verification.model import Evidence, Pending, Query, Verdict

NOT_FOUND = b"NOTFOUND Mailbox does not exist"


class Engine:
    """Knows fred; keys with an `@far` must be asked for elsewhere."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def expire_tick(self) -> None:
        """Nothing is remembered."""

    def decide(self, query: Query) -> Verdict | Pending:
        """The verdict, or the question for another server."""
        self.asked.append(query.recipient)
        if query.recipient.endswith(b"@far"):
            return Pending(query, "far", Evidence())
        if query.recipient == b"fred":
            return Verdict(Kind.DELIVERABLE, b"")
        return Verdict(Kind.NONEXISTENT, b"Mailbox does not exist")


def session(engine: Engine | None = None) -> SocketmapSession:
    """A conversation with an Engine."""
    return SocketmapSession(engine or Engine())


def all_of(conversation: SocketmapSession) -> list[bytes]:
    """Every reply that is due, with those of the other server."""
    out = b""
    while True:
        out += conversation.replies()
        if conversation.pending is not None:
            out += conversation.resolved(Verdict(Kind.OVER_QUOTA, b"Over quota"))
        elif not conversation.busy:
            return payloads(out)


def payloads(data: bytes) -> list[bytes]:
    """What stands in a row of netstrings."""
    found = []
    while data:
        digits, _, rest = data.partition(b":")
        size = int(digits)
        assert rest[size : size + 1] == b","
        found.append(rest[:size])
        data = rest[size + 1 :]
    return found


@pytest.mark.parametrize(
    ("data", "replies", "finished"),
    [
        (b"", [], False),
        (encode(b"m fred"), [b"OK fred"], False),
        (encode(b"m no"), [NOT_FOUND], False),
        (encode(b"m "), [NOT_FOUND], False),
        (encode(b" fred"), [b"OK fred"], False),
        (encode(b"other fred") + encode(b"m no"), [b"OK fred", NOT_FOUND], False),
        (encode(b"m a@far") + encode(b"m fred"), [b"TEMP Over quota", b"OK fred"], False),
        (encode(b"m fr")[:-2], [], False),
        (b"x", [b"PERM Bad protocol (missing length)"], True),
        (encode(b"fred"), [b"PERM Bad protocol (missing key)"], True),
        (b"99999:", [b"PERM Bad protocol (request size doesn't match length)"], True),
        (
            encode(b"m fred") + b"3:m fred,",
            [b"OK fred", b"PERM Bad protocol (missing terminator)"],
            True,
        ),
        (
            encode(b"m fred") + encode(b"fred") + encode(b"m fred"),
            [b"OK fred", b"PERM Bad protocol (missing key)"],
            True,
        ),
        (
            encode(b"m a@far") + b"x" + encode(b"m fred"),
            [b"TEMP Over quota", b"PERM Bad protocol (missing length)"],
            True,
        ),
    ],
)
def test_replies_come_in_order(data: bytes, replies: list[bytes], finished: bool) -> None:
    """Replies in the order of the requests; after a fault the last word, and nothing behind it."""
    conversation = session()
    conversation.receive(data)
    assert all_of(conversation) == replies
    assert conversation.finished is finished
    if finished:
        conversation.receive(encode(b"m fred"))
        assert (conversation.replies(), conversation.busy) == (b"", False)


@pytest.mark.parametrize(
    ("part", "last"),
    [
        (b"", None),
        (b"1", b"PERM Bad protocol (missing length)"),
        (b"6:m fr", b"PERM Bad protocol (request size doesn't match length)"),
        (b"6:m fred", b"PERM Bad protocol (missing terminator)"),
    ],
)
def test_end_of_what_the_client_says(part: bytes, last: bytes | None) -> None:
    """Everything before is answered; a request that it leaves unfinished becomes a fault."""
    conversation = session()
    conversation.receive(encode(b"m a@far") + encode(b"m fred") + part)
    conversation.receive(b"")
    expected = [b"TEMP Over quota", b"OK fred"]
    assert all_of(conversation) == expected + ([last] if last else [])
    assert conversation.finished is (last is not None)


def test_a_turn_has_an_end() -> None:
    """One call answers a limited number; the rest waits, and stays in order."""
    conversation = session()
    conversation.receive(encode(b"m fred") * (BATCH + 5) + encode(b"m no"))
    assert payloads(conversation.replies()) == [b"OK fred"] * BATCH
    assert conversation.busy
    assert payloads(conversation.replies(2)) == [b"OK fred"] * 2
    conversation.receive(encode(b"m later"))
    assert payloads(conversation.replies()) == [b"OK fred"] * 3 + [NOT_FOUND] * 2
    assert not conversation.busy


def test_a_question_for_another_server_holds_up_its_own_client_only() -> None:
    """Nothing behind it is looked at before it is answered."""
    engine = Engine()
    conversation = session(engine)
    conversation.receive(encode(b"m a@far") + encode(b"m fred"))
    assert conversation.replies() == b""
    assert conversation.pending == Pending(Query(b"a@far"), "far", Evidence())
    assert conversation.replies() == b""
    assert engine.asked == [b"a@far"]
    reply = conversation.resolved(Verdict(Kind.DELIVERABLE, b""))
    assert reply == encode(b"OK a@far")
    assert conversation.pending is None
    assert conversation.replies() == encode(b"OK fred")


def test_idle_is_between_requests() -> None:
    """With nothing waiting, nothing asked elsewhere, and no part of a request."""
    conversation = session()
    assert conversation.idle
    conversation.receive(encode(b"m a@far")[:4])
    assert (conversation.idle, conversation.busy) == (False, False)
    conversation.receive(encode(b"m a@far")[4:])
    assert (conversation.idle, conversation.busy) == (False, True)
    conversation.replies()
    assert (conversation.idle, conversation.busy) == (False, True)
    conversation.resolved(Verdict(Kind.DELIVERABLE, b""))
    assert (conversation.idle, conversation.busy) == (True, False)


def test_each_verdict_is_observed_once_with_its_key() -> None:
    """Also those of other servers; faults of the protocol are not verdicts."""
    seen: list[tuple[bytes, Kind]] = []
    conversation = SocketmapSession(
        Engine(),
        lambda key, verdict, _waiver: seen.append((key, verdict.kind)),
    )
    conversation.receive(encode(b"m fred") + encode(b"m a@far") + b"x")
    all_of(conversation)
    assert seen == [(b"fred", Kind.DELIVERABLE), (b"a@far", Kind.OVER_QUOTA)]


def test_a_refusal_that_is_waived_is_found() -> None:
    """The engine's verdict is observed all the same, with the reason why it is not carried out."""
    seen: list[tuple[bytes, Kind, Waiver | None]] = []
    conversation = SocketmapSession(
        Engine(),
        lambda key, verdict, waiver: seen.append((key, verdict.kind, waiver)),
        SocketmapJudge(Waivers(Mode.OBSERVE)),
    )
    conversation.receive(encode(b"m no@example.org") + encode(b"m no") + encode(b"m b@far"))
    assert all_of(conversation) == [b"OK no@example.org", NOT_FOUND, b"OK b@far"]
    assert seen == [
        (b"no@example.org", Kind.NONEXISTENT, Waiver.OBSERVED),
        (b"no", Kind.NONEXISTENT, None),
        (b"b@far", Kind.OVER_QUOTA, Waiver.OBSERVED),
    ]


def test_what_is_never_found_is_not_looked_up() -> None:
    """Whatever the engine would say."""
    engine = Engine()
    conversation = SocketmapSession(engine, judge=SocketmapJudge(Waivers(Mode.OBSERVE)))
    conversation.receive(encode(b"m @far") + encode(b"m "))
    assert all_of(conversation) == [b"NOTFOUND no local part", b"NOTFOUND an empty key"]
    assert engine.asked == []


@given(
    keys=st.lists(st.sampled_from([b"fred", b"no", b"a@far", b"x,y", b""]), max_size=12),
    rest=st.binary(max_size=12),
    cuts=st.lists(st.integers(0, 200), max_size=8),
    limit=st.integers(1, 4),
)
def test_how_it_is_cut_makes_no_difference(
    keys: list[bytes], rest: bytes, cuts: list[int], limit: int
) -> None:
    """Pieces of the bytes, and sizes of the turns, change nothing about what is said."""
    data = b"".join(encode(b"m " + key) for key in keys) + rest
    whole = session()
    whole.receive(data)
    whole.receive(b"")
    expected = all_of(whole)

    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges) if a < b]
    conversation = session()
    said: list[bytes] = []
    for piece in [*pieces, b""]:
        conversation.receive(piece)
        said += payloads(conversation.replies(limit))
        if conversation.pending is not None:
            said += payloads(conversation.resolved(Verdict(Kind.OVER_QUOTA, b"Over quota")))
    said += all_of(conversation)
    assert said == expected
