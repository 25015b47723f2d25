"""Postfix' policy service as a front end; its sessions are in their own module.

Source of how it is asked: SMTPD_POLICY_README.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.frontends.judging_frontend import JudgingFrontEnd
from gateway.protocols.address import parse_bare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.frontends.frontend import MailServerSite, Serving, SessionFor, Snippet
    from gateway.frontends.inquiry import Heard, Inquiry
    from gateway.frontends.judge import Judge
    from gateway.frontends.policy_session import PolicyTable
    from gateway.frontends.replies import ReplyTable
    from gateway.protocols.address import Address, BadAddress
    from gateway.upstream.connection import UpstreamConnection
    from gateway.verification.model import Verdict


class PolicyFrontEnd(JudgingFrontEnd["PolicyTable"]):
    """Answers Postfix' check_policy_service."""

    name = "policy"
    accepted = b"DUNNO"
    word = b"action="
    main_cf = "check_policy_service {socket}"

    def sessions(self, serving: Serving[Judge, PolicyTable]) -> SessionFor:
        """As any FrontEnd's."""
        # Only processes that serve have sessions.
        from gateway.frontends import policy_session  # noqa: PLC0415

        return policy_session.sessions(serving)

    def recipient(self, inquiry: Inquiry) -> Address | BadAddress:
        """As any JudgingFrontEnd's."""
        return parse_bare(inquiry.recipient)

    def said(self, replies: ReplyTable, verdict: Verdict, recipient: bytes) -> bytes:
        """As any FrontEnd's: the action."""
        return replies.policy(verdict, recipient)

    def snippets(self) -> Mapping[str, Snippet]:
        """As any FrontEnd's."""
        return {"postfix": _postfix}

    def ask(self, link: UpstreamConnection, inquiry: Inquiry, until: float) -> Heard:
        """As any FrontEnd's."""
        from gateway.frontends import mtaview  # noqa: PLC0415  (people's tools ask)

        return mtaview.policy(link, inquiry, until)


def _postfix(site: MailServerSite) -> list[str]:
    """Lines for main.cf."""
    action = "DEFER_IF_PERMIT" if site.defers else "DUNNO"
    return [
        "",
        "# Policy service: the client hears why. Where there is a list already, add the last",
        "# two entries to its end; your own users' mail is permitted before.",
        "smtpd_recipient_restrictions =",
        "    permit_mynetworks",
        "    permit_sasl_authenticated",
        "    reject_unauth_destination",
        "    check_policy_service {",
        f"        {site.socket}, timeout=10s, default_action={action} }}",
    ]


FRONT_END = PolicyFrontEnd()
