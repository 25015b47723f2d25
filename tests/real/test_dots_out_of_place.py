"""Recipients that Postfix puts into quotes on the way to lmtpd, because their dots are out of place.

What we say is what lmtpd does with the address that the client has said; whether Postfix hands
that on is a setting of Postfix', which check-config looks at.
"""

from __future__ import annotations

import re

import pytest

from tests.rigs.cyrus import Cyrus
from tests.rigs.gateway import Gateway
from tests.rigs.postfix import Postfix
from tests.rigs.require import require
from tests.rigs.smtp import Conversation
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

RECIPIENTS = (b"fred@example.org", b"fred+x.@example.org", b"a..b@example.org")


def _outcome(postfix: Postfix, queue_id: str) -> str:
    told = [
        re.search(r" status=(\w+)", line) for line in postfix.log() if f" {queue_id}: to=" in line
    ]
    return next((each[1] for each in told if each is not None), "")


@pytest.mark.parametrize(
    ("quotes", "outcomes"),
    [("yes", ["sent", "bounced", "bounced"]), ("no", ["sent", "sent", "sent"])],
)
def test_what_was_accepted_is_delivered_where_postfix_adds_no_quotes(
    quotes: str, outcomes: list[str]
) -> None:
    """Each is a mail of its own, and none is refused by us."""
    require("cyrus", "postfix")
    with Cyrus() as cyrus:
        cyrus.add_service("lmtp", "lmtpd -a", prefork=1)
        cyrus.add_service("imap", "imapd")
        cyrus.start()
        with cyrus.admin() as admin:
            admin.create(b"user/fred")
            admin.create(b"user/a..b")
        main = {
            "relay_transport": f"lmtp:unix:{cyrus.socket_path('lmtp')}",
            "lmtp_quote_rfc821_envelope": quotes,
        }
        scope = {"scope": {"domains": ["example.org"]}}
        with Gateway(cyrus.imapd_conf, scope) as gateway:
            gateway.start()
            with Postfix(policy=gateway.unix("policy"), main=main) as postfix:
                postfix.start()
                queued = []
                with Conversation(postfix.address("policy")) as client:
                    for each in RECIPIENTS:
                        assert client.mail(b"joe@sender.test").code == 250
                        assert client.rcpt(each).code == 250
                        queued.append(client.data().last.rpartition(b" ")[2].decode())
                found = [
                    wait_until(lambda each=each: _outcome(postfix, each), "a mail is tried")  # type: ignore[misc]
                    for each in queued
                ]
    assert found == outcomes
