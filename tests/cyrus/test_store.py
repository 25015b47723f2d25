"""A Cyrus store as imapd.conf describes it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.db.quotalegacy import folder_hash
from gateway.cyrus.store import CyrusStore
from gateway.errors import ConfigurationError, DatabaseMissing, DatabaseUnavailable
from tests.golden import FOLDER
from tests.stores import FlatStore, denial, quota, record


def opened(
    store: FlatStore, reports: list[str] | None = None, *, skip_plus: bool = False
) -> CyrusStore:
    """The store as the program opens it."""
    conf = imapdconf.load(store.conf_path, "smmap")
    report = reports.append if reports is not None else None
    return CyrusStore(conf, b"smmap", report=report, skip_plus=skip_plus)


@pytest.fixture
def flat(tmp_path: Path) -> FlatStore:
    """fred: denied, and with a quota root."""
    store = FlatStore(
        str(tmp_path),
        mailboxes={b"user.fred": record(b"fred\tlrs")},
        quotas={b"user.fred": quota((10, 20))},
        denials={b"fred": denial(b"no")},
    )
    store.write()
    return store


def test_three_databases_below_configdirectory(flat: FlatStore) -> None:
    """Each where Cyrus keeps it."""
    store = opened(flat)
    name = store.naming.recipient(b"fred")
    entry = store.mailboxes.lookup(name)
    assert entry is not None
    assert entry.acl == b"fred\tlrs\t"
    root = store.quotas.find(name.internal)
    assert root is not None
    assert (root.root, root.storage_used, root.storage_limit) == (b"user.fred", 10, 20 * 1024)
    found = store.denials.check(b"fred", store.service)
    assert found is not None
    assert found.message == b"no"


@pytest.mark.parametrize(
    ("option", "database"),
    [
        ("mboxlist_db_path", "mailboxes.db"),
        ("userdeny_db_path", "user_deny.db"),
        ("quota_db_path", "quotas.db"),
    ],
)
def test_databases_in_other_places(flat: FlatStore, option: str, database: str) -> None:
    """imapd.conf may say where each of them is."""
    other = os.path.join(flat.root, "elsewhere.db")
    shutil.move(os.path.join(flat.configdirectory, database), other)
    flat.options = {option: other}
    with open(flat.conf_path, "a", encoding="utf-8") as conf:
        conf.write(f"{option}: {other}\n")
    store = opened(flat)
    name = store.naming.recipient(b"fred")
    assert store.mailboxes.lookup(name) is not None
    assert store.quotas.find(name.internal) is not None
    assert store.denials.check(b"fred", b"smmap") is not None


def test_nothing_is_opened_at_the_start(tmp_path: Path) -> None:
    """The service may be there before its store; a look-up then says what is missing."""
    flat = FlatStore(str(tmp_path))
    flat.write()
    path = os.path.join(flat.configdirectory, "mailboxes.db")
    os.unlink(path)
    store = opened(flat)
    store.refresh()
    with pytest.raises(DatabaseMissing, match=path):
        store.mailboxes.lookup(store.naming.recipient(b"fred"))
    flat.mailboxes = {b"user.fred": record()}
    flat.write()
    store.refresh()
    assert store.mailboxes.lookup(store.naming.recipient(b"fred")) is not None


def test_replaced_files_are_followed_after_a_refresh(flat: FlatStore) -> None:
    """Each of the three."""
    store = opened(flat)
    name = store.naming.recipient(b"fred")
    assert store.mailboxes.lookup(name) is not None
    assert store.quotas.find(name.internal) is not None
    assert store.denials.check(b"fred", b"smmap") is not None
    flat.mailboxes, flat.quotas, flat.denials = {b"user.joe": record()}, {}, {}
    flat.write()
    store.refresh()
    assert store.mailboxes.lookup(name) is None
    assert store.quotas.find(name.internal) is None
    assert store.denials.check(b"fred", b"smmap") is None


def test_a_format_that_is_not_the_configured_one_is_reported_once(flat: FlatStore) -> None:
    """The file decides; the administrator hears of it."""
    with open(flat.conf_path, "a", encoding="utf-8") as conf:
        conf.write("smmap_mboxlist_db: skiplist\n")
    reports: list[str] = []
    store = opened(flat, reports)
    for _ in range(3):
        store.refresh()
        assert store.mailboxes.lookup(store.naming.recipient(b"fred")) is not None
    path = os.path.join(flat.configdirectory, "mailboxes.db")
    assert reports == [f"{path} is flat, imapd.conf says skiplist; reading it as flat"]


def test_skipping_what_is_behind_the_plus(flat: FlatStore) -> None:
    """smmapd's -p is a matter of names."""
    assert opened(flat, skip_plus=True).naming.recipient(b"fred+x").internal == b"user.fred"
    assert opened(flat).naming.recipient(b"fred+x").internal == b"user.fred.x"


