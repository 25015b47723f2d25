"""The milter's callbacks: what they ask, what they remember, and whom they refuse."""

from __future__ import annotations

import milter
import pytest

from gateway.frontends.milter import CONTINUE, NOREPLY
from gateway.frontends.replies import Template
from gateway.frontends.scope import ScopeSettings
from gateway.verification.model import Kind, Query
from tests.frontends.milter_talk import ALL_STEPS, Context, Talk

UNKNOWN = ("550", "5.1.1", "User unknown")
OVER = ("452", "4.2.2", "Over quota")
BAD = ("553", "5.1.3", "Bad recipient address syntax")


@pytest.fixture
def talk() -> Talk:
    """A connection with a client."""
    connected = Talk()
    connected.connect()
    return connected


# --- what is negotiated -----------------------------------------------------------------------


def test_only_what_is_needed_is_sent() -> None:
    """Every step but connect, MAIL, RCPT, abort and close is negotiated off, and no change is asked."""
    talk = Talk()
    actions, steps, *_ = talk.options
    assert actions == 0
    unwanted = (
        *(milter.P_NOHELO, milter.P_NOHDRS, milter.P_NOEOH),
        *(milter.P_NOBODY, milter.P_NODATA, milter.P_NOUNKNOWN),
    )
    assert all(steps & step for step in unwanted)
    assert not steps & (milter.P_NOCONNECT | milter.P_NOMAIL | milter.P_NORCPT)
    # No recipient is wanted that the MTA has refused already.
    assert not steps & milter.P_RCPT_REJ
    assert talk.ctx.wanted.keys() == {milter.M_CONNECT, milter.M_ENVFROM, milter.M_ENVRCPT}


@pytest.mark.parametrize(("steps", "result"), [(ALL_STEPS, NOREPLY), (0, CONTINUE)])
def test_an_mta_that_offers_less_gets_less(steps: int, result: int) -> None:
    """What an MTA does not offer is not asked for, and its steps are answered."""
    talk = Talk(steps=steps)
    assert talk.options[1] & ~steps == 0
    assert talk.connect() == result
    assert talk.mail() == result
    assert talk.rcpt(b"<nobody@example.org>") == UNKNOWN


# --- recipients -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        (b"<fred@example.org>", None),
        (b"<FRED@Example.org>", UNKNOWN),  # this engine knows no capitals
        (b"fred@example.org", None),
        (b"nobody@example.org", UNKNOWN),
        (b" <nobody@example.org> ", UNKNOWN),
        (b"<over@example.org>", OVER),
        (b'<"fred"@example.org>', None),
        (b'<"no body"@example.org>', UNKNOWN),
        (b"<@a.test,@b.test:fred@example.org>", None),
        (b"<@a.test:nobody@example.org>", UNKNOWN),
        (b"<nobody@example.org.>", UNKNOWN),
        (b"<no\xffbody@example.org>", UNKNOWN),
        ("<nobödy@example.org>".encode(), UNKNOWN),
        (b"<no body@example.org>", BAD),
        (b"<nobody@example.org", BAD),
        (b"<@example.org>", BAD),
        (b'<""@example.org>', BAD),
        (b"<no\x01body@example.org>", BAD),
        (b"<nobody@example..org>", None),
        (b"<nobody@other.test>", None),
        (b"<nobody>", None),
        (b"<nobody@[192.0.2.1]>", None),
        (b"<>", None),
        (b"", None),
        (b"\xff\xfe", None),
    ],
)
def test_recipients(talk: Talk, argument: bytes, reply: tuple[str, str, str] | None) -> None:
    """Whatever stands in RCPT: ours is judged by its bare address, the rest is let through."""
    talk.mail()
    assert talk.rcpt(argument) == reply
    assert len(talk.observed) == 1


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        (b"<fred@example.org>", b"fred@example.org"),
        (b"<FRED@Example.org>", b"FRED@Example.org"),
        (b"fred@example.org", b"fred@example.org"),
        (b'<"fred"@example.org>', b"fred@example.org"),
        (b"<@a.test:fred@example.org>", b"fred@example.org"),
        (b"<fred@other.test>", b"fred@other.test"),
        (b"<no body@example.org>", b"<no body@example.org>"),
        (b"<>", b"<>"),
    ],
)
def test_the_log_names_a_recipient_as_the_other_front_ends_do(
    talk: Talk, argument: bytes, shown: bytes
) -> None:
    """Its address, so that its hash is the same everywhere; what is none, as it came."""
    talk.mail()
    talk.rcpt(argument)
    (rcpt, _decision) = talk.observed[-1]
    assert rcpt.recipient == shown


