"""What an MTA's steps mean to a milter, whatever brings them: events in, decisions out.

It decides at RCPT TO as the delivery would, and asks the MTA to leave out every
other step but connect, MAIL, and the end of a mail, which are remembered and
wait for no word of ours.  A connection may serve many mails, and clients one
after the other (SMFIC_QUIT_NC).  Transports bring the events and carry the
decisions: `milter_session` by our own codec, `gateway.server.libmilter` by
pymilter.

Where RCPT's argument is not a plain address (comments, blanks: `<otto(c)@example.org>`),
the address that the MTA has made of it is judged ({rcpt_addr}; RFC 5321 lets an
MTA be liberal, and Postfix and Sendmail are).

Mail that no SMTP client brought, which Postfix' cleanup(8) tells milters of
(non_smtpd_milters), is never refused: its sender has left, and cleanup keeps the
whole mail where a milter refuses one recipient (cleanup_milter.c,
cleanup_milter_emul_rcpt).

Limits: recipients that the MTA itself has refused are not asked for
(SMFIP_RCPT_REJ); no mail is changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.frontends.judge import Decision, Question
from gateway.frontends.judging import Judging
from gateway.frontends.origin import HIT
from gateway.frontends.scope import Skip
from gateway.frontends.waiver import PROBE_PREFIX
from gateway.protocols import milter
from gateway.protocols.address import MAX_LENGTH, Address, BadAddress, parse_path
from gateway.verification.model import MAX_RECIPIENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.judge import Judge
    from gateway.frontends.origin import AnswerOrigin
    from gateway.frontends.replycache import DecisionCache
    from gateway.mta.lookups import Lookups, TableAnswers
    from gateway.verification.decider import Decider
    from gateway.verification.model import Pending, Verdict

    # Hears of each recipient that was judged or skipped.
    Observer = Callable[["Rcpt", Decision], None]

    # The value of a macro as the MTA has told it until now; empty where it has not.
    Macros = Callable[[str], bytes]

    # Outside of a mail; null sender; client and login where they are heeded; SMTPUTF8.
    RestsOn = tuple[bool, bool, bytes, bool, bool]
    # RCPT's argument and mailer, and what was known before.
    Key = tuple[bytes, bytes, RestsOn]

# What is not needed of the protocol: the MTA then does not send it at all.
UNWANTED = (
    milter.NO_HELO
    | milter.NO_HEADERS
    | milter.NO_END_OF_HEADERS
    | milter.NO_BODY
    | milter.NO_DATA
    | milter.NO_UNKNOWN
)
# Steps at which nothing is decided: the MTA need not wait for a reply.
NO_REPLY_STEPS = milter.NO_REPLY_CONNECT | milter.NO_REPLY_MAIL

# The macros that are asked for, by stage.
WANTED: tuple[tuple[int, str], ...] = (
    (milter.AT_CONNECT, "{client_addr} {daemon_name}"),
    (milter.AT_MAIL, "i {auth_authen} {client_addr}"),
    (milter.AT_RCPT, "i {rcpt_mailer} {rcpt_host} {rcpt_addr}"),
)

# Bytes of an argument that is remembered: what is longer is not an address.
MAX_REMEMBERED = MAX_LENGTH

# Bytes of what a cached reply rests on, all together: a recipient that is remembered, and room
# for a mailer and a client's address.
MAX_KEY = MAX_RECIPIENT + 128

# MAIL FROM parameters, as they follow the address.
_SIZE = b"SIZE="
_SMTPUTF8 = b"SMTPUTF8"
# Digits of a size: RFC 1870, 3.
_SIZE_DIGITS = 20

_NOT_BY_SMTP = Decision(skip=Skip.NOT_BY_SMTP)


class Deferral:
    """The recipient is deferred in the MTA's own words."""


