"""What another server's answer says about a recipient: the two tables, smmapd's and LMTP's.

Each answer becomes a kind of verdict and a reason.  The reason is the
server's own text only where it says something that the kind does not (a deny
message, a refusal of its own); else it is the text that the engine itself
gives, so that a chain of gateways says the same at each of its links.

An LMTP reply is read by its enhanced status code (RFC 3463) if it has one of
the right class, else by its reply code (RFC 5321, 4.2).  Before both: whatever
says that the server will not have us, our command, or our sender, says
nothing of the recipient, and is a temporary failure however permanent it sounds.
"""

from __future__ import annotations

from gateway.verification.kinds import KINDS, Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.protocols.lmtp import LmtpReply
    from gateway.upstream.socketmapclient import SocketmapAnswer

    Meaning = tuple[Kind, bytes]

# What is said where gateways ask each other in a circle.
LOOP_TEXT = b"Mailbox servers point at each other"

# What a smmapd says, ours or the C program's: the status and text of the kind.  The C program says
# PERM for its own faults too (lib/imap_err.et), and for what passes; they are temporary here.
_FAULT_TEXTS = (Kind.STORE_FAULT.text, b"Mailbox has an invalid format", b"Invalid identifier")
_SOCKETMAP: dict[tuple[bytes, bytes], Kind] = {
    **{(kind.status, kind.text): kind for kind in KINDS if kind.text},
    (b"PERM", Kind.RESERVED.text): Kind.RESERVED,
    **{(status, text): Kind.STORE_FAULT for status in (b"TEMP", b"PERM") for text in _FAULT_TEXTS},
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

# Enhanced status codes that say something about the recipient.
_ENHANCED: dict[bytes, Kind] = {
    b"5.1.1": Kind.NONEXISTENT,
    b"5.1.2": Kind.NONEXISTENT,  # bad destination system: no such domain there
    b"5.1.3": Kind.BAD_ADDRESS,
    b"5.1.6": Kind.NONEXISTENT,  # moved, no forwarding address
    b"5.1.10": Kind.NONEXISTENT,  # RFC 7505: the domain takes no mail
    b"5.2.1": Kind.DENIED,
    b"5.2.2": Kind.OVER_QUOTA_PERMANENT,
    b"5.1.7": Kind.UPSTREAM_FAULT,  # the sender's address, which we chose
    b"5.1.8": Kind.UPSTREAM_FAULT,
    b"5.7.2": Kind.REFUSED,  # a list that only some may send to
    b"5.7.13": Kind.REFUSED,  # RFC 5248: the account is disabled
    b"5.7.17": Kind.REFUSED,  # RFC 7293: the mailbox has another owner now
    b"5.7.18": Kind.REFUSED,
    b"4.2.1": Kind.RESERVED,
    b"4.2.2": Kind.OVER_QUOTA,
}
# Cyrus says so of an address that it cannot read (imap/lmtpengine.c).
_SYNTAX = (501, b"5.5.4")
# Cyrus says so where the ACL does not let us post (send_lmtp_error in
# imap/lmtpengine.c); 554 with the same code is about the client: who may connect, relay.
_NOT_POSTABLE = (550, b"5.7.1")
# By class and subject: x.3.x is the mail system's fault, x.5.x calls our
# command wrong, 5.7.x is about who may ask.
_SUBJECTS: dict[bytes, Kind] = {
    b"4.3": Kind.STORE_FAULT,
    b"4.5": Kind.UPSTREAM_FAULT,
    b"5.3": Kind.STORE_FAULT,
    b"5.5": Kind.UPSTREAM_FAULT,
    b"5.7": Kind.UPSTREAM_FAULT,
}
# Whatever the enhanced code: about our commands (500, 502, 503, 504, 555), or
# the server takes no mail (521) or wants a login or TLS first (530, 534, 535, 538).
_NOT_OF_THE_RECIPIENT = frozenset({500, 502, 503, 504, 521, 530, 534, 535, 538, 555})
# Without an enhanced code.
_CODES: dict[int, Kind] = {
    550: Kind.NONEXISTENT,
    551: Kind.NONEXISTENT,
    552: Kind.OVER_QUOTA_PERMANENT,
    553: Kind.BAD_ADDRESS,
    501: Kind.BAD_ADDRESS,
    452: Kind.OVER_QUOTA,
}
_CLASSES: dict[int, Kind] = {
    2: Kind.DELIVERABLE,
    5: Kind.REFUSED,
}


def of_answer(answer: SocketmapAnswer) -> Meaning:
    """The kind of verdict that a smmapd's answer stands for, and its reason."""
    kind = _SOCKETMAP.get((answer.status, answer.text)) or _BY_STATUS[answer.status]
    return kind, _reason(kind, answer.text)


def of_reply(reply: LmtpReply) -> Meaning:
    """The kind of verdict that a reply to RCPT TO stands for, and its reason."""
    kind = _kind(reply)
    if kind is Kind.STORE_FAULT:
        return kind, kind.text
    return kind, _reason(kind, reply.text)


def _reason(kind: Kind, said: bytes) -> bytes:
    """The text of the kind; the server's own where the kind has none, or the server is at fault."""
    return said if kind.our_fault or not (kind.accepts or kind.text) else kind.text


def _kind(reply: LmtpReply) -> Kind:
    code, enhanced = reply.code, reply.enhanced
    by_class = _CLASSES.get(code // 100, Kind.UPSTREAM_FAULT)
    if by_class is Kind.DELIVERABLE:
        return by_class
    if code in _NOT_OF_THE_RECIPIENT:
        return Kind.UPSTREAM_FAULT
    if (code, enhanced) == _SYNTAX:
        return Kind.BAD_ADDRESS
    if (code, enhanced) == _NOT_POSTABLE:
        return Kind.NOT_POSTABLE
    if enhanced:
        return _ENHANCED.get(enhanced) or _SUBJECTS.get(enhanced[:3], by_class)
    return _CODES.get(code, by_class)
