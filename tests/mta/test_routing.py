"""What becomes of an address in Postfix, by its parameters and tables."""

from __future__ import annotations

import pytest

from gateway.mta.routing import RoutingKind
from tests.support.postfix_worlds import Contents, mailbox, postfix, routing

MAIN = {
    "recipient_canonical_maps": "hash:/rcanon",
    "canonical_maps": "hash:/canon",
    "virtual_alias_maps": "hash:/virtual, pcre:/virtual.pcre",
    "alias_maps": "hash:/aliases",
    "relocated_maps": "hash:/relocated",
    "transport_maps": "hash:/transport",
    "virtual_mailbox_domains": "virt.example, other.example",
    "relay_domains": "relay.example",
}
TABLES: Contents = {
    "hash:/rcanon": {"first@virt.example": "last.name@virt.example"},
    "hash:/canon": {"@old.example": "@virt.example", "c@virt.example": "d@virt.example, e@x.test"},
    "hash:/virtual": {
        "sales@virt.example": "fred@virt.example, joe@gmail.example",
        "list@virt.example": ", ".join(f"u{n}@virt.example" for n in range(20)),
        "me@virt.example": "me@virt.example",
        "here": "fred@virt.example",
        "odd@virt.example": '"a, b"@virt.example, :include:/x',
        "quoted@virt.example": '"a, b"@virt.example',
        "bare@virt.example": "fred",
        "alias.example": "anything",
    },
    "pcre:/virtual.pcre": {"@virt.example": "trap@virt.example", "p-x@virt.example": "y@z.test"},
    "hash:/aliases": {
        "root": "fred",
        "archive": "/var/mail/archive",
        "program": '"|/usr/bin/vacation fred"',
        "team": ":include:/etc/team",
        "self": "self",
        "both": "both, fred@virt.example",
        "escaped": "\\\\fred",
    },
    "hash:/relocated": {"moved@virt.example": "new@gmail.example", "@gone.relay.example": "x"},
    "hash:/transport": {
        "other.example": "smtp:[192.0.2.1]",
        "special@other.example": "lmtp:unix:/cyrus",
        "fred+x@virt.example": "error:5.7.1 no",
        ".relay.example": "virtual:",
        "mx.test.example": ":[192.0.2.9]",
    },
}


@pytest.mark.parametrize(
    ("address", "targets", "by"),
    [
        ("first@virt.example", ["last.name@virt.example"], "recipient_canonical_maps"),
        ("first+x@virt.example", ["last.name+x@virt.example"], "recipient_canonical_maps"),
        ("x@old.example", ["x@virt.example"], "canonical_maps"),
        ("x+y@old.example", ["x+y@virt.example"], "canonical_maps"),
        ("c@virt.example", ["d@virt.example", "e@x.test"], "canonical_maps"),
        ("SALES@virt.example", ["fred@virt.example", "joe@gmail.example"], "virtual_alias_maps"),
        ("here@mx.test.example", ["fred@virt.example"], "virtual_alias_maps"),
        ("here", ["fred@virt.example"], "virtual_alias_maps"),
        ("p-x@virt.example", ["y@z.test"], "virtual_alias_maps"),
        ("quoted@virt.example", ["a, b@virt.example"], "virtual_alias_maps"),
        ("bare@virt.example", ["fred@mx.test.example"], "virtual_alias_maps"),
        ("root@mx.test.example", ["fred@mx.test.example"], "alias_maps"),
        ("root-x@mx.test.example", ["fred@mx.test.example"], "alias_maps"),
        ("escaped@mx.test.example", ["fred@mx.test.example"], "alias_maps"),
        ("both@mx.test.example", ["both@mx.test.example", "fred@virt.example"], "alias_maps"),
    ],
)
def test_the_first_table_rewrites(address: str, targets: list[str], by: str) -> None:
    """By whichever table comes first in Postfix' order."""
    found = routing(postfix(MAIN), address, TABLES)
    assert found.kind is RoutingKind.REWRITTEN
    assert [each.address.decode() for each in found.targets] == targets
    assert found.by == by


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("nobody@virt.example", RoutingKind.STAYS),
        ("me@virt.example", RoutingKind.STAYS),
        ("self@mx.test.example", RoutingKind.STAYS),
        ("here@virt.example", RoutingKind.STAYS),  # a name alone is local
        ("p+x@virt.example", RoutingKind.STAYS),  # an expression sees whole addresses only
        ("root@virt.example", RoutingKind.STAYS),  # aliases(5) are local
        ("nobody@mx.test.example", RoutingKind.STAYS),
        ("special+x@other.example", RoutingKind.STAYS),
        ("list@virt.example", RoutingKind.LEFT),
        ("odd@virt.example", RoutingKind.LEFT),
        ("archive@mx.test.example", RoutingKind.LEFT),
        ("program@mx.test.example", RoutingKind.LEFT),
        ("team@mx.test.example", RoutingKind.LEFT),
        ("moved@virt.example", RoutingKind.LEFT),
        ("any@gone.relay.example", RoutingKind.LEFT),
        ("nobody@other.example", RoutingKind.OTHER_TRANSPORT),
        ("fred+x@virt.example", RoutingKind.OTHER_TRANSPORT),
        ("x@sub.relay.example", RoutingKind.OTHER_TRANSPORT),
        ("x@gmail.example", RoutingKind.NOT_OURS),
        ("a\nb@virt.example", RoutingKind.STAYS),  # no table has such a key
    ],
)
def test_each_fate_of_a_recipient_is_told(address: str, kind: RoutingKind) -> None:
    """Everything else that can become of one."""
    assert routing(postfix(MAIN), address, TABLES).kind is kind


