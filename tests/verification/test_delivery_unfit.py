"""A calendar where mail should go: what lmtpd refuses at RCPT comes first, and is heard.

lmtpd says 250 to RCPT for one, unless rights, quota or userdeny refuse; only what is refused then
goes to the catch-all mailbox.  After DATA it says 451.  Each row was seen with 3.6.1 and 3.10.2.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.mailboxrecord import MBTYPE_KIND, TYPES
from gateway.cyrus.store import CyrusStore
from gateway.verification.kinds import Kind
from gateway.verification.model import Query
from gateway.verification.steps import Step
from gateway.verification.verifier import DELIVERY, Verifier
from tests.stores import FlatStore, denial, quota, record

OPEN = b"anyone\tp"
MAILBOXES = {
    b"user.catch": record(),
    b"user.fullcatch": record(),
    b"user.agenda": record(mbtype=b"c"),
    b"user.full": record(mbtype=b"c"),
    b"user.brim": record(mbtype=b"c"),
    b"user.brim.Mail": record(OPEN),
    b"user.denied": record(mbtype=b"c"),
    b"user.denied.Mail": record(OPEN),
    b"user.agenda.Mail": record(OPEN),
    b"user.agenda.Closed": record(),
    b"user.agenda.More": record(OPEN, mbtype=b"c"),
    b"user.agenda.Full": record(OPEN),
    b"user.agenda.Notes": record(OPEN),
    b"open": record(OPEN, mbtype=b"c"),
    b"seen": record(b"anyone\tl", mbtype=b"c"),
    b"unseen": record(b"", mbtype=b"c"),
    b"overshare": record(OPEN, mbtype=b"c"),
    b"overseen": record(b"anyone\tl", mbtype=b"c"),
    b"away": b"%(T cr S backend.example P default A %() I 1)",
}
QUOTAS = {
    b"user.fullcatch": quota((10_241, 10)),
    b"user.full": quota((10_241, 10)),
    b"user.brim": quota((10_240, 10)),
    b"user.brim.Mail": quota((0, 10)),
    b"user.agenda.Full": quota((10_241, 10)),
    b"overshare": quota((10_241, 10)),
    b"overseen": quota((10_241, 10)),
}
DENIALS = {b"denied": denial(b"", b"lmtpunix")}
NO, UNFIT, OVER = Kind.NONEXISTENT, Kind.NOT_FOR_MAIL, Kind.OVER_QUOTA
GONE = Kind.OVER_QUOTA_PERMANENT
TAKEN, CAUGHT = Kind.DELIVERABLE, Kind.CATCH_ALL

# Each with no catch-all mailbox, one that takes mail, one that is full, and one that is missing.
ROWS = {
    b"agenda": (UNFIT, UNFIT, UNFIT, UNFIT),
    b"full": (OVER, CAUGHT, OVER, NO),
    b"denied": (Kind.DISABLED, CAUGHT, OVER, NO),
    b"+open": (UNFIT, UNFIT, UNFIT, UNFIT),
    b"+seen": (Kind.NOT_POSTABLE, CAUGHT, OVER, NO),
    b"+unseen": (NO, CAUGHT, OVER, NO),
    b"+overshare": (OVER, CAUGHT, OVER, NO),
    b"+overseen": (Kind.NOT_POSTABLE, CAUGHT, OVER, NO),
    # On another server: its rights are here, its kind too.
    b"+away": (NO, CAUGHT, OVER, NO),
    # A folder behind the plus is tried before INBOX.
    b"agenda+Mail": (TAKEN, TAKEN, TAKEN, TAKEN),
    b"agenda+none": (UNFIT, UNFIT, UNFIT, UNFIT),
    b"agenda+Closed": (UNFIT, UNFIT, UNFIT, UNFIT),
    b"agenda+More": (UNFIT, UNFIT, UNFIT, UNFIT),
    b"agenda+Full": (UNFIT, UNFIT, UNFIT, UNFIT),
    b"agenda+Notes": (UNFIT, UNFIT, UNFIT, UNFIT),
    b"full+Mail": (OVER, CAUGHT, OVER, NO),
}
CATCH_ALLS = (None, "catch", "fullcatch", "nobody")


def _engine(folder: Path, **options: str) -> Verifier:
    flat = FlatStore(str(folder), MAILBOXES, QUOTAS, DENIALS, {"notesmailbox": "Notes", **options})
    flat.write()
    conf = imapdconf.load(flat.conf_path, "lmtpunix")
    return Verifier.for_store(CyrusStore(conf, b"smmap"), answers=DELIVERY)


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("number", range(len(CATCH_ALLS)))
def test_what_is_refused_at_rcpt_comes_first(tmp_path: Path, number: int, traced: bool) -> None:
    """An explanation says the same."""
    catch_all = CATCH_ALLS[number]
    engine = _engine(tmp_path, **({"lmtp_catchall_mailbox": catch_all} if catch_all else {}))
    said = {each: engine.verify(Query(each), [] if traced else None).kind for each in ROWS}
    assert said == {each: kinds[number] for each, kinds in ROWS.items()}


@pytest.mark.parametrize(
    ("recipient", "kind"),
    [(b"agenda", UNFIT), (b"full", GONE), (b"brim", UNFIT), (b"brim+Mail", TAKEN)],
)
def test_quotas_that_are_strict_and_for_good(tmp_path: Path, recipient: bytes, kind: Kind) -> None:
    """What does not fit after DATA is not heard of: the calendar is opened first."""
    options = {"lmtp_strict_quota": "yes", "lmtp_over_quota_perm_failure": "yes"}
    assert _engine(tmp_path, **options).verify(Query(recipient)).kind is kind


def test_a_denied_user_with_a_mailbox_that_is_exactly_full(tmp_path: Path) -> None:
    """userdeny is asked at RCPT, and refuses before the mail does not fit after DATA."""
    options = {"lmtp_strict_quota": "yes", "lmtp_catchall_mailbox": "catch"}
    flat = FlatStore(
        str(tmp_path),
        {b"user.catch": record(), b"user.denied": record()},
        {b"user.denied": quota((10_240, 10))},
        DENIALS,
        options,
    )
    flat.write()
    conf = imapdconf.load(flat.conf_path, "lmtpunix")
    engine = Verifier.for_store(CyrusStore(conf, b"smmap"), answers=DELIVERY)
    assert engine.verify(Query(b"denied")).kind is CAUGHT


@pytest.mark.parametrize("recipient", [b"agenda+Mail", b"agenda+none"])
def test_what_a_folder_may_have_saved_is_not_remembered(tmp_path: Path, recipient: bytes) -> None:
    """What is remembered is proved by INBOX' records alone."""
    engine = _engine(tmp_path)
    assert not engine.verify(Query(recipient)).cacheable
    assert engine.verify(Query(b"agenda")).cacheable


