"""Which recipients are judged, and why the others are not."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import ConfigurationError
from gateway.frontends import watched
from gateway.frontends.scope import IPAddress, Scope, ScopeRules, Skip, client_address
from gateway.protocols.address import Address, BadAddress, parse_path

OURS = ScopeRules(domains=("example.org", ".example.net"))


def skip(
    settings: ScopeRules,
    recipient: str,
    *,
    client: bytes = b"",
    authenticated: bytes = b"",
    mailer: bytes = b"",
) -> Skip | None:
    """What a milter's scope says of a recipient."""
    return Scope(settings, sees_mailers=True).skip(
        parse_path(recipient.encode()), client=client, authenticated=authenticated, mailer=mailer
    )


@pytest.mark.parametrize(
    ("recipient", "reason"),
    [
        ("fred@example.org", None),
        ("<Fred@EXAMPLE.ORG.>", None),
        ("fred@sub.example.net", None),
        ("fred@example.net", Skip.NOT_OUR_DOMAIN),
        ("fred@example.com", Skip.NOT_OUR_DOMAIN),
        ("fred", Skip.NOT_OUR_DOMAIN),
        ("<@relay.example.com:fred@example.org>", None),
        ("<fred@example.org", None),
        ("<a b@example.org>", None),
        ("<a b@example.com>", Skip.NOT_OUR_DOMAIN),
        ("", Skip.NOT_OUR_DOMAIN),
    ],
)
def test_only_recipients_of_our_domains_are_judged(recipient: str, reason: Skip | None) -> None:
    """Only recipients of our domains are judged, also those that are not proper addresses."""
    assert skip(OURS, recipient) is reason


def test_unqualified_recipients_are_ours_where_configured() -> None:
    """Recipients without a domain are ours where the configuration says so."""
    settings = replace(OURS, unqualified=True)
    assert skip(settings, "fred") is None
    assert skip(settings, "") is Skip.NOT_OUR_DOMAIN


@pytest.mark.parametrize(
    ("domains", "recipient", "mailer", "reason"),
    [
        ((), "fred@any.example", b"cyrus", None),
        ((), "fred@any.example", b"lmtp", None),
        ((), "fred@any.example", b"smtp", Skip.NOT_OUR_MAILER),
        ((), "fred@any.example", b"error", Skip.REFUSED_BY_MTA),
        ((), "fred@any.example", b"", Skip.NOT_OUR_DOMAIN),
        (("example.org",), "fred@example.org", b"smtp", Skip.NOT_OUR_MAILER),
        (("example.org",), "fred@any.example", b"lmtp", None),
        (("example.org",), "fred@example.org", b"", None),
        (("example.org",), "fred@any.example", b"", Skip.NOT_OUR_DOMAIN),
        (("example.org",), "fred@example.org", b"error", Skip.REFUSED_BY_MTA),
    ],
)
def test_the_mailer_decides_where_it_is_named(
    domains: tuple[str, ...], recipient: str, mailer: bytes, reason: Skip | None
) -> None:
    """Where the MTA names its mailer, that decides; where it does not, the domain does."""
    settings = ScopeRules(domains=domains, mailers=("cyrus", "lmtp"))
    assert skip(settings, recipient, mailer=mailer) is reason


def test_mailer_without_mailers() -> None:
    """A mailer that nobody asked for changes nothing, unless the MTA refuses already."""
    assert skip(OURS, "fred@example.org", mailer=b"smtp") is None
    assert skip(OURS, "fred@example.org", mailer=b"error") is Skip.REFUSED_BY_MTA


@pytest.mark.parametrize(
    ("pattern", "recipient", "exempt"),
    [
        ("postmaster@*", "postmaster@example.org", True),
        ("postmaster@*", "PostMaster@Example.ORG", True),
        ("POSTMASTER@*", "postmaster@example.org", True),
        ("postmaster@*", "notpostmaster@example.org", False),
        ("*@example.org", "fred@example.org", True),
        ("*@sub.example.net", "fred@example.org", False),
        ("abuse", "abuse@example.org", True),
        ("abuse", "abuser@example.org", False),
        ("owner-*", "owner-list@example.org", True),
        ("fre?@*", "fred@example.org", True),
        ("fr[aeiou]d@*", "fred@example.org", True),
        ("fr[!e]d@*", "fred@example.org", False),
        ("j\u00fcrgen@*", "j\u00fcrgen@example.org", True),
        ("a.b@*", "axb@example.org", False),
    ],
)
def test_an_at_sign_means_the_whole(pattern: str, recipient: str, exempt: bool) -> None:
    """A pattern with an @ is about the whole address, one without about the local part."""
    settings = replace(OURS, exempt_recipients=(pattern,))
    assert skip(settings, recipient) is (Skip.EXEMPT_RECIPIENT if exempt else None)


