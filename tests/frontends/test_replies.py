"""The table of replies: defaults, checks and rendering."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigurationError
from gateway.frontends.replies import (
    DEFAULTS,
    MAX_LINE,
    POSTFIX_PREFIX,
    REFUSALS,
    ReplyTable,
    SmtpReply,
    Template,
    problems,
)
from gateway.verification.kinds import KINDS, Kind
from gateway.verification.model import Verdict
from tests.interfaces.kinds import expected

RECIPIENT = b"fred@example.org"

REASON = b"what the store says"
# What is said where a verdict should have a reason of its own, and has none.
WITHOUT_A_REASON = {
    Kind.DENIED: b"Access to this service has been blocked",
    Kind.REFUSED: b"Mailbox refuses mail",
}


@pytest.mark.parametrize("kind", REFUSALS, ids=str)
@pytest.mark.parametrize("reason", [REASON, b""])
def test_default_replies_are_what_lmtpd_would_say(kind: Kind, reason: bytes) -> None:
    """Without configuration a client hears what lmtpd would say at delivery (tests' TABLE)."""
    row = expected(kind)
    text = row.text or reason or WITHOUT_A_REASON[kind]
    table, verdict = ReplyTable(), Verdict(kind, reason)
    reply = table.smtp(verdict, RECIPIENT)
    assert reply is not None
    assert reply.line().encode() == b"%d %s %s" % (row.code, row.enhanced, text)
    verb = b"%d" % row.code if row.final else b"DEFER_IF_PERMIT"
    assert table.policy(verdict, RECIPIENT) == b"%s %s %s" % (verb, row.enhanced, text)


def test_every_refusal_has_a_default() -> None:
    """ROWS has a row for each kind."""
    assert set(REFUSALS) == set(DEFAULTS)


def test_a_good_recipient_is_let_through_by_each_front_end() -> None:
    """A good recipient is DUNNO for Postfix, OK for a socketmap, and no reply for a milter."""
    table = ReplyTable()
    verdict = Verdict(Kind.DELIVERABLE, b"")
    assert table.policy(verdict, RECIPIENT) == b"DUNNO"
    assert table.smtp(verdict, RECIPIENT) is None


def test_temporary_kinds_are_temporary_replies() -> None:
    """By default a reply is temporary exactly where the kind is."""
    assert all((DEFAULTS[kind].code < 500) is kind.temporary for kind in REFUSALS)


GOOD = [
    (Kind.DENIED, Template(451, "4.2.1", "Blocked")),
    (Kind.OVER_QUOTA, Template(552, "5.2.2", "Full")),
    (Kind.SIZE_OVER_QUOTA, Template(552, "5.2.2", "Full")),
    (Kind.NONEXISTENT, Template(450, "4.1.1", "Not yet")),
    (Kind.NONEXISTENT, Template(550, "5.1.1", "<{recipient}>: {reason}", "<{recipient}>: \u00fcber")),
    (Kind.NONEXISTENT, Template(550, "5.1.1", "x" * 500)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "template"), GOOD, ids=str)
def test_templates_may_be_chosen_within_the_rules(kind: Kind, template: Template) -> None:
    """Codes and texts may be chosen freely within the rules."""
    assert problems(kind, template) == []
    assert ReplyTable({kind: template})[kind] == template


BAD = [
    (Kind.NONEXISTENT, Template(250, "2.1.5", "x"), "code: 250 is not a refusal; write a code from 400 to 459 or 500 to 559"),
    (Kind.NONEXISTENT, Template(600, "5.1.1", "x"), "code: 600 is not a refusal"),
    (Kind.NONEXISTENT, Template(560, "5.1.1", "x"), "code: 560 is not a refusal"),
    (Kind.NONEXISTENT, Template(-550, "5.1.1", "x"), "code: -550 is not a refusal"),
    (Kind.NONEXISTENT, Template(521, "5.1.1", "x"), "code: 521 would end the session"),
    (Kind.OVER_QUOTA, Template(421, "4.2.2", "x"), "code: 421 would end the session"),
    (Kind.STORE_FAULT, Template(550, "5.3.0", "x"), "code: 550 is permanent; a fault of the server needs"),
    (Kind.UPSTREAM_FAULT, Template(550, "5.4.3", "x"), "code: 550 is permanent"),
    (Kind.RESERVED, Template(550, "5.2.1", "x"), "code: 550 is permanent"),
    (Kind.NONEXISTENT, Template(550, "4.1.1", "x"), 'enhanced: the class of 4.1.1 is not that of the code 550; set both, for example enhanced = "5.1.1"'),
    (Kind.NONEXISTENT, Template(550, "2.1.5", "x"), "enhanced: the class of 2.1.5"),
    (Kind.NONEXISTENT, Template(550, "5.1", "x"), "enhanced: '5.1' is not an enhanced status code"),
    (Kind.NONEXISTENT, Template(550, "5.01.1", "x"), "enhanced: '5.01.1' is not an enhanced"),
    (Kind.NONEXISTENT, Template(550, "5.1.1\n", "x"), "enhanced: '5.1.1\\n' is not an enhanced"),
    (Kind.NONEXISTENT, Template(550, "", "x"), "enhanced: '' is not an enhanced"),
    (Kind.NONEXISTENT, Template(550, "5.1.1", ""), "text: the text is empty"),
    (Kind.NONEXISTENT, Template(550, "5.1.1", " "), "text: the text is empty"),
    (Kind.NONEXISTENT, Template(550, "5.1.1", "a\nb"), "text: character '\\n' is not printable"),
    (Kind.NONEXISTENT, Template(550, "5.1.1", "\u00fcber"), "text: '\u00fc' is not ASCII; put such a text into utf8_text"),
    (Kind.NONEXISTENT, Template(550, "5.1.1", "x", "\u202ex"), "utf8_text: character '\\u202e' is not printable"),
    (Kind.NONEXISTENT, Template(550, "5.1.1", "x", "\ud800"), "utf8_text: character '\\ud800' is not printable"),
    (Kind.NONEXISTENT, Template(550, "5.1.1", "{who}"), "text: unknown placeholder {who}"),
    (Kind.NONEXISTENT, Template(550, "5.1.1", "x" * 501), "text: 501 octets are too long, a reply has room for 500"),
    (Kind.NONEXISTENT, Template(550, "5.1.1", "x", "\u00fc" * 251), "utf8_text: 502 octets are too long"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "template", "problem"), BAD, ids=str)
def test_a_template_that_breaks_a_rule_is_refused(
    kind: Kind, template: Template, problem: str
) -> None:
    """A template that breaks a rule is refused, with the option, the value and the rule."""
    (found,) = problems(kind, template)
    assert str(found).startswith(f"replies.{kind.name}.{problem}")
    with pytest.raises(ConfigurationError):
        ReplyTable({kind: template})


def test_all_problems_at_once() -> None:
    """Every problem of every template is told in one error."""
    with pytest.raises(ConfigurationError) as caught:
        ReplyTable(
            {
                Kind.DENIED: Template(200, "7.1", ""),
                Kind.STORE_FAULT: Template(550, "5.3.0", "x"),
                Kind.DELIVERABLE: Template(550, "5.1.1", "x"),
            }
        )
    for what in (
        "replies.denied.code",
        "replies.denied.enhanced",
        "replies.denied.text",
        "replies.store-fault.code",
        "replies.deliverable: it refuses nobody",
    ):
        assert what in str(caught.value)


@pytest.mark.parametrize(
    "kind", [each for each in KINDS if not (each.accepts or each.permanent_reply_allowed)], ids=str
)
def test_faults_are_never_permanent(kind: Kind) -> None:
    """No configuration makes a permanent refusal of a fault of the server."""
    for code in range(500, 560):
        assert problems(kind, Template(code, "5.3.0", "x"))


def test_utf8_text_only_with_smtputf8() -> None:
    """Only a client that asked for SMTPUTF8 hears anything but ASCII."""
    table = ReplyTable(
        {
            Kind.NONEXISTENT: Template(
                550, "5.1.1", "No {recipient}", "Kein Empf\u00e4nger {recipient}"
            )
        }
    )
    verdict = Verdict(Kind.NONEXISTENT, b"")
    recipient = "j\u00fcrgen@example.org".encode()
    assert table.smtp(verdict, recipient) == SmtpReply(550, "5.1.1", "No j?rgen@example.org")
    assert table.smtp(verdict, recipient, smtputf8=True) == SmtpReply(
        550, "5.1.1", "Kein Empf\u00e4nger j\u00fcrgen@example.org"
    )
    assert table.policy(verdict, recipient) == b"550 5.1.1 No j?rgen@example.org"


@given(st.sampled_from(REFUSALS), st.binary(max_size=700), st.binary(max_size=700), st.booleans())
def test_replies_are_safe(kind: Kind, reason: bytes, recipient: bytes, smtputf8: bool) -> None:
    """Whatever bytes a recipient or a reason holds, a reply is one printable line that fits."""
    template = DEFAULTS[kind]
    text = "{recipient}: {reason}"
    table = ReplyTable({kind: Template(template.code, template.enhanced, text)})
    verdict = Verdict(kind, reason)
    reply = table.smtp(verdict, recipient, smtputf8=smtputf8)
    assert reply is not None
    assert reply.line().isprintable()
    assert len(reply.line().encode()) <= MAX_LINE - 2
    action = table.policy(verdict, recipient)
    assert action.decode("ascii").isprintable()
    if len(recipient) < 400:
        text_size = len(action.split(b" ", 2)[2])
        prefix = len(f"{template.code} {template.enhanced} ")
        assert prefix + POSTFIX_PREFIX + len(recipient) + text_size <= MAX_LINE - 2
