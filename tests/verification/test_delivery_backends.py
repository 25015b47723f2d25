"""Whom a backend of a Murder is asked about: the mailbox that the list has there, however it was found."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.verification.cache import VerdictCache
from gateway.verification.kinds import Kind
from gateway.verification.model import Pending, Query, Verdict
from gateway.verification.verifier import DELIVERY, Verifier
from tests.stores import FlatStore, record

AWAY = b"%%(T r S backend.example P default A %%(%b) I 1)"
MAILBOXES = {
    b"user.fred": AWAY % b"",
    b"user.catch": AWAY % b"",
    b"user.Anna": AWAY % b"",
    b"virt.example!user.Vera": AWAY % b"",
    b"virt.example!user.catch": AWAY % b"",
    b"Public.a^b": AWAY % b"anyone p",
    b"virt.example!List": AWAY % b"anyone p",
    b"closed": record(b""),
}
DOMAINS = {"virtdomains": "userid", "defaultdomain": "example.org", "postuser": "bb"}
CATCHES = {**DOMAINS, "lmtp_catchall_mailbox": "catch"}
CAPITALS = {**DOMAINS, "lmtp_downcase_rcpt": "no"}


@pytest.mark.parametrize(
    ("options", "query", "asked"),
    [
        (DOMAINS, Query(b"fred@example.org"), b"fred@example.org"),
        (DOMAINS, Query(b"Fred+Lists@example.org"), b"Fred@example.org"),
        (DOMAINS, Query(b"bb+Public/a.b@example.org"), b"bb+Public/a.b@example.org"),
        # What nobody has goes to the catch-all mailbox, which the backend has.
        (CATCHES, Query(b"nobody@example.org"), b"catch"),
        (CATCHES, Query(b"nobody+x@virt.example"), b"catch"),
        (CATCHES, Query(b"bb+closed@example.org"), b"catch"),
        ({**CATCHES, "lmtp_catchall_mailbox": "catch@virt.example"}, Query(b"nobody@example.org"), b"catch@virt.example"),
        # Postfix has put it into lower case, and the backend knows capitals.
        (CAPITALS, Query(b"anna@example.org", folded=True), b"Anna"),
        (CAPITALS, Query(b"anna+lists@example.org", folded=True), b"Anna"),
        (CAPITALS, Query(b"vera@virt.example", folded=True), b"Vera@virt.example"),
        (DOMAINS, Query(b"bb+public/a.b@example.org", folded=True), b"bb+Public/a.b"),
    ],
)  # fmt: skip
def test_whom_the_backend_is_asked_about(
    tmp_path: Path, options: dict[str, str], query: Query, asked: bytes
) -> None:
    """With a memory of verdicts and without one, and in an explanation."""
    flat = FlatStore(str(tmp_path), MAILBOXES, options=options)
    flat.write()
    conf = imapdconf.load(flat.conf_path, "lmtpunix")
    engine = Verifier.for_store(CyrusStore(conf, b"smmap"), answers=DELIVERY)
    for outcome in (
        engine.decide(query),
        engine.decide(query, []),
        VerdictCache(engine).decide(query),
    ):
        assert isinstance(outcome, Pending)
        assert outcome.server == "backend.example"
        assert outcome.query.recipient == asked


def test_a_shared_folder_in_a_domain_is_not_asked_for(tmp_path: Path) -> None:
    """No smmapd finds it, so the backend's answer would refuse what lmtpd delivers."""
    flat = FlatStore(str(tmp_path), MAILBOXES, options=DOMAINS)
    flat.write()
    conf = imapdconf.load(flat.conf_path, "lmtpunix")
    engine = Verifier.for_store(CyrusStore(conf, b"smmap"), answers=DELIVERY)
    for query in (
        Query(b"bb+List@virt.example"),
        Query(b"bb+list@virt.example", folded=True),
    ):
        outcome = engine.decide(query)
        assert isinstance(outcome, Verdict)
        assert outcome.kind is Kind.DELIVERABLE
