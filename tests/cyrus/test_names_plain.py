"""The short way from an address to its key gives what the long way gives, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cyrus.names import Naming

PIECES = st.lists(
    st.sampled_from(
        [
            b"fred",
            b"Fred",
            b".",
            b"^",
            b"+",
            b"@",
            b"/",
            b"!",
            b"user",
            b"example.org",
            b"EXAMPLE",
            b"\0",
            b"\x1d",
            b"\x1f",
            b"bb",
            b"internal",
            b" ",
            b"DELETED",
            b"\xc3\xbc",
            b"x" * 600,
        ]
    ),
    max_size=6,
)


@given(
    pieces=PIECES,
    keeps_domains=st.booleans(),
    downcase=st.booleans(),
    postuser=st.sampled_from([b"", b"bb", b"bb@example.org"]),
    separator=st.sampled_from([b"/", b"."]),
    skip_plus=st.booleans(),
    deletedprefix=st.sampled_from([b"DELETED", b"user", b"fred"]),
)
def test_both_ways_agree(
    pieces: list[bytes],
    keeps_domains: bool,
    downcase: bool,
    postuser: bytes,
    separator: bytes,
    skip_plus: bool,
    deletedprefix: bytes,
) -> None:
    """Key and owner are those of the only reading, wherever `plain` says anything."""
    naming = Naming(
        default_domain=b"Example.org",
        deletedprefix=deletedprefix,
        downcase=downcase,
        keeps_domains=keeps_domains,
        postuser=postuser,
        separator=separator,
        skip_plus=skip_plus,
    )
    address = b"".join(pieces)
    plain = naming.plain(address)
    if plain is not None:
        (name,) = [name for name in naming.readings(address) if name.dbkey]
        assert plain == (name.dbkey, name.owner)
        assert name.owner == name.userid


def test_ordinary_addresses_take_the_short_way() -> None:
    """Users with and without dots and domains."""
    naming = Naming(keeps_domains=True, default_domain=b"example.org")
    for address in (b"fred", b"John.Doe", b"fred@example.org", b"fred@sub.example.net"):
        assert naming.plain(address) is not None


@pytest.mark.parametrize(
    "address",
    [
        b"",
        b"@example.net",
        b"fred@",
        b"fred+box",
        b"fred+box@example.net",
        b"a^b",
        b"a!b@example.net",
        b"fr\0ed",
        b"fred@exa\0mple.net",
        b"fred@exa!mple.net",
        b"bb@example.net",
        b"fred@EXAMPLE.org",
    ],
)
def test_other_addresses_take_the_long_way(address: bytes) -> None:
    """Folders, shared folders, and whatever has more than one spelling."""
    naming = Naming(keeps_domains=True, default_domain=b"example.org", postuser=b"bb@example.net")
    assert naming.plain(address) is None


@pytest.mark.parametrize(
    ("downcase", "keeps_domains", "key", "owner"),
    [
        (True, True, b"Nsub.net\x1duser\x1ffred", b"fred@sub.net"),
        (False, True, b"NSub.NET\x1duser\x1fFred", b"Fred@Sub.NET"),
        (True, False, b"Nuser\x1ffred", b"fred"),
        (False, False, b"Nuser\x1fFred", b"Fred"),
    ],
)
def test_capitals_of_user_and_domain(
    downcase: bool, keeps_domains: bool, key: bytes, owner: bytes
) -> None:
    """Put in lower case both, or neither, on the short way as on the long one."""
    naming = Naming(keeps_domains=keeps_domains, default_domain=b"example.org", downcase=downcase)
    assert naming.plain(b"Fred@Sub.NET") == (key, owner)
    (name,) = [name for name in naming.readings(b"Fred@Sub.NET") if name.dbkey]
    assert (name.dbkey, name.owner) == (key, owner)
