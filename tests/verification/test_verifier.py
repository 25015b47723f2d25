"""The order of checks: one table of recipients, on a store written for it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.mailboxrecord import MBTYPE_DELETED
from gateway.cyrus.quota import QuotaRecord
from gateway.cyrus.store import CyrusStore
from gateway.verification.kinds import Kind
from gateway.verification.model import Evidence, Pending, Query, Verdict
from gateway.verification.steps import STEPS, Step
from gateway.verification.verifier import Verifier
from tests.stores import FlatStore, denial, quota, record

REMOTE = b"%(T r S backend.example P default A %() I 1)"

MAILBOXES = {
    b"user.fred": record(),
    b"user.fred.Sent": record(),
    b"user.over": record(),
    b"user.over.sub": record(),
    b"user.exact": record(),
    b"user.counted": record(),
    b"user.nolimit": record(),
    b"user.denied": record(),
    b"user.excepted": record(),
    b"user.remote": REMOTE,
    b"user.away": REMOTE,
    b"user.new": record(mbtype=b"z"),
    b"user.gone": record(mbtype=b"d"),
    b"user.between": record(mbtype=b"i"),
    b"user.broken": b"%(T",
    b"user.badtype": record(mbtype=b"Q"),
    b"user.badquota": record(),
    b"virt.example!user.vera": record(),
    b"virt.example!user.full": record(),
    b"open": record(b"anyone\tlrp"),
    b"open.inner": record(b"anyone\tp"),
    b"seen": record(b"anyone\tlr"),
    b"unseen": record(b"fred\tlrp"),
    b"negative": record(b"anyone\tlrp\t-anyone\tp"),
    b"remoteshare": b"%(T r S backend.example P default A %(anyone lrp) I 1)",
    b"closedshare": b"%(T r S backend.example P default A %(anyone lr) I 1)",
    b"fullshare": record(b"anyone\tp"),
    b"newshare": record(mbtype=b"z"),
}

QUOTAS = {
    b"user.fred": quota((1000, 10)),
    b"user.over": quota((1_000_000, 10)),
    b"user.exact": quota((10_240, 10), (9, 10)),
    b"user.counted": quota(None, (10, 10)),
    b"user.nolimit": b"1000000000000 -1",
    b"user.badquota": b"nonsense",
    b"user.remote": quota((1_000_000, 10)),
    b"virt.example!": quota((20_000, 10)),
    b"fullshare": quota((20_000, 10)),
}

DENIALS = {
    b"denied": denial(b"closed\tdown\x01"),
    b"excepted": denial(b"closed", b"!smmap,*"),
    b"away": denial(b"moved"),
    b"nobody": denial(b"never was"),
    b"vera@virt.example": denial(b"", b"smm*"),
}

NOWHERE = b"Mailbox does not exist"
IO_ERROR = b"System I/O error"

CASES: list[tuple[bytes, Kind, bytes]] = [
    # Users and their folders.
    (b"fred", Kind.DELIVERABLE, b""),
    (b"fred@example.org", Kind.DELIVERABLE, b""),
    (b"FRED@EXAMPLE.ORG", Kind.DELIVERABLE, b""),
    (b"fred+Sent", Kind.DELIVERABLE, b""),
    (b"fred+sent", Kind.NONEXISTENT, NOWHERE),
    (b"joe", Kind.NONEXISTENT, NOWHERE),
    (b"fred@other.example", Kind.NONEXISTENT, NOWHERE),
    (b"", Kind.NONEXISTENT, NOWHERE),
    (b"@", Kind.NONEXISTENT, NOWHERE),
    (b"example.org", Kind.NONEXISTENT, NOWHERE),
    (b"fr\0ed", Kind.NONEXISTENT, NOWHERE),
    (b"x" * 9000, Kind.NONEXISTENT, NOWHERE),
    # Records that are not a mailbox, or none yet.
    (b"gone", Kind.NONEXISTENT, NOWHERE),
    (b"between", Kind.NONEXISTENT, NOWHERE),
    (b"new", Kind.RESERVED, b"Mailbox is currently reserved"),
    (b"broken", Kind.STORE_FAULT, b"Invalid identifier"),
    (b"badtype", Kind.STORE_FAULT, b"Mailbox has an invalid format"),
    # Quota: storage above its limit, messages at it; the root of a parent or of the domain.
    (b"over", Kind.OVER_QUOTA, b"Over quota"),
    (b"over+sub", Kind.OVER_QUOTA, b"Over quota"),
    (b"over+nothing", Kind.NONEXISTENT, NOWHERE),
    (b"exact", Kind.DELIVERABLE, b""),
    (b"counted", Kind.OVER_QUOTA, b"Over quota"),
    (b"nolimit", Kind.DELIVERABLE, b""),
    (b"full@virt.example", Kind.OVER_QUOTA, b"Over quota"),
    # Userdeny comes first, for who exists and who does not.
    (b"denied", Kind.DENIED, b"closed down "),
    (b"denied+x", Kind.DENIED, b"closed down "),
    (b"excepted", Kind.DELIVERABLE, b""),
    (b"nobody", Kind.DENIED, b"never was"),
    (b"away", Kind.DENIED, b"moved"),
    (b"vera@virt.example", Kind.DENIED, b"Access to this service has been blocked"),
    # Shared folders: the rights of anyone.
    (b"+open", Kind.DELIVERABLE, b""),
    (b"+open/inner", Kind.DELIVERABLE, b""),
    (b"+seen", Kind.NOT_POSTABLE, b"Permission denied"),
    (b"+unseen", Kind.NONEXISTENT, NOWHERE),
    (b"+negative", Kind.NOT_POSTABLE, b"Permission denied"),
    (b"+closedshare", Kind.NOT_POSTABLE, b"Permission denied"),
    (b"+fullshare", Kind.OVER_QUOTA, b"Over quota"),
    (b"+newshare", Kind.RESERVED, b"Mailbox is currently reserved"),
    (b"+nothing", Kind.NONEXISTENT, NOWHERE),
]


@pytest.fixture
def flat(tmp_path: Path) -> FlatStore:
    """The store of the table."""
    store = FlatStore(
        str(tmp_path),
        MAILBOXES,
        QUOTAS,
        DENIALS,
        {"virtdomains": "userid", "defaultdomain": "example.org"},
    )
    store.write()
    return store


def verifier(flat: FlatStore, **options: str) -> Verifier:
    """The engine on it, with more options of imapd.conf."""
    flat.options.update(options)
    flat.write()
    return Verifier.for_store(CyrusStore(imapdconf.load(flat.conf_path, "smmap"), b"smmap"))


def decide(engine: Verifier, recipient: bytes, size: int | None = None) -> Verdict:
    """The verdict, where no other server is needed."""
    outcome = engine.decide(Query(recipient, size))
    assert isinstance(outcome, Verdict)
    return outcome


@pytest.mark.parametrize(("recipient", "kind", "reason"), CASES)
def test_verdicts(flat: FlatStore, recipient: bytes, kind: Kind, reason: bytes) -> None:
    """One recipient, one kind, and the C program's words for it."""
    verdict = decide(verifier(flat), recipient)
    assert (verdict.kind, verdict.reason) == (kind, reason)


