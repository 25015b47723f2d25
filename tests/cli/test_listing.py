"""`list`: quota roots, denied users, mailboxes, and how many."""

from __future__ import annotations

import os

import pytest

from tests.rigs.commandline import Site, golden_site


def test_roots_over_quota_are_listed_with_used_and_limit(site: Site) -> None:
    """Used and limit of each root that is over, by storage or by messages."""
    done = site.run("list", "--over-quota")
    assert (done.code, done.err) == (0, "")
    assert [line.split() for line in done.lines] == [
        ["used", "limit", "messages", "quota", "root"],
        ["10", "2,097,152", "0.0", "%", "100", "of", "100", "user.full"],
        ["3,145,728", "2,097,152", "150.0", "%", "0", "of", "no", "limit", "user.over"],
        [],
        ["quota", "roots", "over", "quota:", "2;", "quota", "roots", "not", "over", "quota:", "1"],
    ]


def test_only_users_denied_for_our_service_are_listed(site: Site) -> None:
    """Only who is denied for our service; the others are counted."""
    done = site.run("list", "--denied")
    assert done.lines[1].split(maxsplit=2) == ["den", "*", "closed for good"]
    assert (
        done.lines[-1]
        == "users denied for smmap: 1; users with an entry that does not deny smmap: 1"
    )


def test_mailboxes_of_any_type_are_listed(site: Site) -> None:
    """Every record of any type; a damaged one is told and counted, and the code is 1."""
    done = site.run("list", "--mailboxes")
    assert done.code == 1
    assert r"Nuser\x1fbroken" in done.err
    assert [line.split()[-1] for line in done.lines[1:-2]] == [
        "list",
        "news",
        "user.den",
        "user.fred",
        "user.fred.Work",
        "user.full",
        "user.new",
        "user.old",
        "user.over",
    ]
    assert (
        done.lines[-1] == "e-mail: 7; e-mail, reserved: 1; e-mail, deleted: 1; damaged records: 1"
    )


def test_json_is_one_object_a_record(site: Site) -> None:
    """One object a record, and the counts in the last one."""
    *items, last = site.run("list", "--over-quota", "--json").objects
    assert [item["root"] for item in items] == ["user.full", "user.over"]
    assert items[1]["storage_limit"] == 2 * 1024 * 1024
    assert last == {
        "counts": {"quota roots not over quota": 1, "quota roots over quota": 2},
        "damaged": 0,
    }


def test_a_store_without_quotas_or_denials_is_no_fault(site: Site) -> None:
    """A store without quotas or denials is not a fault."""
    site.store.quotas.clear()
    site.store.write()
    os.unlink(os.path.join(site.store.configdirectory, "user_deny.db"))
    assert site.run("list", "--over-quota").lines == ["no records"]
    assert site.run("list", "--denied").lines == ["no records"]


@pytest.mark.parametrize("kind", ["--mailboxes", "--over-quota"])
def test_a_missing_database(site: Site, kind: str) -> None:
    """The file is named, and the code is EX_TEMPFAIL."""
    name = {"--mailboxes": "mailboxes.db", "--over-quota": "quotas.db"}[kind]
    os.unlink(os.path.join(site.store.configdirectory, name))
    done = site.run("list", kind)
    assert done.code == os.EX_TEMPFAIL
    assert name in done.err


@pytest.mark.parametrize("name", ["head-twoskip", "head-twom", "head-skiplist", "head-sql"])
def test_golden_stores_list_the_same_in_each_format(tmp_path: os.PathLike[str], name: str) -> None:
    """The same mailboxes and roots whatever the format (SQL lacks what the C program cannot write)."""
    site = golden_site(str(tmp_path), f"{name}/vd-userid")
    mailboxes = site.run("list", "--mailboxes")
    assert "virt.org!user.vuser.Sub" in mailboxes.out
    assert mailboxes.lines[-1].startswith(f"e-mail: {118 if name == 'head-sql' else 119}; ")
    roots = site.run("list", "--over-quota")
    assert roots.lines[-1].startswith("quota roots over quota: 17; ")
    assert site.run("list", "--denied").lines[-1].startswith("users denied for smmap: 17; ")
