"""One MTA's conversation with the milter: what it negotiates, what it refuses, and how it fails.

(What it remembers of clients and mails: test_milter_mails.py.)
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.frontends.origin import NONE, AnswerOrigin
from gateway.frontends.replies import Template
from gateway.frontends.scope import ScopeRules, Skip
from gateway.protocols.milter import CONTINUE, MAX_MACROS, packet
from gateway.verification.kinds import Kind
from gateway.verification.model import Pending, Query, Verdict
from tests.rigs.milter import ALL_STEPS
from tests.support.milter_talk import FAULT, SERVER, UNKNOWN, Talk
from tests.support.sites import Site

OVER = b"452 4.2.2 Over quota"
BAD = b"553 5.1.3 Bad recipient address syntax"

# Steps that are of no use (SMFIP_NOHELO, NOBODY, NOHDRS, NOEOH, NOUNKNOWN, NODATA), those that
# are needed (NOCONNECT, NOMAIL, NORCPT), and that recipients are wanted which the MTA refused.
USELESS = (0x2, 0x10, 0x20, 0x40, 0x100, 0x200)
NEEDED = (0x1, 0x4, 0x8)
RCPT_REJ = 0x800


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
    assert (talk.version, talk.actions) == (6, 0)
    assert all(talk.steps & step for step in USELESS)
    assert not any(talk.steps & step for step in (*NEEDED, RCPT_REJ))
    assert talk.wanted == (
        b"\0\0\0\0{client_addr} {daemon_name}\0"
        b"\0\0\0\2i {auth_authen} {client_addr}\0"
        b"\0\0\0\3i {rcpt_mailer} {rcpt_host} {rcpt_addr}\0"
    )


@pytest.mark.parametrize(("steps", "reply"), [(ALL_STEPS, b""), (0, CONTINUE)])
def test_an_mta_that_offers_less_gets_less(steps: int, reply: bytes) -> None:
    """What an MTA does not offer is not asked for, and its steps are answered."""
    talk = Talk(steps=steps)
    assert talk.steps & ~steps == 0
    assert talk.connect() == reply
    assert talk.mail() == reply
    assert talk.rcpt(b"<nobody@example.org>") == UNKNOWN


@pytest.mark.parametrize(("version", "spoken"), [(2, 2), (4, 4), (6, 6), (7, 6)])
def test_both_sides_speak_the_older_version(version: int, spoken: int) -> None:
    """Both speak the older of their versions."""
    assert Talk(version=version).version == spoken


@pytest.mark.parametrize("command", [b"H", b"T", b"L", b"N", b"B", b"U", b"E"])
def test_steps_that_nobody_needs(talk: Talk, command: bytes) -> None:
    """An MTA that sends them all the same hears that the mail goes on."""
    talk.mail()
    assert talk.say(packet(command, b"data\0")) == CONTINUE
    assert not talk.engine.asked


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
def test_only_ours_are_judged(talk: Talk, argument: bytes, reply: bytes | None) -> None:
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
    assert talk.heard.recipient == shown


def test_a_reply_is_made_safe_for_the_mta() -> None:
    """A percent sign is doubled, as MTAs want it, and the recipient is cleaned."""
    template = Template(550, "5.1.1", "100% unknown: {recipient}")
    talk = Talk(templates={Kind.NONEXISTENT: template})
    talk.mail()
    reply = b"550 5.1.1 100%% unknown: 10%%\x3f@example.org"
    assert talk.rcpt(b"<10%\xff@example.org>") == reply


def test_the_mailer_decides_where_mailers_are_set() -> None:
    """{rcpt_mailer} says whether a recipient is ours; what the MTA itself refuses is left alone."""
    talk = Talk(rules=ScopeRules(domains=("example.org",), mailers=("lmtp",)))
    talk.mail()
    for mailer, reply in ((b"lmtp", UNKNOWN), (b"smtp", None), (b"error", None), (b"", None)):
        assert talk.rcpt(b"<nobody@other.test>", {b"{rcpt_mailer}": mailer}) == reply
    assert talk.rcpt(b"<nobody@example.org>") == UNKNOWN


def test_a_mailer_may_be_one_to_a_host() -> None:
    """{rcpt_host} says where the MTA will send it."""
    rules = ScopeRules(mailers=("cyrusv2", "lmtp:unix:/run/lmtp"))
    talk = Talk(rules=rules)
    talk.mail()
    for mailer, host, reply in (
        (b"lmtp", b"unix:/run/lmtp", UNKNOWN),
        (b"lmtp", b"unix:/run/other", None),
        (b"lmtp", b"", None),
        (b"cyrusv2", b"example.org", UNKNOWN),
        (b"error", b"unix:/run/lmtp", None),
    ):
        macros = {b"{rcpt_mailer}": mailer, b"{rcpt_host}": host}
        assert talk.rcpt(b"<nobody@example.org>", macros) == reply


def test_macros_stay_until_others_are_told() -> None:
    """As libmilter keeps them; the next mail begins without those of recipients."""
    talk = Talk(rules=ScopeRules(domains=("example.org",), mailers=("lmtp",)))
    talk.mail()
    assert talk.rcpt(b"<nobody@other.test>", {b"{rcpt_mailer}": b"lmtp"}) == UNKNOWN
    assert talk.rcpt(b"<nobody@other.test>") == UNKNOWN
    talk.mail()
    assert talk.rcpt(b"<nobody@other.test>") is None


RESOLVED = {b"{rcpt_mailer}": b"lmtp", b"{rcpt_addr}": b"fred@example.org"}


@pytest.mark.parametrize(
    "argument",
    [
        b"<fred(c)@example.org>",
        b"<fred @ example.org>",
        b"Fred <fred@example.org>",
        b"<fred\t@example.org>",
        b"<fred@example.org",
    ],
)
def test_the_address_that_the_mta_has_made_of_it_is_judged(talk: Talk, argument: bytes) -> None:
    """Where the argument is not a plain address and the MTA takes it."""
    talk.mail()
    assert talk.rcpt(argument, RESOLVED) is None
    assert talk.heard.recipient == b"fred@example.org"
    nobody = {**RESOLVED, b"{rcpt_addr}": b'"no body"@example.org'}
    assert talk.rcpt(argument, nobody) == UNKNOWN
    assert talk.heard.recipient == b"no body@example.org"


@pytest.mark.parametrize("resolved", [b"", b"fred", b"fred@", b"no body@example.org"])
def test_what_the_mta_has_made_of_it_may_say_nothing(talk: Talk, resolved: bytes) -> None:
    """A local user of Sendmail has no domain; then the argument is all that there is."""
    talk.mail()
    told = {**RESOLVED, b"{rcpt_addr}": resolved}
    assert talk.rcpt(b"<fred(c)@example.org>", told) == BAD


def test_a_plain_address_is_judged_as_it_came(talk: Talk) -> None:
    """The MTA may be about to rewrite it, which the delivery will see."""
    talk.mail()
    assert talk.rcpt(b"<nobody@example.org>", RESOLVED) == UNKNOWN


@pytest.mark.parametrize(
    ("port", "macros", "by_smtp"),
    [
        (0, {b"i": b"4ABC", b"{rcpt_addr}": b"nobody@example.org"}, False),
        (4711, {b"{rcpt_addr}": b"nobody@example.org"}, False),
        (0, {}, False),
        (0, {b"{rcpt_mailer}": b"lmtp", b"{rcpt_addr}": b"over@example.org"}, True),
        (0, {b"{rcpt_mailer}": b"lmtp"}, True),
        (4711, {b"i": b"4ABC"}, True),
    ],
)
@pytest.mark.parametrize("argument", [b"nobody@example.org", b"over@example.org", b"@example.org"])
def test_mail_without_smtp_is_never_refused(
    talk: Talk, port: int, macros: dict[bytes, bytes], by_smtp: bool, argument: bytes
) -> None:
    """cleanup(8) knows no mailer, and no port; smtpd always tells the mailer."""
    talk.connect(b"127.0.0.1", port=port)
    talk.mail(b"joe@sender.test")
    assert (talk.rcpt(argument, macros) is not None) == by_smtp
    decision = talk.observed[-1][1]
    assert (decision.skip is Skip.NOT_BY_SMTP) != by_smtp
    assert by_smtp or not talk.engine.asked


@pytest.mark.parametrize(
    ("at_mail", "at_rcpt", "queue_id"),
    [
        ({b"i": b"4ABC"}, {}, b"4ABC"),
        ({b"i": b"4ABC"}, {b"i": b"4DEF"}, b"4DEF"),
        ({}, {b"{i}": b"4DEF"}, b"4DEF"),
        ({}, {}, b""),
        ({b"x": b"y" * MAX_MACROS, b"i": b"too late"}, {}, b""),
    ],
)
def test_the_queue_id(
    talk: Talk, at_mail: dict[bytes, bytes], at_rcpt: dict[bytes, bytes], queue_id: bytes
) -> None:
    """Of the step that tells it, one letter with or without braces; what is too much is not read."""
    talk.mail(macros=at_mail)
    talk.rcpt(b"<fred@example.org>", at_rcpt)
    assert talk.heard.queue_id == queue_id


# --- the order of things, and trouble ---------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 50, 1000])
def test_in_any_pieces(size: int) -> None:
    """However the bytes arrive, each step has its answer, in order."""
    talk = Talk()
    data = b"".join(
        packet(b"R", b"<%b@example.org>\0" % name) for name in (b"nobody", b"fred", b"over")
    )
    data = packet(b"M", b"<joe@sender.test>\0") + data
    said = b"".join(talk.say(data[at : at + size]) for at in range(0, len(data), size))
    refused = [packet(b"y", reply + b"\0") for reply in (UNKNOWN, OVER)]
    assert said == refused[0] + CONTINUE + refused[1]
    assert talk.session.idle


def test_another_server_is_asked_first(talk: Talk) -> None:
    """Nothing behind a question for another server is answered, or forgotten, before it is."""
    talk.mail(b"<>")
    first = packet(b"R", b"<away@example.org>\0")
    assert talk.say(first + packet(b"A") + packet(b"R", b"<broken@example.org>\0")) == b""
    pending = talk.session.pending
    assert isinstance(pending, Pending)
    assert pending.server == SERVER
    assert talk.session.resolved(Verdict(Kind.STORE_FAULT, b"")) == CONTINUE  # for the null sender
    assert talk.session.replies() == packet(b"y", FAULT + b"\0")
    assert talk.heard.transaction.sender is None


def test_nothing_is_answered_behind_the_farewell(talk: Talk) -> None:
    """Nothing is answered, and nothing behind it is looked at."""
    talk.mail()
    assert talk.say(packet(b"Q") + packet(b"R", b"<nobody@example.org>\0")) == b""
    assert talk.session.finished
    assert not talk.complaints
    assert not talk.observed


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (b"GET / HTTP/1.1\r\n", "is that an MTA's milter client?"),
        (packet(b"z"), "unknown command b'z'"),
        (packet(b"O", b"\0" * 12), "a second negotiation"),
        (packet(b"M", b"<joe>"), "MAIL without an end"),
        (packet(b"R"), "RCPT without an end"),
        (packet(b"C", b"client.test\0Z"), "unknown kind b'Z'"),
    ],
)
def test_in_trouble_it_says_nothing(talk: Talk, bad: bytes, complaint: str) -> None:
    """What breaks the protocol is told to the log; the MTA gets what it had asked for before, and no more."""
    talk.mail()
    good = packet(b"R", b"<fred@example.org>\0")
    assert talk.say(good + bad + good) == CONTINUE
    assert talk.session.finished
    (said,) = talk.complaints
    assert complaint in said
    assert talk.say(good) == b""
    assert len(talk.observed) == 1


def test_a_defect_defers(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is: an MTA takes the end of the connection for a yes, if it is told no better."""

    def defect(*_: object) -> None:
        raise ZeroDivisionError

    talk.mail()
    with monkeypatch.context() as patch:
        patch.setattr(talk.conversation.judging, "_observe", defect)
        for argument in (b"<nobody@example.org>", b"<fred@example.org>"):
            assert talk.say(packet(b"R", argument + b"\0")) == packet(b"t")
        assert talk.say(packet(b"R", b"<away@example.org>\0")) == b""
        assert talk.session.resolved(Verdict(Kind.NONEXISTENT, b"")) == packet(b"t")
    assert [type(each) for each in talk.defects] == [ZeroDivisionError] * 3
    assert talk.rcpt(b"<fred@example.org>") is None


def test_without_memory_the_process_ends(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would go on to defer everybody."""

    def exhausted(_query: Query) -> Verdict:
        raise MemoryError

    monkeypatch.setattr(talk.engine, "decide", exhausted)
    talk.mail()
    with pytest.raises(MemoryError):
        talk.rcpt(b"<fred@example.org>")
    assert not talk.defects


def test_a_recipient_that_needs_no_look_up(tmp_path: Path) -> None:
    """The log says so, whatever was asked before."""
    origin = AnswerOrigin(Site(tmp_path).cache)
    talk = Talk(origin=origin)
    origin.looked_up()
    talk.mail()
    talk.rcpt(b"<friend@other.test>")
    assert origin.source == NONE