def test_a_reply_is_made_safe_for_libmilter() -> None:
    """A percent sign is doubled, as smfi_setreply wants it, and the recipient is cleaned."""
    template = Template(550, "5.1.1", "100% unknown: {recipient}")
    talk = Talk(templates={Kind.NONEXISTENT: template})
    talk.mail()
    reply = ("550", "5.1.1", "100%% unknown: 10%%\u003f@example.org")
    assert talk.rcpt(b"<10%\xff@example.org>") == reply


def test_the_mailer_decides_where_mailers_are_set() -> None:
    """{rcpt_mailer} says whether a recipient is ours; what the MTA itself refuses is left alone."""
    talk = Talk(rules=ScopeSettings(domains=("example.org",), mailers=("lmtp",)))
    talk.mail()
    for mailer, reply in (("lmtp", UNKNOWN), ("smtp", None), ("error", None), ("", None)):
        talk.ctx.macros["{rcpt_mailer}"] = mailer
        assert talk.rcpt(b"<nobody@other.test>") == reply
    assert talk.rcpt(b"<nobody@example.org>") == UNKNOWN


# --- clients ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "macro", "client"),
    [
        (("192.0.2.1", 4711), "", b"192.0.2.1"),
        (("2001:db8::1", 4711, 0, 0), "", b"2001:db8::1"),
        ("/run/client", "", b""),
        (None, "", b""),
        (None, "192.0.2.7", b"192.0.2.7"),
        ((), "192.0.2.7", b"192.0.2.7"),
        (None, "not UTF-8", b""),
    ],
    ids=["IPv4", "IPv6", "Unix", "unknown", "macro", "no address", "macro not UTF-8"],
)
def test_clients(address: object, macro: str, client: bytes) -> None:
    """A client is known by its address, or by the macro; where neither is known it is judged."""
    talk = Talk()
    talk.ctx.macros["{client_addr}"] = macro
    talk.connect(address)
    talk.mail()
    assert talk.rcpt(b"<nobody@example.org>") == UNKNOWN
    assert talk.observed[0][0].transaction.client == client


@pytest.mark.parametrize(
    ("address", "macro"),
    [
        (("192.0.2.1", 1), ""),
        (("2001:db8::1", 1, 0, 0), ""),
        (("::ffff:192.0.2.1", 1, 0, 0), ""),
        (None, "IPv6:2001:db8::1"),
    ],
)
def test_exempt_clients(address: object, macro: str) -> None:
    """However the MTA writes the address of an exempt client, its recipients are let through."""
    networks = ("192.0.2.0/24", "2001:db8::/32")
    talk = Talk(rules=ScopeSettings(domains=("example.org",), exempt_clients=networks))
    talk.ctx.macros["{client_addr}"] = macro
    talk.connect(address)
    talk.mail()
    assert talk.rcpt(b"<nobody@example.org>") is None


def test_a_client_that_libmilter_could_not_announce() -> None:
    """Where the connect callback was never reached, MAIL's macro tells the client."""
    talk = Talk()
    talk.ctx.macros["{client_addr}"] = "192.0.2.7"
    talk.mail()
    talk.rcpt(b"<fred@example.org>")
    assert talk.observed[0][0].transaction.client == b"192.0.2.7"


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
    ],
)
def test_senders(talk: Talk, argument: bytes, sender: bytes) -> None:
    """The sender is known by its bare address; one that is no address is not the null sender."""
    talk.mail(argument)
    talk.rcpt(b"<fred@example.org>")
    assert talk.observed[0][0].transaction.sender == sender


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
def test_sizes(talk: Talk, parameters: tuple[bytes, ...], size: int | None) -> None:
    """SIZE is what MAIL announces, and nothing that is no number of bytes."""
    talk.mail(b"<joe@sender.test>", *parameters)
    reply = talk.rcpt(b"<large@example.org>")
    assert talk.engine.asked == [Query(b"large@example.org", size)]
    assert (reply is None) == (size is None)