@pytest.mark.parametrize(
    ("network", "client", "exempt"),
    [
        ("192.0.2.0/24", b"192.0.2.7", True),
        ("192.0.2.0/24", b"192.0.3.7", False),
        ("192.0.2.0/24", b"::ffff:192.0.2.7", True),
        ("192.0.2.0/24", b"IPv6:::ffff:192.0.2.7", True),
        ("192.0.2.7", b"192.0.2.7", True),
        ("::ffff:192.0.2.0/120", b"192.0.2.7", True),
        ("::ffff:192.0.2.0/120", b"192.0.3.7", False),
        ("2001:db8::/32", b"2001:db8::1", True),
        ("2001:db8::/32", b"IPv6:2001:DB8::1", True),
        ("2001:db8::/32", b"2001:db9::1", False),
        ("2001:db8::/32", b"192.0.2.7", False),
        ("::/0", b"192.0.2.7", False),
        ("0.0.0.0/0", b"2001:db8::1", False),
        ("0.0.0.0/0", b"unknown", False),
        ("0.0.0.0/0", b"", False),
        ("0.0.0.0/0", b"\xff\xfe", False),
        ("fe80::/10", b"fe80::1%eth0", True),
    ],
)
def test_a_client_is_exempt_by_its_address(network: str, client: bytes, exempt: bool) -> None:
    """A client is exempt by its address, however the MTA writes it."""
    settings = replace(OURS, exempt_clients=(network,))
    expected = Skip.EXEMPT_CLIENT if exempt else None
    assert skip(settings, "fred@example.org", client=client) is expected


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (b"192.0.2.7", ipaddress.ip_address("192.0.2.7")),
        (b"ipv6:2001:db8::1", ipaddress.ip_address("2001:db8::1")),
        (b"::ffff:192.0.2.7", ipaddress.ip_address("192.0.2.7")),
        (b"/run/socket", None),
        (b"192.0.2.7:25", None),
    ],
)
def test_any_notation_is_one_address(client: bytes, address: IPAddress | None) -> None:
    """An MTA's notation of a client is one address, or none."""
    assert client_address(client) == address


def test_authenticated_senders_are_exempt_only_where_configured() -> None:
    """Authenticated senders are exempt only where that is asked for."""
    assert skip(OURS, "fred@example.org", authenticated=b"joe") is None
    settings = replace(OURS, exempt_authenticated=True)
    assert skip(settings, "fred@example.org", authenticated=b"joe") is Skip.AUTHENTICATED
    assert skip(settings, "fred@example.org") is None


def test_changed_files_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Domains and aliases come from files too, and what is saved there counts."""
    monkeypatch.setattr(watched, "SETTLE", 0.0)
    domains = tmp_path / "domains"
    aliases = tmp_path / "aliases"
    domains.write_text("example.org\n")
    aliases.write_text("info: fred\n")
    scope = Scope(ScopeRules(domain_files=(str(domains),), alias_files=(str(aliases),)))

    def reason(recipient: str) -> Skip | None:
        return scope.skip(parse_path(recipient.encode()))

    assert reason("fred@example.org") is None
    assert reason("fred@example.net") is Skip.NOT_OUR_DOMAIN
    assert reason("info+x@example.org") is Skip.ALIAS
    assert reason("info@example.net") is Skip.NOT_OUR_DOMAIN
    domains.write_text("example.net\n.example.org\n")
    aliases.write_text("fred: alice\n")
    assert reason("fred@example.org") is Skip.NOT_OUR_DOMAIN
    assert reason("fred@example.net") is Skip.ALIAS
    assert reason("info@example.net") is None


def test_bad_address_is_exempt_by_client_only() -> None:
    """What is not an address matches no pattern; its client may be exempt all the same."""
    settings = replace(OURS, exempt_recipients=("*",), exempt_clients=("192.0.2.0/24",))
    scope = Scope(settings)
    assert scope.skip(BadAddress("x", b"example.org")) is None
    assert scope.skip(BadAddress("x", b"example.org"), client=b"192.0.2.1") is Skip.EXEMPT_CLIENT
    address = Address(b"a@example.org", b"example.org", b"a")
    assert scope.skip(address) is Skip.EXEMPT_RECIPIENT


def test_nothing_is_ours() -> None:
    """A scope that does not know what is ours cannot be made; mailers help a milter only."""
    with pytest.raises(ConfigurationError) as caught:
        Scope(ScopeRules(mailers=("cyrus",)))
    assert str(caught.value) == (
        "domains: nothing says which recipients are ours; set domains, domain_files or postfix"
    )
    with pytest.raises(ConfigurationError, match="set domains, domain_files, postfix or mailers"):
        Scope(ScopeRules(), sees_mailers=True)
    Scope(ScopeRules(mailers=("cyrus",)), sees_mailers=True)


def test_all_problems_at_once(tmp_path: Path) -> None:
    """Every wrong setting and every unreadable file is told in one error."""
    with pytest.raises(ConfigurationError) as caught:
        Scope(
            ScopeRules(
                domains=("example..org", "*.example.org"),
                domain_files=(f"{tmp_path}/d1", f"{tmp_path}/d2"),
                alias_files=(f"{tmp_path}/a1", f"{tmp_path}/a2"),
                exempt_recipients=("",),
                exempt_clients=("192.0.2.1/24", "localhost"),
            )
        )
    problems = str(caught.value).split("; ")
    for text in (
        "domains: 'example..org' is not a domain",
        "domains: '*.example.org' is not a domain",
        f"{tmp_path}/d1: domain_files: cannot be read: No such file or directory",
        f"{tmp_path}/d2: domain_files: cannot be read: No such file or directory",
        f"{tmp_path}/a1: aliases: cannot be read: No such file or directory",
        f"{tmp_path}/a2: aliases: cannot be read: No such file or directory",
        "exempt_recipients: an empty pattern",
        "exempt_clients: 192.0.2.1/24 has host bits set",
        "exempt_clients: 'localhost' does not appear to be an IPv4 or IPv6 network",
    ):
        assert text in problems


@pytest.mark.parametrize(("srs", "skip"), [(True, Skip.SRS), (False, None)])
def test_rewritten_senders_are_not_judged(srs: bool, skip: Skip | None) -> None:
    """Nobody has such a mailbox, and what rewrites them back comes after us."""
    scope = Scope(ScopeRules(domains=("example.org",), srs=srs))
    found = scope.skip(parse_path(b"<SRS0=HHH=TT=x.test=joe@example.org>"))
    assert found is skip
    assert scope.skip(parse_path(b"<SRS0=HHH=TT=x.test=joe@x.test>")) is Skip.NOT_OUR_DOMAIN
    assert scope.skip(parse_path(b"<srs@example.org>")) is None
