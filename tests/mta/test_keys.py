"""The keys that Postfix looks an address up with, and their order."""

from __future__ import annotations

import pytest

from gateway.mta.keys import Delimiters, Key, Mailbox, of_address, of_alias, of_transport, quoted

BOTH = Delimiters(b"+-")


def texts(found: list[Key]) -> list[bytes]:
    """The keys alone."""
    return [key.text for key in found]


@pytest.mark.parametrize(
    ("local", "parts"),
    [
        (b"fred", None),
        (b"fred+x", (b"fred", b"+x")),
        (b"fred-x+y", (b"fred", b"-x+y")),
        (b"fred+x-y", (b"fred", b"+x-y")),
        (b"fred+", (b"fred", b"+")),
        (b"+fred", None),
        (b"-a+b", None),  # the first delimiter counts, and leaves nothing (split_addr.c)
        (b"Postmaster", None),
        (b"MAILER-DAEMON", None),
        (b"double-bounce", None),
        (b"owner-list", None),
        (b"list-request", None),
        (b"-request", None),
        (b"x-request", None),
        (b"list+request", (b"list", b"+request")),
    ],
)
def test_the_first_delimiter_cuts(local: bytes, parts: tuple[bytes, bytes] | None) -> None:
    """By whichever delimiter comes first, and not where the name is a special one."""
    assert BOTH.split(local) == parts


def test_without_delimiters_nothing_is_split() -> None:
    """An empty recipient_delimiter."""
    assert Delimiters(b"").split(b"fred+x") is None


@pytest.mark.parametrize(
    ("local", "form"),
    [
        (b"fred", b"fred"),
        (b"fred.x+y", b"fred.x+y"),
        (b"a b", b'"a b"'),
        (b'a"b\\c', b'"a\\"b\\\\c"'),
        (b"a..b", b'"a..b"'),
        (b".a", b'".a"'),
        (b"a@b", b'"a@b"'),
        (b"", b'""'),
        ("ö".encode(), "ö".encode()),
    ],
)
def test_tables_have_quoted_forms(local: bytes, form: bytes) -> None:
    """Where a local part is not a dot-atom."""
    assert quoted(local) == form


def test_an_address_is_looked_up_from_the_whole_to_its_domain() -> None:
    """virtual(5), TABLE SEARCH ORDER."""
    found = of_address(Mailbox(b"fred+x", b"example.org"), BOTH, local=False)
    assert texts(found) == [b"fred+x@example.org", b"fred@example.org", b"@example.org"]
    assert [key.part for key in found] == [False, True, True]
    assert [key.extension for key in found] == [b"", b"+x", b""]


def test_names_alone_are_looked_up_where_the_domain_is_local() -> None:
    """With and without the extension."""
    found = of_address(Mailbox(b"fred+x", b"mx.test"), BOTH, local=True)
    assert texts(found) == [b"fred+x@mx.test", b"fred@mx.test", b"fred+x", b"fred", b"@mx.test"]
    # A regular expression would match a name alone by chance.
    assert [key.part for key in found] == [False, True, True, True, True]


def test_quoted_names_are_looked_up_in_both_forms() -> None:
    """smtpd asks for the quoted form first, then for the other one."""
    found = of_address(Mailbox(b"a b", b"x.test"), BOTH, local=False)
    assert texts(found) == [b'"a b"@x.test', b"a b@x.test", b"@x.test"]


def test_aliases_are_names() -> None:
    """aliases(5)."""
    assert texts(of_alias(Mailbox(b"fred-x", b"mx.test"), BOTH)) == [b"fred-x", b"fred"]


@pytest.mark.parametrize(
    ("parents", "above"), [(False, [b".b.test", b".test"]), (True, [b"b.test", b"test"])]
)
def test_transports_are_looked_up_by_the_domains_above_too(
    parents: bool, above: list[bytes]
) -> None:
    """transport(5), TABLE SEARCH ORDER."""
    found = of_transport(Mailbox(b"fred+x", b"a.b.test"), BOTH, parents=parents)
    assert texts(found) == [b"fred+x@a.b.test", b"fred@a.b.test", b"a.b.test", *above, b"*"]
    assert [key.part for key in found] == [False] + [True] * 5
