"""A remembered verdict of delivery rests on several records: a change of any of them shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.verification import cache
from gateway.verification.cache import VerdictCache
from gateway.verification.kinds import Kind
from gateway.verification.model import Pending, Query, Verdict
from gateway.verification.records import SMMAPD
from gateway.verification.verifier import DELIVERY, Verifier
from tests.stores import dbkey, denial, quota, record
from tests.support.twoskip_writer import Writer

OPEN = b"anyone\tlrp"
OK, NO, OVER = Kind.DELIVERABLE, Kind.NONEXISTENT, Kind.OVER_QUOTA

# What a store is made of: mailbox list, quota roots, userdeny.
Database = str
Change = tuple[Database, bytes, bytes | None]
LIST, QUOTA, DENY = "mailboxes.db", "quotas.db", "user_deny.db"

FULL, FREE = quota((10_241, 10)), quota((0, 10))


class Store:
    """A store in three twoskip files, changed by commits as Cyrus makes them."""

    def __init__(self, root: Path, options: str, *, older: bool = False) -> None:
        key = bytes if older else dbkey
        self._conf = root / "conf"
        self._conf.mkdir()
        self._writers = {name: Writer(seed=1) for name in (LIST, QUOTA, DENY)}
        self._writers[LIST].fill(
            (key(name), record(OPEN))
            for name in (b"user.fred", b"user.brim", b"user.brim.Own", b"user.catch", b"News")
        )
        self._writers[QUOTA].fill([(b"user.brim", quota((10_240, 10))), (b"user.brim.Own", FREE)])
        self._writers[DENY].fill([(b"zoe", denial())])
        for name in self._writers:
            self._write(name)
        path = root / "imapd.conf"
        path.write_text(
            f"configdirectory: {self._conf}\nmboxlist_db: twoskip\nquota_db: twoskip\n"
            f"userdeny_db: twoskip\n{options}"
        )
        conf = imapdconf.load(str(path), "smmap")
        self.verifier = Verifier.for_store(CyrusStore(conf, b"smmap"), answers=DELIVERY)
        self.cache = VerdictCache(self.verifier)

    def answer_as(self, authority: str) -> None:
        """Another authority, which has remembered nothing."""
        self.verifier = self.verifier.answering(authority)
        self.cache = VerdictCache(self.verifier)

    def change(self, change: Change) -> None:
        """Commit one record, or its deletion."""
        name, key, value = change
        writer = self._writers[name]
        if value is None:
            writer.delete(key)
        else:
            writer.store(key, value)
        writer.commit()
        self._write(name)

    def _write(self, name: str) -> None:
        with open(self._conf / name, "r+b" if (self._conf / name).exists() else "wb") as file:
            file.write(self._writers[name].image())

    def kind(self, recipient: bytes, *, folded: bool = False) -> Kind:
        """What the memory says, which must be what a fresh look does."""
        query = Query(recipient, folded=folded)
        self.cache.expire_tick()
        given = self.cache.decide(query)
        fresh = self.verifier.decide(query)
        assert isinstance(given, Verdict)
        assert isinstance(fresh, Verdict)
        assert given.kind is fresh.kind
        return given.kind


def mailbox(name: bytes, acl: bytes = OPEN) -> Change:
    """A mailbox is made."""
    return LIST, dbkey(name), record(acl)


def gone(name: bytes) -> Change:
    """A mailbox is deleted."""
    return LIST, dbkey(name), None


# As Cyrus 2.5 wrote a record.
TEXT = b"0 default anyone\tlrp\t"

CATCH = "lmtp_catchall_mailbox: catch\n"
MAKES = "autocreate_post: yes\nautocreate_quota: 0\n"
STRICT = "lmtp_strict_quota: yes\n"
DOMAIN = "virtdomains: userid\n"

CHANGES: dict[str, tuple[str, bytes, Kind, Change, Kind]] = {
    "INBOX is deleted": ("", b"fred+Lists", OK, gone(b"user.fred"), NO),
    "INBOX is made": ("", b"newton+Lists", NO, mailbox(b"user.newton"), OK),
    "INBOX fills": ("", b"fred+Lists", OK, (QUOTA, b"user.fred", FULL), OVER),
    "a root above it fills": (DOMAIN, b"fred", OK, (QUOTA, b"user", FULL), OVER),
    "a user is denied": ("", b"fred", OK, (DENY, b"fred", denial(b"", b"lmtpunix")), Kind.DISABLED),
    "a user is denied to us": ("", b"fred", OK, (DENY, b"fred", denial(b"", b"smmap")), Kind.DENIED),
    "the folder that saves it": (STRICT, b"brim+Own", OK, gone(b"user.brim.Own"), OVER),
    "its right": (STRICT, b"brim+Own", OK, mailbox(b"user.brim.Own", b""), OVER),
    "its quota": (STRICT, b"brim+Own", OK, (QUOTA, b"user.brim.Own", FULL), OVER),
    "a folder that may save it": (
        STRICT, b"brim+New", OVER, mailbox(b"user.brim.New"), OVER,
    ),
    "catch-all is deleted": (CATCH, b"nobody", Kind.CATCH_ALL, gone(b"user.catch"), NO),
    "catch-all fills": (CATCH, b"nobody", Kind.CATCH_ALL, (QUOTA, b"user.catch", FULL), OVER),
    "catch-all is denied": (
        CATCH, b"nobody", Kind.CATCH_ALL, (DENY, b"catch", denial(b"", b"lmtpunix")), Kind.DISABLED,
    ),
    "INBOX comes before catch-all": (CATCH, b"nobody", Kind.CATCH_ALL, mailbox(b"user.nobody"), OK),
    "INBOX is made by delivery": (MAKES, b"newton", Kind.CREATED, mailbox(b"user.newton"), OK),
    "a root waits for the new INBOX": (
        MAKES, b"newton", Kind.CREATED, (DENY, b"newton", denial(b"", b"lmtp*")), Kind.DISABLED,
    ),
    "a shared folder is made": ("", b"+list/one", NO, mailbox(b"list.one"), OK),
    "its rights": ("", b"+News", OK, mailbox(b"News", b"anyone\tl"), Kind.NOT_POSTABLE),
    "its quota is full": ("", b"+News", OK, (QUOTA, b"News", FULL), OVER),
}  # fmt: skip


@pytest.mark.parametrize(
    ("options", "recipient", "before", "change", "after"), CHANGES.values(), ids=CHANGES
)
def test_a_change_shows_at_once(
    tmp_path: Path, options: str, recipient: bytes, before: Kind, change: Change, after: Kind
) -> None:
    """Before it the verdict is given from memory."""
    store = Store(tmp_path, options)
    assert [store.kind(recipient) for _ in range(2)] == [before] * 2
    store.change(change)
    assert [store.kind(recipient) for _ in range(2)] == [after] * 2


OLDER_CHANGES: dict[str, tuple[str, bytes, Change, Kind]] = {
    "a user with a separator in his name": (
        "", b"fred/old", (LIST, b"user.fred.old", TEXT), OK,
    ),
    "a user whose name needs quotes": ("", b"fr ed", (LIST, b"user.fr ed", TEXT), OK),
    "a shared folder of a similar name": (
        "lmtp_fuzzy_mailbox_match: yes\n", b"+other", (LIST, b"Other", TEXT), OK,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("options", "recipient", "change", "after"), OLDER_CHANGES.values(), ids=OLDER_CHANGES
)
def test_a_change_of_an_older_list_shows_at_once(
    tmp_path: Path, options: str, recipient: bytes, change: Change, after: Kind
) -> None:
    """A refusal rests on what any version would look for that may have written it."""
    store = Store(tmp_path, options, older=True)
    assert [store.kind(recipient) for _ in range(2)] == [NO] * 2
    store.change(change)
    assert [store.kind(recipient) for _ in range(2)] == [after] * 2


@pytest.mark.parametrize("answers", [DELIVERY, SMMAPD])
@pytest.mark.parametrize("denied", [b"a.b", b"a^b"])
def test_a_user_who_is_denied_under_either_name(
    tmp_path: Path, answers: str, denied: bytes
) -> None:
    """The one in the address, and that of the mailbox which it reaches."""
    store = Store(tmp_path, "")
    store.change(mailbox(b"user.a^b"))
    store.answer_as(answers)
    assert [store.kind(b"a^b") for _ in range(2)] == [OK] * 2
    store.change((DENY, denied, denial(b"", b"smmap")))
    assert [store.kind(b"a^b") for _ in range(2)] == [Kind.DENIED] * 2


def test_a_folded_default_domain_is_found_from_memory(tmp_path: Path) -> None:
    """Where the default domain has capitals, an address without may be in it."""
    store = Store(tmp_path, DOMAIN + "defaultdomain: Example.ORG\n")
    assert [store.kind(b"fred@example.org", folded=True) for _ in range(2)] == [OK] * 2
    assert store.kind(b"fred@example.org") is NO


UNRELATED: dict[str, tuple[str, Callable[[int], Change]]] = {
    "another mailbox": ("", lambda n: mailbox(b"user.n%d" % n)),
    "another folder of the user": ("", lambda n: mailbox(b"user.fred.n%d" % n)),
    "the catch-all mailbox's quota": (CATCH, lambda n: (QUOTA, b"user.catch", quota((n, 10)))),
}


@pytest.mark.parametrize(("options", "change"), UNRELATED.values(), ids=UNRELATED)
def test_what_does_not_matter_is_not_forgotten(
    tmp_path: Path, options: str, change: Callable[[int], Change]
) -> None:
    """A user with an INBOX has nothing to do with what would happen without one."""
    store = Store(tmp_path, options)
    assert store.kind(b"fred") is OK
    before = store.cache.invalidations
    for number in range(5):
        store.change(change(number))
        assert store.kind(b"fred") is OK
    assert store.cache.invalidations == before


def test_a_folded_address_is_remembered_apart(tmp_path: Path) -> None:
    """The same bytes at a front end that sees capitals are another question."""
    store = Store(tmp_path, "")
    for _ in range(2):
        assert store.kind(b"+news", folded=True) is OK
        assert store.kind(b"+news") is NO
    store.change(gone(b"News"))
    assert store.kind(b"+news", folded=True) is NO
    store.change(mailbox(b"NEWS"))
    assert store.kind(b"+news", folded=True) is OK
    store.change(mailbox(b"news"))
    assert (store.kind(b"+news", folded=True), store.kind(b"+news")) == (OK, OK)


@pytest.mark.parametrize(
    ("recipient", "apart"), [(b"fred", False), (b"brim", False), (b"+news", True), (b"+none", True)]
)
def test_a_folded_address_is_answered_from_memory(
    tmp_path: Path, recipient: bytes, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accepted, deferred, found in another spelling, or not there: nothing is looked up again."""
    store = Store(tmp_path, STRICT + "lmtp_downcase_rcpt: no\n")
    query = Query(recipient, folded=True)
    first = store.kind(recipient, folded=True)
    assert (store.cache._folded.get(recipient) is not None) is apart
    looked: list[Query] = []
    decide_now = Verifier.decide_now

    def counted(self: Verifier, query: Query, **more: Any) -> Verdict | Pending:
        looked.append(query)
        return decide_now(self, query, **more)

    monkeypatch.setattr(Verifier, "decide_now", counted)
    for _ in range(3):
        store.cache.expire_tick()
        verdict = store.cache.decide(query)
        assert isinstance(verdict, Verdict)
        assert verdict.kind is first
    assert looked == []
    store.change(mailbox(b"user.newton"))
    store.cache.expire_tick()
    store.cache.decide(Query(b"+none", folded=True))
    assert looked


