"""Lines of Postfix' and Sendmail's logs: which recipient, and what happened to it.

Bytes in, values out; no file is opened here.  `Splitter` cuts pieces of a log
into lines, `read_line` says what one line tells.  Heads of lines are read by
logheads.py; behind them these are understood:

- Postfix: `reject: RCPT from ...: CODE TEXT; from=<> to=<>` of smtpd,
  postscreen and cleanup (milter-reject and proxy-reject too, and those at DATA
  and END-OF-MESSAGE where they name a recipient), and every delivery agent's
  `to=<>, [orig_to=<>,] ... dsn=, status=`;
- Sendmail, under any tag: `to=..., ... dsn=, stat=`, `ruleset=check_rcpt, ...
  reject=`, `Milter: to=..., reject=`, and `<recipient>... TEXT`, with the
  recipient in brackets or without.

A recipient is given as RCPT named it: `orig_to` where Postfix logs it.  No
bytes of any line raise an exception.

Limits: a delivery that passes a content filter is there twice; a refusal at
END-OF-MESSAGE counts for the one recipient that its line names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from gateway.cli.logheads import Headed, read_head
from gateway.protocols.address import Address, parse_bare, parse_path

# Bytes of a line; syslog daemons cut at 8 KiB or before.  The rest of a longer
# line is dropped.
MAX_LINE = 8 * 1024


class Outcome(Enum):
    """What happened to a recipient."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    DEFERRED = "deferred"
    # Refused or deferred, but not because of the recipient's mailbox: a
    # blocked client, relaying, greylisting, a server that is down.
    UNRELATED = "failed for another reason"


class Skipped(Enum):
    """Why a line tells of no recipient."""

    OTHER = "other"
    # No head of a log, or a line of a mail server's that ends in its middle.
    BROKEN = "not understood"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One line's word on one recipient: a bare address, the outcome, and the reason given."""

    recipient: bytes
    outcome: Outcome
    reason: bytes


class Splitter:
    """Cuts a log into lines, whatever the pieces are that it comes in."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their line ends."""
        *complete, rest = data.split(b"\n")
        lines = []
        for piece in complete:
            self._hold(piece)
            lines.append(self._take())
        self._hold(rest)
        return lines

    def end(self) -> list[bytes]:
        """The last line, where it has no end."""
        return [self._take()] if self._held else []

    def _hold(self, piece: bytes) -> None:
        room = MAX_LINE - len(self._held)
        self._held += piece[:room]

    def _take(self) -> bytes:
        line = bytes(self._held)
        self._held.clear()
        return line.removesuffix(b"\r")


# A path in angle brackets; in quotes any byte may stand.
_PATH = rb'<(?:"(?:[^"\\]|\\.)*"|[^<>"])*>'
# Postfix' queue ids, short and long, and NOQUEUE.
_QUEUE_ID = rb"[0-9A-Za-z]+: "

# Where a recipient is refused: DATA and END-OF-MESSAGE name one where the mail has one.
_STAGE = rb"(?P<stage>RCPT|DATA|BDAT|END-OF-MESSAGE)"
_POSTFIX_REJECT = re.compile(
    _QUEUE_ID + rb"(?:milter-|proxy-)?reject: " + _STAGE + rb" from [^ ]+: (?P<reply>.*?); "
    rb"from=" + _PATH + rb",? to=(?P<to>" + _PATH + rb")",
    re.DOTALL,
)
_POSTFIX_REJECT_MARK = re.compile(_QUEUE_ID + rb"(?:milter-|proxy-)?reject: RCPT ")
_POSTFIX_DELIVERY = re.compile(
    _QUEUE_ID + rb"to=(?P<to>" + _PATH + rb"), (?:orig_to=(?P<orig>" + _PATH + rb"), )?"
    rb".*?dsn=(?P<dsn>[0-9.]+), status=(?P<status>[A-Za-z]+)(?: \((?P<text>.*))?",
    re.DOTALL,
)
_POSTFIX_DELIVERY_MARK = re.compile(_QUEUE_ID + rb"to=<")
_STATUS = {
    b"sent": Outcome.ACCEPTED,
    b"bounced": Outcome.REFUSED,
    b"deferred": Outcome.DEFERRED,
    # soft_bounce = yes (bounce.c): delivery refused permanently, and Postfix still tries again.
    b"SOFTBOUNCE": Outcome.REFUSED,
}

