"""Asks an LMTP server about recipients: what would it say to RCPT TO?

`LHLO` once a connection, then for each question `MAIL FROM:<>`, `RCPT TO`
and `RSET`, in one piece where the server knows PIPELINING.  No mail is ever
sent.  The reply to RCPT is the answer; whatever else goes wrong (no greeting,
a refused MAIL, 421, more or other replies than commands) is an UpstreamError
that names the server.

RCPT changes nothing, but for one kind of server: Cyrus' lmtpd with
autocreate_post makes the mailbox of a recipient that it is asked about.  Where that is
wanted (`Creators`), the first connection asks about a name that no mailbox can
have, which such a server defers where others refuse it.

Limits: no STARTTLS and no AUTH, so the server must trust its clients, as
Cyrus' lmtpd does on its Unix socket and with `-a`; the size of the mail is
not announced.
"""

from __future__ import annotations

import math
import time

from gateway.errors import UpstreamError
from gateway.protocols import lmtp
from gateway.upstream.connection import Disconnected, NotTaken
from gateway.upstream.pool import MAX_IDLE, Pool
from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.upstream.connection import Dialer, UpstreamConnection

# LMTP over TCP where no port is given: the one that RFC 2033 says not to use
# is SMTP's 25; 24 is registered for any private mail system.
DEFAULT_PORT = 24

# Seconds for the whole question; see socketmapclient.py.
DEFAULT_DEADLINE = 5.0

# Bytes of all replies to one question.
MAX_REPLIES = 65_536  # only a bound

# Seconds that the reply to RSET may take when the answer is there already.
RSET_SECONDS = 1.0

# "Service not available, closing transmission channel" (RFC 5321, 4.2.2).
_CLOSING = 421
# The class of codes that refuse permanently.
_REFUSED = 5


# No mailbox can have that name: & begins modified UTF-7 in Cyrus' names (RFC 3501, 5.1.3), and
# this is none.  lmtpd does not find it, and with autocreate_post cannot make it.
NOBODY = b"no&one"
_DEFERRED = (451, b"4.3.0")

CREATES = (
    "it defers a name that no mailbox can have, as Cyrus' lmtpd does with autocreate_post: then"
    " each recipient that it is asked about gets a mailbox, a stranger's too. Run the gateway"
    ' beside the mailboxes (store = "cyrus" there) and ask it with socketmap, or set'
    " autocreate_post: no"
)


class Creators(Value):
    """What to do with a server that makes a mailbox for a recipient that it is asked about.

    `report` hears of it, once a server; where they are spared, no recipient is asked about.
    """

    __slots__ = ("are_spared", "report")
    are_spared: bool
    report: Callable[[str], None]

    def __init__(self, report: Callable[[str], None], *, are_spared: bool) -> None:
        self.are_spared = are_spared
        self.report = report
        self._freeze()


