"""The milter as a front end; its sessions, and its conversations, are in modules of their own.

Sources of how it is asked: Postfix' MILTER_README, Sendmail's libmilter/README.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.frontends.frontend import Process
from gateway.frontends.judging_frontend import JudgingFrontEnd
from gateway.protocols.address import BadAddress, parse_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.frontends.frontend import MailServerSite, Serving, SessionFor, Snippet
    from gateway.frontends.inquiry import Heard, Inquiry
    from gateway.frontends.judge import Judge
    from gateway.frontends.milter_session import MilterTable
    from gateway.frontends.replies import ReplyTable
    from gateway.protocols.address import Address
    from gateway.upstream.connection import UpstreamConnection
    from gateway.verification.model import Verdict


class MilterFrontEnd(JudgingFrontEnd["MilterTable"]):
    """Answers the mail filter protocol of Sendmail and Postfix."""

    name = "milter"
    process = Process.MILTER
    accepted = b"continue"
    sees_mailers = True
    follows_smtp = True
    main_cf = "smtpd_milters = {socket}"

    def sessions(self, serving: Serving[Judge, MilterTable]) -> SessionFor:
        """As any FrontEnd's, on our own codec."""
        # Only processes that serve have sessions.
        from gateway.frontends import milter_session  # noqa: PLC0415

        return milter_session.sessions(serving)

    def recipient(self, inquiry: Inquiry) -> Address | BadAddress:
        """As any JudgingFrontEnd's."""
        return parse_path(b"<" + _quoted(inquiry.recipient) + b">")

    def said(self, replies: ReplyTable, verdict: Verdict, recipient: bytes) -> bytes:
        """As any FrontEnd's: the reply to RCPT."""
        reply = replies.smtp(verdict, recipient)
        return reply.line().encode() if reply is not None else self.accepted

    def snippets(self) -> Mapping[str, Snippet]:
        """As any FrontEnd's."""
        return {"postfix": _postfix, "sendmail": _sendmail}

    def ask(self, link: UpstreamConnection, inquiry: Inquiry, until: float) -> Heard:
        """As any FrontEnd's."""
        from gateway.frontends import mtaview  # noqa: PLC0415  (people's tools ask)

        return mtaview.milter(link, inquiry, until)


def _quoted(address: bytes) -> bytes:
    """The address as RCPT TO would write it: a local part with specials is quoted."""
    if not isinstance(parse_path(b"<" + address + b">"), BadAddress):
        return address
    local, at, domain = address.rpartition(b"@")
    if not at:
        local, domain = domain, b""
    escaped = local.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b'"' + escaped + b'"' + at + domain


def _postfix(site: MailServerSite) -> list[str]:
    """Lines for main.cf."""
    action = "tempfail" if site.defers else "accept"
    return [
        "",
        "# Milter: the client hears why, and the milter learns the transport. Services for",
        "# your own users (submission) say -o smtpd_milters= in master.cf.",
        f"smtpd_milters = {{ {site.socket}, default_action={action} }}",
    ]


def _sendmail(site: MailServerSite) -> list[str]:
    """Lines for sendmail.mc."""
    flag = "F=T, " if site.defers else ""
    return [
        "dnl",
        "dnl Milter, before the MAILER lines: the client hears why.",
        f"INPUT_MAIL_FILTER(`smmapd', `S={site.socket}, {flag}T=S:10s;R:10s;E:30s')dnl",
    ]


FRONT_END = MilterFrontEnd()