_SENDMAIL_PROGRAMS = (b"sendmail", b"sm-mta", b"sm-msp")
# sendmail -L gives any tag; under one that is not known, only a queue id of Sendmail's form
# counts (Sendmail's queue.c: eight characters of time and sequence, then the process).
_SENDMAIL_QUEUE_ID = re.compile(rb"[0-9A-Za-x]{8}\d{5,10}: ")
# Sendmail names several recipients in one line, a local one without brackets.
_SENDMAIL_ONE = rb"(?:" + _PATH + rb"|[^\s,<>]+)"
_SENDMAIL_DELIVERY = re.compile(
    rb"(?:\w+: )?to=(?P<to>" + _SENDMAIL_ONE + rb"(?:,(?! )" + _SENDMAIL_ONE + rb")*), "
    rb".*?(?:dsn=(?P<dsn>[0-9.]+), )?stat=(?P<stat>.*)",
    re.DOTALL,
)
_SENDMAIL_REJECT = re.compile(
    rb"(?:\w+: )?(?:ruleset=check_rcpt, arg1=|Milter: to=)(?P<to>" + _SENDMAIL_ONE + rb"), "
    rb"(?:.*, )?reject=(?P<reply>.*)",
    re.DOTALL,
)
_SENDMAIL_SAID = re.compile(
    rb"(?:\w+: )?(?P<to>" + _PATH + rb"|[^\s,<>=]+@[^\s,<>=]+)\.\.\. (?P<text>.+)", re.DOTALL
)
_SENDMAIL_MARK = re.compile(rb"(?:\w+: )?(?:to=|ruleset=check_rcpt, |Milter: to=)")
_RECIPIENTS = re.compile(_SENDMAIL_ONE)

# `550 5.1.1 text`, as far as it is there.
_REPLY = re.compile(rb"(?P<code>[245]\d\d)?[ -]?(?P<dsn>[245]\.\d{1,3}\.\d{1,3})?")
_REPLY_CODE = re.compile(rb"[45]\d\d[ -]|[45]\.\d{1,3}\.\d")
# RFC 3463, 3.2 and 3.3: the address and the mailbox; X.1.7 and X.1.8 are the sender's.
_ABOUT_RECIPIENT = re.compile(rb"[245]\.(?:1\.(?![78]\b)|2\.)")
_ABOUT_OTHERS = re.compile(
    rb"(?i:gr[ae]y[ -]?list|sender address rejected|client host rejected|helo command rejected)"
)
_REJECTED_RECIPIENT = b"Recipient address rejected"
# What Sendmail says of a recipient without a code, in its own words and in administrators'.
_SAYS_UNKNOWN = re.compile(
    rb"(?i:user unknown|unknown (?:user|recipient|mailbox)|no such (?:user|mailbox|recipient)"
    rb"|mailbox (?:unknown|does not exist|disabled|unavailable)|(?:user|recipient) not found)"
)
_SAYS_FULL = re.compile(rb"(?i:over quota|quota exceeded|mailbox (?:is )?full)")
# What delivery says of a shared folder that nobody may post to (imap/lmtpengine.c).
_NOT_POSTABLE = b"5.7.1"


def read_line(line: bytes) -> tuple[Attempt, ...] | Skipped:
    """What one line tells: an attempt for each recipient, or why there is none."""
    if not line.strip():
        return Skipped.OTHER
    found = read_head(line)
    if found is None:
        return Skipped.BROKEN
    return _by_program(found)


def _by_program(line: Headed) -> tuple[Attempt, ...] | Skipped:
    program, message = line.program, line.message
    if program.startswith(_SENDMAIL_PROGRAMS):
        return _sendmail(message)
    if b"/" in program:
        return _postfix(message)
    return _sendmail(message) if _SENDMAIL_QUEUE_ID.match(message) else Skipped.OTHER


