"""Lines of mail logs: the table is the specification."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.maillog import MAX_LINE, Attempt, Outcome, Skipped, Splitter, read_line

OLD = b"Nov  2 10:00:00 mx "
ISO = b"2026-11-22T10:00:00.123456+01:00 mx "

ACCEPTED, REFUSED = Outcome.ACCEPTED, Outcome.REFUSED
DEFERRED, UNRELATED = Outcome.DEFERRED, Outcome.UNRELATED

POSTFIX = [
    (b"postfix/smtpd[1]: NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 550 5.1.1 <no@example.org>: Recipient address rejected: User unknown in relay recipient table; from=<a@b> to=<no@example.org> proto=ESMTP helo=<h>", REFUSED, b"no@example.org"),
    (b"postfix/smtpd[1]: NOQUEUE: reject: RCPT from h[192.0.2.1]: 451 4.3.5 <x@example.org>: Recipient address rejected: Server configuration error; from=<> to=<x@example.org> proto=ESMTP helo=<h>", DEFERRED, b"x@example.org"),
    (b"postfix/smtpd[1]: 4XyZ09: reject: RCPT from h[192.0.2.1]: 452 4.2.2 <o@example.org>: Recipient address rejected: Over quota; from=<a@b> to=<o@example.org> proto=SMTP helo=<h>", DEFERRED, b"o@example.org"),
    (b"postfix/smtpd[1]: NOQUEUE: milter-reject: RCPT from h[192.0.2.1]: 550 5.1.1 User unknown; from=<a@b> to=<no@example.org> proto=ESMTP helo=<h>", REFUSED, b"no@example.org"),
    (b"postfix/postscreen[1]: NOQUEUE: reject: RCPT from [192.0.2.1]:4321: 550 5.7.1 Service unavailable; client [192.0.2.1] blocked; from=<a@b>, to=<fred@example.org>, proto=ESMTP, helo=<h>", UNRELATED, b"fred@example.org"),
    (b"postfix/smtpd[1]: NOQUEUE: reject: RCPT from h[192.0.2.1]: 554 5.7.1 <x@elsewhere>: Relay access denied; from=<a@b> to=<x@elsewhere> proto=ESMTP helo=<h>", UNRELATED, b"x@elsewhere"),
    (b"postfix/smtpd[1]: NOQUEUE: reject: RCPT from h[192.0.2.1]: 450 4.1.8 <a@b>: Sender address rejected: Domain not found; from=<a@b> to=<fred@example.org> proto=ESMTP helo=<h>", UNRELATED, b"fred@example.org"),
    (b"postfix/smtpd[1]: NOQUEUE: reject: RCPT from h[192.0.2.1]: 450 4.2.0 <fred@example.org>: Recipient address rejected: Greylisted; from=<a@b> to=<fred@example.org> proto=ESMTP helo=<h>", UNRELATED, b"fred@example.org"),
    (b"postfix/smtpd[1]: NOQUEUE: reject: RCPT from h[192.0.2.1]: 550 5.1.1 <x>: Recipient address rejected: no; from=<a@b> to=<x@example.org> proto=ESMTP helo=<h to=<fake@example.org>", REFUSED, b"x@example.org"),
    (b'postfix/smtpd[1]: NOQUEUE: reject: RCPT from h[192.0.2.1]: 550 5.1.1 <x>: Recipient address rejected: no; from=<"a> to=<z@z"@b> to=<"b c"@example.org> proto=ESMTP helo=<h>', REFUSED, b"b c@example.org"),
    (b"postfix/lmtp[1]: 4XyZ09: to=<fred@example.org>, relay=mx[/run/lmtp], delay=0.1, delays=0/0/0/0, dsn=2.1.5, status=sent (250 2.1.5 Ok)", ACCEPTED, b"fred@example.org"),
    (b"postfix-in/lmtp[1]: 3D: to=<fred@example.org>, orig_to=<boss@example.org>, relay=mx, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (ok)", ACCEPTED, b"boss@example.org"),
    (b"postfix/lmtp[1]: 3D: to=<no@example.org>, relay=mx, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx said: 550-Mailbox unknown)", REFUSED, b"no@example.org"),
    (b"postfix/lmtp[1]: 3D: to=<o@example.org>, relay=mx, delay=1, delays=0/0/0/1, dsn=4.2.2, status=deferred (452 Over quota)", DEFERRED, b"o@example.org"),
    (b"postfix/smtp[1]: 3D: to=<o@example.org>, relay=none, delay=1, delays=0/0/0/1, dsn=4.4.1, status=deferred (connect to mx: Connection refused)", UNRELATED, b"o@example.org"),
    (b"postfix/lmtp[1]: 3D: to=<+news@example.org>, relay=mx, delay=1, delays=0/0/0/1, dsn=5.7.1, status=bounced (Permission denied)", REFUSED, b"+news@example.org"),
    (b"postfix/lmtp[1]: 3D: to=<no@example.org>, relay=mx, delay=1, delays=0/0/0/1, dsn=4.1.1, status=SOFTBOUNCE (host mx said: 550 5.1.1 Mailbox unknown)", REFUSED, b"no@example.org"),
    (b"postfix/smtpd[1]: 3D: reject: END-OF-MESSAGE from h[192.0.2.1]: 452 4.2.2 <END-OF-MESSAGE>: End-of-data rejected: Over quota; from=<a@b> to=<o@example.org> proto=ESMTP helo=<h>", DEFERRED, b"o@example.org"),
    (b"postfix/cleanup[1]: 3D: milter-reject: END-OF-MESSAGE from h[192.0.2.1]: 5.7.1 Spam message rejected; from=<a@b> to=<fred@example.org> proto=ESMTP helo=<h>", UNRELATED, b"fred@example.org"),
    (b"postfix/smtpd[1]: 3D: milter-reject: DATA from h[192.0.2.1]: 552 5.2.2 Over quota; from=<a@b> to=<o@example.org> proto=ESMTP helo=<h>", REFUSED, b"o@example.org"),
    (b"postfix/submission/smtpd[1]: NOQUEUE: reject: RCPT from h[192.0.2.1]: 550 5.1.1 <no@example.org>: Recipient address rejected: User unknown; from=<a@b> to=<no@example.org> proto=ESMTP helo=<h>", REFUSED, b"no@example.org"),
    (b"postfix/local[1]: 3D: to=<a b@example.org>, relay=local, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (delivered to mailbox)", ACCEPTED, b"a b@example.org"),
]  # fmt: skip

SENDMAIL = [
    (b"sm-mta[2]: 2AM9f: to=<fred@example.org>, delay=00:00:01, xdelay=00:00:00, mailer=cyrusv2, pri=30123, relay=localhost, dsn=2.0.0, stat=Sent", ((b"fred@example.org", ACCEPTED),)),
    (b"sendmail[2]: 2AM9f: to=<a@example.org>,<b@example.org>, delay=00:00:01, mailer=lmtp, dsn=2.0.0, stat=Sent (ok)", ((b"a@example.org", ACCEPTED), (b"b@example.org", ACCEPTED))),
    (b"sendmail[2]: 2AM9f: to=fred, ctladdr=joe (1000/1000), delay=00:00:01, mailer=local, dsn=5.1.1, stat=User unknown", ((b"fred", REFUSED),)),
    (b"sendmail[2]: 2AM9f: to=<fred@example.org>, delay=00:00:01, mailer=local, stat=User unknown", ((b"fred@example.org", REFUSED),)),
    (b"sm-mta[2]: 2AM9f: to=<o@example.org>, delay=00:00:01, mailer=cyrusv2, relay=localhost, dsn=4.2.2, stat=Deferred: 452 4.2.2 Over quota", ((b"o@example.org", DEFERRED),)),
    (b"sm-mta[2]: 2AM9f: to=<o@example.org>, delay=00:00:01, mailer=esmtp, relay=far, dsn=4.0.0, stat=Deferred: Connection refused by far", ((b"o@example.org", UNRELATED),)),
    (b"sm-mta[2]: 2AM9f: to=<o@example.org>, delay=00:00:01, mailer=esmtp, dsn=2.0.0, stat=queued", ((b"o@example.org", UNRELATED),)),
    (b"sm-mta[2]: 2AM9f: ruleset=check_rcpt, arg1=<no@example.org>, relay=h [192.0.2.1], reject=550 5.1.1 <no@example.org>... smap: no such user", ((b"no@example.org", REFUSED),)),
    (b"sm-mta[2]: ruleset=check_rcpt, arg1=<x@elsewhere>, relay=h [192.0.2.1], reject=550 5.7.1 <x@elsewhere>... Relaying denied", ((b"x@elsewhere", UNRELATED),)),
    (b"sm-mta[2]: 2AM9f: Milter: to=<o@example.org>, reject=452 4.2.2 Over quota", ((b"o@example.org", DEFERRED),)),
    (b"sm-mta[2]: 2AM9f: <no@example.org>... User unknown", ((b"no@example.org", REFUSED),)),
    (b"sm-mta[2]: 2AM9f: no@example.org... User unknown", ((b"no@example.org", REFUSED),)),
    (b"sm-mta[2]: 2AM9f: <no@example.org>... No such user here", ((b"no@example.org", REFUSED),)),
    (b"sm-mta[2]: 2AM9f: <no@example.org>... 550 5.1.1 that one has left us", ((b"no@example.org", REFUSED),)),
    (b"sm-mta[2]: 2AM9f: <o@example.org>... Mailbox is full, quota exceeded", ((b"o@example.org", DEFERRED),)),
    (b"sm-mta[2]: 2AM9f: <o@example.org>... 452 4.2.2 Over quota", ((b"o@example.org", DEFERRED),)),
    (b"sm-mta[2]: 2AM9f: <x@elsewhere>... Relaying denied", ((b"x@elsewhere", UNRELATED),)),
    (b"sm-mta[2]: 2AM9f: <fred@example.org>... Greylisted, try again", ((b"fred@example.org", UNRELATED),)),
    (b"sm-mta[2]: ruleset=check_rcpt, arg1=no@example.org, relay=h [192.0.2.1], reject=550 5.1.1 no@example.org... smap: no such user", ((b"no@example.org", REFUSED),)),
    (b"sm-mta[2]: 2AM9f: Milter: to=o@example.org, reject=452 4.2.2 Over quota", ((b"o@example.org", DEFERRED),)),
    (b"mta-in[2]: 5BU2AM9f012345: to=<fred@example.org>, delay=00:00:01, mailer=cyrusv2, dsn=2.0.0, stat=Sent", ((b"fred@example.org", ACCEPTED),)),
    (b"mail[2]: 5BU2AM9f012345: <no@example.org>... User unknown", ((b"no@example.org", REFUSED),)),
]  # fmt: skip

SKIPPED = [
    (b"", Skipped.OTHER),
    (OLD + b"postfix/smtpd[1]: connect from h[192.0.2.1]", Skipped.OTHER),
    (OLD + b"postfix/qmgr[1]: 3D: from=<a@b>, size=1, nrcpt=1 (queue active)", Skipped.OTHER),
    (OLD + b"postfix/smtp[1]: 3D: to=<x@y>, relay=mx, delay=1, delays=0, dsn=2.1.5, status=deliverable (250 ok)", Skipped.OTHER),
    (OLD + b"postfix/smtpd[1]: NOQUEUE: reject: VRFY from h[192.0.2.1]: 502 5.5.1 no", Skipped.OTHER),
    (OLD + b"dovecot: lmtp(fred)<1><x>: saved mail", Skipped.OTHER),
    (OLD + b"sshd[12]: to=<fred@example.org>, stat=Sent", Skipped.OTHER),
    (OLD + b"postfix/cleanup[1]: 3D: milter-reject: END-OF-MESSAGE from h[192.0.2.1]: 5.7.1 Spam; from=<a@b> proto=ESMTP helo=<h>", Skipped.OTHER),
    (OLD + b"app[12]: job1: user@example.org... User unknown", Skipped.OTHER),
    (OLD + b"last message repeated 3 times", Skipped.OTHER),
    (OLD + b"sendmail[2]: 2AM9f: from=<a@b>, size=12", Skipped.OTHER),
    (OLD + b'sendmail[2]: 2AM9f: to="|/usr/bin/prog", dsn=2.0.0, stat=Sent', Skipped.OTHER),
    (OLD + b"postfix/lmtp[1]: 4XyZ09: to=<fred@exam", Skipped.BROKEN),
    (OLD + b"postfix/lmtp[1]: 4XyZ09: to=<fred@example.org>, relay=mx, delay=0.1, dsn=2.", Skipped.BROKEN),
    (OLD + b"postfix/smtpd[1]: NOQUEUE: reject: RCPT from h[192.0.2.1]: 550 5.1.1 <no@exam", Skipped.BROKEN),
    (OLD + b"sm-mta[2]: 2AM9f: to=<fred@example.org>, delay=00:0", Skipped.BROKEN),
    (b"0.1, dsn=2.0.0, status=sent (250 Ok)", Skipped.BROKEN),
    (b"\x00\xff\xfe", Skipped.BROKEN),
]  # fmt: skip


@pytest.mark.parametrize("head", [OLD, ISO, b"<22>" + OLD], ids=["rfc3164", "iso", "priority"])
@pytest.mark.parametrize(("line", "outcome", "recipient"), POSTFIX)
def test_a_recipient_of_postfix_is_read_as_rcpt_named_it(
    head: bytes, line: bytes, outcome: Outcome, recipient: bytes
) -> None:
    """The recipient as RCPT named it, and what became of it."""
    told = read_line(head + line)
    assert not isinstance(told, Skipped)
    assert [(each.recipient, each.outcome) for each in told] == [(recipient, outcome)]


@pytest.mark.parametrize("head", [OLD, ISO], ids=["rfc3164", "iso"])
@pytest.mark.parametrize(("line", "expected"), SENDMAIL)
def test_a_line_of_sendmail_may_name_several_recipients(
    head: bytes, line: bytes, expected: tuple[tuple[bytes, Outcome], ...]
) -> None:
    """One line may name several recipients."""
    told = read_line(head + line)
    assert not isinstance(told, Skipped)
    assert tuple((each.recipient, each.outcome) for each in told) == expected


@pytest.mark.parametrize(("line", "why"), SKIPPED)
def test_lines_that_tell_of_nobody(line: bytes, why: Skipped) -> None:
    """Other programs' lines and ours about other things; what a crash or rotation cut in two."""
    assert read_line(line) is why


