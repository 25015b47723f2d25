"""The replies an SMTP client gets: the one table, typed, checked and configurable.

The defaults are the rows of `gateway.frontends.socketmap_replies`.  Each kind
of verdict that refuses can be given another code, enhanced status code and
text.  A `ReplyTable` that exists is sound: no fault of ours is ever a
permanent refusal, no reply ends the session, the two codes agree, and no line
is longer than SMTP allows, whatever a placeholder stands for.

Limits: one line a reply.  Postfix puts text of its own before a policy
action's; room is left for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.errors import ConfigurationError
from gateway.frontends import replytext
from gateway.frontends.socketmap_replies import ROWS
from gateway.verification.kinds import KINDS, Kind
from gateway.verification.model import Verdict

# Octets of a reply line with its CR and LF (RFC 5321, 4.5.3.1.5).
MAX_LINE = 512

# What Postfix sends before the text of a policy action, the recipient aside
# (smtpd_check.c): `<RECIPIENT>: Recipient address rejected: `.
POSTFIX_PREFIX = len("<>: Recipient address rejected: ")

# Octets that a policy action's text keeps however long the recipient is;
# Postfix folds or cuts the line then.
MIN_POLICY_TEXT = 64

# A reply of these codes ends the SMTP session, and with it the transaction of
# all other recipients (RFC 5321, 3.8; RFC 7504).
SESSION_CODES = (421, 521)

# Reply codes from here on are permanent (RFC 5321, 4.2.1).
_PERMANENT = 500

REFUSALS: tuple[Kind, ...] = tuple(kind for kind in KINDS if not kind.accepts)

# RFC 3463, 2: class, subject and detail, without leading zeros.
_ENHANCED = re.compile(r"[245]\.(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})")


@dataclass(frozen=True, slots=True)
class Template:
    """What policy and milter say for one kind: SMTP code, enhanced status code and text.

    The code says whether a client is told to come again, whatever the kind is by itself
    (`Kind.temporary`): a setting may defer what lasts, and never the other way round for a
    fault of ours.

    `text` is printable ASCII with placeholders.  `utf8_text`, where it is
    given, replaces it in sessions that speak SMTPUTF8.
    """

    code: int
    enhanced: str
    text: str
    utf8_text: str | None = None

    @property
    def temporary(self) -> bool:
        """True for a 4xx reply."""
        return self.code < _PERMANENT


@dataclass(frozen=True, slots=True)
class SmtpReply:
    """One SMTP reply, ready to be sent; `text` is printable and short enough."""

    code: int
    enhanced: str
    text: str

    @property
    def temporary(self) -> bool:
        """True for a 4xx reply."""
        return self.code < _PERMANENT

    def line(self) -> str:
        """The reply as the client sees it, without CR and LF."""
        return f"{self.code} {self.enhanced} {self.text}"


def _plain_template(text: str, shows_reason: bool) -> str:
    return replytext.REASON if shows_reason else text


_TEXTS: Mapping[Kind, str] = MappingProxyType({row[0]: row[3] for row in ROWS})

# When each reply is given.
WHEN: Mapping[Kind, str] = MappingProxyType({row[0]: row[5] for row in ROWS if row[5]})

DEFAULTS: Mapping[Kind, Template] = MappingProxyType(
    {
        kind: Template(code, enhanced, _plain_template(text, shows_reason))
        for kind, code, enhanced, text, shows_reason, _ in ROWS
        if not kind.accepts
    }
)


def problems(kind: Kind, template: Template) -> list[ConfigurationError]:
    """Everything that is wrong with `template` as the reply for `kind`; empty if nothing is."""
    found: list[ConfigurationError] = []

    def problem(field: str, what: str) -> None:
        found.append(ConfigurationError(what, option=f"replies.{kind.name}.{field}"))

    code = template.code
    refuses = 400 <= code <= 599 and code // 10 % 10 <= 5
    if not refuses:
        problem("code", f"{code} is not a refusal; write a code from 400 to 459 or 500 to 559")
    elif code in SESSION_CODES:
        problem("code", f"{code} would end the session for all recipients; write another code")
    elif not template.temporary and not kind.permanent_reply_allowed:
        problem("code", f"{code} is permanent; a fault of the server needs a code from 400 to 459")
    if not _ENHANCED.fullmatch(template.enhanced):
        problem("enhanced", f"{template.enhanced!r} is not an enhanced status code such as 5.1.1")
    elif refuses and template.enhanced[0] != str(code)[0]:
        problem(
            "enhanced",
            f"the class of {template.enhanced} is not that of the code {code}; "
            f'set both, for example enhanced = "{str(code)[0]}{template.enhanced[1:]}"',
        )

    for field, text in (("text", template.text), ("utf8_text", template.utf8_text)):
        if text is None:
            continue
        wrong = _text_problem(text, ascii_only=field == "text")
        room = MAX_LINE - 2 - len(f"{code} {template.enhanced} ")
        if wrong is None and len(text.encode("utf-8")) > room:
            wrong = f"{len(text.encode('utf-8'))} octets are too long, a reply has room for {room}"
        if wrong is not None:
            problem(field, wrong)
    return found


def _text_problem(text: str, *, ascii_only: bool) -> str | None:
    if not text.strip():
        return "the text is empty"
    for char in text:
        if char.isascii() and char.isprintable():
            continue
        if not char.isprintable():
            return f"character {char!r} is not printable"
        if ascii_only:
            return f"{char!r} is not ASCII; put such a text into utf8_text, for SMTPUTF8 sessions"
    try:
        replytext.pieces(text)
    except ValueError as error:
        return str(error)
    return None


class ReplyTable:
    """Turns verdicts into what each front end says.

    `templates` replaces the defaults of the kinds it names.  Raises
    ConfigurationError, which lists every problem, for a table that is not
    sound.
    """

    __slots__ = ("_pieces", "_templates", "_utf8_pieces")

    def __init__(self, templates: Mapping[Kind, Template] = MappingProxyType({})) -> None:
        refusals = {kind: each for kind, each in templates.items() if not kind.accepts}
        self._templates = {**DEFAULTS, **refusals}
        found = [p for kind, template in self._templates.items() for p in problems(kind, template)]
        found += [
            ConfigurationError("it refuses nobody", option=f"replies.{kind.name}")
            for kind in templates
            if kind.accepts
        ]
        if found:
            raise ConfigurationError("; ".join(map(str, found)))
        self._pieces = {k: replytext.pieces(t.text) for k, t in self._templates.items()}
        self._utf8_pieces = {
            k: replytext.pieces(t.text if t.utf8_text is None else t.utf8_text)
            for k, t in self._templates.items()
        }

    def __getitem__(self, kind: Kind) -> Template:
        """The template of `kind`; KeyError for the one that is not a refusal."""
        return self._templates[kind]

    def smtp(
        self, verdict: Verdict, recipient: bytes, *, smtputf8: bool = False
    ) -> SmtpReply | None:
        """The SMTP reply to `recipient`, or None where the verdict is not a refusal.

        `smtputf8`: the client asked for SMTPUTF8 (RFC 6531).
        """
        return self._reply(verdict, recipient, 0, smtputf8)

    def policy(self, verdict: Verdict, recipient: bytes) -> bytes:
        """The action for Postfix's access policy delegation (SMTPD_POLICY_README).

        A recipient that may get the mail is DUNNO and never OK: OK would skip
        the restrictions behind this one.  A permanent refusal is
        `550 5.1.1 TEXT`, a temporary one `DEFER_IF_PERMIT 4.2.2 TEXT`: Postfix
        then still looks for a permanent reason of its own.  The protocol does
        not tell whether the client asked for SMTPUTF8, so the text is ASCII.
        """
        reply = self._reply(verdict, recipient, POSTFIX_PREFIX + len(recipient), smtputf8=False)
        if reply is None:
            return b"DUNNO"
        action = "DEFER_IF_PERMIT" if reply.temporary else str(reply.code)
        return f"{action} {reply.enhanced} {reply.text}".encode("ascii")

    def _reply(
        self, verdict: Verdict, recipient: bytes, reserved: int, smtputf8: bool
    ) -> SmtpReply | None:
        kind = verdict.kind
        if kind.accepts:
            return None
        template = self._templates[kind]
        pieces = (self._utf8_pieces if smtputf8 else self._pieces)[kind]
        room = MAX_LINE - 2 - len(f"{template.code} {template.enhanced} ")
        limit = max(room - reserved, MIN_POLICY_TEXT)
        text = replytext.fill(pieces, recipient, verdict.reason, limit, smtputf8=smtputf8)
        return SmtpReply(template.code, template.enhanced, text or _TEXTS[kind])