@pytest.mark.parametrize(("recipient", "kind", "reason"), CASES)
def test_the_trace_changes_nothing(
    flat: FlatStore, recipient: bytes, kind: Kind, reason: bytes
) -> None:
    """With the steps the verdict is the same; the steps of a reading come in one order."""
    trace: list[Step] = []
    verdict = verifier(flat).decide(Query(recipient), trace)
    assert isinstance(verdict, Verdict)
    assert (verdict.kind, verdict.reason) == (kind, reason)
    names = [step.name for step in trace]
    assert names[0] == "name"
    for reading in " ".join(names).split("name")[1:]:
        # The owner of the mailbox that was found may be blocked as well.
        checks = reading.replace("mailbox userdeny", "mailbox").split()
        assert checks == sorted(checks, key=STEPS.index)


@pytest.mark.parametrize(
    ("recipient", "steps"),
    [
        (b"fred", ["name", "userdeny", "mailbox", "quota"]),
        (b"joe", ["name", "userdeny", "mailbox"]),
        (b"denied", ["name", "userdeny"]),
        (b"+open", ["name", "mailbox", "acl", "quota"]),
        (b"+seen", ["name", "mailbox", "acl"]),
        (b"remote", ["name", "userdeny", "mailbox"]),
        (b"broken", ["name", "userdeny", "fault"]),
    ],
)
def test_each_check_is_made_only_where_it_matters(
    flat: FlatStore, recipient: bytes, steps: list[str]
) -> None:
    """In the C program's order, up to the one that decides."""
    trace: list[Step] = []
    verifier(flat).decide(Query(recipient), trace)
    assert [step.name for step in trace] == steps


FACTS: list[tuple[bytes, str, dict[str, object]]] = [
    (b"fred", "name", {"key": b"Nuser\x1ffred"}),
    (b"fred", "userdeny", {"format": "flat", "pattern": None}),
    (b"fred", "mailbox", {"found": True, "type": 0, "key": b"Nuser\x1ffred"}),
    (b"gone", "mailbox", {"found": False, "type": MBTYPE_DELETED}),
    (b"joe", "mailbox", {"found": False, "type": None}),
    (b"+open", "acl", {"lookup": True, "post": True}),
    (b"+seen", "acl", {"lookup": True, "post": False}),
    (b"+open/inner", "acl", {"lookup": False, "post": True}),
    (b"+unseen", "acl", {"lookup": False, "post": False}),
    (b"over", "quota", {"refusal": "over-quota"}),
    (b"fred", "quota", {"refusal": None}),
]


