"""The short way to a first answer says what the authority says, or leaves it to the authority."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cyrus import imapdconf
from gateway.cyrus.db.reopening import ReopeningDatabase
from gateway.cyrus.mailboxrecord import MBTYPE_EMAIL, list_entry
from gateway.cyrus.ordinary_records import has_room, is_mailbox
from gateway.cyrus.quota import _record
from gateway.cyrus.store import CyrusStore
from gateway.verification.cache import VerdictCache
from gateway.verification.kinds import Kind
from gateway.verification.model import Query, Verdict
from gateway.verification.ordinary import DELIVERABLE, NONEXISTENT, UNDECIDED, Ordinary
from gateway.verification.verifier import AUTHORITIES, Verifier
from tests.stores import FlatStore, dbkey, denial
from tests.support.sites import Site

MAILBOX = b"%(T e I 6bdf609a P default V 1 C 1 F 1 M 1 A %(fred lrswipkxtecdan))"
ROOM = b"%(S (10396 1000) M (2 9) AS (0) NF (2) MODSEQ 5)"
NAMES = (b"user.fred", b"user.anna", b"user.fr^ed", b"example.org!user.fred", b"user.fred.Work")

# What may be changed in a record: bytes that mean something, names, and whole pieces.
PIECES = st.sampled_from(
    [b"", b" ", b"  ", b"(", b")", b"%(", b'"', b"\\", b"{1}\r\nx", b"NIL", b"T r", b"T z", b" T e",
     b"S host!part", b"A", b"H ()", b"H (%(N x))", b"anyone p", b"\0", b"\n", b"-1", b"0", b"000",
     b"M (9 9)", b"S (1024000 1000)", b"AS (5 1)", b"NF (3 2)", b"99999999999999999999", b"MODSEQ",
     b"\xff", b"e", b"m"]
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, record: bytes) -> bytes:
    """An ordinary record with some of its bytes replaced."""
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(record)))
        length = draw(st.integers(0, 4))
        record = record[:at] + draw(PIECES) + record[at + length :]
    return record


@settings(max_examples=600)
@given(value=mutated(MAILBOX))
def test_a_mailbox_is_one_to_the_parser_as_well(value: bytes) -> None:
    """Of the type that takes mail, and nothing else."""
    if is_mailbox(value):
        assert list_entry(b"user.fred", value, old=False).mbtype == MBTYPE_EMAIL


@settings(max_examples=600)
@given(value=mutated(ROOM))
def test_room_is_room_to_the_parser_as_well(value: bytes) -> None:
    """For another mail, and with no limit on anything else."""
    if has_room(value):
        record = _record(b"user.fred", value)
        assert not record.exceeded(1, 1)
        assert not record.exceeded(0, 0)
        assert not record.exceeded_otherwise(folders=True)


@pytest.mark.parametrize(
    "value",
    [
        MAILBOX,
        b"%(T e I 6bdf609a-a796-44f9-b954-b5e91052f01d P default V 1 C 1 F 1 M 1 A %(fred lrswip))",
        b"%(T e I x J P-F P default V 1 C 1 F 1 M 1 A %(alice lrs anyone p) H ())",
        b"%(T e A %())",
    ],
)
def test_the_usual_mailboxes_take_the_short_way(value: bytes) -> None:
    """As Cyrus writes them."""
    assert is_mailbox(value)


@pytest.mark.parametrize(
    ("value", "room"),
    [
        (b"%(S (0 1))", True),
        (b"%(S (1023 1) M (2))", True),
        (b"%(S (1023 1) M (2 3))", True),
        (b"%(S (1023 1) M (3 3))", False),
        (b"%(S (1024 1) M (2 3))", False),
        (b"%(S (5 1) M (2) AS (0) NF (2) MODSEQ 5)", True),
        (b"%(S (5 1) M (2 9) AS (0) NF (2))", True),
        (b"%(S (5 1) M (2 9) AS (0 1) NF (2))", False),
        (b"5 1", False),
    ],
)
def test_what_room_there_is(value: bytes, room: bool) -> None:
    """The last mail, the last byte; and shapes that are left to the parser."""
    assert has_room(value) is room


CONFIGURATIONS = [
    {},
    {"virtdomains": "userid", "defaultdomain": "example.com"},
    {"virtdomains": "userid", "defaultdomain": "example.org"},
    {"autocreate_post": "yes", "autocreate_quota": "0"},
    {"lmtp_catchall_mailbox": "anna"},
    {"lmtp_strict_quota": "yes", "lmtp_over_quota_perm_failure": "yes"},
    {"unixhierarchysep": "no"},
    {"lmtp_downcase_rcpt": "no"},
    {"postuser": "fred"},
]
RECIPIENTS = [
    b"fred", b"Fred", b"anna", b"fr.ed", b"fred@example.org", b"fred@EXAMPLE.org", b"nobody",
    b"nobody@example.org", b"fred+Work", b"+fred", b"", b"@", b"user", b'"fred"', b"fred@x y",
    b"fr^ed", b"fr\xc3\xa9d", b"a/b", b"fr\0ed",
]  # fmt: skip
DENIED = [{}, {b"fred": b"smmap"}, {b"anna": b"lmtpunix"}, {b"nobody": b"smmap"}]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples."""
    return tmp_path_factory.mktemp("ordinary")


