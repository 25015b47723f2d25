"""What policy and milter have in common as front ends: their judge and their explanation."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic

from gateway.frontends.frontend import FrontEnd, TableT
from gateway.frontends.inquiry import Answer
from gateway.frontends.judge import Judge, Question, unscoped
from gateway.frontends.waiver import Waivers
from gateway.protocols.address import Address

if TYPE_CHECKING:
    from gateway.frontends.frontend import JudgeParts
    from gateway.frontends.inquiry import Inquiry
    from gateway.frontends.judge import Decision, JudgeEngine
    from gateway.frontends.replies import ReplyTable
    from gateway.protocols.address import BadAddress
    from gateway.verification.model import Verdict

IN_SCOPE = "ours: judged"
NO_SCOPE = "nothing in [scope] says which recipients are ours"


class JudgingFrontEnd(FrontEnd[Judge, TableT], Generic[TableT]):
    """A front end whose recipients have a scope and a Judge.

    `accepted` is what it says where nothing is refused, `word` what comes before what it
    says where people read it.
    """

    accepted: ClassVar[bytes]
    word: ClassVar[bytes] = b""

    @abstractmethod
    def recipient(self, inquiry: Inquiry) -> Address | BadAddress:
        """The recipient of an inquiry as this protocol's address."""

    def judge(self, parts: JudgeParts[TableT]) -> Judge:
        """As any FrontEnd's."""
        return Judge(
            parts.make_scope(parts.rules, sees_mailers=self.sees_mailers),
            parts.replies,
            waivers=Waivers(parts.table.mode, parts.on_error),
            check_size=parts.check_size,
            postfix=parts.postfix,
        )

    def explain(
        self, judge: Judge | None, inquiry: Inquiry, engine: JudgeEngine, replies: ReplyTable
    ) -> Answer:
        """As any FrontEnd's."""
        recipient = self.recipient(inquiry)
        decision: Decision | None = None
        verdict: Verdict | None
        if judge is not None:
            question = Question(
                recipient,
                sender=inquiry.sender,
                client=inquiry.client,
                mailer=inquiry.mailer if self.sees_mailers else b"",
                size=inquiry.size,
            )
            decision = judge.judge(question, engine)
            verdict = decision.verdict
        else:
            verdict = unscoped(recipient, engine)
        address = recipient.address if isinstance(recipient, Address) else b""
        plain = self.accepted if verdict is None else self.said(replies, verdict, address)
        given = plain if decision is None or decision.refuse else self.accepted
        waiver = decision.waiver if decision is not None else None
        skip = decision.skip if decision is not None else None
        return Answer(
            judged=skip is None,
            scope=skip or (NO_SCOPE if decision is None else IN_SCOPE),
            verdict=verdict,
            reply=self.word + given,
            withheld=self.word + plain if waiver is not None else b"",
            waiver=waiver,
        )