@pytest.mark.parametrize(("recipient", "step", "facts"), FACTS)
def test_what_the_steps_say(
    flat: FlatStore, recipient: bytes, step: str, facts: dict[str, object]
) -> None:
    """What was looked at and what it showed; a record that takes no mail is shown too."""
    trace: list[Step] = []
    verifier(flat).decide(Query(recipient), trace)
    (said,) = (dict(made.facts) for made in trace if made.name == step)
    assert {name: said.get(name) for name in facts} == facts


@pytest.mark.parametrize("recipient", [b"remote", b"+remoteshare"])
def test_remote_mailbox_must_be_asked_for(flat: FlatStore, recipient: bytes) -> None:
    """Its own server knows its quota; a quota root here says nothing."""
    outcome = verifier(flat).decide(Query(recipient))
    assert isinstance(outcome, Pending)
    assert (outcome.server, outcome.query) == ("backend.example", Query(recipient))
    assert outcome.evidence.server == "backend.example"


def test_evidence_says_what_the_verdict_rests_on(flat: FlatStore) -> None:
    """Mailbox, user, quota root with use and limit, deny pattern; the rest is None."""
    engine = verifier(flat)
    assert decide(engine, b"over+sub").evidence == Evidence(
        mailbox=b"user.over.sub",
        userid=b"over",
        quota=QuotaRecord(b"user.over", 1_000_000, 10_240, 0, None),
    )
    assert decide(engine, b"denied").evidence == Evidence(userid=b"denied", deny_pattern=b"*")
    assert decide(engine, b"joe").evidence == Evidence(mailbox=b"user.joe", userid=b"joe")
    assert decide(engine, b"+seen").evidence == Evidence(mailbox=b"seen")
    fault = decide(engine, b"broken").evidence.fault
    assert fault is not None
    assert "mailboxes.db: record b'Nuser\\x1fbroken'" in fault


@pytest.mark.parametrize(
    ("recipient", "cacheable"),
    [
        (b"fred", True),
        (b"joe", True),
        (b"over", True),
        (b"denied", True),
        (b"+seen", True),
        (b"new", False),
        (b"broken", False),
    ],
)
def test_faults_and_passing_states_are_not_to_be_remembered(
    flat: FlatStore, recipient: bytes, cacheable: bool
) -> None:
    """They must be asked again the next time."""
    assert decide(verifier(flat), recipient).cacheable is cacheable


def test_over_quota_for_good(flat: FlatStore) -> None:
    """lmtp_over_quota_perm_failure makes it final, and nothing else."""
    engine = verifier(flat, lmtp_over_quota_perm_failure="yes")
    assert decide(engine, b"over").kind is Kind.OVER_QUOTA_PERMANENT
    trace: list[Step] = []
    engine.decide(Query(b"over"), trace)
    assert dict(trace[-1].facts)["refusal"] == "over-quota-permanent"
    assert decide(engine, b"fred").kind is Kind.DELIVERABLE


@pytest.mark.parametrize(
    ("recipient", "size", "kind"),
    [
        (b"fred", 0, Kind.DELIVERABLE),
        (b"fred", 9240, Kind.DELIVERABLE),
        (b"fred", 9241, Kind.SIZE_OVER_QUOTA),
        (b"fred", 10**15, Kind.SIZE_OVER_QUOTA),
        (b"exact", 1, Kind.SIZE_OVER_QUOTA),
        (b"exact", 0, Kind.DELIVERABLE),
        (b"nolimit", 10**15, Kind.DELIVERABLE),
        (b"over", 1, Kind.OVER_QUOTA),
        (b"joe", 1, Kind.NONEXISTENT),
        (b"+open", 10**15, Kind.DELIVERABLE),
    ],
)
def test_announced_size(flat: FlatStore, recipient: bytes, size: int, kind: Kind) -> None:
    """It must fit into what is free, to the byte; without a limit everything does."""
    assert decide(verifier(flat), recipient, size).kind is kind


