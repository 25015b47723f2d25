"""Why a recipient gets the answer that it gets, as values: steps, verdict, replies.

`gateway.explain.explainer` makes them; the command line prints them, and
programs get them as JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.cyrus import mailboxtypes
from gateway.cyrus.quota import QuotaRecord
from gateway.frontends.scope import Skip
from gateway.frontends.waiver import Waiver

if TYPE_CHECKING:
    from gateway.explain.deliverysteps import Row
    from gateway.frontends.inquiry import Inquiry
    from gateway.verification.model import Verdict
    from gateway.verification.steps import Step

# Whose answer it is, for people.
AUTHORITIES: dict[str, str] = {
    "delivery": "delivery: what Cyrus' lmtpd does with a mail",
    "smmapd": "smmapd: what the program of that name says",
    "": "that of the other servers ([remote])",
}
# Why a recipient is not judged, for people.
SKIPS: dict[Skip, str] = {
    Skip.NOT_OUR_DOMAIN: "not ours: its domain is not one of [scope], nor of its postfix",
    Skip.NOT_OUR_MAILER: "not ours: the mail server delivers it by a mailer that is not ours",
    Skip.REFUSED_BY_MTA: "not judged: the MTA refuses it itself",
    Skip.NOT_BY_SMTP: "not judged: no SMTP client brought it",
    Skip.SRS: "not judged: a rewritten sender of forwarded mail ([scope] srs)",
    Skip.REWRITTEN: "left to the mail server, which rewrites or redirects it ([scope] postfix)",
    Skip.ALIAS: "not judged: an alias file of [scope] aliases has it",
    Skip.EXEMPT_RECIPIENT: "not judged: it matches [scope] exempt_recipients",
    Skip.EXEMPT_CLIENT: "not judged: the client is in [scope] exempt_clients",
    Skip.AUTHENTICATED: "not judged: the client has authenticated ([scope] exempt_authenticated)",
}
# Why a refusal is not carried out, for people.
WAIVERS: dict[Waiver, str] = {
    Waiver.OBSERVED: "the mode is observe",
    Waiver.ACCEPTED_ON_ERROR: "on_error is accept",
    Waiver.PROBE: "the sender is an MTA's address probe",
    Waiver.NULL_SENDER: "the sender is null: a bounce or a probe",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEndAnswer:
    """What one front end says.

    `listen` are its sockets, none where it is off.  `scope` says whether and
    why the recipient is judged; `judged` tells the same.  `reply` is exactly
    what goes out (without framing); `withheld` the reply that is not given
    because of `waiver`, both empty where nothing is withheld.
    """

    name: str
    listen: tuple[str, ...]
    mode: str
    answers: str
    judged: bool
    scope: str
    verdict: str
    reply: str
    withheld: str = ""
    waiver: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The engine's steps, its verdict, and what each front end makes of it.

    `answers` is the authority, empty where other servers have their own.
    `problem` says what is wrong with an address that is none.  `sections` are
    the steps for people: a title, and rows of a label and a text.
    """

    inquiry: Inquiry
    answers: str
    problem: str | None
    steps: tuple[Step, ...]
    sections: tuple[tuple[str, tuple[Row, ...]], ...]
    verdict: Verdict
    front_ends: tuple[FrontEndAnswer, ...]

    def as_json(self) -> dict[str, object]:
        """The same for programs, made of what JSON knows; the command line's and the page's."""
        inquiry, verdict = self.inquiry, self.verdict
        evidence = verdict.evidence
        return {
            "sections": self.sections,
            "recipient": _plain(inquiry.recipient),
            "size": inquiry.size,
            "client": _plain(inquiry.client) or None,
            "sender": _plain(inquiry.sender),
            "answers": self.answers or None,
            "problem": self.problem,
            "steps": [_step_json(step) for step in self.steps],
            "verdict": {
                "kind": verdict.kind.name,
                "accepts": verdict.kind.accepts,
                "temporary": verdict.kind.temporary,
                "reason": _plain(verdict.reason),
                "cacheable": verdict.cacheable,
                "evidence": {name: _plain(getattr(evidence, name)) for name in evidence.__slots__},
            },
            "front_ends": [
                {
                    "name": each.name,
                    "listen": list(each.listen),
                    "mode": each.mode,
                    "answers": each.answers or None,
                    "judged": each.judged,
                    "scope": each.scope,
                    "verdict": each.verdict or None,
                    "reply": each.reply,
                    "withheld": each.withheld or None,
                    "waiver": each.waiver or None,
                }
                for each in self.front_ends
            ],
        }


def _step_json(step: Step) -> dict[str, object]:
    found: dict[str, object] = {"step": step.name}
    found |= {name: _plain(value) for name, value in step.facts}
    mbtype = found.get("type")
    if isinstance(mbtype, int):
        found["type"] = mailboxtypes.words(mbtype)
    return found


def _plain(value: object) -> object:
    """`value` in JSON's terms."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, QuotaRecord):
        return {name: _plain(getattr(value, name)) for name in sorted(value.__slots__)}
    return value if value is None or isinstance(value, (str, int)) else str(value)