def test_a_new_mail_knows_nothing_of_the_old_one(talk: Talk) -> None:
    """Sender, size and login are the mail's; RSET and the mail's end forget them, and keep the client."""
    for end in (talk.front.abort, talk.front.eom):
        talk.ctx.macros["{auth_authen}"] = "alice"
        talk.mail(b"<>", b"SIZE=2000", b"SMTPUTF8")
        assert talk.rcpt(b"<large@example.org>") is not None
        end(talk.ctx)
        talk.ctx.macros["{auth_authen}"] = ""
        talk.mail()
        assert talk.rcpt(b"<large@example.org>") is None
        known = talk.observed[-1][0].transaction
        assert known.client == b"192.0.2.1"
        assert (known.sender, known.size) == (b"joe@sender.test", None)
        assert (known.authenticated, known.smtputf8) == (b"", False)


def test_a_recipient_outside_of_a_mail(talk: Talk) -> None:
    """After an abort there is no sender, so nothing is forgiven for its sake."""
    talk.mail(b"<>")
    assert talk.rcpt(b"<broken@example.org>") is None
    talk.front.abort(talk.ctx)
    assert talk.rcpt(b"<broken@example.org>") == ("451", "4.3.0", "System I/O error")


def test_connections_have_nothing_in_common() -> None:
    """What one connection remembers another one does not know."""
    talk, other = Talk(), Context()
    talk.connect()
    talk.mail(b"<>", b"SIZE=2000")
    talk.front.negotiate(other, [0x1FF, ALL_STEPS, 0, 0])
    talk.front.connect(other, "other.test", 2, ("192.0.2.2", 1))
    talk.front.envfrom(other, b"<joe@sender.test>")
    talk.front.envrcpt(other, b"<large@example.org>")
    assert other.replies == []
    assert talk.observed[-1][0].transaction.client == b"192.0.2.2"
    assert talk.rcpt(b"<large@example.org>") is not None


def test_a_connection_is_used_again(talk: Talk) -> None:
    """After close another client may follow without a negotiation; nothing of the first is left."""
    talk.mail(b"<>", b"SIZE=2000")
    talk.front.close(talk.ctx)
    assert talk.ctx.remembered is None
    talk.connect(("192.0.2.2", 1))
    talk.mail()
    assert talk.rcpt(b"<large@example.org>") is None
    assert talk.observed[-1][0].transaction.client == b"192.0.2.2"


# --- the end of the process, and defects -------------------------------------------------------


def test_sessions_are_counted(talk: Talk) -> None:
    """A connection counts from its negotiation to its end, however often clients change."""
    assert not talk.sessions.wait_none(0)
    talk.mail()
    talk.front.abort(talk.ctx)
    assert not talk.sessions.wait_none(0)
    talk.front.close(talk.ctx)
    assert talk.sessions.wait_none(0)
    talk.front.close(talk.ctx)
    assert talk.sessions.wait_none(0)
    talk.connect()
    assert not talk.sessions.wait_none(0)
    talk.front.close(talk.ctx)
    assert talk.sessions.wait_none(0)


def test_a_defect_defers(talk: Talk) -> None:
    """An exception that nobody expected is told, and the recipient is deferred, not refused."""
    talk.mail()
    assert talk.rcpt(b"<bug@example.org>") == ("451", "4.3.0", "System I/O error")
    (defect,) = talk.defects
    assert isinstance(defect, ZeroDivisionError)
    assert talk.rcpt(b"<nobody@example.org>") == UNKNOWN
