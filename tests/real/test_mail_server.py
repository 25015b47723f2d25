"""No recipient that Postfix and Cyrus together deliver is refused, and none is taken that bounces.

The oracle is an interface of the same Postfix that asks nobody: its mails are really
delivered, bounced, or refused by Postfix itself.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator

import pytest

from tests.real.mailsite import MailSite, mail_site
from tests.rigs.clients import PolicyInterface
from tests.rigs.commandline import run
from tests.rigs.folders import write_text
from tests.rigs.processes import complete
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

FRONT_ENDS = ("socketmap", "policy", "milter")
# Codes that a front end may answer for what happens to the mail.
ANSWERS = {"sent": (250,), "deferred": (450, 451, 452), "bounced": (550, 553), "refused": (550,)}

# Recipients of every kind, and what Postfix and Cyrus together do with each.
RECIPIENTS: list[tuple[bytes, str]] = [
    (b"fred@mx.test.example", "sent"),
    (b"fred@virt.example", "sent"),
    (b"FRED@Relay.Example", "sent"),
    (b"fred+folder@virt.example", "sent"),
    (b"nobody@mx.test.example", "bounced"),
    (b"nobody@virt.example", "bounced"),
    (b"nobody+x@virt.example", "bounced"),
    (b"nobody@relay.example", "bounced"),
    (b"full@virt.example", "deferred"),
    # aliases(5), hash and lmdb
    (b"root@mx.test.example", "sent"),
    (b"root+x@mx.test.example", "sent"),
    (b"root-x@mx.test.example", "sent"),
    (b"abuse@mx.test.example", "sent"),
    (b"archive@mx.test.example", "sent"),
    (b"team@mx.test.example", "sent"),
    (b"lmdbalias@mx.test.example", "sent"),
    (b"root@virt.example", "bounced"),
    # virtual(5), hash, pcre and PostgreSQL
    (b"sales@virt.example", "sent"),
    (b"SALES+x@virt.example", "sent"),
    (b"chain@relay.example", "sent"),
    (b'"quoted name"@virt.example', "sent"),
    (b"local@mx.test.example", "sent"),
    (b"info@alias.example", "sent"),
    (b"nobody@alias.example", "refused"),
    (b"whoever@catchall.example", "sent"),
    (b"team-blue@virt.example", "sent"),
    (b"team-blue+x@virt.example", "bounced"),
    (b"sql@virt.example", "sent"),
    (b"sql@relay.example", "sent"),
    # canonical(5), relocated(5), transport(5)
    (b"first.last@virt.example", "sent"),
    (b"fr@relay.example", "sent"),
    (b"moved@virt.example", "refused"),
]
# Aliases that lead to nobody (Cyrus knows no extension behind a `-`): with a table of recipients,
# Postfix takes every alias.
DEAD_ENDS = (
    b"deadend@mx.test.example",
    b"old@virt.example",
    b"sqldead@virt.example",
    b"sql-x@virt.example",
)
# Recipients whose transport does not lead to Cyrus: their own table has to know them.
NOT_OURS = (b"whoever@other.example", b"special@virt.example")


@pytest.fixture(scope="module")
def site() -> Iterator[MailSite]:
    """The site."""
    with mail_site() as made:
        yield made


def test_every_front_end_says_what_happens(site: MailSite) -> None:
    """What is delivered is taken, what is deferred comes again, and what bounces is refused."""
    recipients = [recipient for recipient, _ in RECIPIENTS]
    assert list(zip(recipients, site.outcomes(*recipients), strict=True)) == RECIPIENTS
    for front in FRONT_ENDS:
        codes = site.rcpt(front, *recipients)
        wrong = {
            recipient: code
            for (recipient, routing), code in zip(RECIPIENTS, codes, strict=True)
            if code not in ANSWERS[routing]
        }
        assert wrong == {}, front


def test_aliases_that_lead_to_nobody(site: MailSite) -> None:
    """They bounce, so policy and milter refuse them."""
    assert site.outcomes(*DEAD_ENDS) == ["bounced"] * len(DEAD_ENDS)
    for front in ("policy", "milter"):
        assert site.rcpt(front, *DEAD_ENDS) == [550] * len(DEAD_ENDS), front


def test_an_alias_of_who_is_over_quota(site: MailSite) -> None:
    """Policy and milter say so at once; with a table of recipients it waits in the queue."""
    assert site.outcomes(b"tofull@virt.example") == ["deferred"]
    assert [site.rcpt(front, b"tofull@virt.example") for front in FRONT_ENDS] == [
        [250],
        [450],
        [452],
    ]


def test_recipients_of_another_system(site: MailSite) -> None:
    """transport_maps send them elsewhere, so policy and milter leave them alone."""
    assert site.outcomes(*NOT_OURS) == ["sent", "sent"]
    for front in ("policy", "milter"):
        assert site.rcpt(front, *NOT_OURS) == [250, 250], front


def test_bounces_to_rewritten_senders(site: MailSite) -> None:
    """postsrsd unwinds them, later than we are asked."""
    rewritten = site.rewritten_sender("joe@gmail.example")
    assert rewritten.startswith(b"SRS0=")
    assert site.outcomes(rewritten) == ["sent"]
    assert [site.rcpt(front, rewritten) for front in FRONT_ENDS] == [[250]] * 3


def test_outbound_mail_is_untouched(site: MailSite) -> None:
    """A client that may relay is not refused for recipients that no store of ours has."""
    for front in FRONT_ENDS:
        assert site.rcpt(front, b"nobody@gmail.example", login="fred") == [250]
        assert site.rcpt(front, b"nobody@gmail.example") == [554]


def test_a_chrooted_smtpd(site: MailSite) -> None:
    """Its socket is below the queue directory, and its answers are the same."""
    recipients = [recipient for recipient, _ in RECIPIENTS]
    assert site.rcpt("chroot", *recipients) == site.rcpt("policy", *recipients)


def test_submission(site: MailSite) -> None:
    """The site's own users are asked about nobody."""
    assert site.rcpt("submission", b"nobody@gmail.example", b"x@virt.example", login="fred") == [
        250,
        250,
    ]
    assert site.rcpt("submission", b"fred@virt.example") == [554]