@given(st.binary(max_size=200))
def test_no_line_raises(line: bytes) -> None:
    """Any bytes have an outcome."""
    assert read_line(line) is not None
    assert read_line(OLD + b"postfix/lmtp[1]: 3D: to=<" + line) is not None
    assert read_line(OLD + b"sm-mta[1]: 3D: to=" + line) is not None


@given(st.sampled_from(POSTFIX), st.data())
def test_a_line_that_is_cut_anywhere(
    row: tuple[bytes, Outcome, bytes], data: st.DataObject
) -> None:
    """It is skipped, or tells the truth: never another recipient."""
    line, _, recipient = row
    cut = data.draw(st.integers(0, len(line)))
    told = read_line(OLD + line[:cut])
    if not isinstance(told, Skipped):
        assert [each.recipient for each in told] == [recipient]


LOCAL = st.text(st.sampled_from('abc.+-_="\\ <>@,'), min_size=1, max_size=12)


@given(LOCAL, st.sampled_from(["sent", "bounced", "deferred"]))
def test_quoted_recipients_come_back(local: str, status: str) -> None:
    """Postfix quotes local parts as SMTP does; the bare address comes out."""
    quoted = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"@example.org'
    line = f"postfix/lmtp[1]: 3D: to=<{quoted}>, relay=mx, dsn=2.0.0, status={status} (x)"
    told = read_line(OLD + line.encode())
    assert isinstance(told, tuple)
    assert [each.recipient for each in told] == [f"{local}@example.org".encode()]