def test_domains_that_scope_names_are_ours_whatever_postfix_says() -> None:
    """Its class and its transport do not count, what rewrites it does."""
    world = postfix(MAIN)
    for address in ("x@gmail.example", "x@other.example"):
        assert routing(world, address, TABLES, explicit=True).kind is RoutingKind.STAYS
    assert routing(world, "x@old.example", TABLES, explicit=True).kind is RoutingKind.REWRITTEN


@pytest.mark.parametrize("table", ["hash:/virtual", "hash:/aliases", "hash:/transport"])
def test_a_table_that_cannot_be_asked(table: str) -> None:
    """Recipients that it could save are unknown; those that another one knows are not."""
    broken = {**TABLES, table: f"{table}: broken"}
    world = postfix(MAIN)
    found = routing(world, "nobody@mx.test.example", broken)
    assert (found.kind, found.detail) == (RoutingKind.UNKNOWN, f"{table}: broken")
    assert routing(world, "first@virt.example", broken).kind is RoutingKind.REWRITTEN


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, RoutingKind.STAYS),
        ({"mailbox_transport": ""}, RoutingKind.OTHER_TRANSPORT),
        (
            {"mailbox_transport": "", "mailbox_command": "/usr/lib/cyrus/bin/deliver"},
            RoutingKind.STAYS,
        ),
        ({"mailbox_transport": "", "fallback_transport": "lmtp:unix:/x"}, RoutingKind.STAYS),
        ({"local_transport": "lmtp:unix:/cyrus", "mailbox_transport": ""}, RoutingKind.STAYS),
        ({"local_transport": "virtual"}, RoutingKind.OTHER_TRANSPORT),
        ({"luser_relay": "fred"}, RoutingKind.LEFT),
    ],
)
def test_local_recipients_are_ours_where_they_are_handed_on(
    changes: dict[str, str], kind: RoutingKind
) -> None:
    """They are ours where local(8) hands them on, and unknown ones go nowhere else."""
    assert routing(postfix(changes), "nobody@mx.test.example", {}).kind is kind


def test_system_users_are_delivered_before_a_fallback_transport() -> None:
    """postconf(5), fallback_transport: for users that are in no password file."""
    world = postfix({"mailbox_transport": "", "fallback_transport": "lmtp:unix:/x"})
    system = {"unix:passwd.byname": {"daemon": "x"}}
    assert routing(world, "daemon@mx.test.example", system).kind is RoutingKind.OTHER_TRANSPORT
    assert routing(world, "nobody@mx.test.example", system).kind is RoutingKind.STAYS


def test_mailers_say_which_transports_are_ours() -> None:
    """Where [scope] names some, the others are not."""
    world = postfix({"relay_domains": "relay.example", **MAIN}, mailers=("cyrus",))
    assert routing(world, "x@virt.example", {}).kind is RoutingKind.OTHER_TRANSPORT
    ours = {"virtual_transport": "cyrus:", "mailbox_transport": "cyrus"}
    world = postfix(MAIN | ours, mailers=("cyrus",))
    assert routing(world, "x@virt.example", {}).kind is RoutingKind.STAYS
    assert routing(world, "x@mx.test.example", {}).kind is RoutingKind.STAYS


def test_the_transport_that_the_milter_is_told_goes_first() -> None:
    """{rcpt_mailer} is what Postfix has found out itself."""
    world = postfix(MAIN)
    assert (
        routing(world, "x@virt.example", TABLES, transport="smtp").kind
        is RoutingKind.OTHER_TRANSPORT
    )
    assert routing(world, "x@other.example", TABLES, transport="lmtp").kind is RoutingKind.STAYS


def test_canonical_maps_that_do_not_rewrite_recipients() -> None:
    """canonical_classes may leave the envelope's recipients alone."""
    world = postfix(MAIN | {"canonical_classes": "header_sender"})
    assert routing(world, "c@virt.example", TABLES).kind is RoutingKind.STAYS


def test_an_address_that_nothing_is_known_of_costs_two_rounds() -> None:
    """One for its domain, whose answer is remembered, and one for everything else."""
    reasoning = postfix(MAIN | {"relay_domains": "hash:/relays"}).routing(mailbox("x@virt.example"))
    first = next(reasoning)
    assert {lookup.key for lookup in first.wanted} == {b"virt.example", b"example"}