def test_an_ordinary_recipient_takes_the_short_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There or not there: the authority is not asked."""
    store = Store(tmp_path, "")
    assert [store.kind(name) for name in (b"catch", b"fred+Lists")] == [OK, OK]
    monkeypatch.delattr(Verifier, "decide_now")
    kinds = []
    for name in (b"fred", b"nobody"):
        verdict = store.cache.decide(Query(name))
        assert isinstance(verdict, Verdict)
        kinds.append(verdict.kind)
    assert kinds == [OK, NO]


def test_what_is_told_of_files_is_not_the_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question of the same tick may come after another change."""
    monkeypatch.setattr(cache, "QUIET_TICKS", 0)
    store = Store(tmp_path, "")
    assert store.kind(b"fred") is OK
    store.cache.files_changed()
    store.change(gone(b"user.fred"))
    verdict = store.cache.decide(Query(b"fred"))
    assert isinstance(verdict, Verdict)
    assert verdict.kind is NO


def test_an_announced_size_is_looked_at_for_a_folded_address(tmp_path: Path) -> None:
    """What is remembered says nothing of how much is free."""
    store = Store(tmp_path, "")
    store.change((QUOTA, b"News", FREE))
    kinds = []
    for size in (None, 20_000, 100, None):
        store.cache.expire_tick()
        verdict = store.cache.decide(Query(b"+news", size, folded=True))
        assert isinstance(verdict, Verdict)
        kinds.append(verdict.kind)
    assert kinds == [OK, Kind.SIZE_OVER_QUOTA, OK, OK]


