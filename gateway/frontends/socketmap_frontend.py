"""The socketmap as a front end; its sessions are in a module of their own, which smmapd imports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.frontends.frontend import FrontEnd, FrontEndTable
from gateway.frontends.inquiry import Answer
from gateway.frontends.scope import ScopeRules
from gateway.frontends.socketmap_judge import SocketmapJudge
from gateway.frontends.socketmap_replies import rendered, socketmap_payload
from gateway.frontends.waiver import Waivers
from gateway.verification.model import Query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.frontends.frontend import JudgeParts, Serving, SessionFor, Snippet, VerdictWriter
    from gateway.frontends.inquiry import Heard, Inquiry
    from gateway.frontends.judge import JudgeEngine
    from gateway.frontends.origin import AnswerOrigin
    from gateway.frontends.replies import ReplyTable
    from gateway.frontends.waiver import Waiver
    from gateway.upstream.connection import UpstreamConnection
    from gateway.verification.model import Verdict

ALWAYS = "judged: socketmap answers whatever it is asked"
NEVER_FOUND = "not looked up: socketmap finds recipients of [scope]'s domains only"


class SocketmapTable(FrontEndTable, Protocol):
    """What is read of [socketmap] here: a property a setting (config/tables/socketmap.py)."""


class SocketmapFrontEnd(FrontEnd[SocketmapJudge, SocketmapTable]):
    """Answers look-ups of Postfix and Sendmail."""

    name = "socketmap"
    needs_scope = False
    told_sizes = False
    speaks_tls = True
    code_words = 1  # NOTFOUND
    main_cf = "socketmap:{socket}:cyrus"
    by_proxymap = True
    accepts_when_observing = True

    def judge(self, parts: JudgeParts[SocketmapTable]) -> SocketmapJudge:
        """As any FrontEnd's: of the scope, only which domains are ours counts."""
        rules = parts.rules
        domains = ScopeRules(domains=rules.domains, domain_files=rules.domain_files)
        return SocketmapJudge(
            Waivers(parts.table.mode, parts.on_error),
            parts.make_scope(domains) if rules.knows_domains else None,
            needs_domain=parts.lmtp_store and not rules.unqualified,
            folds=parts.delivery,
        )

    def sessions(self, serving: Serving[SocketmapJudge, SocketmapTable]) -> SessionFor:
        """As any FrontEnd's."""
        # Only processes that serve have sessions.
        from gateway.frontends.origin import AnswerOrigin  # noqa: PLC0415
        from gateway.frontends.socketmap_cache import SocketmapReplyCache  # noqa: PLC0415
        from gateway.frontends.socketmap_session import SocketmapSession  # noqa: PLC0415

        memory, judge, counters = serving.memory, serving.judge, serving.counters
        replies = SocketmapReplyCache(memory, judge, counters.cached_verdict)
        serving.caches.append(replies)
        written = serving.log.enabled

        def session(client: str) -> SocketmapSession:
            origin = AnswerOrigin(memory) if written else None
            return SocketmapSession(
                memory,
                _Writer(serving.log, client.strip("[]"), origin),
                judge,
                replies,
                faults_only=not written,
                count=counters.verdict,
                origin=origin,
            )

        return session

    def said(self, replies: ReplyTable, verdict: Verdict, recipient: bytes) -> bytes:
        """As any FrontEnd's; `replies` are of those that can say why."""
        return socketmap_payload(verdict, recipient)

    def explain(
        self,
        judge: SocketmapJudge | None,
        inquiry: Inquiry,
        engine: JudgeEngine,
        replies: ReplyTable,
    ) -> Answer:
        """As any FrontEnd's."""
        assert judge is not None, "a socketmap needs no scope"
        key = inquiry.recipient
        unasked = judge.unasked(key)
        verdict = unasked if unasked is not None else engine.verify(Query(key, folded=judge.folds))
        waiver = judge.waiver(key, verdict)
        return Answer(
            judged=unasked is None,
            scope=ALWAYS if unasked is None else NEVER_FOUND,
            verdict=verdict,
            reply=rendered(key, verdict, waiver),
            withheld=rendered(key, verdict, None) if waiver is not None else b"",
            waiver=waiver,
        )

    def snippets(self) -> Mapping[str, Snippet]:
        """As any FrontEnd's."""
        from gateway.frontends import socketmap_snippets  # noqa: PLC0415  (people's tools ask)

        return socketmap_snippets.SNIPPETS

    def ask(self, link: UpstreamConnection, inquiry: Inquiry, until: float) -> Heard:
        """As any FrontEnd's."""
        from gateway.frontends import mtaview  # noqa: PLC0415  (people's tools ask)

        return mtaview.socketmap(link, inquiry, until)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the look-ups of one client; the protocol tells nothing but the recipient."""

    log: VerdictWriter
    client: str
    origin: AnswerOrigin | None

    def __call__(self, key: bytes, verdict: Verdict, waiver: Waiver | None) -> None:
        log = self.log
        if log.quiet(verdict):
            return
        who = {"client": self.client, "recipient": log.address(key)}
        reply = b"" if verdict.kind.accepts else rendered(key, verdict, waiver)
        log.verdict(verdict, self.origin, who, reply, waiver)


FRONT_END = SocketmapFrontEnd()