def _postfix(message: bytes) -> tuple[Attempt, ...] | Skipped:
    delivery = _POSTFIX_DELIVERY.fullmatch(message)
    if delivery is not None:
        outcome = _STATUS.get(delivery["status"])
        if outcome is None:
            # A probe's `deliverable`, and the like: no mail was sent.
            return Skipped.OTHER
        text = (delivery["text"] or b"").removesuffix(b")")
        outcome = _delivered(outcome, delivery["dsn"])
        return _attempts([delivery["orig"] or delivery["to"]], outcome, text)
    reject = _POSTFIX_REJECT.match(message)
    if reject is not None:
        return _attempts([reject["to"]], _rejected(reject["reply"]), reject["reply"])
    broken = _POSTFIX_DELIVERY_MARK.match(message) or _POSTFIX_REJECT_MARK.match(message)
    return Skipped.BROKEN if broken else Skipped.OTHER


def _sendmail(message: bytes) -> tuple[Attempt, ...] | Skipped:
    delivery = _SENDMAIL_DELIVERY.fullmatch(message)
    if delivery is not None:
        recipients = _RECIPIENTS.findall(delivery["to"])
        stat = delivery["stat"]
        return _attempts(recipients, _sendmail_outcome(stat, delivery["dsn"]), stat)
    reject = _SENDMAIL_REJECT.fullmatch(message)
    if reject is not None:
        return _attempts([reject["to"]], _rejected(reject["reply"]), reject["reply"])
    said = _SENDMAIL_SAID.fullmatch(message)
    if said is not None:
        return _attempts([said["to"]], _said(said["text"]), said["text"])
    return Skipped.BROKEN if _SENDMAIL_MARK.match(message) else Skipped.OTHER


def _sendmail_outcome(stat: bytes, dsn: bytes | None) -> Outcome:
    if stat.startswith((b"Sent", b"Delivered")):
        return Outcome.ACCEPTED
    if dsn is None:
        known = stat.startswith((b"User unknown", b"Mailbox"))
        return Outcome.REFUSED if known else Outcome.UNRELATED
    if dsn.startswith(b"2"):
        # `queued`: nothing has happened yet.
        return Outcome.UNRELATED
    outcome = Outcome.REFUSED if dsn.startswith(b"5") else Outcome.DEFERRED
    return _delivered(outcome, dsn)


def _said(text: bytes) -> Outcome:
    """The outcome of a refusal in words; in those that are not known it is another's sake."""
    if _REPLY_CODE.match(text):
        return _rejected(text)
    if _ABOUT_OTHERS.search(text):
        return Outcome.UNRELATED
    if _SAYS_UNKNOWN.search(text):
        return Outcome.REFUSED
    return Outcome.DEFERRED if _SAYS_FULL.search(text) else Outcome.UNRELATED


def _delivered(outcome: Outcome, dsn: bytes) -> Outcome:
    """The outcome of a delivery, seen by its enhanced status code."""
    if outcome is Outcome.ACCEPTED or _ABOUT_RECIPIENT.match(dsn) or dsn == _NOT_POSTABLE:
        return outcome
    return Outcome.UNRELATED


def _rejected(reply: bytes) -> Outcome:
    """The outcome of a refusal at RCPT: for ever, for now, or for another's sake."""
    found = _REPLY.match(reply)
    code = found["code"] if found is not None else None
    dsn = (found["dsn"] if found is not None else None) or b""
    about = _ABOUT_RECIPIENT.match(dsn) or _REJECTED_RECIPIENT in reply
    if not about or _ABOUT_OTHERS.search(reply):
        return Outcome.UNRELATED
    first = (code or dsn)[:1]
    return Outcome.REFUSED if first == b"5" else Outcome.DEFERRED


def _attempts(
    recipients: list[bytes], outcome: Outcome, reason: bytes
) -> tuple[Attempt, ...] | Skipped:
    found = [
        Attempt(address, outcome, reason)
        for address in map(_bare, recipients)
        if address is not None
    ]
    return tuple(found) or Skipped.OTHER


def _bare(written: bytes) -> bytes | None:
    """The address that a log writes; None for a pipe, a file, and the null address.

    Postfix before 3.5 writes the address without the quotes that it needs.
    """
    if written.startswith((b"|", b"/", b'"|')):
        return None
    found = parse_path(written)
    if isinstance(found, Address):
        return found.address
    inner = written.removeprefix(b"<").removesuffix(b">")
    again = parse_bare(inner)
    return again.address if isinstance(again, Address) else inner or None
