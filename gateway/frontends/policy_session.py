"""One Postfix smtpd's conversation with the policy server, without its socket.

The same shape as a socketmap Session, so that one server moves both.  It acts
at RCPT and VRFY, and at END-OF-MESSAGE where the mail has one recipient
(its real size is known then, and the quota may have changed since RCPT);
everywhere else it says DUNNO, which leaves the mail to the restrictions
behind it (Postfix SMTPD_POLICY_README).

In trouble it says nothing and is `finished`: Postfix then asks once more on
another connection, and after that applies its own `default_action`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.frontends.course import NONE
from gateway.frontends.judge import Decision, Question
from gateway.protocols.address import parse_bare
from gateway.protocols.policy import END_OF_MESSAGE, RCPT, VRFY, PolicyParser, render
from gateway.verification.verifier import Pending

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.course import Course
    from gateway.frontends.judge import Judge
    from gateway.frontends.policy_actions import Actions
    from gateway.protocols.policy import PolicyRequest
    from gateway.verification.decider import Decider
    from gateway.verification.model import Verdict

    # Hears of each request that was judged or skipped.
    Observer = Callable[[PolicyRequest, Decision], None]

# Requests answered in one call; see socketmap_session.TURN.  Postfix sends the
# next request only after the reply, so more than one waiting is unusual.
TURN = 16

_DUNNO = render(b"DUNNO")


@dataclass(frozen=True, slots=True)
class _Waiting:
    """The request whose verdict another server has to give."""

    request: PolicyRequest
    question: Question
    pending: Pending


class PolicySession:
    """The state between the bytes of one smtpd and the engine.

    `observe` hears of each decision; `complain` of what breaks the protocol.
    """

    __slots__ = (
        "_actions",
        "_complain",
        "_count",
        "_course",
        "_decider",
        "_judge",
        "_observe",
        "_observe_quick",
        "_parser",
        "_queue",
        "_waiting",
        "finished",
    )

    def __init__(
        self,
        decider: Decider,
        judge: Judge,
        *,
        observe: Observer | None = None,
        complain: Callable[[str], None] | None = None,
        actions: Actions | None = None,
        faults_only: bool = False,
        count: Observer | None = None,
        course: Course | None = None,
    ) -> None:
        """`actions`, of the same judge, are those of all sessions of a server.

        With `faults_only`, `observe` need not hear of decisions that were
        remembered: they are never faults.  `count` hears of the decisions that
        `actions` does not count itself, those that were not ready.  `course`,
        on the same decider, is marked for whoever observes.
        """
        self._count = count
        self._course = course
        self._actions = actions
        self._observe_quick = None if faults_only else observe
        self._decider = decider
        self._judge = judge
        self._observe = observe
        self._complain = complain
        self._parser = PolicyParser()
        self._queue: list[PolicyRequest] = []  # the next one last
        self._waiting: _Waiting | None = None
        self.finished = False

    @property
    def pending(self) -> Pending | None:
        """A question for another server; nothing is answered before it is resolved."""
        return self._waiting.pending if self._waiting is not None else None

    @property
    def busy(self) -> bool:
        """True while requests wait for `replies`, or one for another server."""
        return bool(self._queue) or self._waiting is not None

    @property
    def idle(self) -> bool:
        """True between requests: nothing waits, and no part of one is held."""
        return not self.busy and self._parser.idle

    def quick(self, data: bytes) -> bytes | None:
        """The action for `data` if it is ready; else None, and nothing has happened."""
        if self._actions is None or self._queue or self.finished or not self.idle:
            return None
        if self._course is not None:
            self._course.looked_up()
        return self._actions.quick(data, self._observe_quick)

    def receive(self, data: bytes, *, late: bool = False) -> None:
        """Take bytes from smtpd; empty bytes are their end.

        `late` tells that others came first in the same piece of the wire.
        """
        if self.finished:
            return
        if self._course is not None:
            self._course.arrived()
        if data:
            # A request is long; it may have come in pieces, the last one after
            # the turn's look at the files.
            began = not self._parser.idle
            requests = self._parser.feed(data)
            if late or began or len(requests) != 1:
                self._decider.again()
            if requests:
                requests.reverse()
                self._queue[:0] = requests
        else:
            self._parser.end()

    def replies(self, limit: int = TURN) -> bytes:
        """Answer up to `limit` waiting requests; the actions as they go to smtpd."""
        out: list[bytes] = []
        while self._queue and limit and self._waiting is None:
            limit -= 1
            out.append(self._answer(self._queue.pop()))
        if not self.busy and self._parser.error is not None and not self.finished:
            self.finished = True
            if self._complain is not None:
                self._complain(str(self._parser.error))
        return b"".join(out)

    def resolved(self, verdict: Verdict) -> bytes:
        """The action for the request that was pending."""
        waiting = self._waiting
        assert waiting is not None
        self._waiting = None
        decision = self._judge.end(waiting.question, verdict)
        # The scope was asked some turns ago, and may say something else by now.
        return self._act(waiting.request, decision, keep=False)

    def _answer(self, request: PolicyRequest) -> bytes:
        """The action for one request, or nothing yet where another server must be asked."""
        if not _acts_on(request):
            return _DUNNO
        question = Question(
            parse_bare(request.recipient),
            sender=None if request.protocol_state == VRFY else request.sender,
            client=request.client_address,
            authenticated=request.sasl_username,
            size=request.size,
        )
        course = self._course
        if course is not None:
            course.source = NONE  # not that of the request before, in the same piece
        begun = self._judge.begin(question)
        if isinstance(begun, Decision):
            return self._act(request, begun)
        outcome = self._decider.decide(begun) if course is None else course.decide(begun)
        if isinstance(outcome, Pending):
            self._waiting = _Waiting(request, question, outcome)
            return b""
        return self._act(request, self._judge.end(question, outcome))

    def _act(self, request: PolicyRequest, decision: Decision, *, keep: bool = True) -> bytes:
        if self._count is not None:
            self._count(request, decision)
        if self._observe is not None:
            self._observe(request, decision)
        action = render(decision.action)
        if keep and self._actions is not None:
            self._actions.keep(request, decision, action)
        return action


def _acts_on(request: PolicyRequest) -> bool:
    """Whether the recipient of this request is to be judged.

    At END-OF-MESSAGE Postfix names the recipient only where there is one.
    """
    if request.protocol_state in (RCPT, VRFY):
        return True
    return request.protocol_state == END_OF_MESSAGE and bool(request.recipient)
