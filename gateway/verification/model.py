"""The engine's words: a Query goes in, a Verdict comes out, or a question for another server.

All values are frozen.  A verdict says what is true of the recipient and why;
it knows no reply code, no socket and no protocol.  Its limits: reasons and
evidence are bytes or numbers as the store has them, unfiltered; code that shows
them to a client or in a log makes them printable first.
"""

from __future__ import annotations

from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.quota import QuotaRecord
    from gateway.verification.kinds import Kind

# The longest recipient that is remembered (RFC 5321, 4.5.3.1: 64 + 1 + 255
# bytes), and the longest reason (a reply line, 4.5.3.1.5).  A client that makes longer ones up
# is answered, and costs no memory.
MAX_RECIPIENT = 320
MAX_REASON = 512


class Query(Value):
    """One question: may `recipient` get a mail of `size` bytes now?

    `recipient` is the address as it came, in bytes, without angle brackets.
    `size` is the announced size in bytes, or None where none was announced.
    `hops` is how often other servers have passed the question on.  `folded`
    says that the client may have put the address in lower case, as
    Postfix does with the keys of a socketmap.
    """

    __slots__ = ("folded", "hops", "recipient", "size")
    folded: bool
    hops: int
    recipient: bytes
    size: int | None

    def __init__(
        self,
        recipient: bytes,
        size: int | None = None,
        hops: int = 0,
        *,
        folded: bool = False,
    ) -> None:
        self.folded = folded
        self.hops = hops
        self.recipient = recipient
        self.size = size
        self._freeze()


class Evidence(Value):
    """What the verdict rests on; a field is None where the engine did not get that far.

    `mailbox` is the internal name, `server` the backend that was asked,
    `fault` the fault's own message for the log.
    """

    __slots__ = ("deny_pattern", "fault", "mailbox", "quota", "server", "userid")
    deny_pattern: bytes | None
    fault: str | None
    mailbox: bytes | None
    quota: QuotaRecord | None
    server: str | None
    userid: bytes | None

    def __init__(
        self,
        *,
        mailbox: bytes | None = None,
        userid: bytes | None = None,
        quota: QuotaRecord | None = None,
        deny_pattern: bytes | None = None,
        server: str | None = None,
        fault: str | None = None,
    ) -> None:
        self.deny_pattern = deny_pattern
        self.fault = fault
        self.mailbox = mailbox
        self.quota = quota
        self.server = server
        self.userid = userid
        self._freeze()


NO_EVIDENCE = Evidence()


class Verdict(Value):
    """The answer.  `reason` is the text that a front end may show, in bytes.

    `cacheable` is False for whatever must be asked again the next time:
    faults, and answers of servers that cannot tell when they change.
    """

    __slots__ = ("cacheable", "evidence", "kind", "reason")
    cacheable: bool
    evidence: Evidence
    kind: Kind
    reason: bytes

    def __init__(
        self,
        kind: Kind,
        reason: bytes,
        evidence: Evidence = NO_EVIDENCE,
        *,
        cacheable: bool = True,
    ) -> None:
        self.cacheable = cacheable
        self.evidence = evidence
        self.kind = kind
        self.reason = reason
        self._freeze()


class Pending(Value):
    """A question that only another server can answer.

    `server` is the one to ask, a backend or the store's own SQL server, or
    None where mupdate is to be kicked and the mailbox list read once more.
    `answers` is the authority whose question it is; empty where every server
    has its own.
    """

    __slots__ = ("answers", "evidence", "query", "server")
    answers: str
    evidence: Evidence
    query: Query
    server: str | None

    def __init__(
        self, query: Query, server: str | None, evidence: Evidence, answers: str = ""
    ) -> None:
        self.answers = answers
        self.evidence = evidence
        self.query = query
        self.server = server
        self._freeze()

    @property
    def key(self) -> tuple[str, str | None, Query]:
        """Questions with the same key have the same answer."""
        return self.answers, self.server, self.query
