"""One MTA's conversation with the milter, without its socket.

It answers at RCPT TO with the reply that the delivery would give, and asks
the MTA to leave out every other step but connect, MAIL, and the end of a mail,
which are remembered and wait for no word of ours.  What an MTA of an older
version sends all the same is answered that the mail goes on.  A connection may
serve many mails, and clients one after the other (SMFIC_QUIT_NC).

In trouble it says nothing and is `finished`: the MTA then applies its own
default action (Postfix milter_default_action, Sendmail's F= flags).

Limits: recipients that the MTA itself has refused are not asked for
(SMFIP_RCPT_REJ); no mail is changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from gateway.frontends.course import HIT
from gateway.frontends.judge import PROBE_PREFIX, Decision, Question
from gateway.frontends.judging_session import JudgingSession
from gateway.protocols import milter
from gateway.protocols.address import MAX_LENGTH, parse_path
from gateway.protocols.milter import (
    ABORT,
    CONTINUE,
    DEFER,
    END_OF_MESSAGE,
    NEXT_CLIENT,
    QUIT,
    Client,
    Macros,
    Mail,
    MilterParser,
    Negotiation,
    Recipient,
    Step,
)
from gateway.verification.model import MAX_RECIPIENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.frontends.course import Course
    from gateway.frontends.judge import Judge
    from gateway.frontends.ready import Ready
    from gateway.protocols.milter import Event
    from gateway.verification.decider import Decider
    from gateway.verification.model import Verdict

    # Hears of each recipient that was judged or skipped.
    Observer = Callable[["Rcpt", Decision], None]

    # Outside of a mail; null sender; client and login where they are heeded; SMTPUTF8.
    RestsOn = tuple[bool, bool, bytes, bool, bool]
    # RCPT's argument and mailer, and what was known before.
    Key = tuple[bytes, bytes, RestsOn]

T = TypeVar("T")

# What is not needed of the protocol: the MTA then does not send it at all.
UNWANTED = (
    milter.NO_HELO
    | milter.NO_HEADERS
    | milter.NO_END_OF_HEADERS
    | milter.NO_BODY
    | milter.NO_DATA
    | milter.NO_UNKNOWN
)
# Steps at which nothing is decided: the MTA need not wait for a word of ours.
SILENT = milter.NO_REPLY_CONNECT | milter.NO_REPLY_MAIL

# The macros that are read: at which stage, with which step they come, and their names.
_MACROS = (
    (milter.AT_CONNECT, b"C", (b"client_addr",)),
    (milter.AT_MAIL, b"M", (b"i", b"auth_authen", b"client_addr")),
    (milter.AT_RCPT, b"R", (b"i", b"rcpt_mailer")),
)
_READ = frozenset(step for _, step, _ in _MACROS)
# How they are asked for: one letter as it is, all others in braces.
WANTED = tuple(
    (stage, b" ".join(name if len(name) == 1 else b"{%b}" % name for name in names))
    for stage, _, names in _MACROS
)

# Bytes of an argument that is remembered: what is longer is no address.
MAX_REMEMBERED = MAX_LENGTH

# Bytes of what a ready reply rests on, all together: a recipient that is remembered, and room
# for a mailer and a client's address.
MAX_KEY = MAX_RECIPIENT + 128

# MAIL FROM parameters, as they stand behind the address.
_SIZE = b"SIZE="
_SMTPUTF8 = b"SMTPUTF8"
# Digits of a size: RFC 1870, 3.
_SIZE_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is known of the client and its present mail.

    `client` is the client's address as text, `sender` None outside of a mail.
    """

    client: bytes = b""
    sender: bytes | None = None
    authenticated: bytes = b""
    size: int | None = None
    smtputf8: bool = False
    queue_id: bytes = b""


@dataclass(frozen=True, slots=True)
class Rcpt:
    """One RCPT TO: its address, or its argument where that is none, and its mail.

    `key` is what the reply to it rests on, None where that is too much to be remembered.
    """

    recipient: bytes
    queue_id: bytes
    transaction: Transaction
    key: Key | None = None


