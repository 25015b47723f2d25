"""Lists of our domains."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.frontends.domains import DomainList, canonical, entry_problem, parse

UTF8 = "b\u00fccher.example".encode()
PUNY = b"xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("domain", "form"),
    [
        (b"Example.ORG", b"example.org"),
        (UTF8, PUNY),
        ("B\u00dcCHER.example".encode(), PUNY),
        (PUNY.upper(), PUNY),
        (b"b\xfccher.example", b"b\xfccher.example"),
        (b"\xc3\xbc" * 100, b"\xc3\xbc" * 100),
        (b"", b""),
    ],
)
def test_domains_are_compared_in_lower_case_and_as_xn_labels(domain: bytes, form: bytes) -> None:
    """Domains are compared in lower case and as xn-- labels, where these exist."""
    assert canonical(domain) == form


@pytest.mark.parametrize(
    ("entries", "domain", "ours"),
    [
        ([b"example.org"], b"example.org", True),
        ([b"Example.Org."], b"EXAMPLE.ORG", True),
        ([b"example.org"], b"sub.example.org", False),
        ([b"example.org"], b"example.or", False),
        ([b"example.org"], b"", False),
        ([b".example.org"], b"example.org", False),
        ([b".example.org"], b"sub.example.org", True),
        ([b".example.org"], b"a.b.Example.org", True),
        ([b".example.org"], b"badexample.org", False),
        ([UTF8], PUNY, True),
        ([PUNY], UTF8, True),
        ([b"." + UTF8], b"mail." + PUNY, True),
        ([b"[192.0.2.1]"], b"[192.0.2.1]", True),
        ([], b"example.org", False),
    ],
)
def test_a_domain_above_counts(entries: list[bytes], domain: bytes, ours: bool) -> None:
    """A domain is in the list by its name, or by the name of a domain above it with a dot."""
    assert (domain in DomainList(entries)) is ours


def test_a_file_has_one_domain_a_line() -> None:
    """A file has one domain a line, with comments; wrong lines are told and skipped."""
    data = b"# ours\n example.org  # main\r\n\n.example.net\ntwo words\nno..domain\n*.example.com\n"
    found, problems = parse(data)
    assert b"example.org" in found
    assert b"sub.example.net" in found
    assert b"two" not in found
    advice = (
        "is not a domain; write example.org, or .example.org for all below it; the line is skipped"
    )
    assert problems == [
        (5, f"'two words' {advice}"),
        (6, f"'no..domain' {advice}"),
        (7, f"'*.example.com' {advice}"),
    ]


@given(st.binary(max_size=200))
def test_parse_never_raises(data: bytes) -> None:
    """Any bytes are a list of domains and problems."""
    found, problems = parse(data)
    assert data not in found or entry_problem(data) is None
    assert all(1 <= line <= data.count(b"\n") + 1 for line, _ in problems)