@pytest.mark.parametrize("letter", [letter for letter, mbtype, _ in TYPES if mbtype <= MBTYPE_KIND])
def test_the_types_that_take_mail(tmp_path: Path, letter: str) -> None:
    """As lmtpd of 3.6.1 or 3.10.2 delivers: not into calendars, address books and Sieve's scripts."""
    mailboxes = {b"user.odd": record(mbtype=letter.encode())}
    flat = FlatStore(str(tmp_path), mailboxes, {}, {}, {})
    flat.write()
    conf = imapdconf.load(flat.conf_path, "lmtpunix")
    engine = Verifier.for_store(CyrusStore(conf, b"smmap"), answers=DELIVERY)
    assert engine.verify(Query(b"odd")).kind is (UNFIT if letter in "caf" else TAKEN)


@pytest.mark.parametrize(
    ("recipient", "options", "unfit"),
    [
        (b"agenda+Mail", {}, [None]),
        (b"agenda+More", {}, ["not-for-mail"]),
        (b"agenda+Notes", {}, []),
        (b"plain+Notes", {}, ["not-for-mail"]),
        (b"plain+Mail", {}, [None]),
        (b"plain", {}, []),
        (b"last+Closed", {"lmtp_strict_quota": "yes"}, [None]),
        (b"denied+Mail", {}, [None]),
    ],
)
def test_an_explanation_tells_of_the_folder_once(
    tmp_path: Path, recipient: bytes, options: dict[str, str], unfit: list[str | None]
) -> None:
    """Where it may take the mail, and why it does not."""
    mailboxes = {
        **MAILBOXES,
        b"user.plain": record(),
        b"user.plain.Mail": record(OPEN),
        b"user.plain.Notes": record(OPEN),
        b"user.last": record(),
        b"user.last.Closed": record(),
    }
    quotas = {b"user.last": quota((10_240, 10))}
    options = {"notesmailbox": "Notes", **options}
    flat = FlatStore(str(tmp_path), mailboxes, quotas, DENIALS, options)
    flat.write()
    conf = imapdconf.load(flat.conf_path, "lmtpunix")
    steps: list[Step] = []
    engine = Verifier.for_store(CyrusStore(conf, b"smmap"), answers=DELIVERY)
    engine.verify(Query(recipient), steps)
    assert [dict(step.facts)["unfit"] for step in steps if step.name == "delivery"] == unfit
