"""Asks the engine and every front end about one recipient, and keeps what they say.

It asks the same engine, scope and reply table that serve, so that what it
shows is what happens.  The command line and the status page use it.

Limits: what a front end learns from the MTA and nobody told us here (a login
name, SMTPUTF8) counts as not given.  A backend is asked as for a real mail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.config.choices import AuthorityName
from gateway.explain import steps
from gateway.explain.explanation import (
    ALWAYS,
    AUTHORITIES,
    IN_SCOPE,
    NEVER_FOUND,
    NO_SCOPE,
    SKIPS,
    WAIVERS,
    Explanation,
    FrontEndAnswer,
)
from gateway.frontends.judge import Question
from gateway.frontends.replies import ReplyTable
from gateway.frontends.socketmap_session import rendered
from gateway.protocols.address import Address, BadAddress, parse_bare, parse_path
from gateway.verification.model import Kind, Query, Verdict
from gateway.verification.verifier import Verifier
from gateway.wiring.assembly import counts_sizes, make_judge, make_socketmap_judge
from gateway.wiring.mailserver import fate_rows, make_postfix

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.explain.explanation import Inquiry
    from gateway.explain.steps import Row
    from gateway.frontends.judge import Decision, Judge
    from gateway.verification.decider import Engine
    from gateway.verification.model import Step


class Explainer:
    """Explains with the parts that `settings` ask for.

    Raises ConfigurationError where the gateway could not serve with them.
    """

    def __init__(self, settings: Settings, verifier: Engine) -> None:
        self._settings = settings
        self._verifier = verifier
        self._postfix = postfix = make_postfix(settings)
        self._socketmap_judge = make_socketmap_judge(settings, postfix)
        self._replies = ReplyTable(settings.replies)
        rules = settings.scope.rules()
        known = rules.knows_domains
        policy, milter = settings.policy, settings.milter
        self._policy = (
            make_judge(settings, policy.mode, policy.answers, postfix=postfix) if known else None
        )
        known = known or bool(rules.mailers)
        self._milter = (
            make_judge(settings, milter.mode, milter.answers, sees_mailers=True, postfix=postfix)
            if known
            else None
        )

    def explain(self, inquiry: Inquiry) -> Explanation:
        """Ask the engine once and every front end; may wait for a backend."""
        parsed = parse_bare(inquiry.recipient)
        asked = parsed.address if isinstance(parsed, Address) else inquiry.recipient
        trace: list[Step] = []
        settings = self._settings
        memories = {
            answers: _Memory(_answering(self._verifier, answers)) for answers in AuthorityName
        }
        verdict = memories[settings.general.answers].first(Query(asked, inquiry.size), trace)
        naming = self._verifier.store.naming if isinstance(self._verifier, Verifier) else None
        named = self._named(settings.general.answers)
        authority: tuple[Row, ...] = (("authority", AUTHORITIES[named]),)
        sections = [("answers", authority)]
        sections += [(step.name, tuple(steps.rows(step, asked, naming))) for step in trace]
        postfix = self._postfix if not verdict.kind.accepts else None
        if postfix is not None and isinstance(parsed, Address):
            sections.append(("mail server", tuple(fate_rows(postfix, parsed))))
        return Explanation(
            inquiry=inquiry,
            answers=named,
            problem=parsed.problem if isinstance(parsed, BadAddress) else None,
            steps=tuple(trace),
            sections=tuple(sections),
            verdict=verdict,
            front_ends=(
                self._socketmap(inquiry, memories[settings.socketmap.answers]),
                self._policy_answer(inquiry, memories[settings.policy.answers]),
                self._milter_answer(inquiry, memories[settings.milter.answers]),
            ),
        )

    def _named(self, answers: AuthorityName) -> str:
        """The authority's name; empty where the store is elsewhere."""
        return "" if self._settings.general.store else answers.value

    @property
    def checks_size(self) -> bool:
        """Whether policy and milter look at an announced size."""
        settings = self._settings
        return any(
            counts_sizes(settings, answers)
            for answers in (settings.policy.answers, settings.milter.answers)
        )

    def _socketmap(self, inquiry: Inquiry, memory: _Memory) -> FrontEndAnswer:
        key = inquiry.recipient
        folded = self._settings.socketmap.answers is AuthorityName.DELIVERY
        unasked = self._socketmap_judge.unasked(key)
        verdict = unasked if unasked is not None else memory.verify(Query(key, folded=folded))
        waiver = self._socketmap_judge.waiver(key, verdict)
        return FrontEndAnswer(
            name="socketmap",
            listen=self._listen("socketmap"),
            mode=self._settings.socketmap.mode.value,
            answers=self._named(self._settings.socketmap.answers),
            judged=unasked is None,
            scope=ALWAYS if unasked is None else NEVER_FOUND,
            verdict=verdict.kind.name,
            reply=_reply_text(rendered(key, verdict, waiver)),
            withheld=_reply_text(rendered(key, verdict, None)) if waiver is not None else "",
            waiver=WAIVERS[waiver] if waiver is not None else "",
        )

    def _policy_answer(self, inquiry: Inquiry, memory: _Memory) -> FrontEndAnswer:
        recipient = parse_bare(inquiry.recipient)
        decision = self._decision(self._policy, recipient, inquiry, memory, mailer=b"")
        verdict = decision.verdict if decision is not None else self._plain(recipient, memory)
        plain = self._replies.policy(verdict, _address(recipient)) if verdict else b"DUNNO"
        action = decision.action if decision is not None else plain
        action, plain = b"action=" + action, b"action=" + plain
        return self._answer("policy", decision, verdict, given=action, plain=plain)

    def _milter_answer(self, inquiry: Inquiry, memory: _Memory) -> FrontEndAnswer:
        recipient = parse_path(b"<" + _quoted(inquiry.recipient) + b">")
        decision = self._decision(self._milter, recipient, inquiry, memory, mailer=inquiry.mailer)
        verdict = decision.verdict if decision is not None else self._plain(recipient, memory)
        reply = self._replies.smtp(verdict, _address(recipient)) if verdict else None
        plain = reply.line().encode() if reply is not None else b"continue"
        given = plain if decision is None or decision.refuse else b"continue"
        return self._answer("milter", decision, verdict, given=given, plain=plain)

    def _decision(
        self,
        judge: Judge | None,
        recipient: Address | BadAddress,
        inquiry: Inquiry,
        memory: _Memory,
        *,
        mailer: bytes,
    ) -> Decision | None:
        """The front end's decision; None where it cannot tell what is ours."""
        if judge is None:
            return None
        question = Question(
            recipient,
            sender=inquiry.sender,
            client=inquiry.client,
            mailer=mailer,
            size=inquiry.size,
        )
        return judge.judge(question, memory)

    def _plain(self, recipient: Address | BadAddress, memory: _Memory) -> Verdict:
        """The verdict as if the recipient were ours."""
        if isinstance(recipient, BadAddress):
            return Verdict(Kind.BAD_ADDRESS, recipient.problem.encode())
        return memory.verify(Query(recipient.address))

    def _answer(
        self,
        name: str,
        decision: Decision | None,
        verdict: Verdict | None,
        *,
        given: bytes,
        plain: bytes,
    ) -> FrontEndAnswer:
        scope, judged = IN_SCOPE, True
        if decision is None:
            scope = NO_SCOPE
        elif decision.skip is not None:
            scope, judged = SKIPS[decision.skip], False
        waiver = decision.waiver if decision is not None else None
        settings = self._settings.policy if name == "policy" else self._settings.milter
        return FrontEndAnswer(
            name=name,
            listen=self._listen(name),
            mode=settings.mode.value,
            answers=self._named(settings.answers),
            judged=judged,
            scope=scope,
            verdict=verdict.kind.name if verdict is not None else "",
            reply=_reply_text(given),
            withheld=_reply_text(plain) if waiver is not None else "",
            waiver=WAIVERS[waiver] if waiver is not None else "",
        )

    def _listen(self, name: str) -> tuple[str, ...]:
        return tuple(map(str, self._settings.listeners.get(name, ())))