@pytest.mark.parametrize("engine", ["", "sql_engine: sqlite\n"])
def test_databases_in_one_file_of_sqlite(flat: FlatStore, engine: str) -> None:
    """Each is a table, named like its file; a path shows that it is SQLite's."""
    path = os.path.join(FOLDER, "head-sql", "conf", "sql.db")
    formats = "".join(f"smmap_{name}_db: sql\n" for name in ("mboxlist", "quota"))
    with open(flat.conf_path, "a", encoding="utf-8") as conf:
        conf.write(f"{formats}sql_database: {path}\n{engine}")
    store = opened(flat)
    name = store.naming.recipient(b"bob")
    assert store.mailboxes.lookup(name) is not None
    with pytest.raises(DatabaseUnavailable, match="no such table: quotas_db"):
        store.quotas.find(name.internal)
    assert store.denials.check(b"fred", store.service) is not None


@pytest.mark.parametrize(
    ("lines", "file"),
    [
        ("", "quota/o/example.org!user.fred"),
        ("virtdomains: userid\n", "domain/e/example.org/quota/f/user.fred"),
        ("virtdomains: on\n", "domain/e/example.org/quota/f/user.fred"),
        (
            "virtdomains: on\nfulldirhash: on\n",
            "domain/{example}/example.org/quota/{fred}/user.fred",
        ),
    ],
)
def test_where_a_quota_root_is_depends_on_imapd_conf(
    flat: FlatStore, lines: str, file: str
) -> None:
    """With virtual domains each has a folder of its own."""
    letters = {name: folder_hash(name.encode(), True).decode() for name in ("fred", "example")}
    path = os.path.join(flat.configdirectory, file.format(**letters))
    os.makedirs(os.path.dirname(path))
    with open(path, "wb") as root:
        root.write(b"10\n20\n")
    with open(flat.conf_path, "a", encoding="utf-8") as conf:
        conf.write(f"smmap_quota_db: quotalegacy\n{lines}")
    assert opened(flat).quotas.find(b"example.org!user.fred") is not None


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("smmap_mboxlist_db: sql\nsql_engine: mysql\n", "sql_database: the option is missing"),
        ("smmap_userdeny_db: sql\nsql_engine: pgsql\n", "sql_database: the option is missing"),
        (
            "smmap_quota_db: sql\nsql_engine: pgsql\nsql_database: cyrus\nsql_hostnames: db:x\n",
            "sql_hostnames: db:x: the port",
        ),
        ("smmap_quota_db: sql\nsql_database: cyrus\n", "sql_engine: the option is missing"),
        ("smmap_mboxlist_db: sql\n", "sql_database: the option is missing"),
        ("smmap_mboxlist_db: sql\nsql_engine: sqlite\n", "sql_database: the option is missing"),
        ("smmap_quota_db: sql\nsql_engine: sqlite\n", "sql_database: the option is missing"),
    ],
)
def test_sql_that_cannot_be_used(flat: FlatStore, lines: str, complaint: str) -> None:
    """A wrong configuration stops the start, and names the option."""
    with open(flat.conf_path, "a", encoding="utf-8") as conf:
        conf.write(lines)
    with pytest.raises(ConfigurationError, match=complaint):
        opened(flat)


OLDER_OPTIONS = {"unixhierarchysep": "yes", "lmtp_downcase_rcpt": "no", "altnamespace": "no"}


@pytest.mark.parametrize("left_out", [[], ["unixhierarchysep"], list(OLDER_OPTIONS)])
def test_what_an_older_list_needs_is_told(tmp_path: Path, left_out: list[str]) -> None:
    """Once, with what the option was by default and what it is here; of a newer list nothing."""
    options = {name: value for name, value in OLDER_OPTIONS.items() if name not in left_out}
    flat = FlatStore(str(tmp_path), {b"user.fred": record()}, options=options, older=True)
    flat.write()
    reports: list[str] = []
    store = opened(flat, reports)
    store.look()
    assert len(reports) == bool(left_out)
    for name in OLDER_OPTIONS:
        assert (f"{name} (no before" in "".join(reports)) is (name in left_out)
    flat.write()
    store.look()
    store.refresh()
    assert store.mailboxes.lookup(store.naming.recipient(b"fred")) is not None
    assert len(reports) == bool(left_out)
    flat.older = False
    flat.write()
    newer: list[str] = []
    opened(flat, newer).look()
    assert newer == []


def test_the_first_look_up_tells_it_as_well(tmp_path: Path) -> None:
    """For a process that did not look at start; a fault is left to the look-up that meets it."""
    flat = FlatStore(str(tmp_path), {b"user.fred": record()}, older=True)
    flat.write()
    reports: list[str] = []
    store = opened(flat, reports)
    os.remove(os.path.join(flat.configdirectory, "mailboxes.db"))
    store.look()
    assert reports == []
    flat.write()
    store.refresh()
    store.mailboxes.lookup(store.naming.recipient(b"joe"))
    (text,) = reports
    assert "lmtp_downcase_rcpt (no before 2.5, yes here)" in text
