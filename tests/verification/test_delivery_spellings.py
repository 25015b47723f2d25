"""Delivery, where lower case has lost more than one thing, and folders that are deleted.

Each row was seen with the lmtpd of Cyrus 3.6.1 and 3.10 (tests/delivery), but for those of
full calendars, which follow from imap/lmtpd.c.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.verification.kinds import Kind
from gateway.verification.model import Query
from gateway.verification.verifier import DELIVERY, Verifier
from tests.stores import FlatStore, quota, record

_OPEN = b"anyone\tlrp"
_MAILBOXES = {
    b"Public.a": record(_OPEN),
    b"virt.example!Public": record(_OPEN),
    b"closed.A": record(b"anyone\tlr"),
    b"DELETED.news.6B0CE8D1": record(_OPEN),
    b"user.fr ed": record(),
    b"Calendar.team": record(_OPEN),
    b"Calendar.over": record(_OPEN),
    b"Calendar.brim": record(_OPEN),
    b"Notes": record(_OPEN),
    b"info.Notes": record(_OPEN),
    b"#sieve": record(_OPEN),
    b"Alerts": record(_OPEN),
    b"#jmapnotification": record(_OPEN),
    b"user.brim": record(),
    b"user.brim.Notes": record(_OPEN),
    b"user.brim.Other": record(_OPEN),
}


_NAMED = {"autocreate_users": "NewBie", "username_tolower": "no"}


def _engine(folder: Path, default: str, more: dict[str, str] | None = None) -> Verifier:
    options = {"virtdomains": "userid", "defaultdomain": default, "postuser": "bb", **(more or {})}
    flat = FlatStore(str(folder), _MAILBOXES, options=options)
    flat.write()
    store = CyrusStore(
        imapdconf.load(flat.conf_path, "smmap"),
        b"smmap",
        delivery_conf=imapdconf.load(flat.conf_path, "lmtpunix"),
    )
    return Verifier.for_store(store, answers=DELIVERY)


@pytest.mark.parametrize(
    ("default", "recipient", "kind"),
    [
        ("Example.COM", b"bb+public/a@example.com", Kind.DELIVERABLE),
        ("example.com", b"bb+public/a@example.com", Kind.DELIVERABLE),
        ("Example.COM", b"bb+public@virt.example", Kind.DELIVERABLE),
        ("Example.COM", b"bb+public@example.com", Kind.NONEXISTENT),
        ("Example.COM", b"bb+public/a@virt.example", Kind.NONEXISTENT),
        ("Example.COM", b"bb+closed/a@example.com", Kind.NONEXISTENT),
    ],
)
def test_a_folded_default_domain_and_a_folded_folder(
    tmp_path: Path, default: str, recipient: bytes, kind: Kind
) -> None:
    """Postfix folds both at once: a folder of the default domain is found, and no other."""
    assert _engine(tmp_path, default).verify(Query(recipient, folded=True)).kind is kind


@pytest.mark.parametrize(
    ("options", "recipient", "kind"),
    [
        ({}, b"bb+nope@example.com", Kind.CREATED),
        ({}, b"bb+nope@virt.example", Kind.CREATED),
        ({}, b"bb@virt.example", Kind.CREATED),
        (_NAMED, b"newbie@example.com", Kind.CREATED),
        (_NAMED, b"bb+nope@example.com", Kind.NONEXISTENT),
        (_NAMED, b"other@example.com", Kind.NONEXISTENT),
        ({"lmtp_downcase_rcpt": "yes"}, b"bb+nope@example.com", Kind.NONEXISTENT),
    ],
)
def test_a_folded_user_who_would_be_made(
    tmp_path: Path, options: dict[str, str], recipient: bytes, kind: Kind
) -> None:
    """Where capitals count, `BB` is a user and `bb` is the postuser."""
    makes = {"lmtp_downcase_rcpt": "no", "autocreate_post": "yes", "autocreate_quota": "0"}
    engine = _engine(tmp_path, "example.com", {**makes, **options})
    assert engine.verify(Query(recipient, folded=True)).kind is kind


def test_a_deleted_shared_folder_takes_no_mail(tmp_path: Path) -> None:
    """lmtpd says 451 4.2.0 after DATA, each time."""
    engine = _engine(tmp_path, "example.com")
    verdict = engine.verify(Query(b"bb+DELETED/news/6B0CE8D1@example.com"))
    assert verdict.kind is Kind.NOT_FOR_MAIL


def test_quotes_stay_in_a_newer_list_however_the_address_was_folded(tmp_path: Path) -> None:
    """Only lists of Cyrus up to 2.5 have users whose names need quotes."""
    engine = _engine(tmp_path, "example.com", {"lmtp_downcase_rcpt": "no"})
    assert engine.verify(Query(b"fr ed@example.com", folded=True)).kind is Kind.NONEXISTENT


def test_a_postuser_with_capitals_is_nobodys_where_capitals_do_not_count(tmp_path: Path) -> None:
    """What lmtpd compares with it is in lower case then, folded before or not."""
    engine = _engine(tmp_path, "example.com", {"postuser": "BB"})
    for folded in (False, True):
        query = Query(b"bb+Public/a@example.com", folded=folded)
        assert engine.verify(query).kind is Kind.NONEXISTENT


_KEPT = {"calendarprefix": "Calendar", "notesmailbox": "Notes", "lmtp_strict_quota": "yes"}


@pytest.mark.parametrize(
    ("recipient", "kind", "older"),
    [
        (b"bb+Calendar/team", Kind.NOT_FOR_MAIL, Kind.DELIVERABLE),
        # Over quota is said at RCPT, and a strict quota after DATA, where the name counts first.
        (b"bb+Calendar/over", Kind.OVER_QUOTA, Kind.OVER_QUOTA),
        (b"bb+Calendar/brim", Kind.NOT_FOR_MAIL, Kind.OVER_QUOTA),
        (b"bb+Notes", Kind.NOT_FOR_MAIL, Kind.DELIVERABLE),
        (b"bb+#sieve", Kind.NOT_FOR_MAIL, Kind.DELIVERABLE),
        (b"bb+info/Notes", Kind.DELIVERABLE, Kind.DELIVERABLE),
        # INBOX is full, and only a folder for mail saves it
        (b"brim+Notes", Kind.OVER_QUOTA, Kind.DELIVERABLE),
        (b"brim+Other", Kind.DELIVERABLE, Kind.DELIVERABLE),
    ],
)
def test_folders_that_an_option_keeps_for_other_things(
    tmp_path: Path, recipient: bytes, kind: Kind, older: Kind
) -> None:
    """lmtpd says 250 to RCPT and 451 after DATA, from 3.6 on; the list's keys tell which it is."""
    for folder, keys, expected in (
        (tmp_path / "new", False, kind),
        (tmp_path / "old", True, older),
    ):
        folder.mkdir()
        flat = FlatStore(str(folder), _MAILBOXES, options={"postuser": "bb", **_KEPT}, older=keys)
        flat.quotas = {b"user.brim": quota((1024, 1)), b"user.brim.Notes": quota((0, 9))}
        flat.quotas[b"user.brim.Other"] = quota((0, 9))
        flat.quotas |= {b"Calendar.over": quota((1025, 1)), b"Calendar.brim": quota((1024, 1))}
        flat.write()
        engine = Verifier.for_store(
            CyrusStore(imapdconf.load(flat.conf_path, "smmap"), b"smmap"), answers=DELIVERY
        )
        assert engine.verify(Query(recipient)).kind is expected


_NOTIFIED = {"jmapnotificationfolder": "Alerts"}


@pytest.mark.parametrize(
    ("options", "recipient", "kind"),
    [
        ({}, b"bb+#jmapnotification@example.com", Kind.DELIVERABLE),
        ({}, b"bb+Alerts@example.com", Kind.DELIVERABLE),
        (_NOTIFIED, b"bb+Alerts@example.com", Kind.NOT_FOR_MAIL),
        (_NOTIFIED, b"bb+#jmapnotification@example.com", Kind.DELIVERABLE),
    ],
)
def test_an_option_that_only_some_versions_know(
    tmp_path: Path, options: dict[str, str], recipient: bytes, kind: Kind
) -> None:
    """It counts where it is set: 3.6.1 delivers to its default, and 3.10.2 says 451."""
    assert _engine(tmp_path, "example.com", options).verify(Query(recipient)).kind is kind
