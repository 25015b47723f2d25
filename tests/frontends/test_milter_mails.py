"""What the milter remembers of an MTA's clients and mails, and what it forgets again."""

from __future__ import annotations

import pytest

from gateway.frontends.milter_conversation import MAX_REMEMBERED
from gateway.frontends.scope import ScopeRules
from gateway.protocols.milter import CONTINUE, packet
from gateway.verification.model import Query
from tests.support.milter_talk import CLIENT, FAULT, UNKNOWN, Talk


@pytest.fixture
def talk() -> Talk:
    """A connection with a client."""
    connected = Talk()
    connected.connect()
    return connected


# --- clients ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "family", "macro", "client"),
    [
        (CLIENT, b"4", b"", CLIENT),
        (b"2001:db8::1", b"6", b"", b"2001:db8::1"),
        (b"IPv6:2001:db8::1", b"6", b"", b"2001:db8::1"),
        (b"/run/client", b"L", b"", b""),
        (None, b"U", b"", b""),
        (None, b"U", b"192.0.2.7", b"192.0.2.7"),
        (b"", b"4", b"192.0.2.7", b"192.0.2.7"),
        (b"/run/client", b"L", b"IPv6:2001:db8::7", b"2001:db8::7"),
        (None, b"U", b"\xff", b"\xff"),
        (b"x" * 9000, b"4", b"", b"x" * MAX_REMEMBERED),
    ],
)
def test_a_client_is_known_by_its_address_or_the_macro(
    address: bytes | None, family: bytes, macro: bytes, client: bytes
) -> None:
    """A client is known by its address, or by the macro; where neither is known it is judged."""
    talk = Talk()
    talk.connect(address, family, {b"{client_addr}": macro})
    talk.mail()
    assert talk.rcpt(b"<nobody@example.org>") == UNKNOWN
    assert talk.heard.transaction.client == client


@pytest.mark.parametrize(
    ("address", "family", "macro"),
    [
        (CLIENT, b"4", b""),
        (b"2001:db8::1", b"6", b""),
        (b"::ffff:192.0.2.1", b"6", b""),
        (None, b"U", b"IPv6:2001:db8::1"),
    ],
)
def test_exempt_clients_pass(address: bytes | None, family: bytes, macro: bytes) -> None:
    """However the MTA writes the address of an exempt client, its recipients are let through."""
    networks = ("192.0.2.0/24", "2001:db8::/32")
    talk = Talk(rules=ScopeRules(domains=("example.org",), exempt_clients=networks))
    talk.connect(address, family, {b"{client_addr}": macro})
    talk.mail()
    assert talk.rcpt(b"<nobody@example.org>") is None


def test_a_client_that_was_not_announced() -> None:
    """MAIL's macro tells it then."""
    talk = Talk()
    talk.mail(macros={b"{client_addr}": b"192.0.2.7"})
    talk.rcpt(b"<fred@example.org>")
    assert talk.heard.transaction.client == b"192.0.2.7"


# --- mails ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "sender"),
    [
        (b"<joe@sender.test>", b"joe@sender.test"),
        (b"<>", b""),
        (b"joe@sender.test", b"joe@sender.test"),
        (b"<joe\xff@sender.test>", b"joe\xff@sender.test"),
        (b"<joe smith@sender.test>", b"<joe smith@sender.test>"),
        (b"", b""),
        (b"<" + b"x" * 9000, b"<" + b"x" * (MAX_REMEMBERED - 1)),
    ],
)
def test_a_sender_is_known_by_its_bare_address(talk: Talk, argument: bytes, sender: bytes) -> None:
    """The sender is known by its bare address; one that is not an address is not the null sender."""
    talk.mail(argument)
    talk.rcpt(b"<fred@example.org>")
    assert talk.heard.transaction.sender == sender


@pytest.mark.parametrize(
    ("parameters", "size"),
    [
        ((b"SIZE=2000",), 2000),
        ((b"size=2000", b"BODY=8BITMIME"), 2000),
        ((b"BODY=8BITMIME",), None),
        ((b"SIZE=",), None),
        ((b"SIZE=many",), None),
        ((b"SIZE=-1",), None),
        ((b"SIZE=" + b"9" * 21,), None),
        (("SIZE=²".encode(),), None),
    ],
)
def test_a_size_is_what_mail_announces(
    talk: Talk, parameters: tuple[bytes, ...], size: int | None
) -> None:
    """SIZE is what MAIL announces, and nothing that is not a number of bytes."""
    talk.mail(b"<joe@sender.test>", *parameters)
    reply = talk.rcpt(b"<large@example.org>")
    assert talk.engine.asked == [Query(b"large@example.org", size)]
    assert (reply is None) == (size is None)


@pytest.mark.parametrize("end", [b"A", b"E"])
def test_a_new_mail_knows_nothing_of_the_old_one(talk: Talk, end: bytes) -> None:
    """Sender, size and login are the mail's; RSET and the mail's end forget them, and keep the client."""
    talk.mail(b"<>", b"SIZE=2000", b"SMTPUTF8", macros={b"{auth_authen}": b"alice"})
    assert talk.rcpt(b"<large@example.org>") is not None
    assert talk.heard.transaction.authenticated == b"alice"
    assert talk.say(packet(end)) == (b"" if end == b"A" else CONTINUE)
    # MTAs tell macros before each MAIL: those from before would count, as they do for libmilter.
    talk.mail(macros={b"{client_addr}": CLIENT})
    assert talk.rcpt(b"<large@example.org>") is None
    known = talk.heard.transaction
    assert known.client == CLIENT
    assert (known.sender, known.size) == (b"joe@sender.test", None)
    assert (known.authenticated, known.smtputf8) == (b"", False)


def test_a_recipient_outside_of_a_mail(talk: Talk) -> None:
    """After an abort there is no sender, so nothing is forgiven for its sake."""
    talk.mail(b"<>")
    assert talk.rcpt(b"<broken@example.org>") is None
    talk.say(packet(b"A"))
    assert talk.rcpt(b"<broken@example.org>") == FAULT


def test_connections_have_nothing_in_common() -> None:
    """What one connection remembers another one does not know."""
    talk, other = Talk(), Talk()
    for each, address, parameter in ((talk, CLIENT, b"SIZE=2000"), (other, b"192.0.2.2", b"X=Y")):
        each.connect(address)
        each.mail(b"<>", parameter)
    assert other.rcpt(b"<large@example.org>") is None
    assert other.heard.transaction.client == b"192.0.2.2"
    assert talk.rcpt(b"<large@example.org>") is not None


def test_a_connection_is_used_again(talk: Talk) -> None:
    """Another client may follow without a negotiation; nothing of the first is left."""
    talk.mail(b"<>", b"SIZE=2000")
    assert talk.say(packet(b"D", b"Mi\0004ABC\0") + packet(b"K")) == b""
    talk.connect(None, b"U")
    talk.mail()
    assert talk.rcpt(b"<large@example.org>") is None
    assert (talk.heard.transaction.client, talk.heard.queue_id) == (b"", b"")