def test_authorities_do_not_share_what_they_remember(tmp_path: Path) -> None:
    """Two front ends with different authorities, one after the other, on one recipient."""
    store = Store(tmp_path, MAKES)
    caches = {name: VerdictCache(store.verifier.answering(name)) for name in (DELIVERY, SMMAPD)}
    said = [
        cache.decide(Query(recipient)).kind.name  # type: ignore[union-attr]
        for _ in range(2)
        for recipient in (b"fred+none", b"newton")
        for cache in caches.values()
    ]
    assert said == ["deliverable", "nonexistent", "created-on-delivery", "nonexistent"] * 2


@pytest.mark.parametrize(
    ("options", "known"),
    [("", True), (CATCH, False), (MAKES, False), ("lmtp_downcase_rcpt: no\n", False)],
)
def test_what_is_known_at_no_cost(tmp_path: Path, options: str, known: bool) -> None:
    """With an index nobody has to look whether an ordinary name is missing, where nothing else counts."""
    store = Store(tmp_path, options)
    assert store.kind(b"fred") is OK
    while store.cache.build_index_step():
        pass
    store.cache.expire_tick()
    assert store.cache.known_absent(b"nobody") is known
    assert not store.cache.known_absent(b"fred")
    for odd in (b"fr ed", b"fr\xe9d", b"nobody@a_b", b"@a:nobody", b"nobody+x", b"+x", b""):
        assert not store.cache.known_absent(odd)