class LmtpClient:
    """Asks one server; threads may share it.

    `deadline` is in seconds for a question, `name` is what the client calls
    itself.  `creators` says whether the server may be one that makes mailboxes;
    None: it is not asked.
    """

    __slots__ = ("_creators", "_dialer", "_name", "creates", "deadline", "pool")

    def __init__(
        self,
        dialer: Dialer,
        *,
        name: bytes,
        deadline: float = DEFAULT_DEADLINE,
        max_idle: int = MAX_IDLE,
        creators: Creators | None = None,
    ) -> None:
        self.deadline = deadline
        self.creates: bool | None = None  # mailboxes, as far as is known
        self._creators = creators
        self._dialer = dialer
        self._name = name
        self.pool = Pool(dialer.server, self._greeted, max_idle)

    def ask(self, recipient: bytes, *, until: float = math.inf) -> lmtp.LmtpReply:
        """The server's reply to RCPT TO for the bare address `recipient`.

        Blocks up to the deadline, and never beyond `until`.  Raises
        UpstreamError, and ProtocolError for an address that no command can
        hold.
        """
        question = lmtp.rcpt(recipient)
        last = min(until, time.monotonic() + self.deadline)
        return self.pool.call(lambda link: self._asked(link, question, last), last, _is_final)

    def greet(self, until: float) -> None:
        """Connect and say LHLO, without a question; over at `until`.  Raises UpstreamError."""
        self.pool.call(lambda _link: None, until)

    def _asked(self, link: UpstreamConnection, question: bytes, until: float) -> lmtp.LmtpReply:
        if self.creates and self._creators is not None and self._creators.are_spared:
            raise NotTaken(link.server, f"not asked about any recipient: {CREATES}")
        return self._talk(link, question, until)

    def _greeted(self, until: float) -> UpstreamConnection:
        link = self._dialer.open(until)
        ready = False
        try:
            conversation = _Conversation(link, until)
            conversation.expect_good("its greeting")
            link.send(lmtp.lhlo(self._name), until)
            link.features = lmtp.features(conversation.expect_good("LHLO"))
            if not conversation.over:
                raise UpstreamError(link.server, "it says more than it was asked")
            if self.creates is None and self._creators is not None:
                reply = self._talk(link, lmtp.rcpt(NOBODY), until)
                self.creates = (reply.code, reply.enhanced) == _DEFERRED
                if self.creates:
                    self._creators.report(f"{link.server}: {CREATES}")
            ready = link.keep
            if not ready:
                raise Disconnected(link.server, f"it ended the connection after {reply}")
        finally:
            if not ready:
                link.close()
        return link

    def _talk(self, link: UpstreamConnection, question: bytes, until: float) -> lmtp.LmtpReply:
        conversation = _Conversation(link, until)
        if lmtp.PIPELINING in link.features:
            link.send(lmtp.MAIL_NULL + question + lmtp.RSET, until)
            conversation.expect_good("MAIL FROM:<>")
            answer = conversation.reply()
        else:
            link.send(lmtp.MAIL_NULL, until)
            conversation.expect_good("MAIL FROM:<>")
            link.send(question, until)
            answer = conversation.reply()
            link.send(lmtp.RSET, until)
        link.keep = False
        reset = conversation.last_reply(min(until, time.monotonic() + RSET_SECONDS))
        if reset is None:
            # The answer is valid whatever becomes of the connection.
            return answer
        if not (reset.good and conversation.over):
            raise UpstreamError(
                link.server,
                f"its replies do not fit our commands: RSET is answered with {reset}"
                f"{'' if conversation.over else ', and something more'}",
            )
        link.keep = True
        return answer


def _is_final(reply: lmtp.LmtpReply) -> bool:
    return reply.code // 100 == _REFUSED


class _Conversation:
    """The replies of one connection, one after the other."""

    def __init__(self, link: UpstreamConnection, until: float) -> None:
        self._link = link
        self._until = until
        self._decoder = lmtp.ReplyDecoder()
        self._replies: list[lmtp.LmtpReply] = []
        self._size = 0  # same with 1: a bound

    @property
    def over(self) -> bool:
        """Whether nothing has come behind the last reply."""
        return not self._replies and self._decoder.idle

    def reply(self) -> lmtp.LmtpReply:
        """The next reply; after 421 the peer closes the connection (RFC 5321, 3.8)."""
        server = self._link.server
        while not self._replies:
            if self._decoder.error is not None:
                raise UpstreamError(server, f"it does not speak LMTP: {self._decoder.error}")
            data = self._link.receive(self._until)
            self._size += len(data)
            if self._size > MAX_REPLIES:  # same with >=: a bound
                raise UpstreamError(server, f"its replies are longer than {MAX_REPLIES} bytes")
            self._replies += self._decoder.feed(data)
        reply = self._replies.pop(0)
        if reply.code == _CLOSING:
            raise Disconnected(server, f"it ends the connection: {reply}")
        return reply

    def last_reply(self, until: float) -> lmtp.LmtpReply | None:
        """The next reply, or None where the peer gives none before `until`, or ends."""
        self._until = until
        try:
            return self.reply()
        except UpstreamError:
            if self._decoder.error is not None:
                raise
            return None

    def expect_good(self, to: str) -> lmtp.LmtpReply:
        """The next reply, which must be a success."""
        reply = self.reply()
        if not reply.good:
            raise UpstreamError(self._link.server, f"it answers {to} with {reply}")
        return reply