@settings(max_examples=100, deadline=None)
@given(
    options=st.sampled_from(CONFIGURATIONS),
    answers=st.sampled_from(AUTHORITIES),
    denied=st.sampled_from(DENIED),
    kicks=st.booleans(),
    older=st.booleans(),
    data=st.data(),
)
def test_whatever_the_store_holds_the_answer_is_the_authoritys(
    root: Path,
    options: dict[str, str],
    answers: str,
    denied: dict[bytes, bytes],
    kicks: bool,
    older: bool,
    data: st.DataObject,
) -> None:
    """Kind, reason, and which quota roots are proved; with damaged and unusual records."""
    store = FlatStore(str(root), options=options, older=older)
    store.mailboxes = {
        name: data.draw(mutated(MAILBOX)) for name in data.draw(st.sets(st.sampled_from(NAMES)))
    }
    store.quotas = {
        name: data.draw(mutated(ROOM)) for name in data.draw(st.sets(st.sampled_from(NAMES)))
    }
    store.denials = {user: denial(b"", service) for user, service in denied.items()}
    store.write()
    conf = imapdconf.load(store.conf_path, "smmap")
    verifier = Verifier.for_store(CyrusStore(conf, b"smmap"), answers=answers)
    verifier.kicks_mupdate = kicks
    cache = VerdictCache(verifier)
    for recipient in RECIPIENTS:
        query = Query(recipient)
        cache.expire_tick()
        given_ = cache.decide(query)
        general = verifier.decide(query)
        assert type(given_) is type(general)
        if isinstance(given_, Verdict) and isinstance(general, Verdict):
            assert (given_.kind, given_.reason) == (general.kind, general.reason), recipient


class Asked:
    """Questions to a site, answered by the short way where that is open, and by the other one."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self._site = site
        self._monkeypatch = monkeypatch

    def kinds(self, recipient: bytes) -> tuple[str, Kind, list[bool]]:
        """What the short way finds, the verdict, and what proves it."""
        site = self._site
        site.cache.expire_tick()
        site.verifier.store.refresh()
        found = Ordinary(site.verifier, site.cache.watch).look(recipient)
        given_ = VerdictCache(site.verifier)
        with self._monkeypatch.context() as closed:
            general = VerdictCache(site.verifier)
            closed.setattr(Ordinary, "look", lambda _self, _recipient: UNDECIDED)
            verdict = general.decide(Query(recipient))
        assert isinstance(verdict, Verdict)
        first = given_.decide(Query(recipient))
        assert isinstance(first, Verdict)
        assert (first.kind, first.reason) == (verdict.kind, verdict.reason)
        proofs = [
            [each.found for each in entry.proofs] if (entry := cache.entry(recipient)) else []
            for cache in (given_, general)
        ]
        assert proofs[0] == proofs[1]
        return found, verdict.kind, proofs[0]


@pytest.mark.parametrize("answers", AUTHORITIES)
def test_the_short_way_is_gone_and_proves_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: str
) -> None:
    """A mailbox with and without a quota root, and a recipient that does not exist."""
    site = Site(tmp_path)
    site.verifier = site.verifier.answering(answers)
    site.quota("fred", ROOM.decode())
    asked = Asked(site, monkeypatch)
    assert asked.kinds(b"fred") == (DELIVERABLE, Kind.DELIVERABLE, [True])
    assert asked.kinds(b"anna") == (DELIVERABLE, Kind.DELIVERABLE, [False, False])
    assert asked.kinds(b"nobody") == (NONEXISTENT, Kind.NONEXISTENT, [])
    site.quota("fred", "1024000 1000")  # just full: another mail may still come
    assert asked.kinds(b"fred") == (UNDECIDED, Kind.DELIVERABLE, [True])
    site.quota("fred", "1024001 1000")
    assert asked.kinds(b"fred") == (UNDECIDED, Kind.OVER_QUOTA, [True])


def test_a_record_that_was_seen_is_not_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the authority has to decide it is told of it."""
    site = Site(tmp_path)
    site.quota("over", "2048 1")
    looked: list[bytes] = []
    get = ReopeningDatabase.get

    def noting(database: ReopeningDatabase, key: bytes) -> bytes | None:
        looked.append(key)
        return get(database, key)

    monkeypatch.setattr(ReopeningDatabase, "get", noting)
    assert site.ask(b"over").kind is Kind.OVER_QUOTA
    assert looked.count(dbkey(b"user.over")) == 1


@pytest.mark.parametrize("record", [b"%(T eQ I 1 P default A %(fred lrs))", b"%(T", b""])
def test_a_record_that_the_short_way_has_seen_is_read_as_any_other(
    tmp_path: Path, record: bytes
) -> None:
    """As the list is a newer one, what makes no sense is damage."""
    flat = FlatStore(str(tmp_path), {b"user.fred": record})
    flat.write()
    verifier = Verifier.for_store(CyrusStore(imapdconf.load(flat.conf_path, "smmap"), b"smmap"))
    outcome = VerdictCache(verifier).decide(Query(b"fred"))
    assert isinstance(outcome, Verdict)
    assert outcome.kind is Kind.STORE_FAULT
