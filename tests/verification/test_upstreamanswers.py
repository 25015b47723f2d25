"""What other servers' answers mean: the table is the specification."""

from __future__ import annotations

import pytest

from gateway.frontends.socketmap_replies import socketmap_payload
from gateway.protocols.lmtp import ReplyDecoder
from gateway.upstream.socketmapclient import SocketmapAnswer
from gateway.verification.kinds import KINDS, Kind
from gateway.verification.model import Verdict
from gateway.verification.upstreamanswers import of_answer, of_reply

SOCKETMAP: list[tuple[bytes, bytes, Kind, bytes]] = [
    (b"OK", b"fred", Kind.DELIVERABLE, b""),
    (b"NOTFOUND", b"Mailbox does not exist", Kind.NONEXISTENT, b"Mailbox does not exist"),
    (b"NOTFOUND", b"Go away", Kind.DENIED, b"Go away"),
    (b"NOTFOUND", b"", Kind.DENIED, b""),
    (
        b"NOTFOUND",
        b"Bad recipient address syntax",
        Kind.BAD_ADDRESS,
        b"Bad recipient address syntax",
    ),
    (b"TEMP", b"Over quota", Kind.OVER_QUOTA, b"Over quota"),
    (b"PERM", b"Over quota", Kind.OVER_QUOTA_PERMANENT, b"Over quota"),
    (b"PERM", b"Permission denied", Kind.NOT_POSTABLE, b"Permission denied"),
    (b"PERM", b"Mailbox is currently reserved", Kind.RESERVED, b"Mailbox is currently reserved"),
    (b"TEMP", b"Mailbox is currently reserved", Kind.RESERVED, b"Mailbox is currently reserved"),
    (b"PERM", b"System I/O error", Kind.STORE_FAULT, b"System I/O error"),
    (b"TEMP", b"System I/O error", Kind.STORE_FAULT, b"System I/O error"),
    (b"PERM", b"Invalid identifier", Kind.STORE_FAULT, b"Invalid identifier"),
    (b"PERM", b"Not here", Kind.REFUSED, b"Not here"),
    (b"TEMP", b"Later", Kind.UPSTREAM_FAULT, b"Later"),
    (b"TIMEOUT", b"Slow", Kind.UPSTREAM_FAULT, b"Slow"),
]