DEFERRED = Deferral()


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is known of the client and its present mail.

    `client` is the client's address as text, `sender` None outside of a mail.
    `daemon` is what the MTA calls the service that the client talks to
    ({daemon_name}), `port` the client's, None where it has or tells none.
    """

    client: bytes = b""
    sender: bytes | None = None
    authenticated: bytes = b""
    size: int | None = None
    smtputf8: bool = False
    queue_id: bytes = b""
    daemon: bytes = b""
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Rcpt:
    """One RCPT TO: its address, or its argument where that is none, and its mail."""

    recipient: bytes
    queue_id: bytes
    transaction: Transaction


class MilterConversation:
    """One MTA's connection; used by one thread at a time.

    `no_reply_steps` are those at which the MTA does not wait for a reply.
    """

    __slots__ = (
        "_defect",
        "_heeds_hosts",
        "_judging",
        "_observe_cached",
        "_reply_cache",
        "_rests_on",
        "_transaction",
        "no_reply_steps",
    )

    def __init__(
        self,
        decider: Decider,
        judge: Judge,
        *,
        observe: Observer | None = None,
        reply_cache: DecisionCache[Key] | None = None,
        faults_only: bool = False,
        count: Observer | None = None,
        origin: AnswerOrigin | None = None,
        defect: Callable[[Exception], None] | None = None,
    ) -> None:
        """As a Judging's; `reply_cache`, of the same judge, is shared by all connections.

        With `faults_only`, `observe` need not hear of decisions that were
        remembered: they are never faults.  `defect` hears of an unexpected
        exception: it defers its recipient, and costs no other one anything.
        """
        self._judging: Judging[Rcpt] = Judging(
            decider, judge, observe=observe, count=count, origin=origin
        )
        self._defect = defect
        self._heeds_hosts = judge.scope.heeds_hosts
        self._reply_cache = reply_cache
        self._observe_cached = None if faults_only else observe
        self.no_reply_steps = 0
        self._begin(Transaction())

    @property
    def judging(self) -> Judging[Rcpt]:
        """Where its questions are, and the one that waits."""
        return self._judging

    @property
    def pending(self) -> Pending | Lookups | None:
        """A question for others; nothing else is asked before it is resolved."""
        return self._judging.pending

    @property
    def under_way(self) -> bool:
        """Whether a mail has begun, and its end is still to come."""
        return self._transaction.sender is not None

    def negotiate(self, offered: int) -> int:
        """Take what is needed of the steps that the MTA knows to leave out or not to wait at."""
        steps = offered & (UNWANTED | NO_REPLY_STEPS)
        self.no_reply_steps = steps & NO_REPLY_STEPS
        return steps

    def connect(self, address: bytes, port: int | None, macros: Macros) -> None:
        """A client has come; `address` is empty, and `port` None, where it has none."""
        self._begin(
            Transaction(
                (address or _client(macros))[:MAX_REMEMBERED],
                daemon=macros("{daemon_name}")[:MAX_REMEMBERED],
                port=port,
            )
        )

    def mail(self, argument: bytes, parameters: tuple[bytes, ...], macros: Macros) -> None:
        """A new mail begins; remember what is said about it."""
        sender = parse_path(argument)
        otherwise = b"" if argument == b"<>" else argument[:MAX_REMEMBERED]
        known = self._transaction
        self._begin(
            Transaction(
                client=known.client or _client(macros)[:MAX_REMEMBERED],
                sender=getattr(sender, "address", otherwise),
                authenticated=macros("{auth_authen}"),
                size=_size(parameters),
                smtputf8=any(each.upper() == _SMTPUTF8 for each in parameters),
                queue_id=macros("i"),
                daemon=known.daemon,
                port=known.port,
            )
        )

    def rcpt(self, argument: bytes, macros: Macros) -> Decision | Deferral | None:
        """The decision on a recipient, or None where another server must be asked first."""
        try:
            return self._rcpt(argument, macros)
        except MemoryError:
            raise  # the process ends
        except Exception as error:  # noqa: BLE001  (whatever it is)
            return self._deferred(error)

    def resolved(self, told: Verdict | TableAnswers) -> Decision | Deferral | None:
        """The decision on the recipient that was pending, or None where more must be asked."""
        try:
            return self._judging.resolved(told)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever it is)
            return self._deferred(error)

    def over(self) -> None:
        """The mail is complete, or ended early: forget it, keep the client."""
        known = self._transaction
        self._begin(Transaction(known.client, daemon=known.daemon, port=known.port))

    def next_client(self) -> None:
        """The client is gone, and another one may follow."""
        self._begin(Transaction())

    def _deferred(self, error: Exception) -> Deferral:
        """A defect of ours defers its recipient.

        An MTA without a default action lets in every recipient after the end of
        its connection to us.
        """
        if self._defect is not None:
            self._defect(error)
        return DEFERRED

    def _begin(self, transaction: Transaction) -> None:
        """Remember what is known now, and what cached replies have to have in common with it."""
        self._transaction = transaction
        judge = self._judging.judge
        sender, scope = transaction.sender, judge.scope
        probe = sender is not None and sender[: len(PROBE_PREFIX)].lower() == PROBE_PREFIX
        sized = judge.checks_size and transaction.size is not None
        self._rests_on: RestsOn | None = None
        if not (probe or sized):
            self._rests_on = (
                sender is None,
                not sender,
                transaction.client if scope.heeds_clients else b"",
                scope.heeds_logins and bool(transaction.authenticated),
                transaction.smtputf8,
            )

    def _rcpt(self, argument: bytes, macros: Macros) -> Decision | None:
        known = self._transaction
        mailer = macros("{rcpt_mailer}")
        judging = self._judging
        if not mailer and _came_without_smtp(known, macros):
            return judging.decided(Rcpt(_shown(argument), macros("i"), known), _NOT_BY_SMTP)
        if mailer and self._heeds_hosts:
            mailer = b"%b:%b" % (mailer, macros("{rcpt_host}"))
        key = self._key(argument, mailer)
        replies = self._reply_cache
        cached = replies.get(key) if replies is not None and key is not None else None
        if cached is not None and cached.decision is not None:
            cached.count(known.sender, known.client)
            if self._observe_cached is not None:
                if judging.origin is not None:
                    judging.origin.source = HIT
                self._observe_cached(Rcpt(cached.recipient, macros("i"), known), cached.decision)
            return cached.decision
        recipient, plain = _recipient(argument, macros)
        # Without its brackets, as the other front ends see it: hashes of it are to agree.
        shown = getattr(recipient, "address", argument)
        question = Question(
            recipient,
            sender=known.sender,
            client=known.client,
            authenticated=known.authenticated,
            mailer=mailer,
            size=known.size,
            smtputf8=known.smtputf8,
        )
        decision = judging.judged(Rcpt(shown, macros("i"), known), question)
        if decision is not None and replies is not None and key is not None and plain:
            replies.decided(key, shown, decision)
        return decision

    def _key(self, argument: bytes, mailer: bytes) -> Key | None:
        """What the reply rests on besides the files; None where it is not cached."""
        rests_on = self._rests_on
        if rests_on is None or len(argument) + len(mailer) + len(rests_on[2]) > MAX_KEY:
            return None
        return argument, mailer, rests_on


def _came_without_smtp(known: Transaction, macros: Macros) -> bool:
    """Whether cleanup(8) tells of a mail that no SMTP client brought.

    It knows no {rcpt_mailer}, which smtpd always tells beside {rcpt_addr}; to MTAs
    that cannot be asked for macros it shows by the port 0 (cleanup_milter.c,
    cleanup_milter_eval and cleanup_milter_client_init; smtpd_milter.c).
    """
    return known.port == 0 or bool(macros("{rcpt_addr}"))


def _recipient(argument: bytes, macros: Macros) -> tuple[Address | BadAddress, bool]:
    """The address to judge, and whether the argument alone says which it is."""
    recipient = parse_path(argument)
    if isinstance(recipient, Address):
        return recipient, True
    resolved = parse_path(macros("{rcpt_addr}"))
    # Sendmail's mailers for local users tell of no domain: then it says less than the argument.
    if isinstance(resolved, Address) and resolved.domain:
        return resolved, False
    return recipient, False


def _shown(argument: bytes) -> bytes:
    """The recipient as other front ends see it."""
    shown: bytes = getattr(parse_path(argument), "address", argument)
    return shown


def _client(macros: Macros) -> bytes:
    """The client as {client_addr} tells it."""
    return milter.plain_address(macros("{client_addr}"))


def _size(parameters: tuple[bytes, ...]) -> int | None:
    """The SIZE that MAIL FROM announced (RFC 1870, 6.1), in bytes."""
    for parameter in parameters:
        if parameter[: len(_SIZE)].upper() == _SIZE:
            digits = parameter[len(_SIZE) :]
            return int(digits) if digits.isdigit() and len(digits) <= _SIZE_DIGITS else None
    return None