class MilterSession(JudgingSession["Event", Rcpt]):
    """The state between the bytes of one MTA and the engine."""

    __slots__ = (
        "_defect",
        "_macros",
        "_observe_ready",
        "_ready",
        "_rests_on",
        "_silent",
        "_transaction",
    )

    def __init__(
        self,
        decider: Decider,
        judge: Judge,
        *,
        observe: Observer | None = None,
        complain: Callable[[str], None] | None = None,
        ready: Ready[Key] | None = None,
        faults_only: bool = False,
        count: Observer | None = None,
        course: Course | None = None,
        defect: Callable[[Exception], None] | None = None,
    ) -> None:
        """As a JudgingSession's; `ready`, of the same judge, is that of all sessions of a server.

        With `faults_only`, `observe` need not hear of decisions that were
        remembered: they are never faults.  `defect` hears of an exception that
        nobody expected: it defers its recipient, and costs no other one anything.
        """
        super().__init__(
            decider,
            judge,
            MilterParser(),
            observe=observe,
            complain=complain,
            count=count,
            course=course,
        )
        self._defect = defect
        self._ready = ready
        self._observe_ready = None if faults_only else observe
        self._silent = 0  # which steps the MTA does not want a word at
        self._macros: dict[bytes, Macros] = {}  # by the step that they are for
        self._begin(Transaction())

    def quick(self, data: bytes) -> bytes | None:
        """Never at once: what a recipient is told rests on what came before it."""

    def _answer(self, event: Event) -> bytes:
        match event:
            case Macros():
                if event.command in _READ:
                    self._macros[event.command] = event
                return b""
            case Recipient():
                return self._or_defer(self._rcpt, event)
            case Mail():
                return self._mail(event)
            case Client():
                return self._connect(event)
            case Negotiation():
                return self._negotiate(event)
            case Step():
                return self._step(event)

    def resolved(self, verdict: Verdict) -> bytes:
        """The reply to the recipient that was pending."""
        return self._or_defer(super().resolved, verdict)

    def _or_defer(self, judge: Callable[[T], bytes], what: T) -> bytes:
        """What `judge` makes of `what`; where it meets a defect of ours, its recipient is deferred.

        An MTA without a default action lets in whoever comes after the end of
        its connection to us.
        """
        try:
            return judge(what)
        except MemoryError:
            raise  # the process ends (end_without_memory)
        except Exception as error:  # noqa: BLE001  (whatever it is)
            if self._defect is not None:
                self._defect(error)
            return DEFER

    def _begin(self, transaction: Transaction) -> None:
        """Remember what is known now, and what ready replies have to have in common with it."""
        self._transaction = transaction
        sender, scope = transaction.sender, self._judge.scope
        probe = sender is not None and sender[: len(PROBE_PREFIX)].lower() == PROBE_PREFIX
        sized = self._judge.checks_size and transaction.size is not None
        self._rests_on: RestsOn | None = None
        if not (probe or sized):
            self._rests_on = (
                sender is None,
                not sender,
                transaction.client if scope.heeds_clients else b"",
                scope.heeds_logins and bool(transaction.authenticated),
                transaction.smtputf8,
            )

    def _negotiate(self, offer: Negotiation) -> bytes:
        """Take what is needed of the protocol."""
        steps = offer.steps & (UNWANTED | SILENT)
        self._silent = steps & SILENT
        return milter.negotiated(min(offer.version, milter.VERSION), steps, WANTED)

    def _connect(self, client: Client) -> bytes:
        macros = self._values(b"C")
        address = client.address or _address(macros)
        self._begin(Transaction(address[:MAX_REMEMBERED]))
        return self._unless(milter.NO_REPLY_CONNECT)

    def _mail(self, mail: Mail) -> bytes:
        """A new mail begins; remember what is said about it."""
        macros = self._values(b"M")
        sender = parse_path(mail.argument)
        otherwise = b"" if mail.argument == b"<>" else mail.argument[:MAX_REMEMBERED]
        self._begin(
            Transaction(
                client=self._transaction.client or _address(macros),
                sender=getattr(sender, "address", otherwise),
                authenticated=macros.get(b"auth_authen", b""),
                size=_size(mail.parameters),
                smtputf8=any(each.upper() == _SMTPUTF8 for each in mail.parameters),
                queue_id=macros.get(b"i", b""),
            )
        )
        return self._unless(milter.NO_REPLY_MAIL)

    def _rcpt(self, rcpt: Recipient) -> bytes:
        macros = self._values(b"R")
        known = self._transaction
        mailer = macros.get(b"rcpt_mailer", b"")
        queue_id = macros.get(b"i", known.queue_id)
        key = self._key(rcpt.argument, mailer)
        kept = self._ready.get(key) if self._ready is not None and key is not None else None
        if kept is not None:
            kept.count(known.sender, known.client)
            if self._observe_ready is not None:
                if self._course is not None:
                    self._course.source = HIT
                self._observe_ready(Rcpt(kept.recipient, queue_id, known), kept.decision)
            return kept.reply
        question = Question(
            parse_path(rcpt.argument),
            sender=known.sender,
            client=known.client,
            authenticated=known.authenticated,
            mailer=mailer,
            size=known.size,
            smtputf8=known.smtputf8,
        )
        # Without its brackets, as the other front ends see it: hashes of it are to agree.
        recipient = getattr(question.recipient, "address", rcpt.argument)
        return self._judged(Rcpt(recipient, queue_id, known, key), question)

    def _step(self, step: Step) -> bytes:
        if step == QUIT:
            self.finished = True
            return b""
        if step in (ABORT, END_OF_MESSAGE):
            # Forget the mail, keep the client.
            self._begin(Transaction(self._transaction.client))
        elif step == NEXT_CLIENT:
            self._begin(Transaction())
            self._macros.clear()
        return b"" if step in (ABORT, NEXT_CLIENT) else CONTINUE

    def _values(self, command: bytes) -> dict[bytes, bytes]:
        """The macros of a step that is here; they are not those of the next one of its kind."""
        macros = self._macros.pop(command, None)
        return {} if macros is None else macros.values()

    def _key(self, argument: bytes, mailer: bytes) -> Key | None:
        """What the reply rests on besides the files; None where it is not kept ready."""
        rests_on = self._rests_on
        if rests_on is None or len(argument) + len(mailer) + len(rests_on[2]) > MAX_KEY:
            return None
        return argument, mailer, rests_on

    def _unless(self, silent: int) -> bytes:
        return b"" if self._silent & silent else CONTINUE

    def _reply(self, request: Rcpt, decision: Decision, *, keep: bool) -> bytes:
        refused = decision.reply
        reply = CONTINUE if refused is None else milter.refusal(refused.line().encode())
        if keep and self._ready is not None and request.key is not None:
            self._ready.keep(request.key, request.recipient, decision, reply)
        return reply


def _address(macros: Mapping[bytes, bytes]) -> bytes:
    """The client as {client_addr} tells it."""
    return milter.plain_address(macros.get(b"client_addr", b""))


def _size(parameters: tuple[bytes, ...]) -> int | None:
    """The SIZE that MAIL FROM announced (RFC 1870, 6.1), in bytes."""
    for parameter in parameters:
        if parameter[: len(_SIZE)].upper() == _SIZE:
            digits = parameter[len(_SIZE) :]
            return int(digits) if digits.isdigit() and len(digits) <= _SIZE_DIGITS else None
    return None