def _answering(engine: Engine, answers: AuthorityName) -> Engine:
    """The engine as an authority; servers elsewhere have their own."""
    return engine.answering(answers.value) if isinstance(engine, Verifier) else engine


class _Memory:
    """An engine that is asked each question once, so that all answers are of one moment."""

    def __init__(self, verifier: Engine) -> None:
        self._verifier = verifier
        self._known: dict[Query, Verdict] = {}

    def first(self, query: Query, trace: list[Step]) -> Verdict:
        """Ask, and remember the steps."""
        self._known[query] = self._verifier.verify(query, trace)
        return self._known[query]

    def verify(self, query: Query) -> Verdict:
        """The verdict, as before."""
        if query not in self._known:
            self._known[query] = self._verifier.verify(query)
        return self._known[query]


def _quoted(address: bytes) -> bytes:
    """The address as RCPT TO would write it: a local part with specials is quoted."""
    if not isinstance(parse_path(b"<" + address + b">"), BadAddress):
        return address
    local, at, domain = address.rpartition(b"@")
    if not at:
        local, domain = domain, b""
    escaped = local.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b'"' + escaped + b'"' + at + domain


def _address(recipient: Address | BadAddress) -> bytes:
    return recipient.address if isinstance(recipient, Address) else b""


def _reply_text(reply: bytes) -> str:
    return reply.decode("utf-8", "backslashreplace")