@pytest.mark.parametrize("database", ["mailboxes.db", "quotas.db", "user_deny.db"])
def test_unreadable_database_is_a_fault_for_those_who_need_it(
    flat: FlatStore, database: str
) -> None:
    """A folder in the file's place: a temporary failure that names it, and never "no such mailbox"."""
    engine = verifier(flat)
    path = os.path.join(flat.configdirectory, database)
    os.unlink(path)
    os.mkdir(path)
    verdict = decide(engine, b"fred")
    assert (verdict.kind, verdict.reason, verdict.cacheable) == (Kind.STORE_FAULT, IO_ERROR, False)
    assert verdict.evidence.fault is not None
    assert verdict.evidence.fault.startswith(path)
    # A shared folder has no user that could be denied; a name without a mailbox has no quota.
    shared = decide(engine, b"+open").kind
    absent = decide(engine, b"+nothing").kind
    assert shared is (Kind.DELIVERABLE if database == "user_deny.db" else Kind.STORE_FAULT)
    assert absent is (Kind.STORE_FAULT if database == "mailboxes.db" else Kind.NONEXISTENT)
    os.rmdir(path)
    flat.write()
    assert decide(engine, b"fred").kind is Kind.DELIVERABLE


def test_a_quota_record_that_makes_no_sense_is_a_fault_of_its_own(flat: FlatStore) -> None:
    """For the users below that root."""
    verdict = decide(verifier(flat), b"badquota")
    assert verdict.kind is Kind.STORE_FAULT
    assert verdict.evidence.fault is not None
    assert "user.badquota" in verdict.evidence.fault


def test_missing_userdeny_denies_nobody(flat: FlatStore) -> None:
    """That is the normal state of most servers."""
    engine = verifier(flat)
    os.unlink(os.path.join(flat.configdirectory, "user_deny.db"))
    assert decide(engine, b"denied").kind is Kind.DELIVERABLE
    trace: list[Step] = []
    assert engine.verify(Query(b"denied"), trace).kind is Kind.DELIVERABLE
    assert [dict(step.facts)["format"] for step in trace if step.name == "userdeny"] == [None]


def test_each_answer_is_of_the_store_as_it_is_now(flat: FlatStore) -> None:
    """What was written before the question counts, in all three databases."""
    engine = verifier(flat)
    assert decide(engine, b"fred").kind is Kind.DELIVERABLE
    flat.denials = {b"fred": denial(b"no")}
    flat.write()
    assert decide(engine, b"fred").kind is Kind.DENIED
    flat.denials, flat.quotas = {}, {b"user.fred": quota((1_000_000, 10))}
    flat.write()
    assert decide(engine, b"fred").kind is Kind.OVER_QUOTA
    flat.mailboxes = {b"user.other": flat.mailboxes[b"user.fred"]}
    flat.write()
    assert decide(engine, b"fred").kind is Kind.NONEXISTENT
    # A list without anybody is not the list of this site.
    flat.mailboxes = {}
    flat.write()
    assert decide(engine, b"fred").kind is Kind.STORE_FAULT


def test_mailbox_that_mupdate_may_know_is_asked_for_once(flat: FlatStore) -> None:
    """On a frontend the list may not be current: a kick, and then the second look decides."""
    engine = verifier(flat, mupdate_server="mupdate.example")
    assert isinstance(engine.decide(Query(b"fred")), Verdict)
    pending = engine.decide(Query(b"joe"))
    assert isinstance(pending, Pending)
    assert pending.server is None
    verdict = engine.decide(Query(b"joe"), kicked=True)
    assert isinstance(verdict, Verdict)
    assert verdict.kind is Kind.NONEXISTENT
    # A list without anybody, too, may be filled a moment later.
    flat.mailboxes = {}
    flat.write()
    trace: list[Step] = []
    assert isinstance(engine.decide(Query(b"joe"), trace), Pending)
    assert [dict(step.facts)["found"] for step in trace if step.name == "mailbox"] == [False]


def test_mailbox_that_is_being_created_is_asked_for_once(flat: FlatStore) -> None:
    """mupdate tells of the reservation before it tells of the mailbox."""
    engine = verifier(flat, mupdate_server="mupdate.example")
    pending = engine.decide(Query(b"new"))
    assert isinstance(pending, Pending)
    assert pending.server is None
    verdict = engine.decide(Query(b"new"), kicked=True)
    assert isinstance(verdict, Verdict)
    assert verdict.kind is Kind.RESERVED
    assert engine.verify(Query(b"new")).kind is Kind.RESERVED


def test_mupdate_that_cannot_be_reached_is_no_proof_of_absence(flat: FlatStore) -> None:
    """The C program would refuse; a mailbox that was just created would lose its mail."""
    engine = verifier(flat, mupdate_server="mupdate.example")
    before = time.monotonic()
    trace: list[Step] = []
    verdict = engine.verify(Query(b"joe"), trace)
    (seconds,) = (step.seconds for step in trace if step.name == "mupdate")
    assert seconds is not None
    assert 0 <= seconds <= time.monotonic() - before
    assert (verdict.kind, verdict.cacheable) == (Kind.UPSTREAM_FAULT, False)
    assert verdict.evidence.fault is not None
    assert flat.configdirectory in verdict.evidence.fault
    assert engine.verify(Query(b"fred")).kind is Kind.DELIVERABLE
