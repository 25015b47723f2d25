"""Postfix' address classes, from lists, files and tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import MailServerError
from gateway.mta.routing import RoutingKind
from tests.support.postfix_worlds import Contents, postfix, routing

LISTS = {
    "mydestination": "mx.test.example, localhost",
    "virtual_alias_domains": "hash:/valias",
    "virtual_mailbox_domains": "virt.example, !not.virt.example, pgsql:/vdomains",
    "relay_domains": "relay.example, hash:/relays",
}
TABLES = {
    "hash:/valias": {"alias.example": "x", "virt.example.alias": "x"},
    "pgsql:/vdomains": {"sql.example": "1"},
    "hash:/relays": {"table.example": "x", ".dotted.example": "x"},
}


@pytest.mark.parametrize(
    ("domain", "kind"),
    [
        ("mx.test.example", RoutingKind.STAYS),
        ("sub.mx.test.example", RoutingKind.NOT_OURS),
        ("virt.example", RoutingKind.STAYS),
        ("sub.virt.example", RoutingKind.NOT_OURS),
        ("sql.example", RoutingKind.STAYS),
        ("alias.example", RoutingKind.NOT_OURS),  # nobody has a mailbox there
        ("relay.example", RoutingKind.STAYS),
        ("sub.relay.example", RoutingKind.STAYS),  # parent_domain_matches_subdomains
        ("sub.table.example", RoutingKind.STAYS),
        ("gmail.example", RoutingKind.NOT_OURS),
    ],
)
def test_a_domain_in_no_class_with_mailboxes_is_not_ours(domain: str, kind: RoutingKind) -> None:
    """What is in no class with mailboxes is not ours."""
    assert routing(postfix(LISTS), f"nobody@{domain}", TABLES).kind is kind


def test_relay_domains_written_with_a_dot() -> None:
    """Where parent_domain_matches_subdomains does not name relay_domains."""
    world = postfix(LISTS | {"parent_domain_matches_subdomains": ""})
    assert routing(world, "x@sub.relay.example", TABLES).kind is RoutingKind.NOT_OURS
    assert routing(world, "x@sub.dotted.example", TABLES).kind is RoutingKind.STAYS


def test_files_in_a_list(tmp_path: Path) -> None:
    """With comments, several words a line, and one file that names another."""
    (tmp_path / "more").write_text("c.example\n")
    (tmp_path / "list").write_text(f"# ours\na.example, b.example\n{tmp_path}/more\n")
    world = postfix({"virtual_mailbox_domains": f"!d.example /{tmp_path}/list"})
    for domain in ("a.example", "b.example", "c.example"):
        assert world.may_own(domain.encode())
    assert not world.may_own(b"d.example")


def test_what_does_not_match(tmp_path: Path) -> None:
    """One `!` turns a word round, also one that names a file, and the first match decides."""
    (tmp_path / "not").write_text("a.example !b.example\n")
    listed = f"!/{tmp_path}/not !!c.example !!!d.example a.example b.example d.example"
    world = postfix({"virtual_mailbox_domains": listed})
    found = [world.may_own(b"%c.example" % letter) for letter in b"abcd"]
    assert found == [False, True, True, False]


def test_files_that_name_each_other_without_end(tmp_path: Path) -> None:
    """Are an error; eight deep they are none."""
    for number in range(7):
        (tmp_path / f"f{number}").write_text(f"{tmp_path}/f{number + 1}\n")
    (tmp_path / "f7").write_text("deep.example\n")
    world = postfix({"relay_domains": f"{tmp_path}/f0"})
    assert world.may_own(b"deep.example")
    (tmp_path / "f7").write_text(f"{tmp_path}/f8\n")
    (tmp_path / "f8").write_text("deeper.example\n")
    with pytest.raises(MailServerError, match="name each other"):
        postfix({"relay_domains": f"{tmp_path}/f0"})


def test_a_file_that_cannot_be_read_is_an_error_that_names_it() -> None:
    """Postfix would have no mail for those domains, and say so."""
    with pytest.raises(MailServerError, match=r"^/nonexistent/list: cannot be read"):
        postfix({"relay_domains": "/nonexistent/list"})


def test_our_own_socketmap_is_not_asked_for_domains() -> None:
    """virtual_mailbox_domains is $virtual_mailbox_maps by default."""
    world = postfix({"virtual_mailbox_domains": "socketmap:unix:/run/smmapd/socketmap:cyrus"})
    assert world.runs == ()
    assert not world.may_own(b"virt.example")


def test_what_only_a_table_knows_may_be_ours() -> None:
    """Until it has been asked."""
    assert postfix(LISTS).may_own(b"gmail.example")
    assert not postfix({"virtual_alias_domains": "hash:/valias"}).may_own(b"gmail.example")


def test_a_domain_table_that_cannot_be_asked() -> None:
    """Nobody in a domain that it may know is permanently refused; those before it are known."""
    broken: Contents = {**TABLES, "pgsql:/vdomains": "pgsql:/vdomains: no connection"}
    world = postfix(LISTS)
    assert routing(world, "nobody@virt.example", broken).kind is RoutingKind.STAYS
    found = routing(world, "nobody@gmail.example", broken)
    assert (found.kind, found.detail) == (RoutingKind.UNKNOWN, "pgsql:/vdomains: no connection")