def test_explain_shows_what_postfix_does(site: MailSite) -> None:
    """Which parameter, and what the recipient becomes."""
    shown = {
        recipient: run("explain", "-c", site.gateway.configuration, recipient).out
        for recipient in (b"sales@virt.example", b"nobody@virt.example", b"fred@virt.example")
    }
    assert re.search(r"outcome +rewritten\n +by +virtual_alias_maps", shown[b"sales@virt.example"])
    assert re.search("becomes +fred@virt.example, joe@gmail.example", shown[b"sales@virt.example"])
    assert re.search(r"mail server +asked +Postfix \d", shown[b"nobody@virt.example"])
    assert "outcome     stays" in shown[b"nobody@virt.example"]
    assert "mail server" not in shown[b"fred@virt.example"]


def test_a_table_that_has_changed(site: MailSite) -> None:
    """An alias that was unknown is known as soon as Postfix knows it."""
    recipient = b"later@mx.test.example"
    assert site.rcpt("policy", recipient) == [550]
    path = f"{site.tables}/aliases"
    with open(path, encoding="ascii") as file:
        text = file.read()
    write_text(path, text + "later: fred\n")
    assert complete(["/usr/sbin/postalias", "-c", site.tables, f"hash:{path}"]).returncode == 0
    wait_until(lambda: site.rcpt("policy", recipient) == [250], "the alias is known")


def test_a_table_that_is_out_of_order(site: MailSite) -> None:
    """Recipients that it could save are deferred, with one line that names it; good ones are not."""
    # Postfix itself defers everybody while a table of its own is away, so we are asked directly.
    with PolicyInterface(site.gateway.path("policy")) as policy:
        refused = policy.ask(b"nobody@virt.example")
        assert refused == b"550 5.1.1 User unknown"
        site.postgres.stop()
        try:
            assert policy.ask(b"unheard-of@virt.example").startswith(b"DEFER_IF_PERMIT 4.3.0")
            for good in (b"fred@virt.example", b"sales@virt.example", b"info@alias.example"):
                assert policy.ask(good) == b"DUNNO"
            line = site.gateway.wait_log("error:", "Postfix' table", "pgsql:")
            assert "cannot be asked" in line
        finally:
            site.postgres.start()
        wait_until(lambda: policy.ask(b"unheard-of@virt.example") == refused, "it is asked again")


def test_a_table_that_the_gateways_user_may_not_read(site: MailSite) -> None:
    """Passwords of SQL servers are often for root and Postfix alone: the log says what to do."""
    path = f"{site.tables}/pgsql.cf"
    with PolicyInterface(site.gateway.path("policy")) as policy:
        os.chmod(path, 0o600)
        try:
            wait_until(
                lambda: policy.ask(b"unread@virt.example").startswith(b"DEFER_IF_PERMIT 4.3.0"),
                "nobody is permanently refused whom that table could save",
            )
            assert policy.ask(b"fred@virt.example") == b"DUNNO"
            site.gateway.wait_log("error:", f"setfacl -m u:cyrus:r {path}")
        finally:
            os.chmod(path, 0o644)
        wait_until(
            lambda: policy.ask(b"unread@virt.example").startswith(b"550 5.1.1"), "it is read again"
        )


def test_a_reload_with_a_mail_server_that_cannot_be_asked(site: MailSite) -> None:
    """Is refused, and what was read before counts."""
    asked = site.asking.configuration
    with PolicyInterface(site.gateway.path("policy")) as policy:
        site.gateway.configure({"scope": {"postfix": "/nonexistent"}})
        site.gateway.daemon.send_signal(signal.SIGHUP)
        site.gateway.wait_log("scope.postfix", "postconf: fatal: open /nonexistent/main.cf")
        site.gateway.configure({"scope": {"postfix": asked}})
        assert policy.ask(b"sales@virt.example") == b"DUNNO"
        assert policy.ask(b"unheard-of@virt.example") == b"550 5.1.1 User unknown"