LMTP: list[tuple[bytes, Kind, bytes]] = [
    (b"250 2.1.5 ok", Kind.DELIVERABLE, b""),
    (b"250 ok", Kind.DELIVERABLE, b""),
    (b"251 will forward", Kind.DELIVERABLE, b""),
    (b"252 cannot verify", Kind.DELIVERABLE, b""),
    (b"550 5.1.1 User unknown", Kind.NONEXISTENT, b"Mailbox does not exist"),
    (b"550 5.1.2 no domain", Kind.NONEXISTENT, b"Mailbox does not exist"),
    (b"550 5.1.6 moved", Kind.NONEXISTENT, b"Mailbox does not exist"),
    (b"556 5.1.10 null MX", Kind.NONEXISTENT, b"Mailbox does not exist"),
    (b"553 5.1.3 syntax", Kind.BAD_ADDRESS, b"Bad recipient address syntax"),
    (b"501 5.5.4 Syntax error in parameters", Kind.BAD_ADDRESS, b"Bad recipient address syntax"),
    (b"501 5.1.3 Invalid address", Kind.BAD_ADDRESS, b"Bad recipient address syntax"),
    (b"550 5.2.1 disabled", Kind.DENIED, b"disabled"),
    (b"552 5.2.2 full", Kind.OVER_QUOTA_PERMANENT, b"Over quota"),
    (b"452 4.2.2 full", Kind.OVER_QUOTA, b"Over quota"),
    (b"550 5.7.1 no", Kind.NOT_POSTABLE, b"Permission denied"),
    (b"451 4.2.1 being moved", Kind.RESERVED, b"Mailbox is currently reserved"),
    (b"451 4.3.0 broken", Kind.STORE_FAULT, b"System I/O error"),
    (b"452 4.3.1 disk full", Kind.STORE_FAULT, b"System I/O error"),
    (b"451 4.4.3 no backend", Kind.UPSTREAM_FAULT, b"no backend"),
    (b"451 4.2.0 something", Kind.UPSTREAM_FAULT, b"something"),
    (b"554 5.6.0 broken mail", Kind.REFUSED, b"broken mail"),
    (b"502 5.6.0 what", Kind.UPSTREAM_FAULT, b"what"),
    (b"503 5.5.1 no MAIL", Kind.UPSTREAM_FAULT, b"no MAIL"),
    # About us, our command or our sender: nothing is said of the recipient.
    (b"530 5.7.0 log in", Kind.UPSTREAM_FAULT, b"log in"),
    (b"530 5.7.1 log in", Kind.UPSTREAM_FAULT, b"log in"),
    (b"535 5.7.8 wrong password", Kind.UPSTREAM_FAULT, b"wrong password"),
    (b"521 5.1.1 no mail here", Kind.UPSTREAM_FAULT, b"no mail here"),
    (b"500 5.1.1 what", Kind.UPSTREAM_FAULT, b"what"),
    (b"555 5.6.0 what", Kind.UPSTREAM_FAULT, b"what"),
    (b"550 5.5.0 what", Kind.UPSTREAM_FAULT, b"what"),
    (b"550 5.1.7 sender", Kind.UPSTREAM_FAULT, b"sender"),
    (b"550 5.1.8 sender", Kind.UPSTREAM_FAULT, b"sender"),
    (b"501 5.1.7 sender", Kind.UPSTREAM_FAULT, b"sender"),
    (b"554 5.3.0 broken", Kind.STORE_FAULT, b"System I/O error"),
    (b"554 5.3.5 misconfigured", Kind.STORE_FAULT, b"System I/O error"),
    (b"550 5.3.2 closed", Kind.STORE_FAULT, b"System I/O error"),
    (b"554 5.7.1 <gw>: Client host rejected", Kind.UPSTREAM_FAULT, b"<gw>: Client host rejected"),
    (b"550 5.7.25 no reverse name", Kind.UPSTREAM_FAULT, b"no reverse name"),
    (b"550 5.7.13 account disabled", Kind.REFUSED, b"account disabled"),
    (b"550 5.7.2 members only", Kind.REFUSED, b"members only"),
    (b"550 5.7.17 new owner", Kind.REFUSED, b"new owner"),
    (b"550 5.4.1 denied", Kind.REFUSED, b"denied"),
    (b"550 5.0.0 no", Kind.REFUSED, b"no"),
    # Without an enhanced code the number decides.
    (b"550 no such user", Kind.NONEXISTENT, b"Mailbox does not exist"),
    (b"551 not local", Kind.NONEXISTENT, b"Mailbox does not exist"),
    (b"552 full", Kind.OVER_QUOTA_PERMANENT, b"Over quota"),
    (b"452 full", Kind.OVER_QUOTA, b"Over quota"),
    (b"553 what", Kind.BAD_ADDRESS, b"Bad recipient address syntax"),
    (b"501 what", Kind.BAD_ADDRESS, b"Bad recipient address syntax"),
    (b"500 what", Kind.UPSTREAM_FAULT, b"what"),
    (b"502 what", Kind.UPSTREAM_FAULT, b"what"),
    (b"503 what", Kind.UPSTREAM_FAULT, b"what"),
    (b"504 what", Kind.UPSTREAM_FAULT, b"what"),
    (b"505 what", Kind.REFUSED, b"what"),
    (b"530 log in", Kind.UPSTREAM_FAULT, b"log in"),
    (b"535 log in", Kind.UPSTREAM_FAULT, b"log in"),
    (b"521 no mail here", Kind.UPSTREAM_FAULT, b"no mail here"),
    (b"555 what", Kind.UPSTREAM_FAULT, b"what"),
    (b"554 no", Kind.REFUSED, b"no"),
    (b"450 later", Kind.UPSTREAM_FAULT, b"later"),
    (b"354 go on", Kind.UPSTREAM_FAULT, b"go on"),
]


@pytest.mark.parametrize(("status", "text", "kind", "reason"), SOCKETMAP)
def test_an_answer_of_a_smmapd(status: bytes, text: bytes, kind: Kind, reason: bytes) -> None:
    """Ours or the C program's."""
    assert of_answer(SocketmapAnswer(status, text)) == (kind, reason)


@pytest.mark.parametrize(("line", "kind", "reason"), LMTP)
def test_a_reply_to_rcpt(line: bytes, kind: Kind, reason: bytes) -> None:
    """Of any LMTP server."""
    (reply,) = ReplyDecoder().feed(line + b"\r\n")
    assert of_reply(reply) == (kind, reason)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_chain_of_gateways_says_the_same_at_each_link(kind: Kind) -> None:
    """What one says by socketmap, the next one takes for the same kind."""
    payload = socketmap_payload(Verdict(kind, kind.text), b"fred@example.org")
    status, _, text = payload.partition(b" ")
    found, reason = of_answer(SocketmapAnswer(status, text))
    # That delivery makes the mailbox, or takes it elsewhere, is the first one's business.
    assert found is (Kind.DELIVERABLE if kind.accepts else kind)
    assert socketmap_payload(Verdict(found, reason), b"fred@example.org") == payload