@given(st.lists(st.binary(max_size=30)), st.data())
def test_every_split_gives_the_same_lines(lines: list[bytes], data: st.DataObject) -> None:
    """However the log arrives in pieces."""
    log = b"\n".join(lines)
    whole = Splitter()
    expected = whole.feed(log) + whole.end()
    splitter = Splitter()
    found: list[bytes] = []
    at = 0
    while at < len(log):
        step = data.draw(st.integers(1, len(log) - at))
        found += splitter.feed(log[at : at + step])
        at += step
    assert found + splitter.end() == expected


def test_a_line_without_end() -> None:
    """Memory is bounded, and the line behind it is read."""
    splitter = Splitter()
    for _ in range(10):
        assert splitter.feed(b"x" * MAX_LINE) == []
    (long, good) = splitter.feed(b"\nnext\n")
    assert len(long) == MAX_LINE
    assert good == b"next"
    assert splitter.end() == []


def test_the_reason_is_kept() -> None:
    """What the log says of why."""
    told = read_line(OLD + POSTFIX[0][0])
    assert isinstance(told, tuple)
    assert told == (
        Attempt(
            b"no@example.org",
            REFUSED,
            b"550 5.1.1 <no@example.org>: Recipient address rejected: "
            b"User unknown in relay recipient table",
        ),
    )
