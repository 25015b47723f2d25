"""Asks the engine and every front end about one recipient, and keeps what they say.

It asks the same engine, scope and reply table that serve, so that what it
shows is what happens.  The command line and the status page use it.

Limits: what a front end learns from the MTA and was not told here (a login
name, SMTPUTF8) counts as not given.  A backend is asked as for a real mail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.config.checks import knows_scope
from gateway.config.choices import AuthorityName
from gateway.config.frontends import FRONT_ENDS
from gateway.explain import steps
from gateway.explain.explanation import (
    AUTHORITIES,
    SKIPS,
    WAIVERS,
    Explanation,
    FrontEndAnswer,
)
from gateway.frontends.scope import Skip
from gateway.protocols.address import Address, BadAddress, parse_bare
from gateway.verification.model import Query, Verdict
from gateway.wiring.assembly import counts_sizes
from gateway.wiring.judges import make_judge, make_replies
from gateway.wiring.mailserver import make_postfix, routing_rows

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.config.frontends import Row as FrontEndRow
    from gateway.explain.deliverysteps import Row
    from gateway.frontends.frontend import ScopedJudge
    from gateway.frontends.inquiry import Inquiry
    from gateway.verification.decider import Engine
    from gateway.verification.steps import Step


class Explainer:
    """Explains with the parts that `settings` ask for.

    Raises ConfigurationError where the gateway could not serve with them.
    """

    def __init__(self, settings: Settings, verifier: Engine) -> None:
        self._settings = settings
        self._verifier = verifier
        self._postfix = postfix = make_postfix(settings)
        self._replies = replies = make_replies(settings)
        # None where nothing tells which recipients are ours.
        self._judges: dict[str, ScopedJudge | None] = {
            row.name: make_judge(settings, row.front_end, postfix=postfix, replies=replies)
            if knows_scope(settings, row)
            else None
            for row in FRONT_ENDS
        }

    def explain(self, inquiry: Inquiry) -> Explanation:
        """Ask the engine once and every front end; may wait for a backend."""
        parsed = parse_bare(inquiry.recipient)
        asked = parsed.address if isinstance(parsed, Address) else inquiry.recipient
        trace: list[Step] = []
        settings = self._settings
        memories = {
            answers: _Memory(self._verifier.answering(answers.value)) for answers in AuthorityName
        }
        verdict = memories[settings.general.answers].first(Query(asked, inquiry.size), trace)
        naming = self._verifier.store.naming if self._verifier.store is not None else None
        named = self._named(settings.general.answers)
        authority: tuple[Row, ...] = (("authority", AUTHORITIES[named]),)
        sections = [("answers", authority)]
        sections += [(step.name, tuple(steps.rows(step, asked, naming))) for step in trace]
        postfix = self._postfix if not verdict.kind.accepts else None
        if postfix is not None and isinstance(parsed, Address):
            sections.append(("mail server", tuple(routing_rows(postfix, parsed))))
        return Explanation(
            inquiry=inquiry,
            answers=named,
            problem=parsed.problem if isinstance(parsed, BadAddress) else None,
            steps=tuple(trace),
            sections=tuple(sections),
            verdict=verdict,
            front_ends=tuple(
                self._answer(row, inquiry, memories[settings.front_end(row.name).answers])
                for row in FRONT_ENDS
            ),
        )

    def _named(self, answers: AuthorityName) -> str:
        """The authority's name; empty where the store is remote."""
        return "" if self._settings.general.store else answers.value

    @property
    def checks_size(self) -> bool:
        """Whether any front end looks at an announced size."""
        settings = self._settings
        return any(
            counts_sizes(settings, settings.front_end(row.name).answers)
            for row in FRONT_ENDS
            if row.front_end.told_sizes
        )

    def _answer(self, row: FrontEndRow, inquiry: Inquiry, memory: _Memory) -> FrontEndAnswer:
        answer = row.front_end.explain(self._judges[row.name], inquiry, memory, self._replies)
        scope, waiver = answer.scope, answer.waiver
        own = self._settings.front_end(row.name)
        return FrontEndAnswer(
            name=row.name,
            listen=tuple(map(str, own.listen)),
            mode=own.mode.value,
            answers=self._named(own.answers),
            judged=answer.judged,
            scope=SKIPS[scope] if isinstance(scope, Skip) else scope,
            verdict=answer.verdict.kind.name if answer.verdict is not None else "",
            reply=_reply_text(answer.reply),
            withheld=_reply_text(answer.withheld),
            waiver=WAIVERS[waiver] if waiver is not None else "",
        )


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


def _reply_text(reply: bytes) -> str:
    return reply.decode("utf-8", "backslashreplace")
