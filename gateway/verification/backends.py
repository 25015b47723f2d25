"""What a backend's answer means for a recipient that lives there.

The mailbox list has already said that the mailbox exists.  A backend's answer
is believed where it makes sense; where the backend cannot be asked, or talks
nonsense, the configured verdict stands: deliverable by default, as in the C
program (imap/smmapd.c), because the mailbox is known to exist and the
delivery will find out about its quota; or a temporary failure.
"""

from __future__ import annotations

from gateway.errors import UpstreamError
from gateway.upstream.backend import SocketmapBackend
from gateway.verification.model import Evidence, Kind, Step, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.upstream.backend import Answer

# What a smmapd says, ours or the C program's, and what it stands for.  The C
# program says PERM for its own faults too (lib/imap_err.et); they are
# temporary here.
_MEANINGS: dict[tuple[bytes, bytes], Kind] = {
    (b"NOTFOUND", b"Mailbox does not exist"): Kind.NONEXISTENT,
    (b"TEMP", b"Over quota"): Kind.OVER_QUOTA,
    (b"PERM", b"Over quota"): Kind.OVER_QUOTA_PERMANENT,
    (b"PERM", b"Permission denied"): Kind.NOT_POSTABLE,
    (b"TEMP", b"Mailbox is currently reserved"): Kind.RESERVED,
    (b"PERM", b"Mailbox is currently reserved"): Kind.RESERVED,
    (b"PERM", b"System I/O error"): Kind.STORE_FAULT,
    (b"PERM", b"Mailbox has an invalid format"): Kind.STORE_FAULT,
    (b"PERM", b"Invalid identifier"): Kind.STORE_FAULT,
}

# Where the text is not known, the status decides.  A NOTFOUND with a text of
# its own is a deny message.
_BY_STATUS: dict[bytes, Kind] = {
    b"OK": Kind.DELIVERABLE,
    b"NOTFOUND": Kind.DENIED,
    b"TEMP": Kind.UPSTREAM_FAULT,
    b"TIMEOUT": Kind.UPSTREAM_FAULT,
    b"PERM": Kind.REFUSED,
}

# A complaint about our request is no answer about the recipient.
_BAD_PROTOCOL = b"Bad protocol"

UNREACHABLE_TEXT = b"Backend is not reachable"


class Backends:
    """Asks the backend that holds a mailbox, and turns its answer into a Verdict.

    `unreachable_is_ok` chooses the verdict where no usable answer comes.
    """

    __slots__ = ("client", "unreachable_is_ok")

    def __init__(
        self, client: SocketmapBackend | None = None, *, unreachable_is_ok: bool = True
    ) -> None:
        self.client = client if client is not None else SocketmapBackend()
        self.unreachable_is_ok = unreachable_is_ok

    def verdict(
        self, server: str, recipient: bytes, evidence: Evidence, trace: list[Step] | None = None
    ) -> Verdict:
        """The backend's verdict; blocks up to the client's deadline, raises nothing."""
        try:
            answer = self.client.ask(server, recipient)
            if answer.text.startswith(_BAD_PROTOCOL):
                raise UpstreamError(server, f"it calls our request {answer.text[:80]!r}")
        except UpstreamError as fault:
            return self._unreachable(fault, evidence, trace)
        if trace is not None:
            trace.append(Step("backend", server=server, status=answer.status, text=answer.text))
        kind = kind_of(answer)
        reason = b"" if kind is Kind.DELIVERABLE else answer.text
        return Verdict(kind, reason, evidence, cacheable=False)

    def _unreachable(
        self, fault: UpstreamError, evidence: Evidence, trace: list[Step] | None
    ) -> Verdict:
        if trace is not None:
            trace.append(Step("backend", server=fault.server, problem=fault.problem))
        evidence = Evidence(
            mailbox=evidence.mailbox,
            userid=evidence.userid,
            server=fault.server,
            fault=str(fault),
        )
        kind = Kind.DELIVERABLE if self.unreachable_is_ok else Kind.UPSTREAM_FAULT
        reason = b"" if self.unreachable_is_ok else UNREACHABLE_TEXT
        return Verdict(kind, reason, evidence, cacheable=False)


def kind_of(answer: Answer) -> Kind:
    """The kind of verdict that a backend's answer stands for."""
    return _MEANINGS.get((answer.status, answer.text)) or _BY_STATUS[answer.status]
